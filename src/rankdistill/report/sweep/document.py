"""The sweep as Markdown tables."""

from __future__ import annotations

from rankdistill.report.markdown import plain, table
from rankdistill.report.numerals import MISSING, metric_name
from rankdistill.report.run import role_name
from rankdistill.report.sweep import facts
from rankdistill.report.tables import Difference, halves_words
from rankdistill.types import Json


def document(found: Json) -> str:
    """The facts, in the page's order."""
    rows = []
    for line in facts.lines(found):
        differences = [_difference(one) for one in line.differences]
        *costs, quality = line.cells
        quality += f" ({line.spread})" if line.spread else ""
        rows.append((line.name, role_name(line.role), *costs, quality, *differences, ", ".join(line.fronts)))
    heads = ("Student", "", *facts.heads(found), "Against plain", "Against teacher", "On the front of")
    failed = "\n".join(f"- left out: {plain(one)}" for one in facts.failures(found))
    blocks = [
        f"# {plain(found['data']['name'])}: sweep",
        f"**{plain(facts.headline(found))}**",
        *(plain(one) for one in facts.summary(found)),
        f"```\n{found['command']}\n```",
        "## Quality, size and speed",
        table(heads, rows, numbers=True),
        plain(facts.caption(found)),
        failed,
        "## All metrics on the test part",
        table(("Student", *map(metric_name, found["metrics"])), facts.metric_rows(found), numbers=True),
        *_halves(found),
        "## Where this comes from",
        table(("", ""), facts.provenance(found)),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _halves(found: Json) -> list[str]:
    rows = [
        (name, *(text for value, one in cells for text in (value, _difference(one))))
        for _, name, cells in facts.half_rows(found)
    ]
    if not rows:
        return []
    heads = ("Student", *(text for head in facts.half_heads(found) for text in (head, "Against plain")))
    return ["## Popular and unpopular items", plain(halves_words(found["data"])), table(heads, rows, numbers=True)]


def _difference(one: Difference | None) -> str:
    return f"{one.mark} {one.value} {one.interval} {one.p_value}" if one else MISSING
