"""Line plots with intervals, for the page and as files of their own.

The parts are the same: x in per cent of the plot's width, y in pixels. On the page the plot is as wide as its place;
in a file it lies in a drawing of fixed size that brings its own colours, for light and dark.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence

from markupsafe import Markup

from rankdistill.report.html import asset
from rankdistill.report.numerals import metric
from rankdistill.report.paper.figure import Figure, Point, Series, written
from rankdistill.report.plots import stretched
from rankdistill.report.svg import (
    Axis,
    horizontal,
    marker,
    percent_of,
    spread,
    text,
    tick_label,
    vertical,
)

HEIGHT, FILE_HEIGHT, FILE_WIDTH = 260.0, 300.0, 760.0
_LEFT, _TOP, _BOTTOM = 56.0, 80.0, 60.0
_LETTER = 7.2
"""Pixels that a letter of a label takes, rather too many than too few."""
_LINE = 16.0
"""Names are so many pixels apart."""
_DODGE = 3.0
"""Series are moved apart by so many pixels, so that their intervals do not cover each other."""


def inline(figure: Figure) -> Markup:
    """The plot on the page: names at the ends of the lines, or above them where there is no room for that."""
    parts = _parts(figure, HEIGHT) + _hovers(figure, HEIGHT)
    legend = Markup("").join(
        Markup('<li class="{}">{}{}</li>').format(one.look, _sample(one), one.name) for one in figure.series
    )
    return Markup(
        '<div class="plot plot-lines lines" style="--labels:{:.0f}px"><ul class="legend" aria-hidden="true">{}</ul>'
        '<svg role="img" aria-label="{}" height="{:.0f}">{}</svg></div>'
    ).format(_labels_width(figure), legend, figure.described, HEIGHT, Markup("").join(parts))


def standalone(figure: Figure) -> str:
    """The plot as an SVG file, with its title."""
    width = FILE_WIDTH - _LEFT - _labels_width(figure)
    height = _TOP + FILE_HEIGHT + _BOTTOM
    inner = Markup('<svg x="{:g}" y="{:g}" width="{:g}" height="{:g}" overflow="visible">{}</svg>').format(
        _LEFT, _TOP, width, FILE_HEIGHT, Markup("").join(_parts(figure, FILE_HEIGHT))
    )
    drawn = Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" class="lines" role="img" aria-label="{}" width="{:g}" height="{:g}" '
        'viewBox="0 0 {:g} {:g}">\n<title>{}</title>\n<style>{}</style>\n'
        '<rect class="ground" width="100%" height="100%" rx="8"/>\n'
        '<text class="title" x="18" y="34">{}</text>\n{}\n</svg>\n'
    )
    size = (FILE_WIDTH, height)
    return str(drawn.format(figure.described, *size, *size, figure.title, Markup(_style()), figure.title, inner))


def _style() -> str:
    """The plot's style with the page's colours put in, light and dark: not every viewer knows variables."""
    page, own = asset("page.css"), asset("paper/figure.css")
    schemes = re.findall(r"(?m)^:root(?:\[data-theme=\"dark\"\])? \{([^}]*)\}", page)
    light, dark = ({**_colours(one)} for one in schemes[:2])
    return f"{_filled(own, light)}@media (prefers-color-scheme: dark) {{\n{_filled(own, dark)}}}\n"


def _colours(block: str) -> dict[str, str]:
    found = dict(re.findall(r"--([\w-]+): ([^;]+);", block))
    return {**found, "ground": found["surface"]}


def _filled(style: str, colours: Mapping[str, str]) -> str:
    return re.sub(r"var\(--([\w-]+)\)", lambda match: colours[match[1]], style)


def _labels_width(figure: Figure) -> float:
    return max(len(one.name) for one in figure.series) * _LETTER + 40


def _parts(figure: Figure, height: float) -> list[Markup]:
    across, up = figure.across(), figure.up()
    parts = _frame(figure, across, up, height) + _names(figure, across, up, height)
    drawn = [one for one in figure.series if not one.reference]
    for one in figure.series:
        if one.reference:
            parts.append(horizontal((1 - up.at(one.points[0].y)) * height, 0, 1, f"curve reference {one.look}"))
    for place, one in enumerate(drawn):
        parts.append(_series(one, across, up, height, _DODGE * (place - (len(drawn) - 1) / 2)))
    return parts


def _frame(figure: Figure, across: Axis, up: Axis, height: float) -> list[Markup]:
    ticks = up.ticks(5)
    parts = [text(0, -18, figure.y_title, "axis start", -_LEFT + 18)]
    for tick in ticks:
        y = (1 - up.at(tick)) * height
        parts.append(horizontal(y, 0, 1, "grid"))
        parts.append(text(0, y + 4, tick_label(tick, ticks), "tick end", -10))
    parts.append(horizontal(height, 0, 1, "base"))
    for share, label in figure.marks(across):
        parts.append(vertical(share, height, height + 5, "base"))
        parts.append(text(share, height + 20, label, "tick middle"))
    parts.append(text(0.5, height + 42, figure.x_title + (" (logarithmic)" if figure.log else ""), "axis middle"))
    return parts


def _path(places: Iterable[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x * 1000:.1f} {y * 1000:.1f}" for x, y in places)


def _series(one: Series, across: Axis, up: Axis, height: float, dodge: float) -> Markup:
    places = [(across.at(point.x), 1 - up.at(point.y)) for point in one.points]
    parts = []
    if one.dense:
        dodge = 0.0
        parts.append(_cut(_band(one, across, up), height))
    else:
        parts += [_whisker(one, point, across, up, height) for point in one.points]
    if len(places) > 1:
        curve = stretched(_path(places), f"curve {one.look}")
        parts.append(_cut(curve, height) if one.dense else curve)
    if not one.dense:
        parts += [marker(x, y * height, one.role, f"variant-{one.variant % 3}") for x, y in places]
    return Markup('<g transform="translate({:g} 0)">{}</g>').format(dodge, Markup("").join(parts))


def _cut(drawn: Markup, height: float) -> Markup:
    """What is drawn, without what lies under the axis."""
    return Markup('<svg width="100%" height="{:g}" overflow="hidden">{}</svg>').format(height, drawn)


def _whisker(one: Series, point: Point, across: Axis, up: Axis, height: float) -> Markup:
    if point.low is None or point.high is None:
        return Markup("")
    top, bottom = ((1 - up.at(end)) * height for end in (point.high, point.low))
    return vertical(across.at(point.x), top, bottom, f"whisker role-{one.role}")


def _band(one: Series, across: Axis, up: Axis) -> Markup:
    known = [(across.at(point.x), point.low, point.high) for point in one.points]
    upper = [(x, 1 - up.at(high)) for x, low, high in known if low is not None and high is not None]
    lower = [(x, 1 - up.at(low)) for x, low, high in known if low is not None and high is not None]
    return stretched(_path([*upper, *reversed(lower)]) + "Z", f"band role-{one.role}") if upper else Markup("")


def _names(figure: Figure, across: Axis, up: Axis, height: float) -> list[Markup]:
    """The names at the right, moved apart, each joined to the end of its line."""
    ends = [(across.at(one.points[-1].x), (1 - up.at(one.points[-1].y)) * height) for one in figure.series]
    parts = []
    for one, (x, y), label in zip(figure.series, ends, _placed([y for _, y in ends], height), strict=True):
        classes = f"leader role-{one.role}"
        if not one.reference:
            parts.append(horizontal(y, x, 1, classes))
        joint = Markup(
            '<svg x="100%" overflow="visible" class="joint"><path d="M{} {:.1f}H7L17 {:.1f}H20" class="{}"/></svg>'
        )
        parts.append(joint.format(3 if one.reference else 0, y, label, classes))
        parts.append(text(1, label + 4, one.name, f"label role-{one.role} start", 24))
    return parts


def _placed(heights: Sequence[float], height: float) -> list[float]:
    """The heights of the names: apart from one another, and beside the plot as far as there is room.

    >>> _placed([0.0, 0.0, 100.0], 100.0), _placed([50.0, 50.0], 100.0)
    ([0.0, 16.0, 100.0], [42.0, 58.0])
    """
    placed = spread(heights, _LINE)
    order = sorted(range(len(placed)), key=lambda place: placed[place])
    room = 0.0
    for place in order:
        placed[place] = max(placed[place], room)
        room = placed[place] + _LINE
    room = height
    for place in reversed(order):
        placed[place] = min(placed[place], room)
        room = placed[place] - _LINE
    return placed


def _sample(one: Series) -> Markup:
    """A piece of a series's line with its marker, for the legend."""
    classes = f"curve {'reference ' if one.reference else ''}{one.look}"
    mark = "" if one.reference or one.dense else marker(0.5, 6, one.role, f"variant-{one.variant % 3}")
    return Markup('<svg width="28" height="12"><path d="M1 6H27" class="{}"/>{}</svg>').format(classes, mark)


def _hovers(figure: Figure, height: float) -> list[Markup]:
    """Invisible columns, one a value of x, that show the values there."""
    across, xs = figure.across(), figure.xs()
    shares = [across.at(x) for x in xs]
    edges = [0.0, *((a + b) / 2 for a, b in itertools.pairwise(shares)), 1.0]
    columns = []
    for x, share, left, right in zip(xs, shares, edges[:-1], edges[1:], strict=True):
        told = [_told(one.name, point) for one in figure.series for point in one.points if point.x == x]
        columns.append(
            Markup('<g class="column"><title>{}</title>{}<rect x="{}" width="{}" height="{:g}"/></g>').format(
                f"{figure.x_title} {written(x)}: {'; '.join(told)}",
                vertical(share, 0, height, "cross"),
                percent_of(left),
                percent_of(right - left),
                height,
            )
        )
    return columns


def _told(name: str, point: Point) -> str:
    if point.low is None or point.high is None:
        return f"{name} {metric(point.y)}"
    return f"{name} {metric(point.y)} [{metric(point.low)}, {metric(point.high)}]"
