import importlib
import json
import runpy
import sys
from functools import partial
from itertools import count
from pathlib import Path
from types import ModuleType

import pytest

import rankdistill as rd
from rankdistill.data.splitting import some_users
from rankdistill.ranker import Catalogue
from rankdistill.teaching import Distillation

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SCRIPTS = sorted(path for path in BENCHMARKS.glob("*.py") if "\ndef main()" in path.read_text(encoding="utf-8"))


@pytest.fixture
def measure(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("measure")


def test_turns_alternate_and_leave_the_warm_up_out(measure: ModuleType) -> None:
    called: list[str] = []
    ticks = count()
    callables = {name: partial(called.append, name) for name in "ab"}
    found = measure.turns(callables, 2, warmup=1, clock=lambda: float(next(ticks)))
    assert "".join(called) == "ba" + "ab" + "ba"
    assert {name: timing.seconds for name, timing in found.items()} == {"a": (1.0, 1.0), "b": (1.0, 1.0)}


def test_a_callable_that_times_itself_is_believed(measure: ModuleType) -> None:
    own = iter([100.0, 2.0, 4.0, 9.0])
    timing = measure.turns({"a": lambda: next(own)}, 3)["a"]
    assert timing.seconds == (2.0, 4.0, 9.0)
    assert timing.median == 4.0
    assert timing.quartiles == (3.0, 6.5)


def test_ratios_are_taken_turn_by_turn(measure: ModuleType) -> None:
    timings = {"ours": measure.Timing((1.0, 2.0, 4.0)), "theirs": measure.Timing((3.0, 6.0, 12.0))}
    ours, theirs = measure.report(timings, "ours", {"theirs": {"equal": 1.0}})
    assert (ours["ratio"], theirs["ratio"], theirs["ratio_quartiles"]) == (1.0, 3.0, [3.0, 3.0])
    assert theirs["equal"] == 1.0
    assert theirs["seconds"] == 6.0


def test_one_turn_alone_has_no_spread(measure: ModuleType) -> None:
    assert measure.Timing((2.0,)).quartiles == (2.0, 2.0)


def test_a_table_has_a_column_for_each_key_of_any_row(measure: ModuleType) -> None:
    rows = [{"name": "a", "seconds": 1.5}, {"name": "longer", "quartiles": [1.0, 12345.0], "n": 1234}]
    assert measure.table(rows).splitlines() == [
        "name    seconds      quartiles      n",
        "a           1.5",
        "longer           1 - 1.234e+04  1,234",
    ]


def test_a_result_file_says_what_ran_and_where(
    measure: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["/somewhere/benchmarks/fake.py", "--model", "/somewhere/run/teacher", "--quick"])
    monkeypatch.setattr(measure, "RESULTS", tmp_path)
    measure.finish("fake", {"users": 3}, [{"case": "small", "name": "a", "seconds": 1.0}], "no-such-distribution")
    result = json.loads((tmp_path / "fake.json").read_text(encoding="utf-8"))
    assert result["command"] == "python benchmarks/fake.py --model teacher --quick"
    assert result["rows"] == [{"case": "small", "name": "a", "seconds": 1.0}]
    assert result["settings"] == {"users": 3}
    assert set(result["machine"]) == {"processor", "cores", "flags", "memory_gib", "system"}
    assert set(result["versions"]) == {"python", "rankdistill", "torch", "numpy"}
    assert "small\nname  seconds\na           1\n" in capsys.readouterr().out


def test_a_tool_that_is_not_installed_is_skipped_with_the_line_that_installs_it(
    measure: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert measure.optional("no_such_tool", "pip install no-such-tool") is None
    assert capsys.readouterr().err == "skipped: no_such_tool is not installed: pip install no-such-tool\n"
    assert measure.optional("json") is json


@pytest.mark.parametrize("script", SCRIPTS, ids=[path.stem for path in SCRIPTS])
def test_a_benchmark_explains_itself(
    script: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    monkeypatch.setattr(sys, "argv", [str(script), "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(script), run_name="__main__")
    assert ended.value.code == 0
    assert f"python benchmarks/{script.name}" in capsys.readouterr().out


@pytest.mark.parametrize("dim", [50, 100])
def test_the_floor_counts_the_numbers_of_the_model(dim: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    shape = importlib.import_module("floor").Shape(dim, num_users=7, num_items=11)
    assert shape.parameters == rd.Caser(rd.Caser.Config(dim=dim), Catalogue(7, 11, 5)).parameters_count


def test_lists_that_are_made_up_fit_what_is_left_of_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    inputs = importlib.import_module("inputs")
    whole = rd.read("synthetic", users=60, items=40, length=15).split("user_fractions")
    split = some_users(whole, 100)
    items = Distillation(inputs.random_lists(split, 10)).items_for(split).items  # refuses targets and short lists
    assert all(len(set(row)) == 10 for row in items.tolist())


def test_results_stand_between_the_markers_of_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    tables = importlib.import_module("tables")
    result = {
        "command": "python benchmarks/fake.py",
        "machine": {"processor": "a processor", "cores": 2, "flags": ["avx2"]},
        "versions": {"python": "3.11"},
        "settings": {"users": 13149},
        "rows": [{"case": "big", "name": "ours", "seconds": 0.5, "quartiles": [0.4, 0.6]}],
    }
    page = (BENCHMARKS / "README.md").read_text(encoding="utf-8")
    filled = tables.filled(page, {"fake": result})
    assert filled.startswith(page.partition(tables.MARKERS[0])[0])
    assert "`python benchmarks/fake.py`: a processor, 2 cores (avx2), python 3.11, users 13,149\n" in filled
    assert "big\n\n| name | seconds | quartiles |\n| --- | --- | --- |\n| ours | 0.5 | 0.4 - 0.6 |\n" in filled
    assert tables.filled(filled, {"fake": result}) == filled


def test_the_guides_sizes_are_those_of_the_benchmark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    rows = importlib.import_module("sizes").sizes(dim=50)
    guide = (BENCHMARKS.parent / "docs" / "guide.md").read_text(encoding="utf-8")
    figures = [f"| {row['parameters']:,} | {row['bytes']:,} | {row['share']:.1%} |\n" for row in rows]
    assert [line for line in figures if line not in guide] == []
    readme = (BENCHMARKS.parent / "README.md").read_text(encoding="utf-8")
    plain, tied_int8, quantised_int8 = (rows[index]["bytes"] / 1e6 for index in (0, 5, -1))
    assert f"{plain:.1f} MB" in readme
    assert f"{tied_int8:.2f}".removeprefix("0") + " MB" in readme
    assert f"{quantised_int8:.2f}".removeprefix("0") + " MB" in readme
