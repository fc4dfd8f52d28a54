"""A figure as data: series of points over one axis."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rankdistill.report.numerals import count, metric_letters, metric_name
from rankdistill.report.paper.results import Results, number, objects, word
from rankdistill.report.svg import Axis
from rankdistill.types import Json

DENSE = 14
"""A series of more points than this is a line without markers, its intervals a band."""

_MARKS_AT_MOST = 9
"""So many values of x are all marked on the axis; of more, round ones."""

_STEEP = 0.2
"""The share of a long curve that may leave the figure at its bottom."""


@dataclass(frozen=True, slots=True)
class Point:
    """A value with its interval."""

    x: float
    y: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Series:
    """A named line of points, from left to right."""

    name: str
    role: str
    points: tuple[Point, ...]
    reference: bool
    """Whether it is a level to compare with: a line across the whole figure."""
    variant: int
    """How many series before it have the same role: they are told apart by their dashes."""

    @property
    def dense(self) -> bool:
        """Whether there are too many points for markers."""
        return len(self.points) > DENSE

    @property
    def look(self) -> str:
        """The classes of all that is drawn of it."""
        return f"role-{self.role} variant-{self.variant % 3}"


@dataclass(frozen=True, slots=True)
class Figure:
    """A titled plot of series."""

    key: str
    title: str
    caption: str
    x_title: str
    y_title: str
    log: bool
    series: tuple[Series, ...]

    @property
    def described(self) -> str:
        """What the figure shows, in words."""
        return f"{self.title}: {self.y_title} by {self.x_title}, for {', '.join(one.name for one in self.series)}"

    def xs(self) -> list[float]:
        """All values of x at which something was measured, rising."""
        measured = [one for one in self.series if not one.reference] or self.series
        return sorted({point.x for one in measured for point in one.points})

    def across(self) -> Axis:
        """The axis of x."""
        return Axis.around(self.xs(), pad=0.05, log=self.log)

    def up(self) -> Axis:
        """The axis of y, with all intervals, but without the steep start of long curves."""
        first = self.xs()[0] + (self.xs()[-1] - self.xs()[0]) * _STEEP
        points = [point for one in self.series for point in one.points if not one.dense or point.x >= first]
        ends = [end for point in points for end in (point.y, point.low, point.high) if end is not None]
        return Axis.around(ends, pad=0.08)

    def marks(self, across: Axis) -> list[tuple[float, str]]:
        """The places on the axis of x, as shares of the width, and what is written there; never too close."""
        xs = self.xs()
        ticks = xs if len(xs) <= _MARKS_AT_MOST else [tick for tick in across.ticks(6) if xs[0] <= tick <= xs[-1]]
        places = [(across.at(tick), written(tick)) for tick in ticks]
        gap = (max((len(label) for _, label in places), default=1) * 7 + 8) / 330
        return thinned(places, gap)


def thinned(places: Sequence[tuple[float, str]], gap: float) -> list[tuple[float, str]]:
    """The labels that have room: the ends, then from the left what is a gap away from those kept.

    >>> thinned([(0.0, "1"), (0.05, "2"), (0.5, "3"), (1.0, "4")], 0.1)
    [(0.0, '1'), (0.5, '3'), (1.0, '4')]
    """
    kept = [*places[:1], *places[-1:]] if len(places) > 1 else list(places)
    for place in places[1:-1]:
        if all(abs(place[0] - other[0]) >= gap for other in kept):
            kept.append(place)
    return sorted(kept)


def written(x: float) -> str:
    """A value of x as the axis writes it.

    >>> written(0.3), written(50.0), written(367_611)
    ('0.3', '50', '368 k')
    """
    return count(x) if x >= 10_000 else f"{x:g}"


def figures(results: Results) -> tuple[Figure, ...]:
    """The figures that have a point."""
    made = (figure(value) for value in objects(results.data, "figures"))
    return tuple(one for one in made if one is not None)


def figure(value: Json) -> Figure | None:
    """A figure of `results.json`; None for one without points. Without positive x there is no logarithm."""
    series: list[Series] = []
    for one in objects(value, "series"):
        role, points = word(one, "role") or "baseline", _points(one)
        reference = one.get("line") is True
        alike = sum(other.role == role and other.reference == reference for other in series)
        if points:
            series.append(Series(word(one, "name"), role, points, reference, alike))
    if not series:
        return None
    key = re.sub(r"[^a-z0-9]+", "-", word(value, "key").lower()).strip("-") or "figure"
    log = value.get("log") is True and all(point.x > 0 for one in series for point in one.points)
    name, part = word(value, "metric"), word(value, "part")
    y_title = f"{metric_letters(name) if name else 'Value'}{f', {part} data' if part else ''}"
    title = word(value, "title") or f"{metric_name(name)} by {word(value, 'x')}"
    return Figure(key, title, word(value, "caption"), word(value, "x") or "x", y_title, log, tuple(series))


def _points(series: Json) -> tuple[Point, ...]:
    found = []
    for one in objects(series, "points"):
        x, y = number(one, "x"), number(one, "y")
        if x is not None and y is not None:
            found.append(Point(x, y, number(one, "low"), number(one, "high")))
    return tuple(sorted(found, key=lambda point: point.x))
