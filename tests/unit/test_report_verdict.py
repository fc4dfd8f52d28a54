from __future__ import annotations

import json
from pathlib import Path

import pytest
from run_folder import FakeRun

from rankdistill.report import build, numerals
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


def warnings_of(run: FakeRun) -> tuple[str, ...]:
    said = verdict(build([run.write()]).runs[0])
    assert all("\n" not in warning for warning in said.warnings)
    return said.warnings


def test_a_run_with_nothing_against_it_has_no_warning(run: FakeRun) -> None:
    assert warnings_of(run) == ()


def test_a_teacher_no_better_than_the_plain_student_is_warned_of(run: FakeRun) -> None:
    run.quality = {"teacher": 0.118, "student": 0.119, "distilled": 0.112}
    run.p_values |= {"student-teacher": 0.1, "distilled-student": 0.0001}
    teacher, harm = warnings_of(run)
    assert teacher.startswith(
        "The teacher is no better than the plain student, nDCG@10 .1487 against .1499 (difference"
    )
    assert teacher.endswith("p = .400): there was little to learn from it.")
    assert harm.startswith("Distillation did harm: nDCG@10 .1411 against .1499 of the same model without a teacher (")


def test_a_teacher_whose_lead_is_not_significant_is_warned_of(run: FakeRun) -> None:
    run.p_values["student-teacher"] = 0.05
    (teacher,) = warnings_of(run)
    assert teacher.startswith("The teacher is not significantly better than the plain student, nDCG@10 .1572 against")


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
    warnings = " ".join(build([folder]).runs[0].warnings)
    assert "The teacher is worse than the plain student" in warnings
    assert "(difference −.0412, 95 % interval [−.0523, −.0301], p < .001)" in warnings


def test_a_difference_that_is_not_significant_is_warned_of(run: FakeRun) -> None:
    run.p_values["distilled-student"] = 0.1
    (warning,) = warnings_of(run)
    values = "nDCG@10 .1581 against .1496 of the same model without a teacher"
    assert warning.startswith(f"Distillation made no significant difference: {values} (difference +.0")
    assert warning.endswith(", p = .400).")


@pytest.mark.parametrize(
    ("head", "tail", "warned"),
    [(0.01, -0.002, True), (0.01, 0.0, True), (0.01, 0.001, False), (-0.01, -0.002, False), (-0.01, 0.01, False)],
)
def test_a_gain_in_popular_items_alone_is_warned_of(run: FakeRun, head: float, tail: float, warned: bool) -> None:
    for half, gain in (("head", head), ("tail", tail)):
        run.halves[half]["distilled"] = run.halves[half]["student"] + gain
    words = (
        f"The gain over the plain student sits in popular items alone: nDCG@10 +.0100, p = .012 among them, "
        f"{numerals.metric(tail, sign=True)}, p = .012 among the unpopular ones."
    )
    assert warnings_of(run) == ((words,) if warned else ())


@pytest.mark.parametrize(
    ("half", "low", "high", "words"),
    [
        ("head", -0.002, 0.022, []),
        ("tail", -0.002, 0.022, ["The gain over the plain student is shown for popular items alone"]),
        ("tail", None, None, ["The gain over the plain student is shown for popular items alone"]),
        ("tail", -0.002, 0.004, ["The gain over the plain student sits in popular items alone"]),
    ],
)
def test_a_gain_that_may_be_chance_is_none(
    run: FakeRun, half: str, low: float | None, high: float | None, words: list[str]
) -> None:
    for each in ("head", "tail"):
        run.halves[each]["distilled"] = run.halves[each]["student"] + 0.01
    folder = run.write()
    rows = json.loads((folder / "comparisons.json").read_text())
    other = {"low": 0.005, "high": 0.015}
    chance = {"low": low, "high": high, "p_value": 0.4}
    changed = [row | (chance if row["metric"].startswith(f"{half}/") else other) for row in rows]
    (folder / "comparisons.json").write_text(json.dumps(changed))
    warnings = build([folder]).runs[0].warnings
    assert [each.partition(":")[0] for each in warnings] == words


def test_a_student_no_smaller_than_its_teacher_is_warned_of(run: FakeRun) -> None:
    run.parameters["distilled"] = run.parameters["teacher"]
    (warning,) = warnings_of(run)
    sizes = "5.58 M parameters against 5.58 M parameters, 22.3 MB against 22.3 MB"
    assert warning == f"The student is as large as its teacher: {sizes}."


def test_a_student_larger_than_its_teacher_in_bytes_alone_is_warned_of(run: FakeRun) -> None:
    folder = run.write()
    card = json.loads((folder / "teacher" / "model.json").read_text())
    (folder / "teacher" / "model.json").write_text(json.dumps(card | {"bytes": 1_000_000}))
    (warning,) = build([folder]).runs[0].warnings
    assert warning == "The student is larger than its teacher in bytes: 11.2 MB against 1.00 MB."


@pytest.mark.parametrize(("gain", "said"), [(0.1, True), (0.0, True), (-0.0001, False)])
def test_teachers_that_are_no_better_than_one_of_them_are_warned_of(run: FakeRun, gain: float, said: bool) -> None:
    folder = run.write()
    (made,) = build([folder]).runs
    teacher, name = made.model("teacher"), made.main_metric()
    assert teacher is not None
    assert name is not None
    value = teacher.metric(name)
    assert value is not None
    alone = {1: value - 0.01, 2: value + gain}
    members = [{"number": 3}, *({"number": number, "metrics": {name: each}} for number, each in alone.items())]
    card = json.loads((folder / "teacher" / "model.json").read_text())
    (folder / "teacher" / "model.json").write_text(json.dumps(card | {"members": members}))
    found = [each.partition(":")[0] for each in build([folder]).runs[0].warnings if "together" in each]
    assert found == ["The teachers together are no better than member 2 alone"] * said


def test_what_spoke_against_the_lists_of_the_teacher_itself_is_not_said_of_its_student(run: FakeRun) -> None:
    folder = run.write()
    for role in ("teacher", "distilled"):
        card = json.loads((folder / role / "model.json").read_text())
        (folder / role / "model.json").write_text(json.dumps(card | {"warnings": [f"said of the {role}"]}))
    assert build([folder]).runs[0].warnings == ("said of the distilled.",)


def test_an_older_run_folder_without_halves_has_no_word_of_them(run: FakeRun) -> None:
    run.halves = {}
    made = build([run.write()])
    assert (made.runs[0].warnings, made.json()["rows"][0]["halves"]) == ((), {"head": {}, "tail": {}})


def test_a_student_as_large_as_its_teacher_is_said(run: FakeRun) -> None:
    run.parameters["distilled"] = run.parameters["teacher"]
    assert "is as large as its teacher" in verdict(build([run.write()]).runs[0]).headline


def test_key_figures_are_size_quality_gain_and_speed(run: FakeRun) -> None:
    figures = key_figures(build([run.write()]).runs[0])
    assert [figure.value for figure in figures] == ["50 %", "100.6 %", "+5.7 %", "1.7×"]
