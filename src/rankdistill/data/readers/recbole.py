"""RecBole's atomic files: `.inter` with a typed header, and titles from the `.item` file beside it."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from pydantic import Field

from rankdistill.data.columns import ColumnsConfig, choose
from rankdistill.data.events import Events
from rankdistill.data.textfiles import Shape, TextFile, read_columns
from rankdistill.data.values import integers_where_plain, tidy
from rankdistill.errors import DataError

_TYPES = ("token", "token_seq", "float", "float_seq")
_SINGLE = ("token", "float")


class RecBole:
    """Reads an atomic file with a row an event; columns are named without their `:type`."""

    class Config(ColumnsConfig):
        """The keys of `[data]`."""

        kind: str = "recbole"
        path: Path = Field(description="the .inter file, or the folder that holds it")

    def __init__(self, config: Config) -> None:
        self.config = config

    def read(self) -> Events:
        """Reads the `.inter` file, and the titles of the `.item` file where there is one.

        Raises:
            DataError: a file is missing or damaged, or a header, a row or a value is not what it should be.
        """
        path = _inter_file(self.config.path)
        file = TextFile.open(path)
        header, types = _header(file)
        single = [name if kind in _SINGLE else "" for name, kind in zip(header, types, strict=True)]
        columns, notes = choose(single, self.config, file.name)
        raw = read_columns(file, _shape(header), columns.present())
        names = {role: header[position] for role, position in columns.present().items()}
        frame, more = tidy(raw, names, file.name, min_rating=self.config.min_rating)
        frame = frame.with_columns(integers_where_plain(frame[role]) for role in ("user", "item"))
        beside = path.with_suffix(".item")
        titles = _titles(beside, names["item"], frame["item"].dtype) if beside.exists() else None
        return Events(frame, titles, (*notes, *more), file.name)


def _inter_file(path: Path) -> Path:
    if not path.is_dir():
        return path
    found = sorted(path.glob("*.inter"))
    if len(found) != 1:
        names = ", ".join(file.name for file in found) or "none"
        raise DataError(f"{path}: one .inter file is wanted in the folder, there is {names}; name the file")
    return found[0]


def _header(file: TextFile) -> tuple[list[str], list[str]]:
    """The names and the types of an atomic file's columns."""
    names, types = [], []
    for field in file.lines[0].split("\t"):
        name, _, kind = field.strip().rpartition(":")
        if kind not in _TYPES or not name:
            raise DataError(
                f"{file.name}: the header field {field!r} is not name:type with a type of "
                f"{', '.join(_TYPES)}, "
                f'separated by tabs; for other text set [data] kind = "delimited"'
            )
        names.append(name)
        types.append(kind)
    return names, types


def _shape(header: list[str]) -> Shape:
    return Shape("\t", len(header), has_header=True, quoting=False)


def _titles(path: Path, item_column: str, dtype: pl.DataType) -> pl.DataFrame | None:
    """The titles of the items, with ids of the events' type; None where no column holds titles."""
    file = TextFile.open(path)
    header, types = _header(file)
    titled = [name for word in ("title", "name") for name in header if word in name.lower()]
    if not titled:
        return None
    key = (
        item_column
        if item_column in header
        else next((name for name, kind in zip(header, types, strict=True) if kind == "token"), header[0])
    )
    positions = {"item": header.index(key), "title": header.index(titled[0])}
    table = read_columns(file, _shape(header), positions).select(
        pl.col("item").cast(dtype, strict=False), pl.col("title")
    )
    return table.drop_nulls().unique("item", keep="first", maintain_order=True)
