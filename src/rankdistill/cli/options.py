"""Arguments and options that several verbs share."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import typer

from rankdistill.errors import ConfigError
from rankdistill.owners import check_owner

Config: TypeAlias = Annotated[Path, typer.Argument(metavar="CONFIG", help="The experiment file.")]
OtherConfig: TypeAlias = Annotated[
    Path | None, typer.Option("--config", help="The experiment file that names the data.", show_default=False)
]
Folder: TypeAlias = Annotated[Path, typer.Option("--out", metavar="DIR", help="The folder to write.")]
Resume: TypeAlias = Annotated[
    bool, typer.Option("--resume", help="Go on with a training that was interrupted, instead of starting over.")
]


class OnUnknown(StrEnum):
    """What to do with ids that the data does not have."""

    error = "error"
    drop = "drop"


@dataclass(frozen=True, slots=True)
class Output:
    """What is printed, and how."""

    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks, and log more.")] = False

    def show(
        self,
        value: Any,
        columns: Sequence[str],
        rows: Sequence[Sequence[object]],
        *lines: str,
        folded: bool = False,
    ) -> None:
        """Prints `value` as JSON, or else a table of the rows, if any, and some lines; `folded` as `console.table`."""
        if self.as_json:
            self.json(value)
            return
        from rankdistill.console import line, table

        if rows:
            table(columns, rows, folded=folded)
        for each in lines:
            line(each)

    def json(self, value: Any) -> None:
        """Prints `value` as JSON."""
        typer.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


@dataclass(frozen=True, slots=True)
class Changes:
    """Changes to the experiment file, made for this call alone."""

    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="A.B=V", help="Change a key, such as student.dim=20; may be repeated."),
    ] = None
    device: Annotated[
        str | None, typer.Option("--device", help="cpu, cuda, cuda:1 or auto, for every model.", show_default=False)
    ] = None
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="CPU threads; all cores when left out.", show_default=False)
    ] = None
    seed: Annotated[int | None, typer.Option("--seed", help="Start of every random generator.", show_default=False)] = (
        None
    )

    def as_overrides(self) -> list[str]:
        """All of them as `--set` takes them."""
        short = {"train.device": self.device, "train.threads": self.threads, "seed": self.seed}
        return [*(self.overrides or []), *(f"{key}={value}" for key, value in short.items() if value is not None)]


def check_parquet(out: Path, *read: Path | None, option: str = "--out") -> None:
    """Checks that writing parquet to `out` replaces no other kind of file, and none of those that are read.

    Raises:
        ConfigError: it would.
    """
    if out.suffix != ".parquet":
        raise ConfigError(f"{option} {out}: parquet is written; name a file that ends in .parquet")
    if any(path is not None and _is_same(path, out) for path in read):
        raise ConfigError(f"{option} {out}: that file is read; name another one to write")


def check_folder(out: Path, verb: Literal["train", "distill"]) -> None:
    """Checks that a model folder can be `out`, before anything is computed for it.

    Raises:
        ConfigError: there is a file of that name, or a folder of something else.
    """
    if out.is_file():
        raise ConfigError(f"--out {out}: is a file; name a folder for the model")
    check_owner(out, verb)


def _is_same(one: Path, other: Path) -> bool:
    both = one.exists() and other.exists()
    return one.absolute() == other.absolute() or (both and one.samefile(other))


PreparedData: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--data", metavar="DIR", help="A folder that prepare wrote; else the raw file is read.", show_default=False
    ),
]


@dataclass(frozen=True, slots=True)
class Training:
    """Where a training takes its data from, and whether it starts over."""

    data: PreparedData = None
    resume: Resume = False
