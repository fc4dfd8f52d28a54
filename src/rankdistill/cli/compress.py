"""`rankdistill compress`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from rankdistill.cli.inputs import use_processor
from rankdistill.cli.options import Changes, Config, Folder, Output
from rankdistill.cli.tune import Searching, with_teacher
from rankdistill.extras import extra
from rankdistill.owners import check_owner

NOT_MET = 3
"""The exit status where no student met the goal."""
_MINUTES = 10.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the student is to be."""

    within: Annotated[
        str | None,
        typer.Option("--within", metavar="1%", help="Lose no more of the teacher's metric.", show_default=False),
    ] = None
    under_mb: Annotated[
        float | None, typer.Option("--under-mb", metavar="MB", help="Million bytes at most.", show_default=False)
    ] = None
    under_ms: Annotated[
        float | None, typer.Option("--under-ms", metavar="MS", help="Milliseconds a query at most.", show_default=False)
    ] = None
    metric: Annotated[str, typer.Option("--metric", help="What quality is.")] = "ndcg@10"
    trials: Annotated[
        int | None, typer.Option("--trials", min=1, help="Stop after so many trials.", show_default=False)
    ] = None
    teacher: Annotated[
        Path | None,
        typer.Option(
            "--teacher",
            metavar="FILE.parquet|MODEL_DIR",
            help="Lists, in place of [teacher]; or for the search a model trained without the validation part.",
            show_default=False,
        ),
    ] = None


def compress(
    config: Config, wanted: Wanted, out: Folder, searching: Searching, changes: Changes, output: Output
) -> None:
    """The smallest student that is good enough, or the best one that is small or quick enough.

    Sizes and settings are searched on validation data (10 minutes unless --minutes or --trials say otherwise), then the
    student is trained as CONFIG says and compared with its teacher on the test users. Exits with 3 where none met the
    goal. The same command goes on where it stopped.
    """
    from rankdistill.tuning.goal import Goal

    goal = Goal.read(wanted.within, wanted.under_mb, wanted.under_ms, wanted.metric)
    experiment, written = with_teacher(config, changes, wanted.teacher)
    from rankdistill.folders import begun
    from rankdistill.report.numerals import metric_name, whole
    from rankdistill.tuning.compress import compress as search
    from rankdistill.tuning.search import Budget
    from rankdistill.tuning.tune import Asked

    extra("optuna", "tune")
    use_processor(experiment)
    asked = Asked(experiment, "distilled", searching.keys or [], changes.as_overrides(), True, written)
    minutes = _MINUTES if searching.minutes is None and wanted.trials is None else searching.minutes
    check_owner(out, "compress")
    with begun(out, "search"):
        found = search(asked, goal, Budget(wanted.trials, minutes, searching.jobs), out)
    rows = []
    for row in found.get("test", []):
        sizes = (whole(row["parameters"]), whole(row["bytes"]))
        latency = (row["latency_ms"] or {}).get("p50")
        quality = _shown(row["metrics"].get(goal.metric))
        rows.append((row["role"], row["kind"], *sizes, quality, "" if latency is None else f"{latency:.3f}"))
    columns = ("", "Kind", "Parameters", "Bytes", metric_name(goal.metric), "ms a query")
    lines = [*found["sentences"], *([f"report: {found['report']}"] if "report" in found else [])]
    output.show(found, columns, rows, *lines)
    if not found["met"]:
        raise typer.Exit(NOT_MET)


def _shown(value: float | None) -> str:
    from rankdistill.report.numerals import metric

    return "" if value is None else metric(value)
