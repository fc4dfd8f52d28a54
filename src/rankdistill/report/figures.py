"""Which plots a run gives, and what stands under them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from rankdistill.report.agreement import Agreement
from rankdistill.report.numerals import count, metric, metric_name, milliseconds, p_value, percent
from rankdistill.report.plots import Point, Span, axis_of, differences, quality_line, scatter, shares
from rankdistill.report.run import LIST_DEPTH, Model, Report, Run, role_name
from rankdistill.report.svg import Axis
from rankdistill.report.tables import pair_name


@dataclass(frozen=True, slots=True)
class Figure:
    """A plot with its title."""

    title: str
    plot: Markup


@dataclass(frozen=True, slots=True)
class Overview:
    """Several runs at a glance."""

    metric: str
    rows: tuple[tuple[str, Model, str, str, str], ...]
    """Run, model, parameters, latency, quality."""
    plot: Markup | None


def line(run: Run) -> Markup | None:
    """The models on one line of quality, where there are two of them at least."""
    name = run.main_metric()
    if name is None:
        return None
    values = {model.role: model.metric(name) for model in reversed(run.models)}
    points = [
        Point(role, role_name(role), 0.0, value, f"{role_name(role)}: {metric_name(name)} {metric(value)}")
        for role, value in values.items()
        if value is not None and role in ("teacher", "student", "distilled")
    ]
    if len(points) < 2:
        return None
    return quality_line(points, f"{metric_name(name)} of {', '.join(point.label for point in points)} on a line")


def scatters(run: Run) -> list[Figure]:
    """Quality against parameters and against latency."""
    name = run.main_metric()
    if name is None:
        return []
    labelled = [(run.label(model), model) for model in run.models]
    asked: list[tuple[str, tuple[str, ...], Callable[[float], str]]] = [
        (f"{metric_name(name)} against parameters", ("parameters",), count),
        (f"{metric_name(name)} against ms a query", ("latency_ms", "p50"), milliseconds),
    ]
    plots = [(title, _scatter(labelled, name, keys, write)) for title, keys, write in asked]
    return [Figure(title, plot) for title, plot in plots if plot is not None]


def _scatter(
    labelled: Sequence[tuple[str, Model]], name: str, keys: tuple[str, ...], write: Callable[[float], str]
) -> Markup | None:
    points = []
    for label, model in labelled:
        size, quality = model.number(*keys), model.metric(name)
        if size is not None and quality is not None:
            tip = f"{label}: {metric_name(name)} {metric(quality)}, {write(size)}"
            points.append(Point(model.role, label, size, quality, tip))
    if len(points) < 2:
        return None
    return scatter(points, write, f"{metric_name(name)} of {', '.join(point.label for point in points)}")


def forests(run: Run) -> list[Figure]:
    """Differences with intervals: distilled less plain student, and less teacher, on one scale."""
    found = []
    for other in ("student", "teacher"):
        spans = _spans(run, other)
        if spans:
            found.append((("distilled", other), spans))
    if not found:
        return []
    axis: Axis = axis_of([span for _, spans in found for span in spans])
    return [
        Figure(pair_name(pair), differences(spans, axis, "distilled", f"{pair_name(pair)}, by metric"))
        for pair, spans in found
    ]


def _spans(run: Run, other: str) -> list[Span]:
    base = run.model(other)
    spans = []
    for name in run.metric_names():
        made = run.comparison("distilled", other, name)
        value = base.metric(name) if base else None
        if made is None or made.difference is None or not value:
            continue
        low, high = (None if end is None else end / value for end in (made.low, made.high))
        tip = f"{metric_name(name)}: {metric(made.difference, sign=True)}, {p_value(made.p_value)}"
        if made.low is not None and made.high is not None:
            tip += f", 95 % interval {metric(made.low, sign=True)} to {metric(made.high, sign=True)}"
        spans.append(Span(metric_name(name), made.difference / value, low, high, made.significant, tip))
    return spans


def agreements(found: Agreement) -> list[Figure]:
    """The overlap by user activity and by item popularity."""
    asked = [
        ("By the user’s training interactions", found.by_activity, "users"),
        ("By the item’s training interactions", found.by_popularity, "recommendations"),
    ]
    return [
        Figure(title, shares(groups, unit, f"Overlap@{LIST_DEPTH} with the teacher. {title}"))
        for title, groups, unit in asked
        if groups
    ]


def agreement_words(found: Agreement) -> str:
    """The overlap in a sentence."""
    parts = [
        f"the {role_name(role).lower()}{' student' if role == 'distilled' else ''} returns {percent(share)}"
        for role, share in found.overall.items()
    ]
    return f"Of the teacher’s first {LIST_DEPTH} items, {' and '.join(parts)}."


def overview(report: Report) -> Overview | None:
    """All models of several runs; None for a single run."""
    if len(report.runs) < 2:
        return None
    name = report.runs[0].main_metric() or ""
    labelled = [(f"{run.name}: {run.label(model)}", model) for run in report.runs for model in run.models]
    rows = tuple(
        (
            run.name,
            model,
            count(model.number("parameters")),
            milliseconds(model.number("latency_ms", "p50")),
            metric(model.metric(name)),
        )
        for run in report.runs
        for model in run.models
    )
    return Overview(metric_name(name) if name else "quality", rows, _scatter(labelled, name, ("parameters",), count))
