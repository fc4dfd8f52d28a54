"""`rankdistill bench latency`."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rankdistill.cli.inputs import experiment_of, load_data
from rankdistill.cli.options import Changes, OtherConfig, Output, PreparedData
from rankdistill.errors import ConfigError

if TYPE_CHECKING:
    from rankdistill.bench.contestants import Contestant, Role

_MOST_THREADS, _MOST_USERS = 256, 1 << 16


@dataclass(frozen=True, slots=True)
class Timings:
    """What is timed."""

    teacher: Annotated[
        list[Path] | None,
        typer.Option("--teacher", metavar="DIR", help="A teacher to time beside them; may be repeated."),
    ] = None
    batch: Annotated[str, typer.Option("--batch", metavar="N,N,...", help="Users of a call.")] = "1,8,64,512"
    threads: Annotated[str, typer.Option("--threads", metavar="N,N,...", help="CPU threads of a call.")] = "1"
    k: Annotated[int, typer.Option("--k", min=1, help="The length of a list.")] = 10
    seconds: Annotated[
        float, typer.Option("--seconds", min=0.01, max=600, help="Of each model, for each batch and threads.")
    ] = 2.0
    config: OtherConfig = None
    data: PreparedData = None


def latency(
    folders: Annotated[
        list[Path], typer.Argument(metavar="DIR...", help="Folders that export wrote (ONNX), or model folders (torch).")
    ],
    timings: Timings,
    output: Output,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FOLDER", help="Write bench.json, bench.md, bench.svg.")
    ] = None,
) -> None:
    """Models side by side: p50, p95, p99 of a call, and users a second.

    They take turns, and are asked for real users: those of an exported folder, or of a model's own data.
    """
    batches = whole_numbers("--batch", timings.batch, _MOST_USERS)
    threads = whole_numbers("--threads", timings.threads, _MOST_THREADS)
    from rankdistill.bench.contestants import names_of
    from rankdistill.bench.latency import Plan, measure, result
    from rankdistill.bench.output import COLUMNS, cells, write

    teachers = timings.teacher or []
    roles: list[Role] = ["teacher" for _ in teachers]
    roles += ["student" for _ in folders]
    every = [*teachers, *folders]
    names = [f"{role} {name}" if teachers else name for role, name in zip(roles, names_of(every), strict=True)]
    given = zip(every, roles, names, strict=True)
    contestants = list(itertools.chain(*(_contestants(*each, timings) for each in given)))
    plan = Plan(batches, threads, timings.k, timings.seconds)
    rows = measure(contestants, plan)
    if out is not None:
        write(rows, plan, out)
    found = result(rows, plan)
    output.show(found, COLUMNS, cells(rows), *found["notes"], *([f"written: {out}"] if out else []))


def _contestants(folder: Path, role: Role, name: str, timings: Timings) -> list[Contestant]:
    """A folder by what lies in it: a model's card, or an exported manifest."""
    from rankdistill.bench.contestants import of_folder, of_model
    from rankdistill.model_folder import CARD
    from rankdistill.serving import layout
    from rankdistill.stages import load_ranker

    if (folder / CARD).is_file():
        experiment = experiment_of(folder, timings.config, Changes())
        split = load_data(experiment, timings.data)
        return [of_model(load_ranker(folder, split, "cpu"), split, role, name, timings.k)]
    if not (folder / layout.MANIFEST).is_file():
        raise ConfigError(
            f"{folder}: neither an exported folder ({layout.MANIFEST}) nor a model folder ({CARD}); "
            f"name one that export or train made"
        )
    return of_folder(folder, role, name, timings.k)


def whole_numbers(option: str, written: str, most: int) -> tuple[int, ...]:
    """The numbers of an option, rising.

    Raises:
        ConfigError: they are not whole numbers from 1 to `most`.
    """
    parts = [part.strip() for part in written.split(",")]
    if not all(part.isdecimal() and 1 <= int(part) <= most for part in parts):
        raise ConfigError(
            f"{option} {written!r}: write whole numbers from 1 to {most:,} with commas between, for example 1,2"
        )
    return tuple(sorted({int(part) for part in parts}))
