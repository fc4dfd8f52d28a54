"""Quality against what a student costs: plain and distilled ones, the front, and the teacher as a line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from rankdistill.report.numerals import megabytes, metric, metric_name, milliseconds
from rankdistill.report.plots import cost_axis, grid_costs, grid_rows, stretched
from rankdistill.report.run import finite
from rankdistill.report.svg import Axis, drawing, horizontal, marker, spread, text, vertical
from rankdistill.report.sweep.facts import name_of, quality_of
from rankdistill.types import Json

HEIGHT = 300.0
_LINE = 15.0
"""Names are so many pixels apart."""
_OVER = 7.0
"""A name stands so far above its point where nothing is in its way."""
_ABOVE = 19.0
_BELOW = 13.0
"""So far from the teacher's line, upwards and downwards, a name touches neither the line nor the teacher's figure."""
_TURN = 0.3
"""Left of this share of the width, a name stands right of its point; a long one left of the middle, too."""
_LETTER = 0.016
"""A letter of a name takes about this share of the width."""


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
    up, across = Axis.around(heights, pad=0.12), cost_axis([dot.x for dot in dots], pad=0.08)
    parts = [*grid_rows(up, HEIGHT), *grid_costs(across, HEIGHT, write)]
    y = None if teacher is None else (1 - up.at(teacher)) * HEIGHT
    if y is not None:
        parts.append(horizontal(y, 0, 1, "teacher-line role-teacher"))
        parts.append(text(1, y - 6, f"Teacher {metric(teacher)}", "label role-teacher end"))
    first = sorted((dot for dot in dots if dot.first), key=lambda dot: (dot.x, dot.y))
    parts += [_steps(first, across, up), *(_drawn(dot, across, up) for dot in dots)]
    return drawing([*parts, *_names(first, across, up, y)], HEIGHT, "scatter front", described)


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


def _names(first: Sequence[_Dot], across: Axis, up: Axis, line: float | None) -> list[Markup]:
    """The names of the students on the front, on its empty side, above and left of it, and off the teacher's line."""
    wished = [(1 - up.at(dot.y)) * HEIGHT - _OVER for dot in first]
    heights = spread(wished, _LINE) if line is None else _off(line, wished)
    parts = []
    for dot, y in zip(first, heights, strict=True):
        x = across.at(dot.x)
        side, dx = ("start", 9) if x < max(_TURN, min(0.5, len(dot.name) * _LETTER)) else ("end", -9)
        parts.append(text(x, y, dot.name, f"label role-{dot.role} {side}", dx))
    return parts


def _off(line: float, wished: Sequence[float]) -> list[float]:
    """Heights as `spread` has them; those that would touch the teacher's line or its figure keep off it."""
    moved = spread(wished, _LINE)
    down = sorted(range(len(moved)), key=lambda place: moved[place])
    above = [place for place in reversed(down) if wished[place] < line - _OVER]
    below = [place for place in down if wished[place] >= line - _OVER]
    for sign, gap, places in ((-1, _ABOVE, above), (1, _BELOW, below)):
        nearest = sign * line + gap
        for place in places:
            moved[place] = sign * max(sign * moved[place], nearest)
            nearest = sign * moved[place] + _LINE
    return moved
