"""`rankdistill fuse`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rankdistill.cli.options import OnUnknown, Output, check_parquet
from rankdistill.errors import ConfigError

if TYPE_CHECKING:
    from rankdistill.ids import IdMap
    from rankdistill.rankings import Rankings


class By(StrEnum):
    """What is added up."""

    ranks = "ranks"
    scores = "scores"


@dataclass(frozen=True, slots=True)
class Fusion:
    """How."""

    weights: Annotated[
        str | None,
        typer.Option("--weights", metavar="W,W,...", help="One a file; equal when left out; 0 leaves it out."),
    ] = None
    by: Annotated[
        By,
        typer.Option("--by", help="ranks: reciprocal rank fusion; scores: those of each list, stretched to 0 ... 1."),
    ] = By.ranks
    k: Annotated[
        int | None, typer.Option("--k", min=1, help="The length of the lists; the longest there is when left out.")
    ] = None
    least_shared: Annotated[
        float,
        typer.Option("--least-shared", min=0, max=1, help="Share of users, queries and items that all must know."),
    ] = 0.5
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            metavar="DIR",
            help="A folder that prepare wrote: each query's targets are taken out of lists a user first.",
            show_default=False,
        ),
    ] = None
    on_unknown: Annotated[
        OnUnknown,
        typer.Option("--on-unknown", help="With --data: refuse users and items that it does not have, or drop them."),
    ] = OnUnknown.error


def fuse(
    files: Annotated[list[Path], typer.Argument(metavar="FILE.parquet...", help="Lists of one teacher each.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE.parquet", help="The file to write.")],
    fusion: Fusion,
    output: Output,
) -> None:
    """Lists of several teachers to those of one.

    What more teachers put further up stands further up. A file with one list a user goes with one that has a list for
    each training query; where it holds what the user has, name the prepared data with --data.
    """
    if len(files) == 1:
        raise ConfigError(f"{files[0]}: one teacher alone; name the lists of the others, too")
    if fusion.on_unknown is OnUnknown.drop and fusion.data is None:
        raise ConfigError("--on-unknown drop: leaves out what the data does not have; name that with --data")
    check_parquet(out, *files)
    weights = None if fusion.weights is None else _numbers(fusion.weights)
    from rankdistill.rankings.fusion import fuse as fused
    from rankdistill.shares import shares_of

    teachers, user_ids, item_ids = _read(files, fusion)
    made = fused(teachers, weights=weights, by=fusion.by.value, k=fusion.k, least_shared=fusion.least_shared)
    made.write(out, user_ids, item_ids, positions=not made.per_user)
    count = len(teachers) if weights is None else sum(share > 0 for share in shares_of(weights))
    about = {"file": out, "lists": len(made), "k": made.depth, "teachers": count, "by": fusion.by.value}
    rows = [(f"{len(made):,}", made.depth, count, fusion.by.value, str(out))]
    output.show(about, ("lists", "k", "teachers", "by", "file"), rows)


def _read(files: list[Path], fusion: Fusion) -> tuple[list[Rankings], IdMap, IdMap]:
    """The lists, and the maps of their users and items."""
    if fusion.data is None:
        from rankdistill.rankings.parquet import read_together

        return read_together(files)
    from rankdistill.data.storage import read_split
    from rankdistill.data.teacher_items import to_be_added_up
    from rankdistill.stages import read_lists

    split = read_split(fusion.data)
    found = [read_lists(file, split, fusion.on_unknown.value, fusion.least_shared) for file in files]
    found = [replace(each, on_missing="skip") for each in found]  # as without the data
    return to_be_added_up(found, split), split.user_ids, split.item_ids


def _numbers(written: str) -> list[float]:
    try:
        return [float(part) for part in written.split(",")]
    except ValueError as error:
        raise ConfigError(f"--weights {written!r}: write numbers with commas between, for example 2,1") from error
