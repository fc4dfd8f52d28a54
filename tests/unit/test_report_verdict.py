from __future__ import annotations

import json
from pathlib import Path

import pytest
from run_folder import FakeRun

from rankdistill.report import build
from rankdistill.report.verdict import key_figures, verdict


@pytest.fixture
def run(tmp_path: Path) -> FakeRun:
    return FakeRun(tmp_path / "run", users=60, items=80)


@pytest.mark.parametrize(
    ("quality", "p_value", "words"),
    [
        (0.1255, 0.31, "has 50 % of the teacher’s parameters and ranks as well."),
        (0.1400, 0.0001, "has 50 % of the teacher’s parameters and ranks better."),
        (0.1100, 0.0001, "% worse."),
        (0.1150, 0.2, "lower (not significantly)."),
    ],
)
def test_the_headline_follows_the_figures(run: FakeRun, quality: float, p_value: float, words: str) -> None:
    run.quality["distilled"] = quality
    run.p_values["distilled-teacher"] = p_value
    assert words in verdict(build([run.write()]).runs[0]).headline


@pytest.mark.parametrize(("p_value", "words"), [(0.4, "ranks no better than"), (0.001, "ranks better than")])
def test_without_a_measured_teacher_the_headline_speaks_of_the_plain_student(
    tmp_path: Path, p_value: float, words: str
) -> None:
    run = FakeRun(tmp_path / "run", users=20, items=30, foreign_teacher=True)
    run.quality.pop("teacher")
    run.p_values["distilled-student"] = p_value / 4
    said = verdict(build([run.write()]).runs[0]).headline
    assert f"The student {words} the same model trained without a teacher." in said


def test_a_tie_among_too_few_users_is_called_uncertain(run: FakeRun) -> None:
    folder = run.write()
    rows = json.loads((folder / "comparisons.json").read_text())
    (folder / "comparisons.json").write_text(json.dumps([row | {"low": -0.05, "high": 0.06} for row in rows]))
    assert "as far as so few users can tell" in verdict(build([folder]).runs[0]).headline


def test_a_teacher_no_better_than_the_plain_student_is_said(run: FakeRun) -> None:
    run.quality = {"teacher": 0.118, "student": 0.119, "distilled": 0.112}
    run.p_values |= {"student-teacher": 0.6, "distilled-student": 0.0001}
    details = " ".join(verdict(build([run.write()]).runs[0]).details)
    assert "The teacher is no better than the plain student" in details
    assert "Distillation did harm" in details


def test_a_teacher_worse_than_the_plain_student_is_called_so_with_the_difference_from_its_own_side(
    run: FakeRun,
) -> None:
    run.quality = {"teacher": 0.1116, "student": 0.1528, "distilled": 0.15}
    run.p_values["student-teacher"] = 0.0001
    folder = run.write()
    rows = json.loads((folder / "comparisons.json").read_text())
    given = {"difference": 0.0412, "low": 0.0301, "high": 0.0523}
    changed = [row | given if row["a"] == "student" else row for row in rows]
    (folder / "comparisons.json").write_text(json.dumps(changed))
    details = " ".join(verdict(build([folder]).runs[0]).details)
    assert "The teacher is worse than the plain student" in details
    assert "(difference −.0412, 95 % interval [−.0523, −.0301], p < .001)" in details


def test_a_student_as_large_as_its_teacher_is_said(run: FakeRun) -> None:
    run.parameters["distilled"] = run.parameters["teacher"]
    assert "is as large as its teacher" in verdict(build([run.write()]).runs[0]).headline


def test_key_figures_are_size_quality_gain_and_speed(run: FakeRun) -> None:
    figures = key_figures(build([run.write()]).runs[0])
    assert [figure.value for figure in figures] == ["50 %", "100.6 %", "+5.7 %", "1.7×"]
