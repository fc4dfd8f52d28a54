"""Latency against throughput as an SVG file: a panel for each number of threads, a line a contestant."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from importlib import resources

from markupsafe import Markup

from rankdistill.bench.latency import Row
from rankdistill.report.svg import Axis, horizontal, marker, percent_of, text, vertical

_WIDTH, _HEIGHT, _GAP = 400.0, 300.0, 36.0
_LEFT, _TOP, _BOTTOM, _LINE = 64.0, 92.0, 62.0, 20.0
_COLOURS = 6


def plot(rows: Sequence[Row], k: int) -> str:
    """The file's text: p50 of a call upwards, users a second to the right, both logarithmic."""
    names = list(dict.fromkeys(row.contestant.name for row in rows))
    threads = sorted({row.threads for row in rows})
    across = Axis.around([row.found.users_per_second for row in rows], pad=0.1, log=True)
    up = Axis.around([row.found.p50 for row in rows], pad=0.1, log=True)
    top = _TOP + _LINE * len(names)
    parts = []
    for place, count in enumerate(threads):
        drawn = _panel([row for row in rows if row.threads == count], names, across, up, first=place == 0)
        parts.append(
            Markup('<svg x="{:g}" y="{:g}" width="{:g}" height="{:g}" overflow="visible">{}</svg>').format(
                _LEFT + place * (_WIDTH + _GAP), top, _WIDTH, _HEIGHT, Markup("").join(drawn)
            )
        )
    width = _LEFT + len(threads) * (_WIDTH + _GAP)
    height = top + _HEIGHT + _BOTTOM
    title = f"Lists of {k}: latency of a call against throughput"
    drawn_all = Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{}" width="{:g}" height="{:g}" '
        'viewBox="0 0 {:g} {:g}">\n<title>{}</title>\n<style>{}</style>\n'
        '<rect class="ground" width="100%" height="100%" rx="8"/>\n'
        '<text class="title" x="18" y="34">{}</text>\n{}\n{}\n</svg>\n'
    )
    style = Markup(resources.files("rankdistill.bench").joinpath("plot.css").read_text(encoding="utf-8"))
    size = (width, height)
    described = f"{title}, for {', '.join(names)}"
    return str(
        drawn_all.format(
            described, *size, *size, title, style, title, Markup("").join(_legend(names)), Markup("\n").join(parts)
        )
    )


def _look(place: int) -> str:
    return f"colour-{place % _COLOURS}"


def _variant(place: int) -> str:
    return f"variant-{place // _COLOURS % 3}"


def _legend(names: Sequence[str]) -> list[Markup]:
    """A line a contestant, above the panels."""
    return [
        Markup('<svg x="18" y="{:g}" overflow="visible">{}</svg>').format(
            58 + _LINE * place,
            Markup('<g class="{}"><path d="M0 0H26" class="curve {}"/>').format(_look(place), _variant(place))
            + Markup(
                '<g class="mark"><circle cx="13" r="4.5"/></g><text x="36" y="4" class="label">{}</text></g>'
            ).format(name),
        )
        for place, name in enumerate(names)
    ]


def _panel(rows: Sequence[Row], names: Sequence[str], across: Axis, up: Axis, *, first: bool) -> list[Markup]:
    count = rows[0].threads
    parts = [text(0, -14, f"p50 of a call, {count} thread{'s' if count > 1 else ''}", "axis")]
    for tick in up.ticks(5):
        y = (1 - up.at(tick)) * _HEIGHT
        parts.append(horizontal(y, 0, 1, "grid"))
        if first:
            parts.append(text(0, y + 4, f"{tick:g} ms", "tick end", -10))
    for tick in across.ticks(4):
        parts.append(vertical(across.at(tick), 0, _HEIGHT, "grid"))
        parts.append(text(across.at(tick), _HEIGHT + 20, f"{tick:,.0f}", "tick middle"))
    parts.append(horizontal(_HEIGHT, 0, 1, "base"))
    parts.append(text(0.5, _HEIGHT + 42, "users a second; at each point the users of a call", "axis middle"))
    for place, name in enumerate(names):
        own = sorted((row for row in rows if row.contestant.name == name), key=lambda row: row.batch)
        parts += _line(own, place, across, up)
    return parts


def _line(rows: Sequence[Row], place: int, across: Axis, up: Axis) -> list[Markup]:
    points = [(across.at(row.found.users_per_second), (1 - up.at(row.found.p50)) * _HEIGHT) for row in rows]
    parts = [Markup('<g class="{}">').format(_look(place))]
    for (x1, y1), (x2, y2) in itertools.pairwise(points):
        parts.append(
            Markup('<line x1="{}" y1="{:.1f}" x2="{}" y2="{:.1f}" class="curve {}"/>').format(
                percent_of(x1), y1, percent_of(x2), y2, _variant(place)
            )
        )
    for (x, y), row in zip(points, rows, strict=True):
        who = row.contestant.name
        tip = f"{who}, {row.batch} a call: {row.found.p50:g} ms, {row.found.users_per_second:,.0f} users a second"
        parts.append(Markup("<g><title>{}</title>").format(tip) + marker(x, y, "") + Markup("</g>"))
        parts.append(text(x, y - 9 if place % 2 == 0 else y + 18, str(row.batch), "batch middle"))
    return [*parts, Markup("</g>")]
