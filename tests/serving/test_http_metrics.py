"""Numbers that several processes count in one table."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rankdistill.errors import ConfigError
from rankdistill.serving.metrics import Metrics, new_table


def lines(metrics: Metrics, name: str) -> list[str]:
    return [line for line in metrics.text().splitlines() if line.startswith(f"rankdistill_{name}")]


def test_requests_are_counted_by_path_and_status() -> None:
    metrics = Metrics()
    for status in (200, 200, 422, 418):
        metrics.answered("/recommend", status, 0.0015)
    assert lines(metrics, "requests_total") == [
        'rankdistill_requests_total{worker="0",path="/recommend",status="200"} 2',
        'rankdistill_requests_total{worker="0",path="/recommend",status="422"} 1',
        'rankdistill_requests_total{worker="0",path="/recommend",status="other"} 1',
    ]


def test_times_fall_into_buckets_that_add_up() -> None:
    metrics = Metrics()
    for seconds in (0.0005, 0.0006, 0.3, 100.0):
        metrics.answered("/recommend", 200, seconds)
    metrics.answered("/health", 200, 5.0)
    found = [line.rsplit(" ", 1) for line in lines(metrics, "request_seconds_bucket")]
    counts = {left.partition('le="')[2].partition('"')[0]: int(right) for left, right in found}
    assert (counts["0.0005"], counts["0.001"], counts["0.25"], counts["1"], counts["5"], counts["+Inf"]) == (
        1,
        2,
        2,
        3,
        3,
        4,
    )
    assert lines(metrics, "request_seconds_sum") == ['rankdistill_request_seconds_sum{worker="0"} 100.301100']


def test_every_number_has_a_heading_of_its_own() -> None:
    headings = [line.split()[2] for line in Metrics().text().splitlines() if line.startswith("# TYPE")]
    assert len(headings) == len(set(headings)) == 9


def test_workers_share_a_table_and_one_takes_the_place_of_a_dead_one(tmp_path: Path) -> None:
    table = tmp_path / "metrics"
    new_table(table, 2)
    mine = Metrics(table)
    mine.add("lists_total", 5)
    code = (
        "from rankdistill.serving.metrics import Metrics; from pathlib import Path\n"
        f"other = Metrics(Path({str(table)!r})); other.add('lists_total', 2); other.add('in_flight')\n"
        "print(other.worker)"
    )
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout == "1\n"
    assert lines(mine, "lists_total") == [
        'rankdistill_lists_total{worker="0"} 5',
        'rankdistill_lists_total{worker="1"} 4',
    ]
    assert lines(mine, "in_flight")[1] == 'rankdistill_in_flight{worker="1"} 1'


def test_more_workers_than_rows_are_refused(tmp_path: Path) -> None:
    table = tmp_path / "metrics"
    new_table(table, 1)
    first = Metrics(table)
    code = f"from rankdistill.serving.metrics import Metrics; from pathlib import Path; Metrics(Path({str(table)!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert f"{ConfigError.__name__}: 1 workers share the table" in done.stderr
    assert first.worker == 0
    with pytest.raises(KeyError):
        first.add("no_such_number")
