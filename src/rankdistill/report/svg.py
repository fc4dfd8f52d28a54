"""The few drawing primitives that the plots share: axes, ticks, markers.

Every plot is as wide as its place on the page and has a fixed height: x is in per cent, y in pixels, and
curves lie in a nested drawing that stretches. So text keeps its size on a phone and on a wide screen. Colours
come from the page's style sheet, through classes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

SHAPES = {"teacher": "M-5-5H5V5H-5Z", "student": "M0-6.5 6.5 0 0 6.5-6.5 0Z"}
"""Paths of the markers; any other role is a circle."""


@dataclass(frozen=True, slots=True)
class Axis:
    """A linear or logarithmic scale."""

    low: float
    high: float
    log: bool = False

    @classmethod
    def around(cls, values: Iterable[float], *, pad: float = 0.08, zero: bool = False, log: bool = False) -> Axis:
        """The axis that holds all values (and 0 if `zero`), longer by `pad` at both ends."""
        known = [math.log10(value) if log else value for value in values] or [0.0, 1.0]
        low, high = min(known), max(known)
        low, high = (min(low, 0.0), max(high, 0.0)) if zero else (low, high)
        margin = (high - low) * pad or abs(high) * 0.1 or 1.0
        return cls(low - margin, high + margin, log)

    def at(self, value: float) -> float:
        """Where a value lies, 0 at the low end and 1 at the high end."""
        number = math.log10(value) if self.log else value
        return (number - self.low) / (self.high - self.low)

    def ticks(self, about: int = 4) -> list[float]:
        """Round values inside the axis."""
        if self.log:
            decades = range(math.floor(self.low), math.ceil(self.high) + 1)
            marks = [factor * 10.0**decade for decade in decades for factor in (1, 2, 5)]
            inside = [mark for mark in marks if 0 <= self.at(mark) <= 1]
            if len(inside) >= 2:
                return inside[:: math.ceil(len(inside) / (about + 1))]
            low, high = 10**self.low, 10**self.high
            return [mark for mark in Axis(low, high).ticks(about) if mark > 0]
        step = _step((self.high - self.low) / about)
        first = math.ceil(self.low / step)
        return [mark * step for mark in range(first, math.floor(self.high / step) + 1)]


def _step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if rough <= factor * power * 1.0001)


def tick_label(value: float, ticks: Sequence[float]) -> str:
    """A tick in as few digits as tell it from its neighbours.

    >>> tick_label(0.125, [0.1, 0.125, 0.15]), tick_label(0.5, [0.5, 1]), tick_label(20, [0, 20])
    ('.125', '0.5', '20')
    """
    step = min((b - a for a, b in itertools.pairwise(ticks)), default=abs(value) or 1.0)
    digits = next((n for n in range(7) if abs(round(step, n) - step) < step * 1e-6), 6)
    text = f"{abs(value):.{digits}f}"
    small = all(abs(tick) < 1 for tick in ticks) and text.startswith("0.")
    return ("−" if value < 0 and float(text) else "") + (text[1:] if small else text)


def percent_of(share: float) -> str:
    """A share of the width as an SVG length."""
    return f"{share * 100:.2f}%"


def marker(share: float, y: float, role: str, extra: str = "") -> Markup:
    """A role's marker at a share of the width and a height in pixels."""
    shape = SHAPES.get(role)
    body = Markup('<path d="{}"/>').format(shape) if shape else Markup('<circle r="5.5"/>')
    return Markup('<svg x="{}" y="{:.1f}" overflow="visible" class="mark role-{} {}">{}</svg>').format(
        percent_of(share), y, role, extra, body
    )


def text(share: float, y: float, content: str, classes: str = "", dx: float = 0) -> Markup:
    """A text at a share of the width."""
    return Markup('<text x="{}" y="{:.1f}" dx="{:g}" class="{}">{}</text>').format(
        percent_of(share), y, dx, classes, content
    )


def vertical(share: float, top: float, bottom: float, classes: str) -> Markup:
    """A vertical line over a range of pixels."""
    x = percent_of(share)
    return Markup('<line x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}" class="{}"/>').format(x, x, top, bottom, classes)


def horizontal(y: float, left: float, right: float, classes: str) -> Markup:
    """A horizontal line over a range of shares."""
    return Markup('<line x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}" class="{}"/>').format(
        percent_of(left), percent_of(right), y, y, classes
    )


def drawing(parts: Iterable[Markup], height: float, kind: str, described: str) -> Markup:
    """The whole plot, with what it shows in words for those who do not see it."""
    return Markup('<div class="plot plot-{}"><svg role="img" aria-label="{}" height="{:.0f}">{}</svg></div>').format(
        kind, described, height, Markup("").join(parts)
    )


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Heights moved apart, in order, until no two are closer than `gap`; their mean stays about where it was.

    >>> spread([10.0, 12.0, 50.0], 10)
    [6.0, 16.0, 50.0]
    """
    order = sorted(range(len(heights)), key=lambda place: heights[place])
    blocks: list[tuple[list[int], float]] = []  # (members, mean of their wishes)
    for place in order:
        members, centre = [place], heights[place]
        while blocks and centre - gap * (len(members) - 1) / 2 < blocks[-1][1] + gap * (len(blocks[-1][0]) + 1) / 2:
            earlier, middle = blocks.pop()
            centre = (middle * len(earlier) + centre * len(members)) / (len(earlier) + len(members))
            members = earlier + members
        blocks.append((members, centre))
    moved = [0.0] * len(heights)
    for members, centre in blocks:
        for offset, place in enumerate(members):
            moved[place] = centre + gap * (offset - (len(members) - 1) / 2)
    return moved
