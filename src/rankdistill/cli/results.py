"""What verbs print of models: the table of a run, the metrics of one model."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rankdistill.cli.options import Output

if TYPE_CHECKING:
    from rankdistill.types import Json

_HEADLINES = ("map", "ndcg@10", "precision@10", "recall@10")
"""The metrics of the table; the report has them all."""


def print_run(report: Json, page: Path, output: Output) -> None:
    """Prints the models side by side, what distilling gained and what it lacks, and where the page is."""
    from rankdistill.report.numerals import metric_name

    measured = list(dict.fromkeys(name for row in report["rows"] for name in row["metrics"]))
    shown = [name for name in _HEADLINES if name in measured] or measured[:4]
    columns = ["", "Kind", "Parameters", "Bytes", *map(metric_name, shown), "ms a query", "Users a second"]
    rows = [[*_names(row, report), row["kind"], *_figures(row, shown)] for row in report["rows"]]
    if _several(report):
        columns.insert(0, "Run")
    output.show(report, columns, rows, *_comparisons(report, shown), *_halves(report, shown), f"report: {page}")


def _several(report: Json) -> bool:
    return len(report["runs"]) > 1


def _names(row: Json, report: Json) -> list[str]:
    """The run of a model where there are several, and its role, with its folder where the run has it twice."""
    alike = [other for other in report["rows"] if (other.get("run"), other["role"]) == (row.get("run"), row["role"])]
    role = row["role"] if len(alike) == 1 else f"{row['role']}, {row['folder']}"
    return [row["run"], role] if _several(report) else [role]


def _figures(row: Json, shown: Sequence[str]) -> list[str | None]:
    """Sizes, metrics and speed; None for what is not known, so that the others stay flush right."""
    from rankdistill.report.numerals import metric, whole

    sizes, rate = (row["parameters"], row["bytes"]), row["users_per_second"]
    quality = [row["metrics"].get(name) for name in shown]
    latency = row["latency_ms"]["p50"]
    return [
        *(None if size is None else whole(size) for size in sizes),
        *(None if value is None else metric(value) for value in quality),
        None if latency is None else f"{latency:.3f}",
        None if rate is None else whole(rate),
    ]


def _comparisons(report: Json, shown: Sequence[str]) -> list[str]:
    """A line a metric, in the order of the table: the distilled student less the plain one, then less the teacher."""
    from rankdistill.report.numerals import interval, metric, metric_name, p_value

    made = {(one.get("run"), one["a"], one["b"], one["metric"]): one for one in report["comparisons"]}
    runs = [run["name"] for run in report["runs"]] if _several(report) else [None]
    lines = []
    for run, other, name in itertools.product(runs, ("student", "teacher"), shown):
        one = made.get((run, "distilled", other, name))
        if one is not None:
            pair = f"{run}: distilled - {other}" if run else f"distilled - {other}"
            difference = f"{metric(one['difference'], sign=True)} {interval(one['low'], one['high'])}"
            lines.append(f"{pair}, {metric_name(name)}: {difference}, {p_value(one['p_value'])}")
    return lines


def _halves(report: Json, shown: Sequence[str]) -> list[str]:
    """A line a half of the items: each model in one metric, and what distilling gained."""
    from rankdistill.report.numerals import HALF_NAMES, metric, metric_name, p_value

    made = {(one.get("run"), one["metric"]): one for one in report["comparisons"] if _gains(one)}
    runs = [run["name"] for run in report["runs"]] if _several(report) else [None]
    lines = []
    for run, half in itertools.product(runs, HALF_NAMES):
        rows = [row for row in report["rows"] if row.get("run") == run and row["halves"][half]]
        name = next((name for name in ("ndcg@10", *shown) if rows and name in rows[0]["halves"][half]), None)
        if name is None:
            continue
        values = [f"{_names(row, report)[-1]} {metric(row['halves'][half].get(name))}" for row in rows]
        gain = made.get((run, f"{half}/{name}"))
        if gain:
            values.append(f"distilled - student {metric(gain['difference'], sign=True)}, {p_value(gain['p_value'])}")
        lines.append(f"{f'{run}: ' if run else ''}{HALF_NAMES[half]}, {metric_name(name)}: {'; '.join(values)}")
    return lines


def _gains(comparison: Json) -> bool:
    return (comparison["a"], comparison["b"]) == ("distilled", "student")


def print_model(folder: Path, output: Output) -> None:
    """Prints the test metrics of a model folder, and how large the model is."""
    from rankdistill.model_folder import load_card
    from rankdistill.report.numerals import whole

    card = load_card(folder)
    size = f"{whole(card['parameters'])} parameters, {whole(card['bytes'])} bytes"
    notes = [*half_lines(card["halves"]), size, f"model: {folder}"]
    output.show(card, ("metric", "test"), metric_rows(card["metrics"]), *notes)


def metric_rows(means: dict[str, float]) -> list[tuple[str, str]]:
    """One row a metric."""
    from rankdistill.report.numerals import metric, metric_name

    return [(metric_name(name), metric(value)) for name, value in means.items()]


def half_lines(halves: Json) -> list[str]:
    """A line for popular and one for unpopular items."""
    from rankdistill.report.numerals import HALF_NAMES, metric, metric_name

    return [
        f"{HALF_NAMES[half]}, {one['users']:,} users: "
        + ", ".join(f"{metric_name(name)} {metric(value)}" for name, value in one["metrics"].items())
        for half, one in halves.items()
    ]
