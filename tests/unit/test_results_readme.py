from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from made_results import made_results

SCRIPT = Path(__file__).parents[2] / "results" / "readme.py"
TEXT = (
    "# Title\n\n<!-- models -->\nold\n<!-- /models -->\n\n<!-- results -->\nold\n<!-- /results -->\n\n"
    "<!-- students -->\nold\n<!-- /students -->\n\n<!-- steps -->\nold\n<!-- /steps -->\n\nThe rest.\n"
)


@pytest.fixture(scope="module")
def readme() -> ModuleType:
    specification = importlib.util.spec_from_file_location("results_readme", SCRIPT)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "README.md").write_text(TEXT, encoding="utf-8")
    put(tmp_path, "kdd18-gowalla", made_results())
    return tmp_path


def put(root: Path, name: str, results: dict[str, Any]) -> None:
    (root / "results" / name).mkdir(parents=True, exist_ok=True)
    (root / "results" / name / "results.json").write_text(json.dumps(results), encoding="utf-8")


def block(root: Path, name: str) -> str:
    """What stands between two markers."""
    return (root / "README.md").read_text(encoding="utf-8").split(f"<!-- {name} -->")[1].split(f"<!-- /{name} -->")[0]


def rows(root: Path, name: str = "results") -> list[list[str]]:
    lines = block(root, name).splitlines()
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("|")]


def test_the_block_is_filled_and_the_rest_is_left(readme: ModuleType, root: Path) -> None:
    assert readme.main([], root) == 0
    text = (root / "README.md").read_text(encoding="utf-8")
    assert text.startswith("# Title\n\n<!-- models -->\n\n|")
    assert ".\n\n<!-- /results -->\n\n<!-- students -->\n" in text
    assert text.endswith("<!-- /steps -->\n\nThe rest.\n")
    assert "old" not in text
    assert "(results/kdd18-gowalla/results.md)" in text


def test_the_small_table_has_the_family_with_the_largest_teacher(readme: ModuleType, root: Path) -> None:
    results = made_results()
    for row in results["main"]:
        row["mean"]["ndcg@10"] = 0.1234
    put(root, "kdd18-gowalla", results)
    readme.main([], root)
    head, _, *models = rows(root, "models")
    assert head == ["", "nDCG@10", "MAP", "parameters", "ms a query"]
    assert [row[0] for row in models] == [
        "teacher",
        "plain student",
        "distilled student",
        "the same, chosen on validation data",
    ]
    assert {row[1] for row in models} == {".1234"}
    assert [row[3] for row in models] == ["5,584,102", *["2,794,102"] * 3]
    speed = next(each["p50_ms"] for each in results["inference"] if each["name"] == "Caser-RD")
    assert models[2][4] == models[3][4] == f"{speed:.2f}"


def test_the_models_stand_by_family_and_the_baselines_from_the_best(readme: ModuleType, root: Path) -> None:
    results = made_results()
    put(root, "kdd18-gowalla", results | {"main": results["main"][:3] + results["main"][:2:-1]})
    readme.main([], root)
    assert [row[0] for row in rows(root)[2:]] == [
        "Caser-T",
        "Caser-S",
        "Caser-RD",
        "Caser-RD, chosen (chosen on validation data)",
        "Fossil-T",
        "Fossil-S",
        "Fossil-RD",
        "BPR",
        "ItemCF",
        "POP",
    ]


def test_a_row_has_ours_with_its_deviation_the_published_value_and_the_parameters(
    readme: ModuleType, root: Path
) -> None:
    results = made_results()
    results["main"][0]["mean"] |= {"map": 0.0949, "ndcg_kdd18@10": 0.1244}
    results["main"][0]["deviation"] |= {"map": 0.0017, "ndcg_kdd18@10": 0.0003}
    put(root, "kdd18-gowalla", results)
    readme.main([], root)
    assert rows(root)[0] == ["", "MAP", "published", "nDCG@10 (KDD18)", "published", "parameters"]
    assert rows(root)[2] == ["Caser-T", ".0949 ± .0017", ".0958", ".1244 ± .0003", ".1251", "5,584,102"]
    assert rows(root)[5][2] == "–"
    assert {len(row) for row in rows(root)} == {6}


def test_a_further_data_set_is_a_line_with_its_remarks(readme: ModuleType, root: Path) -> None:
    results = made_results() | {"title": "Foursquare New York", "remarks": ["Not the set of the paper."]}
    results["main"] = results["main"][:3]
    for row, value in zip(results["main"], (0.13, 0.12, 0.125), strict=True):
        row["mean"]["map"], row["deviation"] = value, None
    put(root, "kdd18-foursquare-nyc", results)
    readme.main([], root)
    assert (
        "Foursquare New York: MAP Caser-RD .1250 (Caser-T .1300, Caser-S .1200); "
        "[all](results/kdd18-foursquare-nyc/results.md). Not the set of the paper."
    ) in (root / "README.md").read_text(encoding="utf-8").splitlines()


def test_a_family_that_was_not_trained_is_left_out_and_one_seed_is_said(readme: ModuleType, root: Path) -> None:
    results = made_results() | {"title": "MovieLens-1M", "seeds": [1234]}
    for row in results["main"]:
        row["mean"] = {} if row["family"] == "Fossil" else row["mean"]
    put(root, "kdd18-movielens-1m", results)
    assert readme.main([], root) == 0
    (line,) = (line for line in block(root, "results").splitlines() if line.startswith("MovieLens-1M"))
    assert line.startswith("MovieLens-1M (one seed): MAP Caser-RD")
    assert "Fossil" not in line


def test_check_writes_nothing_and_tells_whether_the_readme_is_up_to_date(
    readme: ModuleType, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert readme.main(["--check"], root) == 1
    assert capsys.readouterr().err == (
        "README.md: its results are not those of results/*/results.json; run results/readme.py\n"
    )
    assert (root / "README.md").read_text(encoding="utf-8") == TEXT
    readme.main([], root)
    assert readme.main(["--check"], root) == 0
    put(root, "kdd18-gowalla", made_results() | {"main": []})
    assert readme.main(["--check"], root) == 1


@pytest.mark.parametrize(
    "text",
    [
        TEXT.replace("<!-- results -->\n", ""),
        TEXT.replace("<!-- /results -->\n", ""),
        "<!-- models -->\n<!-- /models -->\n<!-- /results -->\n<!-- results -->\n",
        TEXT + "<!-- results -->\n",
    ],
)
def test_a_readme_without_one_pair_of_markers_is_left_as_it_is(
    text: str, readme: ModuleType, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "README.md").write_text(text, encoding="utf-8")
    assert readme.main([], root) == 1
    assert "needs one line <!-- results -->" in capsys.readouterr().err
    assert (root / "README.md").read_text(encoding="utf-8") == text


def test_quick_results_are_not_for_the_readme(
    readme: ModuleType, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(root, "kdd18-gowalla", made_results() | {"quick": True})
    assert readme.main([], root) == 1
    assert capsys.readouterr().err.startswith("results/kdd18-gowalla/results.json: made with --quick")


def test_missing_and_broken_results_are_named(
    readme: ModuleType, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "results/kdd18-gowalla/results.json").write_text("{", encoding="utf-8")
    assert readme.main([], root) == 1
    assert capsys.readouterr().err.startswith("results/kdd18-gowalla/results.json: not a JSON file")
    (root / "results/kdd18-gowalla/results.json").unlink()
    assert readme.main([], root) == 1
    assert capsys.readouterr().err.startswith("results/kdd18-gowalla/results.json: not there; make it with")


def test_the_runs_that_are_kept_have_a_line_a_model(readme: ModuleType, root: Path) -> None:
    report = {
        "rows": [
            {
                "role": role,
                "kind": kind,
                "config": config,
                "parameters": 1234,
                "bytes": 56780,
                "metrics": {"map": 0.1, "ndcg@10": 0.2},
                "halves": {"head": {"ndcg@10": 0.3}, "tail": {"ndcg@10": 0.04}},
                "latency_ms": {"p50": 0.567},
            }
            for role, kind, config in (("teacher", "ensemble", {}), ("distilled", "sasrec", {"dim": 16}))
        ]
    }
    (root / "results" / "small").mkdir()
    (root / "results" / "small" / "report.json").write_text(json.dumps(report), encoding="utf-8")
    assert readme.main([], root) == 0
    values = [".1000", ".2000", ".3000", ".0400", "1,234", "0.06", "0.57"]
    assert rows(root, "students")[2:] == [
        ["small: teacher", *values],
        ["distilled student, SASRec d = 16", *values],
    ]


def test_the_steps_are_the_students_of_each_sweep_with_the_spread_of_their_seeds(
    readme: ModuleType, root: Path
) -> None:
    def row(role: str, value: float, **more: Any) -> dict[str, Any]:
        metrics = {"map": value, "ndcg@10": 2 * value}
        halves = {"head": {"ndcg@10": 3 * value}, "tail": {"ndcg@10": value / 2}}
        return {"role": role, "kind": "sasrec", "metrics": metrics, "halves": halves, "parameters": 1000, **more}

    asked = {"distillation.kind": "list_softmax"}
    spread = {"map": [0.1, 0.12], "ndcg@10": [0.2, 0.24]}
    found = [
        row("teacher", 0.12, halves={"head": {}, "tail": {}}, settings={}),
        row("student", 0.1, settings=asked, seeds=[1], spread=None),
        row("distilled", 0.11, settings=asked, seeds=[1, 2], spread=spread),
    ]
    (root / "results" / "smallest-sweep").mkdir()
    (root / "results" / "smallest-sweep" / "sweep.json").write_text(json.dumps({"rows": found}), encoding="utf-8")
    assert readme.main([], root) == 0
    assert rows(root, "steps")[2:] == [
        ["smallest-sweep: teacher", ".1200", ".2400", "–", "–", "1,000", "–"],
        ["list softmax, plain", ".1000", ".2000", ".3000", ".0500", "1,000", "1"],
        ["list softmax", ".1100 (.1000–.1200)", ".2200 (.2000–.2400)", ".3300", ".0550", "1,000", "2"],
    ]
