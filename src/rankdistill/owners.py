"""Whose folder one is, known from a file in it, and what work there replaces."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from rankdistill.errors import ConfigError

Verb: TypeAlias = Literal["prepare", "train", "distill", "run", "sweep", "tune", "compress", "reproduce", "export"]
_WRITTEN_BY: dict[str, set[Verb]] = {
    "reproduce.json": {"reproduce"},
    "sweep.toml": {"sweep"},
    "compress.json": {"compress"},
    "search": {"compress"},
    "trials.json": {"tune"},
    "run.json": {"run"},
    "student": {"run"},
    "distilled": {"run"},
    "model.json": {"train", "distill"},
    "checkpoint.safetensors": {"train", "distill"},
    "stages.json": {"run", "sweep", "tune"},
    "split.json": {"prepare"},
    "ids/items.npy": {"export"},
}
"""By which a folder is known, also an unfinished one, and the verbs that write it there."""
_FIRST: dict[Verb, str] = {"sweep": "sweep.toml"}
"""What a verb writes before all else: without it, nothing in a folder is its own."""

_REPLACED = ("data", "teacher", "student", "distilled", "students", "final", "search", "trials", "targets.parquet")
_OF_A_MODEL = ("members", "epochs", "ids", "rankings.parquet", "evaluation.parquet", "evaluation-halves.parquet")
_LISTS = "labels*.parquet"
"""What others can learn from in the folders of runs, sweeps and searches, and in those of models."""
_EASIER = re.compile(r"-(epoch|member|easier)-\d+$")
"""How the names of lists end that come before a teacher's own; see `climbing`."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Who keeps files and folders of its own in a folder.

    Attributes:
        name: what it is called.
        kept: the folders in it that are its own.
        anew: those that it makes anew where a verb has written over them.
        found: what says what it found, the best place first; none where `report` does.
    """

    name: str
    kept: tuple[str, ...]
    anew: Mapping[Verb, tuple[str, ...]] = field(default_factory=dict)
    found: tuple[str, ...] = ()


_MODELS = ("teacher", "student", "distilled")
_RUN = Owner("run", ("data", *_MODELS), {"prepare": ("data",), "train": _MODELS, "distill": _MODELS})
_COMPRESS = Owner("compress", ("final", "search"), found=("final", "compress.md"))
_OWNERS: dict[str, Owner] = {
    "reproduce.json": Owner("reproduction", ("data", "models", "results"), found=("results/index.html",)),
    "sweep.toml": Owner("sweep", ("data", "teacher", "students"), found=("sweep.html",)),
    "compress.json": _COMPRESS,
    "search/trials.json": _COMPRESS,  # before it has come to its end
    "trials.json": Owner("search", ("data", "teacher", "trials"), found=("trials.md",)),
    "run.json": _RUN,
    "stages.json": _RUN,  # before it has come to its end
    "model.json": Owner("model", ("members", "epochs", "ids")),
}
"""By which file each is known; a folder that has several is that of the first."""


def owner_of(folder: Path) -> Owner | None:
    """Whose folder one is; None where nothing says so."""
    return next((owner for file, owner in _OWNERS.items() if (folder / file).is_file()), None)


def check_owner(out: Path, verb: Verb) -> None:
    """Refuses a folder that another verb has made, or that lies where another one keeps its own.

    Raises:
        ConfigError: it is one.
    """
    check_made_by(out, verb)
    place = Path(os.path.realpath(out))
    for above in place.parents:
        inside = place.relative_to(above).as_posix()
        for file, owner in _OWNERS.items():
            made_anew = inside in owner.anew.get(verb, ())
            if inside.partition("/")[0] in owner.kept and (above / file).is_file() and not made_anew:
                shown = above.relative_to(Path.cwd()) if above.is_relative_to(Path.cwd()) else above
                raise ConfigError(
                    f"{out}: is part of a {owner.name} ({shown / file}), which goes by what it wrote there; name "
                    f"another --out"
                )


def check_made_by(out: Path, verb: Verb) -> None:
    """Refuses a folder that another verb has made.

    Raises:
        ConfigError: it is one.
    """
    begun = verb not in _FIRST or (out / _FIRST[verb]).exists()
    for name, verbs in _WRITTEN_BY.items():
        if (out / name).exists() and not (begun and verb in verbs):
            raise ConfigError(f"{out}: holds {name}, which no {verb} wrote; name another --out")


def lists_in(folder: Path) -> list[Path]:
    """The lists of the teacher itself, for the training queries, in the folder of a run, sweep or search."""
    return sorted(path for path in folder.glob(_LISTS) if not _EASIER.search(path.stem))


def replaces(out: Path, path: Path) -> bool:
    """Whether work in the folder `out` may replace or remove it, or a file or folder in it; what else is there stays.

    >>> replaces(Path("run"), Path("run/labels.parquet")), replaces(Path("run"), Path("run/own.parquet"))
    (True, False)
    """
    out, path = out.resolve(), path.resolve()
    if out not in path.parents:
        return out == path
    first = Path(path.relative_to(out).parts[0])
    return first.name in (*_REPLACED, *_OF_A_MODEL) or first.match(_LISTS)


def check_not_replaced(out: Path, read: Path) -> None:
    """Refuses work in a folder that would replace what it reads.

    Raises:
        ConfigError: it would.
    """
    if replaces(out, read):
        raise ConfigError(
            f"--out {out}: work there replaces {read}, which is read; copy that first, or name another --out"
        )
