"""The sweep as a terminal of 80 columns shows it: a narrow table, and lines for what it leaves out."""

from __future__ import annotations

from rankdistill.report.numerals import metric_name
from rankdistill.report.sweep import facts
from rankdistill.types import Json

_IN_THE_REPORT = frozenset({"Parameters", "99th percentile", "Users a second"})
"""Columns that are left to the report."""


def heads(found: Json) -> list[str]:
    """The heads of `rows`, in two lines each."""
    shown = [head for head in facts.heads(found) if head not in _IN_THE_REPORT]
    return ["", *("\n".join(head.rsplit(" ", 1)) for head in (*shown, "Against plain"))]


def rows(found: Json) -> list[list[str | None]]:
    """A row a model: its name, what it costs, how well it ranks, and whether that is better than plain."""
    names, made = facts.heads(found), []
    for line in facts.lines(found):
        cells = [cell for head, cell in zip(names, line.cells, strict=True) if head not in _IN_THE_REPORT]
        plain = line.differences[0]
        made.append([line.name, *cells, f"{plain.mark} {plain.value}" if plain else None])
    return made


def differences(found: Json) -> list[str]:
    """A line a distilled student: how far it is from its own plain student, and how sure that is."""
    told = [(line.name, plain) for line in facts.lines(found) if (plain := line.differences[0]) is not None]
    if not told:
        return []
    name = metric_name(found["quality"]["metric"])
    lines = [f"  {student}: {plain.value} {plain.interval}, {plain.p_value}" for student, plain in told]
    return [f"against the plain student, {name} on the test part, with 95 % intervals:", *lines]


def fronts(found: Json) -> list[str]:
    """A line a front: who is on it."""
    name, lines = metric_name(found["quality"]["metric"]), facts.lines(found)
    members = {word: [line.name for line in lines if word in line.fronts] for word in facts.FRONTS.values()}
    return [f"on the front of {name} and {word}: {'; '.join(names)}" for word, names in members.items() if names]
