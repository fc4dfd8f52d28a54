"""The table of all methods: what is trained, what is chosen, and what the page says."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from rankdistill.errors import DataError

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


def row(method: str, trial: int, seed: int, validation: float, test: float, **more: Any) -> dict[str, Any]:
    shown = {"pair": PAIR, "method": method, "trial": trial, "seed": seed, "epochs": 10}
    known = {"setting": {"alpha": 0.1 * (trial + 1)}, "early": validation, "validation": 0.2 - validation}
    return {**shown, **known, **model(test), "folder": f"{method}-{trial}-{seed}", "stamp": "", **more}


@pytest.fixture
def record(script: ModuleType, tmp_path: Path) -> Any:
    gain = {"gain": {"ndcg@10": {"difference": 0.02, "p_value": 0.0001}}}
    other = {"gain": {"ndcg@10": {"difference": 0.04, "p_value": 0.03}}}
    rows = [
        row("plain", 0, 1234, 0.10, 0.10),
        row("rrd", 0, 1234, 0.11, 0.90),
        row("rrd", 1, 1234, 0.13, 0.12, **gain),
        row("rrd", 2, 1234, 0.12, 0.99, epochs=4),
        row("rrd", 1, 1, 0.01, 0.14, **other),
        row("dcd", 0, 1234, 0.10, 0.11),
        row("dcd", 1, 1234, 0.15, 0.77, epochs=4),
    ]
    content = {"teachers": {"sasrec": model(0.15)}, "latency_ms": {PAIR: 0.5}, "made": {}, "rows": rows}
    (tmp_path / "gowalla.json").write_text(json.dumps(content), encoding="utf-8")
    return script.Record("gowalla", tmp_path)


def test_what_is_chosen_ranks_the_validation_users_best_early_with_the_first_seed(record: Any) -> None:
    assert record.tried(PAIR, "rrd") == {0: 0.11, 1: 0.13, 2: 0.12}
    assert record.best(PAIR, "rrd") == 1
    assert [each["seed"] for each in record.chosen(PAIR, "rrd")] == [1234, 1]
    assert record.best(PAIR, "cd") is None
    assert record.chosen(PAIR, "cd") == []


def test_the_first_trial_is_shown_until_the_best_is_trained_to_its_end(script: ModuleType, record: Any) -> None:
    assert record.best(PAIR, "dcd") == 1
    assert [each["trial"] for each in record.chosen(PAIR, "dcd")] == [0]
    record.rows[script.Row("gowalla", PAIR, "dcd", 1, 1)] = row("dcd", 1, 1, 0.1, 0.1)
    assert [each["trial"] for each in record.chosen(PAIR, "dcd")] == [1]


def test_the_early_figure_of_a_training_is_read_from_its_log(script: ModuleType, tmp_path: Path) -> None:
    lines = [{"epoch": 3}, {"epoch": 4, "validation": {"map": 0.25}}, {"epoch": 6, "validation": {"map": 0.5}}]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    assert script.early(tmp_path) == 0.25


def test_the_rounds_ask_for_every_method_then_more_trials_then_more_seeds_of_the_best(
    script: ModuleType, record: Any
) -> None:
    first, second, third = (
        [row for rows in rounds for row in rows if row.pair == PAIR]
        for rounds in (
            list(script.wanted(record, number, list(script.PAIRS), script.methods()))[2 * (number - 1) :]
            for number in (1, 2, 3)
        )
    )
    assert [(each.method, each.trial, each.seed) for each in first] == [(m, 0, 1234) for m in script.methods()]
    assert {(each.trial, each.seed) for each in second} == {(1, 1234), (2, 1234)}
    assert len(second) == 2 * len(first)
    seeds = (1234, 1, 2)
    assert {(each.method, each.trial, each.seed) for each in third} == {
        *(("plain", 0, seed) for seed in seeds),
        *(("dcd", 1, seed) for seed in seeds),
        *(("rrd", 1, seed) for seed in seeds),
    }
    assert {each.epochs for each in (*first, *third)} == {10}
    assert {each.epochs for each in second} == {4}


def test_the_table_has_means_over_the_seeds_of_what_was_chosen(page: ModuleType, record: Any) -> None:
    made = page.page([record])
    lines = {line.split(" | ")[0].strip("| "): line for line in made.splitlines() if line.startswith("| ")}
    assert f"## Gowalla: {PAIR}" in made
    assert lines["rrd"].split(" | ")[1:] == [
        *("alpha 0.2", ".1300", ".0650", ".2600", ".0130"),
        *("+.0300", "p = .030", "3", "2 |"),
    ]
    assert [name for name in lines if name in ("teacher", "plain", "rrd", "dcd")] == ["teacher", "plain", "rrd", "dcd"]
    assert lines["Student"].endswith("0.91 MB | 0.5 ms |")


def test_the_overview_marks_what_every_seed_finds_better_or_worse(
    script: ModuleType, page: ModuleType, record: Any
) -> None:
    for seed, difference in ((1234, -0.02), (1, -0.03)):
        found = {"gain": {"ndcg@10": {"difference": difference, "p_value": 0.01}}}
        worse = row("cd", 0, seed, 0.1, 0.08, **found)
        record.rows[script.Row("gowalla", PAIR, "cd", 0, seed)] = worse
    lines = dict(line.strip("| ").split(" | ") for line in page.overview(record, [PAIR]).splitlines()[2:])
    assert (lines["teacher"], lines["plain"], lines["rrd"]) == (".1500", ".1000", "▲ .1300")
    assert (lines["cd"], lines["dcd"], lines["unkd"]) == ("▼ .0800", ".1100", "–")
    record.rows[script.Row("gowalla", PAIR, "cd", 0, 1)]["gain"]["ndcg@10"]["difference"] = 0.01
    assert "| cd | .0800 |" in page.overview(record, [PAIR])


def test_a_comparison_with_a_plain_student_that_is_no_longer_chosen_is_dropped(
    script: ModuleType, record: Any, tmp_path: Path
) -> None:
    kept, dropped = (record.rows[script.Row("gowalla", PAIR, "rrd", 1, seed)] for seed in (1234, 1))
    kept["plain"], dropped["plain"] = "plain-0-1234", "plain-2-1"
    script.compare(record, "sasrec", None, tmp_path)
    assert "gain" in kept
    assert "gain" not in dropped


def test_the_committed_table_is_that_of_its_rows(script: ModuleType) -> None:
    records = [script.Record(data) for data in script.DATA]
    assert (SCRIPT.parent / "methods" / "README.md").read_text(encoding="utf-8") == script.page(records)
    assert all(record.rows for record in records)


def test_a_damaged_record_is_said_to_be_so(script: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "gowalla.json").write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match="damaged"):
        script.Record("gowalla", tmp_path)


def test_a_record_is_written_in_the_order_of_the_table(record: Any, tmp_path: Path) -> None:
    before = json.loads((tmp_path / "gowalla.json").read_text(encoding="utf-8"))["rows"]
    record.write()
    after = json.loads((tmp_path / "gowalla.json").read_text(encoding="utf-8"))
    assert [each["method"] for each in after["rows"]] == ["plain", "dcd", "dcd", "rrd", "rrd", "rrd", "rrd"]
    assert sorted(map(str, after["rows"])) == sorted(map(str, before))
    assert after["made"]["versions"]["torch"]


@pytest.mark.parametrize("data", ["gowalla", "movielens-1m"])
def test_trials_differ_in_one_number_and_all_students_of_a_pair_are_alike(
    script: ModuleType, data: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RANKDISTILL_DATA", str(tmp_path))
    for pair in script.PAIRS:
        students = set()
        for method in script.methods():
            variants = [script.Row(data, pair, method, trial, 1).variant for trial in range(3)]
            assert len({each.name for each in variants}) == 3
            assert [each.distilled for each in variants] == [method != "plain"] * 3
            variants[0].check()
            students |= {variant.experiment.student.model.model_dump_json() for variant in variants}
            if method != "plain":
                alphas = [variant.method.alpha for variant in variants]
                assert alphas == pytest.approx([alphas[0], alphas[0] / 10, alphas[0] * 10])
        assert len(students) == 1
