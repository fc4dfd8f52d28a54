"""Data that brings its own split: `train.txt` and `test.txt`, as published with Caser and in KDD'18."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import polars as pl
from pydantic import Field

from rankdistill.config import DataConfig
from rankdistill.data.columns import by_name
from rankdistill.data.events import Events
from rankdistill.data.textfiles import Shape, TextFile, guess_separator, read_columns, split_line
from rankdistill.data.values import Column, ids, integers_where_plain
from rankdistill.errors import DataError

_TRAIN, _VALIDATION, _TEST = 0, 1, 2
_SUFFIXES = (".txt", ".csv", ".tsv", ".inter", ".txt.gz", ".csv.gz", ".tsv.gz")


class Presplit:
    """Reads a folder of user, item rows (a third column is not used), a user's rows oldest first.

    Two layouts are understood:

    - `train.txt`, `test.txt` and maybe `validation.txt`;
    - `test/{train,test}.txt`, and maybe `validation/{train,test}.txt`, which cut `test/train.txt` once more.
    """

    class Config(DataConfig):
        """The keys of `[data]`."""

        kind: str = "presplit"
        path: Path = Field(description="the folder that holds the files")
        min_user_interactions: int = Field(1, ge=1, description="users with fewer interactions are left out")
        min_item_interactions: int = Field(1, ge=1, description="items with fewer interactions are left out")
        repeats: Literal["all", "first", "last"] = Field(
            "all", description="which of a user's repeat visits to an item are kept"
        )

        @property
        def presplit(self) -> bool:
            """Always true."""
            return True

    def __init__(self, config: Config) -> None:
        self.config = config

    def read(self) -> Events:
        """Reads the files; train rows come first, then validation, then test, each in file order.

        Raises:
            DataError: a file is missing or damaged, a row has not two or three fields, an id is empty, or the
                two cuts do not fit each other.
        """
        files = _files(self.config.path)
        parts = {name: _read(file, self.config.path) for name, file in files.items()}
        source = self.config.path.name
        if "validation/train" in parts:
            _check_cuts(parts, source)
            wanted = {"validation/train": _TRAIN, "validation/test": _VALIDATION, "test/test": _TEST}
        elif "test/train" in parts:
            wanted = {"test/train": _TRAIN, "test/test": _TEST}
        else:
            wanted = {"train": _TRAIN, "validation": _VALIDATION, "test": _TEST}
        frame = pl.concat(
            parts[name].with_columns(pl.lit(part, pl.Int8).alias("part"))
            for name, part in wanted.items()
            if name in parts
        )
        frame = frame.with_columns(integers_where_plain(frame[role]) for role in ("user", "item"))
        counts = ", ".join(f"{len(parts[name]):,} rows of {name}" for name in wanted if name in parts)
        return Events(frame, None, (f"{source}: {counts}, in the order of the files",), source)


def _files(folder: Path) -> dict[str, Path]:
    """The files by their names without suffix: "train", "test", or "validation/train", ..."""
    if not folder.is_dir():
        what = "is no folder" if folder.exists() else "no such folder"
        raise DataError(f"{folder}: {what}; pre-split data is a folder with train.txt and test.txt")
    flat = {name: _find(folder, name) for name in ("train", "validation", "test")}
    if flat["train"] or flat["test"]:
        return _complete(flat, folder, ("train", "test"))
    nested = {
        f"{cut}/{name}": _find(folder / cut, name) for cut in ("test", "validation") for name in ("train", "test")
    }
    wanted = ["test/train", "test/test"]
    if (folder / "validation").is_dir():
        wanted += ["validation/train", "validation/test"]
    return _complete(nested, folder, wanted)


def _find(folder: Path, name: str) -> Path | None:
    return next((file for suffix in _SUFFIXES if (file := folder / f"{name}{suffix}").is_file()), None)


def _complete(found: dict[str, Path | None], folder: Path, wanted: list[str] | tuple[str, ...]) -> dict[str, Path]:
    missing = [f"{name}.txt" for name in wanted if found[name] is None]
    if missing:
        raise DataError(
            f"{folder}: no {' and no '.join(missing)}; pre-split data is train.txt and test.txt, "
            f"or test/train.txt and test/test.txt"
        )
    return {name: file for name, file in found.items() if file is not None}


def _read(path: Path, folder: Path) -> pl.DataFrame:
    """Columns `user` and `item` of one file, as text."""
    source = str(path.relative_to(folder.parent))
    file = TextFile.open(path, name=source)
    separator = guess_separator(file)
    first = split_line(file.lines[0], separator)
    if len(first) not in (2, 3):
        raise DataError(f"{source}: rows have {len(first)} fields; user, item and maybe a rating are wanted")
    names = by_name(first)
    columns = {"user": names.get("user", 0), "item": names.get("item", 1)}
    raw = read_columns(file, Shape(separator, len(first), has_header=bool(names)), columns)
    header = first if names else [f"column_{position + 1}" for position in range(len(first))]
    tidied = {role: ids(Column(raw[role], raw["row"], header[columns[role]], source)) for role in columns}
    return pl.DataFrame(tidied)


def _check_cuts(parts: dict[str, pl.DataFrame], source: str) -> None:
    """Checks that a user's rows of test/train are those of validation/train, then of validation/test."""
    whole = parts["test/train"].sort("user", maintain_order=True)
    joined = pl.concat([parts["validation/train"], parts["validation/test"]]).sort("user", maintain_order=True)
    if whole.equals(joined):
        return
    counts = (
        whole["user"]
        .value_counts(name="n")
        .join(joined["user"].value_counts(name="n"), on="user", how="full", coalesce=True)
    )
    uneven = counts.filter(pl.col("n").ne_missing(pl.col("n_right")))["user"].sort()
    user = uneven[0] if len(uneven) else whole.filter(whole["item"] != joined["item"])["user"][0]
    raise DataError(
        f"{source}: user {user!r}: the rows of test/train.txt are not those of validation/train.txt followed "
        f"by those of validation/test.txt; the two cuts are of different data"
    )
