"""Timings: turns, percentiles, what is asked, and the files."""

from __future__ import annotations

import itertools
import json
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from rankdistill.bench.contestants import Contestant, names_of
from rankdistill.bench.latency import Plan, Row, measure, result
from rankdistill.bench.output import cells, write
from rankdistill.bench.timing import TURNS, Call, Summary, percentile, summary, take_turns


class Clock:
    """Stands still but for what a call takes."""

    def __init__(self) -> None:
        self.now = 0.0
        self.called: list[str] = []

    def __call__(self) -> float:
        return self.now

    def call(self, name: str, seconds: float) -> None:
        self.called.append(name)
        self.now += seconds


def test_percentiles_of_known_samples() -> None:
    milliseconds = [each / 1000 for each in range(1, 101)]
    found = summary(milliseconds, 4)
    assert found == Summary(p50=50.5, p95=95.05, p99=99.01, users_per_second=79.2, calls=100)
    assert percentile([0.004, 0.001], 50) == 2.5


@pytest.mark.parametrize(
    ("calls", "known"), [(19, (False, False)), (20, (True, False)), (99, (True, False)), (100, (True, True))]
)
def test_a_percentile_that_too_few_calls_tell_of_is_left_out(calls: int, known: tuple[bool, bool]) -> None:
    found = summary([0.001] * calls, 1)
    assert (found.p95 is not None, found.p99 is not None) == known


def test_throughput_counts_the_users_of_a_call() -> None:
    assert summary([0.5, 1.5], 100).users_per_second == 100.0


def test_contestants_take_turns_and_neither_always_comes_first() -> None:
    clock = Clock()
    calls: dict[str, Sequence[Call]] = {name: [partial(clock.call, name, 0.25)] for name in "ab"}
    take_turns(calls, TURNS * 0.5, clock)
    blocks = [(name, len(list(same))) for name, same in itertools.groupby(clock.called)]
    assert blocks[:3] == [("a", 3), ("b", 6), ("a", 6)]
    assert len(blocks) == TURNS + 2


def test_the_first_turn_and_the_first_call_of_each_do_not_count() -> None:
    clock = Clock()
    took = itertools.chain([9.0, 9.0], itertools.cycle([5.0, 0.25]))

    def call() -> None:
        clock.now += next(took)

    samples = take_turns({"a": [call]}, TURNS * 0.2, clock)
    assert samples == {"a": [0.25] * TURNS}


def test_every_contestant_has_its_share_of_the_time() -> None:
    clock = Clock()
    calls: dict[str, Sequence[Call]] = {
        "quick": [partial(clock.call, "quick", 0.001)],
        "slow": [partial(clock.call, "slow", 0.03)],
    }
    samples = take_turns(calls, 2.0, clock)
    assert sum(samples["quick"]) == pytest.approx(2.0, rel=0.05)
    assert sum(samples["slow"]) == pytest.approx(2.4, rel=0.05)


def test_calls_come_one_after_the_other() -> None:
    clock = Clock()
    calls: list[Call] = [partial(clock.call, name, 1.0) for name in "xyz"]
    take_turns({"a": calls}, 1.0, clock)
    assert "".join(clock.called[:7]) == "xyzxyzx"


def contestant(name: str, engine: str = "torch", note: str = "") -> Contestant:
    def calls(threads: int, batch: int) -> Sequence[Call]:
        return [lambda: sum(range(100 * batch // threads))]

    return Contestant("student", name, engine, calls, note)


def rows_of(*contestants: Contestant) -> tuple[list[Row], Plan]:
    plan = Plan(batches=(1, 16), threads=(1, 2), k=10, seconds=0.01)
    return measure(contestants, plan), plan


def test_there_is_a_row_for_each_contestant_threads_and_batch() -> None:
    rows, _ = rows_of(contestant("a"), contestant("b"))
    assert [(row.contestant.model, row.threads, row.batch) for row in rows] == list(
        itertools.product("ab", (1, 2), (1, 16))
    )
    assert all(row.found.calls >= TURNS and row.found.users_per_second > 0 for row in rows)


def test_the_files_hold_all_rows_and_the_notes(tmp_path: Path) -> None:
    rows, plan = rows_of(contestant("a|b <x>", note="random histories"), contestant("a|b <x>", "ONNX float32"))
    write(rows, plan, tmp_path / "out")
    found = json.loads((tmp_path / "out" / "bench.json").read_text())
    assert found["rows"] == [row.json() for row in rows]
    assert found["notes"] == ["random histories"]
    assert set(found["rows"][0]["latency_ms"]) == {"p50", "p95", "p99"}
    text = (tmp_path / "out" / "bench.md").read_text()
    assert text.count("| a\\|b &lt;x&gt; |") == 8
    assert "random histories" in text
    assert result(rows, plan)["machine"]["cores"] >= 1
    assert all(len(row) == 9 for row in cells(rows))


def test_the_plot_has_a_panel_for_each_number_of_threads_and_a_point_for_each_row(tmp_path: Path) -> None:
    rows, plan = rows_of(contestant("a"), contestant("b & c"))
    write(rows, plan, tmp_path)
    drawn = ET.parse(tmp_path / "bench.svg")
    texts = [each.text or "" for each in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert texts.count("p50 of a call, 1 thread") == texts.count("p50 of a call, 2 threads") == 1
    assert "b & c (torch)" in texts
    tips = [each.text or "" for each in drawn.iter("{http://www.w3.org/2000/svg}title")]
    assert sum(" a call: " in tip for tip in tips) == len(rows) == 8


def test_models_are_called_by_as_much_of_their_paths_as_tells_them_apart() -> None:
    folders = [Path("runs/one/student"), Path("runs/two/student"), Path("teacher")]
    assert names_of(folders) == ["one/student", "two/student", "teacher"]
    assert names_of([Path("teacher")]) == ["teacher"]
