"""The verdict in words, made from the figures and honest about what they do not show."""

from __future__ import annotations

from dataclasses import dataclass

from rankdistill.report.doubts import evidence
from rankdistill.report.numerals import count, metric, metric_name, p_value, percent, portion, times
from rankdistill.report.run import Comparison, Model, Run

TOLERANCE = 0.02
"""A loss that is not significant counts as a tie only below this share of the teacher's value."""

PRECISION = 0.05
"""A tie is called uncertain where the interval does not exclude a loss of this share of the other's value."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A headline, what is to be said beside it, and what speaks against it."""

    headline: str
    details: tuple[str, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Figure:
    """A number that is shown large."""

    value: str
    label: str
    note: str


def verdict(run: Run) -> Verdict:
    """What the run shows, in the main metric."""
    name = run.main_metric()
    teacher, student, distilled = (run.model(role) for role in ("teacher", "student", "distilled"))
    best = distilled or student or teacher or run.models[0]
    if name is None:
        return Verdict(f"{run.label(best)} has not been evaluated yet.", ())
    if distilled is None:
        return Verdict(_single(run, best, name), (), run.warnings)
    details = [*_against_teacher(run, distilled, name), *_against_student(run, distilled, student, name)]
    return Verdict(_headline(run, distilled, name), tuple(details), run.warnings)


def key_figures(run: Run) -> tuple[Figure, ...]:
    """Size, quality, gain and speed of the distilled student; those that can be computed."""
    name = run.main_metric()
    teacher, student, distilled = (run.model(role) for role in ("teacher", "student", "distilled"))
    if distilled is None or name is None:
        return ()
    figures = []
    if teacher and (size := ratio(distilled.number("parameters"), teacher.number("parameters"))) is not None:
        sizes = f"{count(distilled.number('parameters'))} of {count(teacher.number('parameters'))}"
        figures.append(Figure(portion(size), "of the teacher’s parameters", sizes))
    if teacher and (quality := ratio(distilled.metric(name), teacher.metric(name))) is not None:
        values = f"{metric(distilled.metric(name))} against {metric(teacher.metric(name))}"
        figures.append(Figure(percent(quality, decimals=1), f"of the teacher’s {metric_name(name)}", values))
    if student and (gain := ratio(distilled.metric(name), student.metric(name))) is not None:
        made = run.comparison("distilled", "student", name)
        note = f"{metric(distilled.metric(name))} against {metric(student.metric(name))}"
        note += f", {p_value(made.p_value)}" if made and made.p_value is not None else ""
        figures.append(Figure(percent(gain - 1, sign=True, decimals=1), "against the plain student", note))
    if teacher and (speed := ratio(distilled.number("users_per_second"), teacher.number("users_per_second"))):
        rates = [count(model.number("users_per_second")) for model in (distilled, teacher)]
        note = f"{rates[0]} against {rates[1]} users a second, asked in blocks"
        figures.append(Figure(times(speed), "the teacher’s throughput", note))
    return tuple(figures)


def ratio(value: float | None, base: float | None) -> float | None:
    """`value` / `base`, None where it is undefined."""
    return None if value is None or not base else value / base


def _headline(run: Run, distilled: Model, name: str) -> str:
    teacher, student = run.model("teacher"), run.model("student")
    if teacher is not None and teacher.metric(name) is not None and distilled.metric(name) is not None:
        made = run.comparison("distilled", "teacher", name)
        return f"The student {_size(distilled, teacher)} {_rank_words(made, distilled, teacher, name)}."
    if student is not None and student.metric(name) is not None and distilled.metric(name) is not None:
        words = _rank_words(run.comparison("distilled", "student", name), distilled, student, name)
        words = "ranks no better" if words.startswith("ranks as well") else words
        link = "as" if words.endswith("the same") else "than"
        return f"The student {words} {link} the same model trained without a teacher."
    return f"{_single(run, distilled, name)[:-1]}; there is nothing to measure it against."


def _against_teacher(run: Run, distilled: Model, name: str) -> list[str]:
    teacher = run.model("teacher")
    if teacher is None or teacher.metric(name) is None or distilled.metric(name) is None:
        return ["The teacher itself was not measured."] if teacher is not None else []
    values = f"{metric_name(name)} {metric(distilled.metric(name))} against {metric(teacher.metric(name))}"
    return [f"{values}{evidence(run.comparison('distilled', 'teacher', name))}."]


def _size(distilled: Model, teacher: Model) -> str:
    share = ratio(distilled.number("parameters"), teacher.number("parameters"))
    if share is None:
        return "learned from another’s lists and" if teacher.kind in ("lists", "fusion") else "of unknown relative size"
    if share < 0.95:
        return f"has {portion(share)} of the teacher’s parameters and"
    if share <= 1.05:
        return "is as large as its teacher and"
    return f"is larger than its teacher ({times(share)} the parameters) and"


def _rank_words(made: Comparison | None, distilled: Model, other: Model, name: str) -> str:
    base = other.metric(name) or 0.0
    difference = (distilled.metric(name) or 0.0) - base
    if made is not None and made.difference is not None:
        difference = made.difference
    share = percent(abs(difference) / base, decimals=1) if base else metric(abs(difference))
    if made is None or made.p_value is None:
        direction = "higher" if difference > 0 else "lower"
        return f"scores {share} {direction}" if difference else "scores the same"
    if made.significant:
        return "ranks better" if difference > 0 else f"ranks {share} worse"
    if difference >= 0 or -difference <= TOLERANCE * base:
        unsure = made.low is not None and made.low < -PRECISION * base
        return "ranks as well, as far as so few users can tell" if unsure else "ranks as well"
    return f"scores {share} lower (not significantly)"


def _against_student(run: Run, distilled: Model, student: Model | None, name: str) -> list[str]:
    """What distilling gained; where it gained nothing, the doubts say so."""
    if student is None or student.metric(name) is None or distilled.metric(name) is None:
        return []
    made = run.comparison("distilled", "student", name)
    values = f"{metric_name(name)} {metric(student.metric(name))}{evidence(made)}"
    if made is None or made.difference is None or made.p_value is None:
        return [f"The same model trained without a teacher reaches {values}."]
    if made.significant and made.difference > 0:
        return [f"Distillation made the difference: without a teacher the same model reaches {values}."]
    return []


def _single(run: Run, model: Model, name: str) -> str:
    value = metric(model.metric(name))
    size = f" with {count(model.number('parameters'))} parameters" if model.number("parameters") else ""
    return f"{run.label(model)} reaches {metric_name(name)} {value}{size}."
