"""The report as Markdown tables."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence

from rankdistill.report import tables
from rankdistill.report.agreement import Agreement, Group
from rankdistill.report.details import Details
from rankdistill.report.figures import agreement_words
from rankdistill.report.numerals import MISSING, percent, whole
from rankdistill.report.run import Report, Run, role_name
from rankdistill.report.samples import Entry, Sample
from rankdistill.report.verdict import verdict

_SPECIAL = re.compile(r"([\\`*_\[\]|#~])")


def markdown(report: Report, details: Sequence[Details]) -> str:
    """The report's facts, in the page's order, with the details of each of its runs."""
    blocks = [block for run, found in zip(report.runs, details, strict=True) for block in _run(run, found)]
    return "\n\n".join(block for block in blocks if block) + "\n"


def plain(text: object) -> str:
    r"""A text that Markdown and HTML leave as it is.

    >>> plain("<script> a|b *c*\n")
    '&lt;script&gt; a\\|b \\*c\\* '
    """
    return _SPECIAL.sub(r"\\\1", html.escape(str(text), quote=False)).replace("\n", " ")


def _run(run: Run, details: Details) -> list[str]:
    said = verdict(run)
    blocks = [
        f"# {plain(run.name)}",
        f"**{plain(said.headline)}**",
        *(plain(detail) for detail in said.details),
        *(f"**Warning:** {plain(warning)}" for warning in said.warnings),
    ]
    for card in tables.cards(run):
        blocks += [f"## {card.title}: {plain(card.name)}", table(("", ""), card.facts)]
    notes = [f"- {plain(note)}" for note in run.data.get("notes") or []]
    blocks += ["\n".join(notes), "## Quality, size and speed", _costs(run)]
    if run.metric_names():
        blocks += ["## All metrics", _qualities(run, tables.qualities(run))]
    if run.half_metric_names():
        halves = _qualities(run, tables.halves(run))
        blocks += ["## Popular and unpopular items", plain(tables.halves_words(run.data)), halves]
    blocks += _agreement(details.agreement)
    shown = details.samples
    blocks += ["## A few users’ lists" if shown else "", *(_sample(one) for one in shown)]
    known = tables.provenance(run)
    return [*blocks, "## Where this comes from" if known else "", table(("", ""), known)]


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], numbers: bool = False) -> str:
    """A table, empty without rows; all columns but the first to the right if they are `numbers`."""
    body = ["| " + " | ".join(plain(cell) for cell in row) + " |" for row in rows]
    if not body:
        return ""
    rule = ["---", *(["---:" if numbers else "---"] * (len(heads) - 1))]
    return "\n".join(["| " + " | ".join(plain(head) for head in heads) + " |", "| " + " | ".join(rule) + " |", *body])


def _costs(run: Run) -> str:
    rows = [(run.label(model), *cells) for model, cells in tables.costs(run)]
    return table(("Model", *tables.cost_heads(run)), rows, numbers=True)


def _qualities(run: Run, found: Sequence[tables.Quality]) -> str:
    heads = ["Metric", *(run.label(model) for model in run.models)]
    heads += [tables.pair_name(pair) for pair in tables.pairs(run)]
    rows = []
    for quality in found:
        differences = [
            f"{one.mark} {one.value} {one.interval} {one.p_value}" if one else MISSING for one in quality.differences
        ]
        rows.append((quality.name, *quality.values, *differences))
    legend = "▲ better and ▼ worse at p < .05, ≈ no significant difference; 95 % interval, paired by user."
    return table(heads, rows, numbers=True) + (f"\n\n{plain(legend)}" if tables.pairs(run) else "")


def _agreement(found: Agreement | None) -> list[str]:
    if found is None:
        return []
    roles = list(found.overall)
    return [
        "## Where student and teacher agree",
        plain(agreement_words(found)),
        _groups("User’s interactions", "Users", found.by_activity, roles),
        _groups("Item’s interactions", "Recommendations", found.by_popularity, roles),
    ]


def _groups(title: str, unit: str, groups: Sequence[Group], roles: Sequence[str]) -> str:
    rows = [
        (group.label, whole(group.count), *(percent(group.shares[role], decimals=1) for role in roles))
        for group in groups
    ]
    return table((title, unit, *(role_name(role) for role in roles)), rows, numbers=True)


def _sample(sample: Sample) -> str:
    known = f", {whole(sample.interactions)} training interactions" if sample.interactions is not None else ""
    rows = []
    for place in range(max(len(column.entries) for column in sample.columns)):
        entries = [column.entries[place] if place < len(column.entries) else None for column in sample.columns]
        cells = ["" if entry is None else _entry(entry) for entry in entries]
        rows.append((str(place + 1), *cells))
    heads = ("Rank", *(role_name(column.role) for column in sample.columns))
    return f"User {plain(sample.user_id)}{known} (✓ a test target):\n\n{table(heads, rows)}"


def _entry(entry: Entry) -> str:
    named = f"{entry.title} ({entry.item_id})" if entry.title else entry.item_id
    return f"{named} ✓" if entry.hit else named
