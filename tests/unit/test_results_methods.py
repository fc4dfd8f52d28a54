"""The table of all methods: what is trained, what is chosen, and what the page says."""

from __future__ import annotations

import importlib.util
import json
import logging
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from rankdistill.errors import DataError
from rankdistill.parallel import Processors

SCRIPT = Path(__file__).parents[2] / "results" / "methods.py"
PAIR = "SASRec → SASRec 16"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    specification = importlib.util.spec_from_file_location("results_methods", SCRIPT)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    sys.path.insert(0, str(SCRIPT.parent))
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def page(script: ModuleType) -> ModuleType:
    return sys.modules["methods_page"]


def model(value: float) -> dict[str, Any]:
    return {
        "metrics": {"ndcg@10": value, "map": value / 2},
        "halves": {"head": value * 2, "tail": value / 10},
        "parameters": 227_840,
        "bytes": 913_632,
        "best_epoch": 8,
        "train_seconds": 100.0,
    }


def row(method: str, factor: float, seed: int, validation: float, test: float, **more: Any) -> dict[str, Any]:
    key = {"pair": PAIR, "method": method, "learning_rate": 0.003, "factor": factor, "seed": seed, "trial": False}
    known = {"setting": {"alpha": 0.1 * factor}, "validation": validation}
    return {**key, **known, **model(test), "folder": f"{method}-{factor}-{seed}", "stamp": "", **more}


def gained(difference: float, p_value: float) -> dict[str, Any]:
    return {"gain": {name: {"difference": difference, "p_value": p_value} for name in ("ndcg@10", "map")}}


@pytest.fixture
def record(script: ModuleType, tmp_path: Path) -> Any:
    gain, other = gained(0.02, 0.0001), gained(0.04, 0.03)
    rows = [
        row("plain", 1.0, 1234, 0.09, 0.95, learning_rate=0.002),
        row("plain", 1.0, 1234, 0.10, 0.10),
        row("rrd", 1.0, 1234, 0.14, 0.90),
        row("rrd", 1.0, 1234, 0.11, 0.98, trial=True),
        row("rrd", 0.1, 1234, 0.13, 0.99, trial=True),
        row("rrd", 10.0, 1234, 0.12, 0.97, trial=True),
        row("rrd", 0.1, 1234, 0.15, 0.12, **gain),
        row("rrd", 0.1, 1, 0.01, 0.14, **other),
        row("plain, twice as long", 1.0, 1234, 0.12, 0.105, **gained(0.005, 0.2)),
        row("dcd", 1.0, 1234, 0.10, 0.11),
        row("dcd", 0.1, 1234, 0.15, 0.77, trial=True),
        row("dcd", 0.1, 1234, 0.20, 0.77, trial=True, learning_rate=0.002),
    ]
    content = {"teachers": {"sasrec": model(0.15)}, "latency_ms": {PAIR: 0.5}, "made": {}, "rows": rows}
    (tmp_path / "gowalla.json").write_text(json.dumps(content), encoding="utf-8")
    return script.Record("gowalla", tmp_path)


def add_a_second_seed(record: Any) -> None:
    """Beside each first one that has none, with the same figures."""
    for first, found in list(record.rows.items()):
        if (first.seed, first.trial) == (1234, False):
            record.rows.setdefault(replace(first, seed=1), found | {"seed": 1})


def test_the_learning_rate_of_a_pair_is_that_of_its_best_plain_student(record: Any) -> None:
    assert record.rate(PAIR) == 0.003
    assert record.rate("SASRec → Caser 32") is None
    assert [each["metrics"]["ndcg@10"] for each in record.chosen(PAIR, "plain")] == [0.10]


def test_the_alpha_that_is_chosen_ranks_the_validation_users_best_after_a_short_training(record: Any) -> None:
    assert {each.factor: value for each, value in record.tried(PAIR, "rrd").items()} == {
        1.0: 0.11,
        0.1: 0.13,
        10.0: 0.12,
    }
    assert record.best(PAIR, "rrd").factor == 0.1
    assert [each["seed"] for each in record.chosen(PAIR, "rrd")] == [1234, 1]
    assert record.best(PAIR, "cd") is None
    assert record.chosen(PAIR, "cd") == []


def test_the_own_alpha_is_chosen_where_it_does_better_in_a_whole_training(script: ModuleType, record: Any) -> None:
    record.rows[script.Row("gowalla", PAIR, "rrd", 0.003, 1.0)]["validation"] = 0.16
    assert record.best(PAIR, "rrd").factor == 1.0
    assert [each["factor"] for each in record.chosen(PAIR, "rrd")] == [1.0]


def test_the_own_alpha_is_shown_until_the_best_is_trained_to_its_end(script: ModuleType, record: Any) -> None:
    assert record.best(PAIR, "dcd").factor == 0.1
    assert [each["factor"] for each in record.chosen(PAIR, "dcd")] == [1.0]
    record.rows[script.Row("gowalla", PAIR, "dcd", 0.003, 0.1, 1)] = row("dcd", 0.1, 1, 0.1, 0.1)
    assert [each["factor"] for each in record.chosen(PAIR, "dcd")] == [0.1]


def test_the_rounds_ask_for_rates_then_methods_then_alphas_then_seeds(script: ModuleType, record: Any) -> None:
    first, second, third, fourth = (
        [row for rows in rounds for row in rows if row.pair == PAIR]
        for rounds in (
            list(script.wanted(record, number, list(script.PAIRS), script.students()))[2 * (number - 1) :]
            for number in (1, 2, 3, 4)
        )
    )
    taught = script.methods()
    assert {(each.method, each.learning_rate) for each in first} == {("plain", rate) for rate in (0.002, 0.003, 0.005)}
    assert [(each.method, each.learning_rate, each.factor) for each in second] == [
        (m, 0.003, 1.0) for m in ("plain, twice as long", *taught)
    ]
    assert {(each.method, each.factor) for each in third} == {
        (m, factor) for m in taught for factor in (1.0, 0.1, 10.0)
    }
    assert {each.seed for each in (*first, *second, *third)} == {1234}
    assert {(each.method, each.factor, each.seed) for each in fourth} == {
        (method, factor, seed)
        for method, factor in (("plain", 1.0), ("plain, twice as long", 1.0), ("dcd", 0.1), ("rrd", 0.1))
        for seed in (1234, 1, 2)
    }
    whole = [each for each in (*first, *second, *fourth) if each.method != "plain, twice as long"]
    assert {each.epochs for each in whole} == {6}
    assert {each.epochs for each in third} == {3}
    assert replace(first[0], data="movielens-1m", trial=True).epochs == 1


def test_the_page_says_how_far_it_has_come(page: ModuleType, record: Any) -> None:
    assert "columns `trials` and `seeds` say which" in page.page([record])
    record.rows = {row: found for row, found in record.rows.items() if not row.trial and row.factor == 1}
    assert "nothing but the learning rate is tuned" in page.page([record])
    record.rows = {row: found for row, found in record.rows.items() if row.method == "plain"}
    assert "no method has been trained" in page.page([record])


def test_seeds_that_not_every_row_of_a_pair_has_are_not_shown(page: ModuleType, record: Any) -> None:
    assert [each["seed"] for each in record.shown(PAIR, "rrd")] == [1234]
    assert "| rrd | alpha 0.01 | .1200 |" in page.page([record])
    add_a_second_seed(record)
    assert [each["seed"] for each in record.shown(PAIR, "rrd")] == [1234, 1]
    assert record.shown(PAIR, "cd") == []


def test_the_table_has_means_over_the_seeds_of_what_was_chosen(page: ModuleType, record: Any) -> None:
    add_a_second_seed(record)
    made = page.page([record])
    lines = {line.split(" | ")[0].strip("| "): line for line in made.splitlines() if line.startswith("| ")}
    assert f"## Gowalla: {PAIR}" in made
    assert lines["rrd"].split(" | ")[1:] == [
        *("alpha 0.01", ".1300", ".0650", ".2600", ".0130"),
        *("+.0300", "p = .030", "3", "2 |"),
    ]
    assert [name for name in lines if name in ("teacher", "plain", "rrd", "dcd")] == ["teacher", "plain", "rrd", "dcd"]
    assert lines["Student"].endswith("0.91 MB | 0.5 ms |")


def test_the_overview_marks_what_every_seed_finds_better_or_worse(
    script: ModuleType, page: ModuleType, record: Any
) -> None:
    add_a_second_seed(record)
    for seed, difference in ((1234, -0.02), (1, -0.03)):
        worse = row("cd", 1.0, seed, 0.1, 0.08, **gained(difference, 0.01))
        record.rows[script.Row("gowalla", PAIR, "cd", 0.003, 1.0, seed)] = worse
    lines = dict(line.strip("| ").split(" | ") for line in page.overview(record, [PAIR], "ndcg@10").splitlines()[2:])
    assert (lines["teacher"], lines["plain"], lines["rrd"]) == (".1500", ".1000", "▲ .1300")
    assert (lines["cd"], lines["dcd"], lines["unkd"]) == ("▼ .0800°", ".1100°", "–")
    record.rows[script.Row("gowalla", PAIR, "cd", 0.003, 1.0, 1)]["gain"]["ndcg@10"]["difference"] = 0.01
    assert "| cd | .0800° |" in page.overview(record, [PAIR], "ndcg@10")
    assert "| plain | .0500 |" in page.overview(record, [PAIR], "map")


def test_a_comparison_with_a_plain_student_that_is_no_longer_chosen_is_dropped(
    script: ModuleType, record: Any, tmp_path: Path
) -> None:
    kept, dropped = (record.rows[script.Row("gowalla", PAIR, "rrd", 0.003, 0.1, seed)] for seed in (1234, 1))
    kept["plain"], dropped["plain"] = "plain-1.0-1234", "plain-10.0-1"
    script.compare(record, "sasrec", None, tmp_path)
    assert "gain" in kept
    assert "gain" not in dropped


def test_the_committed_table_is_that_of_its_rows(script: ModuleType) -> None:
    records = [script.Record(data) for data in script.DATA]
    assert (SCRIPT.parent / "methods" / "README.md").read_text(encoding="utf-8") == script.page(records)
    assert any(record.rows for record in records)


def test_committed_rows_are_of_the_settings_of_today_wherever_the_data_is(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RANKDISTILL_DATA", str(tmp_path))
    for record in map(script.Record, script.DATA):
        assert [row for row in record.rows if not record.has(row)] == []
        for teacher, found in record.content["teachers"].items():
            assert found["stamp"] == script.stamp_of_teacher(record.data, teacher)
        for row in record.rows:
            assert row.stamp != replace(row, seed=row.seed + 1).stamp


def test_a_damaged_record_is_said_to_be_so(script: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "gowalla.json").write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match="damaged"):
        script.Record("gowalla", tmp_path)


def test_a_record_is_written_in_the_order_of_the_table(record: Any, tmp_path: Path) -> None:
    before = json.loads((tmp_path / "gowalla.json").read_text(encoding="utf-8"))["rows"]
    record.write()
    after = json.loads((tmp_path / "gowalla.json").read_text(encoding="utf-8"))
    longer = ["plain, twice as long"]
    assert [each["method"] for each in after["rows"]] == ["plain"] * 2 + longer + ["dcd"] * 3 + ["rrd"] * 6
    assert [each["learning_rate"] for each in after["rows"]][:6] == [0.002, 0.003, 0.003, 0.002, 0.003, 0.003]
    assert sorted(map(str, after["rows"])) == sorted(map(str, before))
    assert after["made"]["versions"]["torch"]


@pytest.mark.parametrize("data", ["gowalla", "movielens-1m"])
def test_trials_differ_in_one_number_and_all_students_of_a_pair_are_alike(
    script: ModuleType, data: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RANKDISTILL_DATA", str(tmp_path))
    for pair in script.PAIRS:
        students = set()
        for method in ("plain", *script.methods()):
            own = script.Row(data, pair, method, 0.003)
            trials = [replace(own, learning_rate=rate) for rate in script.RATES[own.data]]
            if method != "plain":
                trials = [replace(own, factor=factor) for factor in script.FACTORS]
            variants = [trial.variant for trial in trials]
            assert len({each.name for each in variants}) == 3
            assert [each.distilled for each in variants] == [method != "plain"] * 3
            variants[0].check()
            students |= {variant.experiment.student.model.model_dump_json() for variant in variants}
            rates = [variant.experiment.student.train.learning_rate for variant in variants]
            assert rates == [trial.learning_rate for trial in trials]
            if method != "plain":
                alphas = [variant.method.alpha for variant in variants]
                assert alphas == pytest.approx([alphas[0], alphas[0] / 10, alphas[0] * 10])
        assert len(students) == 1


def test_a_warm_up_leaves_most_of_a_training(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RANKDISTILL_DATA", str(tmp_path))
    for data, trial, warmup in (
        ("gowalla", False, 2),
        ("gowalla", True, 1),
        ("movielens-1m", False, 1),
        ("movielens-1m", True, 0),
    ):
        row = script.Row(data, PAIR, "ranking_distillation", 0.003, trial=trial)
        assert row.variant.method.warmup_epochs == warmup


SMALL = """
[data]
kind = "synthetic"
users = 90
items = 150
length = 15

[split]
train_on_validation = false

[teacher]
kind = "caser"

[teacher.train]
checkpoints = 1

[student]
kind = "caser"

[train]
validate_every = 1
"""


def test_rounds_on_small_data_are_trained_compared_timed_and_not_trained_again(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    rows, pair, caplog_at = sys.modules["methods_rows"], "Caser 100 → Caser 16", logging.getLogger("rankdistill")
    (tmp_path / "gowalla.toml").write_text(SMALL, encoding="utf-8")
    monkeypatch.setattr(rows, "HERE", tmp_path)
    monkeypatch.setattr(caplog_at, "propagate", True)
    for of_all, key, small in (
        (rows.TEACHERS, "caser", (*rows.CASER, "dim=8")),
        (rows.PAIRS, pair, ("caser", (*rows.CASER, "dim=4"))),
        (rows.OF_DATA, ("gowalla", "caser"), ("train.epochs=2",)),
        (rows.EPOCHS, "gowalla", 2),
        (rows.RATES, "gowalla", (0.01,)),
    ):
        monkeypatch.setitem(of_all, key, small)

    def trained() -> Any:
        record = script.Record("gowalla", tmp_path)
        for wanted in script.wanted(record, 2, [pair], ["plain", "cd"]):
            script.train(record, wanted, tmp_path / "out", Processors(1, 1))
        return record

    with caplog.at_level("INFO"):
        record = trained()
        (plain,), (cd,) = (record.chosen(pair, method) for method in ("plain", "cd"))
        assert cd["plain"] == plain["folder"]
        assert cd["gain"]["map"]["difference"] == pytest.approx(cd["metrics"]["map"] - plain["metrics"]["map"])
        assert record.content["teachers"]["caser"]["parameters"] > plain["parameters"]
        assert "1 of 1 to train" in caplog.text
        caplog.clear()
        again = trained()
        assert again.rows == record.rows
        assert "1 of 1 to train" not in caplog.text
    script.time_models(again, tmp_path / "out")
    assert set(script.Record("gowalla", tmp_path).content["latency_ms"]) == {"caser", pair}
