"""`rankdistill sweep`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rankdistill.cli.dotted import dotted
from rankdistill.cli.inputs import load_experiment, taught_by, use_processor
from rankdistill.cli.options import Changes, Output
from rankdistill.cli.run import default_folder
from rankdistill.errors import ConfigError

if TYPE_CHECKING:
    from rankdistill.config import Experiment
    from rankdistill.parallel import Processors
    from rankdistill.sweep.plan import Plan
    from rankdistill.sweep.request import Request
    from rankdistill.types import Json

_MOST_JOBS = 1


@dataclass(frozen=True, slots=True)
class Course:
    """Where a sweep goes and how."""

    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="The folder of the sweep; left out: runs/NAME-sweep for NAME.toml. What is done there is not done "
            "again.",
            show_default=False,
        ),
    ] = None
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", min=1, help="Trainings at once; the cores are shared out.", show_default="1"),
    ] = None
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with what the sweep in --out was asked for; needs no CONFIG.")
    ] = False
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list the trainings and how long they take.")] = False


@dataclass(frozen=True, slots=True)
class Scope:
    """What is trained besides the keys that vary."""

    seeds: Annotated[
        str | None,
        typer.Option("--seeds", metavar="N,N", help="Train every student once for each seed.", show_default=False),
    ] = None
    teacher: Annotated[
        Path | None,
        typer.Option(
            "--teacher",
            metavar="MODEL_DIR|FILE.parquet",
            help="A trained teacher or its lists, in place of [teacher].",
            show_default=False,
        ),
    ] = None


def sweep(
    ctx: typer.Context,
    scope: Scope,
    course: Course,
    changes: Changes,
    output: Output,
    config: Annotated[
        Path | None, typer.Argument(metavar="CONFIG --SECTION.KEY V,V...", help="The experiment file.")
    ] = None,
) -> None:
    """Many students from one set of labels.

    Every key of [student], [ranking_loss], [distillation] and [train] may be given several values, such as
    --student.dim 4,8,16 --distillation.kind ranking_distillation,rrd; all combinations are trained, each with the
    plain student beside it. A sweep that was stopped goes on when it is started again.
    """
    from rankdistill.sweep.plan import plan as planned

    request, out = _request(ctx, config, scope, course, changes)
    changes = replace(changes, device=request.device, seed=request.seed, threads=request.threads)
    teacher = [] if request.teacher is None else taught_by([request.teacher])

    def load(overrides: Sequence[str]) -> Experiment:
        asked = replace(changes, overrides=[*request.overrides, *overrides])
        return load_experiment(request.config, asked, *teacher)

    plan = planned(load, request.axes, request.seeds)
    processors = _processors(plan, request)
    if course.dry_run:
        _list(plan, out, processors, output)
        return
    from rankdistill.sweep.sweep import sweep as carry_out

    use_processor(plan.base)
    page = carry_out(request, plan, out, processors)
    _print(page, output)


def _request(
    ctx: typer.Context, config: Path | None, scope: Scope, course: Course, changes: Changes
) -> tuple[Request, Path]:
    """What is asked for, and the folder."""
    from rankdistill.sweep.axes import parse_all
    from rankdistill.sweep.request import Request

    axes = parse_all(dotted(ctx))
    if config is None:
        if not course.resume or course.out is None:
            raise ConfigError("a sweep needs CONFIG and keys with values; to go on with one: --resume --out DIR")
        given = [f"--{axis.key}" for axis in axes]
        short = {"seeds": scope.seeds, "teacher": scope.teacher, "set": changes.overrides, "seed": changes.seed}
        given += [f"--{name}" for name, value in short.items() if value is not None]
        if given:
            raise ConfigError(
                f"--resume goes on with what was asked for, and {given[0]} asks for more; name CONFIG, too"
            )
        kept = Request.read(course.out)
        jobs, threads, device = course.jobs or kept.jobs, changes.threads or kept.threads, changes.device or kept.device
        return replace(kept, jobs=jobs, threads=threads, device=device), course.out
    folder = default_folder(config)
    out = course.out or folder.with_name(f"{folder.name}-sweep")
    seeds, sets = _seeds(scope.seeds), tuple(changes.overrides or ())
    machine = (changes.device, changes.seed, course.jobs, changes.threads)
    return Request(config, tuple(axes), seeds, sets, scope.teacher, *machine), out


def _seeds(text: str | None) -> tuple[int, ...]:
    parts = [] if text is None else [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts) or len(set(map(int, parts))) < len(parts):
        raise ConfigError(f"--seeds {text!r}: write different whole numbers with commas between them, such as 1,2,3")
    return tuple(map(int, parts))


def _processors(plan: Plan, request: Request) -> Processors:
    from rankdistill.parallel import Processors

    train = plan.base.student.train
    return Processors.shared_out(train.device, request.jobs, request.threads or train.threads, _MOST_JOBS)


def _list(plan: Plan, out: Path, processors: Processors, output: Output) -> None:
    """The trainings, which are done, and about how long the others take."""
    from rankdistill.report.numerals import duration
    from rankdistill.sweep.sweep import outlook

    rows = outlook(plan, out, processors.threads)
    about = [
        "done" if row["done"] else duration(row["seconds"]) if row["seconds"] else "solved, not timed" for row in rows
    ]
    shown = [(row["name"], row["epochs"], text) for row, text in zip(rows, about, strict=True)]
    whole = sum(row["seconds"] for row in rows) / processors.jobs
    output.show(rows, ("training", "epochs", "about"), shown, f"in all about {duration(whole)}: {processors}")


def _print(page: Path, output: Output) -> None:
    """The rows of the report."""
    import json

    found: Json = json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))
    if output.as_json:
        output.json(found["rows"])
        return
    from rankdistill.report.sweep import brief, facts

    told = [*brief.differences(found), *facts.findings(found), *brief.fronts(found), *facts.failures(found)]
    output.show(found["rows"], brief.heads(found), brief.rows(found), *told, f"report: {page}", folded=True)
