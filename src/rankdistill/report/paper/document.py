"""The results as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rankdistill.report.markdown import plain, table
from rankdistill.report.numerals import MISSING
from rankdistill.report.paper import facts, tables, words
from rankdistill.report.paper.figure import Figure
from rankdistill.report.paper.results import Results
from rankdistill.report.paper.view import Part, parts
from rankdistill.report.tables import Difference


def document(results: Results, figures: Iterable[Figure]) -> str:
    """The page's facts in its order, the figures as images."""
    blocks = [f"# {plain(words.heading(results))}", plain(words.ABOUT), plain(tables.summary(results))]
    blocks.append("\n".join(f"> {plain(one)}  " for one in words.remarks(results)).rstrip())
    command = words.command(results)
    blocks.append(f"```sh\n{command}\n```" if command else "")
    for part in parts(results):
        blocks += _part(part)
    blocks += _costs(results)
    drawn = [f"![{plain(one.title)}](figures/{one.key}.svg)\n\n{plain(one.caption)}".rstrip() for one in figures]
    blocks += ["## Figures" if drawn else "", *drawn]
    blocks += _searches(results)
    known = facts.provenance(results)
    blocks += ["## Where this comes from" if known else "", table(("", ""), known)]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _part(part: Part) -> list[str]:
    blocks = [f"## {part.title}"]
    if part.table is not None:
        blocks += [_models(part.table), plain(part.caption)]
    if part.pairs is not None:
        blocks += ["### How sure the differences are" if part.table else "", *_pairs(part.pairs)]
    if part.singles is not None:
        heads = ("Model", *(f"Seed {seed}" for seed in part.singles.seeds))
        rows = [(row.name, *row.values) for row in part.singles.rows]
        blocks += ["### Seed by seed", table(heads, rows, numbers=True)]
    return blocks


def _models(found: tables.Table) -> str:
    """A row for ours, and under it one for what was published."""
    rows: list[Sequence[str]] = []
    for line in found.lines:
        notes = f" ({', '.join(line.notes)})" if line.notes else ""
        rows.append((line.name + notes, *(f"{cell.value} {cell.deviation}".strip() for cell in line.cells), ""))
        if line.published:
            cells = [f"{cell.published} {cell.mark} {cell.change}".strip() for cell in line.cells]
            rows.append(("published", *cells, f"{line.mark} {line.tally}".strip()))
    heads = ("Model", *found.heads, "Against published")
    return table(heads if found.published else heads[:-1], _narrowed(rows, found.published), numbers=True)


def _narrowed(rows: Iterable[Sequence[str]], wide: bool) -> list[Sequence[str]]:
    return [row if wide else row[:-1] for row in rows]


def _pairs(pairs: tables.Pairs) -> list[str]:
    rows = [(one.name, one.metric, _change(one.whole), *map(_change, one.seeds)) for one in pairs.rows]
    users = f", {pairs.users} of them" if pairs.users else ""
    legend = (
        f"▲ better and ▼ worse at p < .05, ≈ no significant difference; 95 % interval over users{users}, paired; seeds "
        f"are not part of it, so look at their columns as well. The other metrics are in results.json."
    )
    return [table(pairs.heads, rows, numbers=True), plain(legend)]


def _change(one: Difference | None) -> str:
    return " ".join(word for word in (one.mark, one.value, one.interval, one.p_value) if word) if one else MISSING


def _costs(results: Results) -> list[str]:
    rows: list[Sequence[str]] = []
    for cost in facts.costs(results):
        rows.append((cost.name, *(ours for ours, _ in cost.cells)))
        if any(published for _, published in cost.cells):
            rows.append(("published", *(published for _, published in cost.cells)))
    if not rows:
        return []
    made = table(("Model", *facts.COST_HEADS), rows, numbers=True)
    return ["## Size and inference", made, plain(words.cost_caption(results))]


def _searches(results: Results) -> list[str]:
    rows = [
        (search.family, one.settings, one.epoch, one.value, ", ".join(one.tags))
        for search in facts.searches(results)
        for one in search.tries
    ]
    if not rows:
        return []
    made = table(("Family", "Settings", "Epoch", "Value", ""), rows)
    told = f"{facts.search_metric(results)}, at the best epoch. The test data had no part in the choice."
    return ["## Settings tried on validation data", made, plain(told)]
