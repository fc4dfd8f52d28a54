"""What verbs print of models: the table of a run, the metrics of one model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rankdistill.cli.options import Output

if TYPE_CHECKING:
    from rankdistill.types import Json

_HEADLINES = ("map", "ndcg@10", "precision@10", "recall@10")
"""The metrics of the table; the report has them all."""


def print_run(report: Json, page: Path, output: Output) -> None:
    """Prints a run's models side by side, whether distilling helped, and where the page is."""
    from rankdistill.report.numerals import metric, metric_name

    measured = list(dict.fromkeys(name for row in report["rows"] for name in row["metrics"]))
    shown = [name for name in _HEADLINES if name in measured] or measured[:4]
    columns = ("", "Kind", "Parameters", "Bytes", *map(metric_name, shown), "ms a query", "Users a second")
    rows = []
    for row in report["rows"]:
        quality = [metric(row["metrics"].get(name)) for name in shown]
        rows.append((row["role"], row["kind"], *_costs(row)[:2], *quality, *_costs(row)[2:]))
    output.show(report, columns, rows, *_gains(report, shown), f"report: {page}")


def _costs(row: Json) -> list[str]:
    from rankdistill.report.numerals import whole

    latency = row["latency_ms"]["p50"]
    milliseconds = "–" if latency is None else f"{latency:.3g}"
    return [whole(row["parameters"]), whole(row["bytes"]), milliseconds, whole(row["users_per_second"])]


def _gains(report: Json, shown: list[str]) -> list[str]:
    """A line a metric: what distilling gained over the plain student, and whether that is significant."""
    from rankdistill.report.numerals import interval, metric, metric_name, p_value

    return [
        f"distilled - student, {metric_name(each['metric'])}: {metric(each['difference'], sign=True)} "
        f"{interval(each['low'], each['high'])}, {p_value(each['p_value'])}"
        for each in report["comparisons"]
        if (each["a"], each["b"]) == ("distilled", "student") and each["metric"] in shown
    ]


def print_model(folder: Path, output: Output) -> None:
    """Prints the test metrics of a model folder."""
    from rankdistill.model_folder import load_card

    card = load_card(folder)
    output.show(card, ("metric", "test"), metric_rows(card["metrics"]), f"model: {folder}")


def metric_rows(means: dict[str, float]) -> list[tuple[str, str]]:
    """One row a metric."""
    from rankdistill.report.numerals import metric, metric_name

    return [(metric_name(name), metric(value)) for name, value in means.items()]
