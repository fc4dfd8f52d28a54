"""Quality against what a student costs: plain and distilled ones, the front, and the teacher as a line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from rankdistill.report.figures import LOG_FROM
from rankdistill.report.numerals import megabytes, metric, metric_name, milliseconds
from rankdistill.report.plots import grid_rows, shortest, stretched
from rankdistill.report.run import finite
from rankdistill.report.svg import Axis, drawing, horizontal, marker, spread, text, vertical
from rankdistill.report.sweep.facts import name_of, quality_of
from rankdistill.types import Json

HEIGHT = 300.0
_LINE = 15.0
"""Names are so many pixels apart."""
_LEAST_SPAN = 1.2
"""The axis of costs spans this factor at least, so that small differences look small."""
_TURN = 0.3
"""Left of this share of the width, a name stands right of its point."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A plot with its title."""

    title: str
    plot: Markup


@dataclass(frozen=True, slots=True)
class _Dot:
    role: str
    name: str
    x: float
    y: float
    ends: tuple[float, float] | None
    """The lowest and the highest value over the seeds."""
    first: bool
    """Whether it is on the front."""
    tip: str


def figures(found: Json) -> list[Figure]:
    """Quality against bytes and against latency."""
    name, part = metric_name(found["quality"]["metric"]), found["quality"]["part"]
    asked: list[tuple[str, str, Callable[[float], str]]] = [
        ("size", "bytes", megabytes),
        ("ms a query", "latency", milliseconds),
    ]
    drawn = []
    for title, cost, write in asked:
        dots = _dots(found, cost, write)
        if dots:
            full = f"{name} on the {part} part against {title}"
            drawn.append(Figure(full, _plot(dots, quality_of(found, found["rows"][0]), write, full)))
    return drawn


def _dots(found: Json, cost: str, write: Callable[[float], str]) -> list[_Dot]:
    name, dots = found["quality"]["metric"], []
    spreads = "validation_spread" if found["quality"]["part"] == "validation" else "spread"
    for row in found["rows"][1:]:
        x, y = finite(row["costs"][cost]), quality_of(found, row)
        if x is not None and y is not None:
            ends = (row[spreads] or {}).get(name)
            tip = f"{name_of(row)}: {metric_name(name)} {metric(y)}, {write(x)}"
            dots.append(_Dot(row["role"], name_of(row), x, y, ends and tuple(ends), row["front"][cost], tip))
    return sorted(dots, key=lambda dot: dot.first)  # what is drawn last lies on top


def _plot(dots: Sequence[_Dot], teacher: float | None, write: Callable[[float], str], described: str) -> Markup:
    heights = [end for dot in dots for end in (dot.y, *(dot.ends or ()))] + ([] if teacher is None else [teacher])
    sizes = [dot.x for dot in dots]
    up = Axis.around(heights, pad=0.12)
    low, high = min(sizes), max(sizes)
    if high < low * _LEAST_SPAN:
        low, high = low / _LEAST_SPAN, high * _LEAST_SPAN
    across = Axis.around([low, high], pad=0.08, log=low > 0 and high / low >= LOG_FROM)
    parts = grid_rows(up, HEIGHT)
    for label, tick in {shortest(write(tick)): tick for tick in across.ticks(3)}.items():
        parts.append(vertical(across.at(tick), 0, HEIGHT, "grid"))
        parts.append(text(across.at(tick), HEIGHT + 18, label, "tick middle"))
    parts.append(horizontal(HEIGHT, 0, 1, "base"))
    if teacher is not None:
        y = (1 - up.at(teacher)) * HEIGHT
        parts.append(horizontal(y, 0, 1, "teacher-line role-teacher"))
        parts.append(text(1, y - 6, f"Teacher {metric(teacher)}", "label role-teacher end"))
    first = sorted((dot for dot in dots if dot.first), key=lambda dot: (dot.x, dot.y))
    parts += [_steps(first, across, up), *(_drawn(dot, across, up) for dot in dots)]
    return drawing([*parts, *_names(first, across, up)], HEIGHT, "scatter front", described)


def _steps(first: Sequence[_Dot], across: Axis, up: Axis) -> Markup:
    """The front as a staircase: the best that can be had for a cost."""
    if not first:
        return Markup("")
    places = [(across.at(dot.x) * 1000, (1 - up.at(dot.y)) * 1000) for dot in first]
    path = f"M{places[0][0]:.1f} {places[0][1]:.1f}" + "".join(f"H{x:.1f}V{y:.1f}" for x, y in places[1:]) + "H1000"
    return stretched(path, "front-line")


def _drawn(dot: _Dot, across: Axis, up: Axis) -> Markup:
    x, y = across.at(dot.x), (1 - up.at(dot.y)) * HEIGHT
    whisker = Markup("")
    if dot.ends is not None:
        top, bottom = ((1 - up.at(end)) * HEIGHT for end in reversed(dot.ends))
        whisker = vertical(x, top, bottom, f"whisker role-{dot.role}")
    mark = marker(x, y, dot.role, "" if dot.first else "hollow")
    return Markup("<g><title>{}</title>{}{}</g>").format(dot.tip, whisker, mark)


def _names(first: Sequence[_Dot], across: Axis, up: Axis) -> list[Markup]:
    """The names of the students on the front, on its empty side: above and left of it."""
    wished = [(1 - up.at(dot.y)) * HEIGHT - 7 for dot in first]
    parts = []
    for dot, y in zip(first, spread(wished, _LINE), strict=True):
        x = across.at(dot.x)
        side, dx = ("start", 9) if x < _TURN else ("end", -9)
        parts.append(text(x, y, dot.name, f"label role-{dot.role} {side}", dx))
    return parts
