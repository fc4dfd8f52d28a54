"""What is committed under results/ is what its own numbers give, and the README says the same."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rankdistill.report.paper import write_results
from rankdistill.reproduction.execution import Workshop
from rankdistill.reproduction.request import Request

ROOT = Path(__file__).parents[1]
FOLDERS = sorted(path.parent for path in (ROOT / "results").glob("*/results.json"))
CLOSE = 0.001
"""A MAP on validation data that is this near to the best is as good: seeds differ by more."""
each_folder = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)


def results_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    return found


def test_the_tables_of_the_readme_are_those_of_the_results() -> None:
    made = subprocess.run([sys.executable, ROOT / "results" / "readme.py", "--check"], capture_output=True, text=True)
    assert (made.returncode, made.stderr) == (0, "")


@each_folder
def test_text_page_and_figures_are_made_from_the_numbers(folder: Path, tmp_path: Path) -> None:
    write_results(results_of(folder), tmp_path)
    made = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    kept = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert made.keys() == kept.keys()
    assert [str(name) for name in made if made[name] != kept[name]] == []


@each_folder
def test_the_settings_that_were_chosen_are_among_the_best_that_were_tried(folder: Path) -> None:
    for family in results_of(folder)["search"]["families"]:
        chosen = [row["value"] for row in family["rows"] if row["chosen"]]
        assert len(chosen) == 1, family["family"]
        assert chosen[0] >= max(row["value"] for row in family["rows"]) - CLOSE, family["family"]


@each_folder
def test_results_say_with_what_they_were_made(folder: Path) -> None:
    results = results_of(folder)
    assert results["command"].startswith("rankdistill reproduce kdd18 --dataset ")
    assert results["seeds"]
    assert results["made"]["versions"]["torch"]
    assert results["made"]["wall_seconds"] > 0
    assert results["data"]["fingerprint"]


@pytest.mark.slow
@each_folder
def test_the_trainings_are_those_of_the_plan_with_the_settings_and_data_of_today(
    folder: Path, public_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANKDISTILL_DATA", str(public_data))
    results = results_of(folder)
    if "cells" not in results:
        pytest.skip(f"{folder.name}/results.json: was written before trainings were noted in it")
    plan = Request(dataset=results["dataset"], quick=results["quick"], seeds=len(results["seeds"])).plan()
    workshop = Workshop(plan, tmp_path)
    workshop.read()
    stamps = {cell.name: workshop.stamp(cell) for cell in plan.cells}
    assert {name: stamps.get(name) for name in results["cells"]} == {
        name: cell["stamp"] for name, cell in results["cells"].items()
    }
    assert results["complete"] == ({cell.name for cell in plan.shown} <= results["cells"].keys())
