"""Timings as a table, and as files: JSON, Markdown, a plot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rankdistill.bench.latency import Plan, Row, result
from rankdistill.bench.plot import plot
from rankdistill.files import write_json, write_text
from rankdistill.report.markdown import plain, table
from rankdistill.report.numerals import MISSING, whole

COLUMNS = ("model", "engine", "threads", "batch", "p50 ms", "p95 ms", "p99 ms", "users/s", "calls")


def cells(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """The table."""
    return [
        (
            row.contestant.model,
            row.contestant.engine,
            str(row.threads),
            str(row.batch),
            *(milliseconds(value) for value in (row.found.p50, row.found.p95, row.found.p99)),
            whole(row.found.users_per_second),
            whole(row.found.calls),
        )
        for row in rows
    ]


def milliseconds(value: float | None) -> str:
    """Three decimals.

    >>> milliseconds(0.25), milliseconds(None)
    ('0.250', '–')
    """
    return MISSING if value is None else f"{value:,.3f}"


def write(rows: Sequence[Row], plan: Plan, folder: Path) -> None:
    """Writes bench.json, bench.md and bench.svg.

    Raises:
        StorageError: a file could not be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = result(rows, plan)
    write_json(folder / "bench.json", found)
    where = found["machine"]
    blocks = [
        "# Latency and throughput",
        plain(f"Lists of {plan.k}. {where['processor']}, {where['cores']} cores; {_versions(found['versions'])}."),
        table([column.replace(" ms", ", ms") for column in COLUMNS], cells(rows)),
        "![Latency of a call against users a second](bench.svg)",
        *(plain(note) for note in found["notes"]),
    ]
    write_text(folder / "bench.md", "\n\n".join(blocks) + "\n")
    write_text(folder / "bench.svg", plot(rows, plan.k))


def _versions(found: dict[str, str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in found.items())
