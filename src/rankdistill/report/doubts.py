"""What speaks against a result, each in a sentence with its figures; empty where nothing does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from rankdistill.report.numerals import count, interval, megabytes, metric, metric_name, p_value
from rankdistill.report.run import Comparison, Run

ALIKE = 0.05
"""Two sizes are called the same within this share."""


def doubts(run: Run) -> tuple[str, ...]:
    """The warnings of a run, the gravest first."""
    name = run.main_metric()
    if name is None:
        return ()
    found = (
        _teacher_no_better(run, name),
        _no_better_together(run, name),
        _no_gain(run, name),
        _popular_alone(run, name),
        _as_large(run),
    )
    return (*(warning for warning in found if warning), *_from_training(run))


def evidence(made: Comparison | None) -> str:
    """The difference, its interval and its p-value in brackets."""
    if made is None:
        return " (no paired test was made)"
    parts = [f"difference {metric(made.difference, sign=True)}"]
    if made.low is not None and made.high is not None:
        parts.append(f"95 % interval {interval(made.low, made.high)}")
    if made.p_value is not None:
        parts.append(p_value(made.p_value))
    return f" ({', '.join(parts)})"


def _teacher_no_better(run: Run, name: str) -> str:
    """Whether there was anything to learn from the teacher."""
    teacher, student = run.model("teacher"), run.model("student")
    base, best = (model.metric(name) if model else None for model in (teacher, student))
    if base is None or best is None:
        return ""
    return teacher_no_better("the plain student", name, base, best, run.comparison("student", "teacher", name))


def _no_better_together(run: Run, name: str) -> str:
    """Whether one of several teachers is as good as all of them."""
    teacher = run.model("teacher")
    together = None if teacher is None else teacher.metric(name)
    if teacher is None or together is None:
        return ""
    alone = {each["number"]: (each.get("metrics") or {}).get(name) for each in teacher.facts.get("members") or ()}
    known = {number: float(value) for number, value in alone.items() if value is not None}
    best = max(known, key=known.__getitem__, default=None)
    if best is None or known[best] < together:
        return ""
    return (
        f"The teachers together are no better than member {best} alone: {metric_name(name)} {metric(together)} against "
        f"{metric(known[best])}. Give it more weight, or take it alone."
    )


def teacher_no_better(student: str, name: str, base: float, best: float, made: Comparison | None) -> str:
    """That there was little to learn from a teacher; nothing where it is better, significantly if that was tested.

    Args:
        student: what to call the plain student.
        name: the metric.
        base: the teacher's value of it.
        best: the plain student's.
        made: the plain student less the teacher.
    """
    proven = made is not None and made.significant
    tested = made is not None and made.p_value is not None
    if best < base and (proven or not tested):
        return ""
    words = "not significantly better" if best < base else "no better"
    if proven and best > base:
        words = "worse"
    return (
        f"The teacher is {words} than {student}, {metric_name(name)} {metric(base)} against {metric(best)}"
        f"{evidence(made.turned()) if made else ''}: there was little to learn from it."
    )


def _no_gain(run: Run, name: str) -> str:
    """Whether the distilled student is better than the same model without a teacher."""
    made = run.comparison("distilled", "student", name)
    distilled, student = run.model("distilled"), run.model("student")
    if made is None or made.difference is None or made.p_value is None or distilled is None or student is None:
        return ""
    if made.significant and made.difference > 0:
        return ""
    words = "did harm" if made.significant else "made no significant difference"
    values = f"{metric_name(name)} {metric(distilled.metric(name))} against {metric(student.metric(name))}"
    return f"Distillation {words}: {values} of the same model without a teacher{evidence(made)}."


def _popular_alone(run: Run, name: str) -> str:
    """Whether what the distilled student gains, it gains in popular items and nowhere else."""
    names = run.half_metric_names()
    measure = name if f"head/{name}" in names else "ndcg@10"
    head, tail = (run.comparison("distilled", "student", f"{half}/{measure}") for half in ("head", "tail"))
    does = head_alone(head, tail)
    if not does:
        return ""
    popular, unpopular = (f"{metric(one.difference, sign=True)}, {p_value(one.p_value)}" for one in (head, tail) if one)
    return (
        f"The gain over the plain student {does} popular items alone: {metric_name(measure)} {popular} among them, "
        f"{unpopular} among the unpopular ones."
    )


def head_alone(head: Comparison | None, tail: Comparison | None) -> Literal["", "sits in", "is shown for"]:
    """What a gain does that there is among popular items and not among the others.

    Returns:
        "sits in" where it is none among the others, or less by more than the intervals; "is shown for" where it may be
        as much among the others and is just not significant there; nothing where there is no such gain.
    """
    if head is None or tail is None or not _gains(head) or _gains(tail):
        return ""
    apart = head.low is not None and tail.high is not None and head.low > tail.high
    return "sits in" if apart or (tail.difference is not None and tail.difference <= 0) else "is shown for"


def _gains(made: Comparison) -> bool:
    """Whether there is a difference upwards that is significant, as far as that was tested."""
    return (made.difference or 0) > 0 and (made.significant or made.p_value is None)


def _as_large(run: Run) -> str:
    """Whether the student is any smaller than its teacher."""
    teacher, student = run.model("teacher"), run.model("distilled") or run.model("student")
    if teacher is None or student is None:
        return ""
    sizes: tuple[tuple[str, Callable[[float | None], str]], ...] = (
        ("parameters", lambda value: f"{count(value)} parameters"),
        ("bytes", megabytes),
    )
    known, large, shares = [], [], []
    for key, written in sizes:
        own, other = student.number(key), teacher.number(key)
        if own is None or not other:
            continue
        known.append(key)
        if own >= other * (1 - ALIKE):
            large.append(key)
            shares.append((own / other, f"{written(own)} against {written(other)}"))
    if not large:
        return ""
    words = "larger than" if max(share for share, _ in shares) > 1 + ALIKE else "as large as"
    where = "" if large == known else f" in {large[0]}"
    return f"The student is {words} its teacher{where}: {', '.join(text for _, text in shares)}."


def _from_training(run: Run) -> list[str]:
    """What was said of the teacher's lists when the student learned from them."""
    student = run.model("distilled")
    return [] if student is None else [f"{said}." for said in student.facts.get("warnings") or ()]
