"""The page: the facts put into the template."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rankdistill.report.html import asset, render
from rankdistill.report.numerals import metric_letters
from rankdistill.report.paper import facts, tables, words
from rankdistill.report.paper.figure import Figure
from rankdistill.report.paper.plot import inline
from rankdistill.report.paper.results import PARTS, Results


@dataclass(frozen=True, slots=True)
class Part:
    """A section of model rows with their comparisons."""

    title: str
    caption: str
    table: tables.Table | None
    pairs: tables.Pairs | None
    singles: tables.Singles | None


def parts(results: Results) -> tuple[Part, ...]:
    """The parts that have rows or comparisons."""
    found = []
    for name in PARTS:
        table, pairs = tables.table(results, name), tables.pairs(results, name)
        if table is not None or pairs is not None:
            caption = words.caption(table) if table is not None else ""
            single = tables.singles(results) if name == "main" else None
            found.append(Part(words.TITLES[name], caption, table, pairs, single))
    return tuple(found)


def page(results: Results, figures: Iterable[Figure]) -> str:
    """All of the results as one HTML page that needs nothing else."""
    values = {
        "title": results.title,
        "heading": words.heading(results),
        "about": words.ABOUT,
        "summary": tables.summary(results),
        "remarks": words.remarks(results),
        "command": words.command(results),
        "gains": tables.gains(results),
        "parts": parts(results),
        "main_metric": metric_letters(results.main_metric()),
        "costs": facts.costs(results),
        "cost_heads": facts.COST_HEADS,
        "cost_caption": words.cost_caption(results),
        "figures": [(figure, inline(figure)) for figure in figures],
        "searches": facts.searches(results),
        "search_metric": facts.search_metric(results),
        "provenance": facts.provenance(results),
    }
    return render("paper/page.html", asset("paper/figure.css") + asset("paper/paper.css"), values)
