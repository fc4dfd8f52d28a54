"""The plots of the page, as inline SVG."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from rankdistill.report.agreement import Group
from rankdistill.report.numerals import metric, percent, whole
from rankdistill.report.run import role_name
from rankdistill.report.svg import (
    Axis,
    drawing,
    horizontal,
    marker,
    percent_of,
    spread,
    text,
    tick_label,
    vertical,
)

ROW = 26.0
"""Height of a row of a dot plot, in pixels."""

LEAST_FACTOR = 1.2
"""An axis of costs goes on by this factor at both ends where the costs are closer than that."""

LOG_FROM = 8.0
"""Sizes that differ by this factor are drawn on a logarithmic axis."""

LEAST_SPAN = 0.05
"""A line of quality spans this share of its values at least, so that small differences look small."""


@dataclass(frozen=True, slots=True)
class Point:
    """A model in a scatter plot or on a line."""

    role: str
    label: str
    x: float
    y: float
    tip: str


@dataclass(frozen=True, slots=True)
class Span:
    """A difference with its interval, as shares of the value it is compared with."""

    label: str
    value: float
    low: float | None
    high: float | None
    significant: bool
    tip: str


def scatter(points: Sequence[Point], write_x: Callable[[float], str], described: str) -> Markup:
    """Points with their names beside them, quality upwards."""
    height = 220.0
    across = cost_axis([point.x for point in points], pad=0.16)
    up = Axis.around([point.y for point in points], pad=0.18)
    parts = [*grid_rows(up, height), *grid_costs(across, height, write_x)]
    parts.extend(_gain(points, across, up, height))
    labels = spread([(1 - up.at(point.y)) * height for point in points], 15)
    for point, label_y in zip(points, labels, strict=True):
        x, y = across.at(point.x), (1 - up.at(point.y)) * height
        left = x > 0.6
        parts.append(Markup("<g><title>{}</title>").format(point.tip) + marker(x, y, point.role))
        name = f"label role-{point.role} {'end' if left else 'start'}"
        parts.append(text(x, label_y + 4, point.label, name, -11 if left else 11) + Markup("</g>"))
    return drawing(parts, height, "scatter", described)


def _gain(points: Sequence[Point], across: Axis, up: Axis, height: float) -> list[Markup]:
    """A line from the plain student to the distilled one, where there is one of each."""
    ends = [point for role in ("student", "distilled") for point in points if point.role == role]
    if [point.role for point in ends] != ["student", "distilled"]:
        return []
    (x1, y1), (x2, y2) = ((percent_of(across.at(end.x)), (1 - up.at(end.y)) * height) for end in ends)
    return [
        Markup('<line x1="{}" y1="{:.1f}" x2="{}" y2="{:.1f}" class="bar {}"/>').format(
            x1, y1, x2, y2, "loss" if y2 > y1 else ""
        )
    ]


def shortest(number: str) -> str:
    """A number without the zeros that its decimals end in.

    >>> shortest("4.00 M"), shortest("2.50 ms"), shortest("200 k")
    ('4 M', '2.5 ms', '200 k')
    """
    return re.sub(r"(\.\d*?)0+(?!\d)", r"\1", number).replace(". ", " ").removesuffix(".")


def cost_axis(costs: Sequence[float], pad: float) -> Axis:
    """The axis of sizes or times: never so short that small differences look large, logarithmic for large ones."""
    low, high = min(costs), max(costs)
    if high < low * LEAST_FACTOR:
        low, high = low / LEAST_FACTOR, high * LEAST_FACTOR
    return Axis.around([low, high], pad=pad, log=low > 0 and high / low >= LOG_FROM)


def grid_costs(axis: Axis, height: float, write: Callable[[float], str]) -> list[Markup]:
    """The vertical grid of a `cost_axis` with its labels below and its base."""
    parts = []
    for tick in _cost_ticks(axis):
        parts.append(vertical(axis.at(tick), 0, height, "grid"))
        parts.append(text(axis.at(tick), height + 18, shortest(write(tick)), "tick middle"))
    return [*parts, horizontal(height, 0, 1, "base")]


def _cost_ticks(axis: Axis) -> list[float]:
    """Two ticks or more that two digits are enough for, as more of a size or a time may not be written."""
    for about in itertools.count(3):
        ticks = [tick for tick in axis.ticks(about) if tick >= 0 and math.isclose(float(f"{tick:.2g}"), tick)]
        if len(ticks) > 1:
            break
    return ticks


def grid_rows(axis: Axis, height: float) -> list[Markup]:
    """The horizontal grid with its labels on the left."""
    ticks = axis.ticks(4)
    parts = []
    for tick in ticks:
        y = (1 - axis.at(tick)) * height
        parts.append(horizontal(y, 0, 1, "grid"))
        parts.append(text(0, y + 4, tick_label(tick, ticks), "tick end", -8))
    return parts


def differences(spans: Sequence[Span], axis: Axis, role: str, described: str) -> Markup:
    """A forest plot: a row a metric, its difference and interval; hollow where zero is not excluded."""
    height = ROW * len(spans)
    ticks = axis.ticks(4)
    parts: list[Markup] = []
    for tick in ticks:
        parts.append(vertical(axis.at(tick), 0, height, "grid"))
        label = percent(tick, sign=tick > 0, decimals=0 if all(round(t * 100, 6) % 1 == 0 for t in ticks) else 1)
        parts.append(text(axis.at(tick), height + 18, label, "tick middle"))
    parts.append(vertical(axis.at(0.0), -6, height, "zero"))
    for place, span in enumerate(spans):
        y = ROW * (place + 0.5)
        parts.append(Markup('<g class="row"><title>{}</title>').format(span.tip))
        parts.append(_hit_row(y) + text(0, y + 4, span.label, "name end", -12))
        if span.low is not None and span.high is not None:
            parts.append(horizontal(y, axis.at(span.low), axis.at(span.high), f"whisker role-{role}"))
        parts.append(marker(axis.at(span.value), y, role, "" if span.significant else "hollow"))
        parts.append(text(1, y + 4, percent(span.value, sign=True, decimals=1), "value end", 56) + Markup("</g>"))
    return drawing(parts, height, "forest", described)


def _hit_row(y: float) -> Markup:
    return Markup('<rect x="0" width="100%" y="{:.1f}" height="{:g}" class="hit"/>').format(y - ROW / 2, ROW)


def shares(groups: Sequence[Group], unit: str, described: str) -> Markup:
    """A row a group, a marker a student: the share of the teacher's items that the student's lists hold."""
    height = ROW * len(groups)
    axis = Axis(0.0, max(max(group.shares.values(), default=0.0) for group in groups) * 1.08 or 1.0)
    parts: list[Markup] = []
    for tick in axis.ticks(4):
        parts.append(vertical(axis.at(tick), 0, height, "grid"))
        parts.append(text(axis.at(tick), height + 18, percent(tick), "tick middle"))
    for place, group in enumerate(groups):
        y = ROW * (place + 0.5)
        values = ", ".join(f"{role_name(role)} {percent(share, decimals=1)}" for role, share in group.shares.items())
        tip = f"{group.label} interactions ({whole(group.count)} {unit}): {values}"
        parts.append(Markup('<g class="row"><title>{}</title>').format(tip) + _hit_row(y))
        parts.append(text(0, y + 4, group.label, "name end", -12))
        ends = [axis.at(share) for share in group.shares.values()]
        parts.append(horizontal(y, min(ends), max(ends), "bar"))
        parts.extend(marker(axis.at(share), y, role) for role, share in group.shares.items())
        parts.append(Markup("</g>"))
    parts.extend(_names_above(groups[-1].shares, groups[0].shares, axis))
    return drawing(parts, height, "shares", described)


def _names_above(last: dict[str, float], first: dict[str, float], axis: Axis) -> list[Markup]:
    """The students' names over the first row, a line each, so that they never meet: the higher share is the upper."""
    order = sorted(first, key=lambda role: (first[role], last[role]))
    parts = []
    for place, role in enumerate(order):
        x = axis.at(first[role])
        side, dx = ("end", 6) if x > 0.5 else ("start", -6)
        parts.append(text(x, -8 - 15 * place, role_name(role), f"label role-{role} {side}", dx))
    return parts


def quality_line(points: Sequence[Point], described: str) -> Markup:
    """The models on one line of quality: how far the distilled student has come from the plain one."""
    low, high = min(point.y for point in points), max(point.y for point in points)
    span = max(high - low, max(abs(low), abs(high)) * LEAST_SPAN) or 1.0
    middle, reach = (low + high) / 2, span * 1.05
    axis, y = Axis(middle - reach, middle + reach), 48.0
    parts = [horizontal(y, 0, 1, "rail")]
    base = next((point.y for point in points if point.role == "student"), None)
    goal = next((point.y for point in points if point.role == "distilled"), None)
    if base is not None and goal is not None:
        parts.append(
            horizontal(
                y,
                min(axis.at(base), axis.at(goal)),
                max(axis.at(base), axis.at(goal)),
                "gain" if goal >= base else "gain loss",
            )
        )
    below = sorted((point for point in points if point.role != "distilled"), key=lambda point: point.y)
    inwards = 6 if len(below) == 2 and axis.at(below[1].y) - axis.at(below[0].y) > 0.06 else -5
    for point in points:
        x = axis.at(point.y)
        above = point.role == "distilled"
        side = "middle" if above or len(below) < 2 else "end" if point is below[0] else "start"
        dx = {"middle": 0, "end": inwards, "start": -inwards}[side]
        parts.append(Markup("<g><title>{}</title>").format(point.tip) + marker(x, y, point.role, "large"))
        first, second = (y - 33, y - 16) if above else (y + 27, y + 44)
        parts.append(text(x, first, point.label, f"label role-{point.role} {side}", dx))
        parts.append(text(x, second, metric(point.y), f"figure {side}", dx) + Markup("</g>"))
    return drawing(parts, 100, "line", described)


def links(pairs: Sequence[tuple[int, int, str]], rows: int, row_height: float) -> Markup:
    """Lines between the places that two neighbouring lists give to the same item."""
    lines = Markup("").join(
        Markup('<line x1="0" x2="100%" y1="{}" y2="{}" data-item="{}"/>').format(
            (left + 0.5) * row_height, (right + 0.5) * row_height, item
        )
        for left, right, item in pairs
    )
    return Markup('<svg class="links" height="{:g}" aria-hidden="true">{}</svg>').format(rows * row_height, lines)


def dot(role: str) -> Markup:
    """A role's marker for use in running text and table heads."""
    return Markup('<svg class="dot" width="12" height="12" aria-hidden="true">{}</svg>').format(marker(0.5, 6, role))


def axis_of(spans: Sequence[Span]) -> Axis:
    """The axis, with zero in it, that holds all spans with their intervals."""
    ends = [end for span in spans for end in (span.value, span.low, span.high) if end is not None]
    return Axis.around(ends, pad=0.06, zero=True)


def stretched(path: str, classes: str) -> Markup:
    """A path in a 1000 x 1000 drawing that is stretched over the plot."""
    return Markup(
        '<svg viewBox="0 0 1000 1000" preserveAspectRatio="none" width="{}" height="{}" overflow="visible">'
        '<path d="{}" class="{}" vector-effect="non-scaling-stroke"/></svg>'
    ).format(percent_of(1), percent_of(1), path, classes)
