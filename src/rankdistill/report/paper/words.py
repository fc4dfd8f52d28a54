"""The sentences that the page and the Markdown share."""

from __future__ import annotations

from rankdistill.report.numerals import percent
from rankdistill.report.paper.facts import cost_users, costs
from rankdistill.report.paper.results import Results, word
from rankdistill.report.paper.tables import NEAR, Table

ABOUT = (
    "The tables and figures of Ranking Distillation: Learning Compact Ranking Models With High Performance for "
    "Recommender System (Tang and Wang, KDD 2018; arXiv 1809.07428), made again from the data with this package. T is "
    "a teacher, S the plain student, RD the student distilled from the teacher."
)

TITLES = {"main": "Results", "weighting": "Weighting schemes", "presets": "Presets"}


def heading(results: Results) -> str:
    """The title of the page."""
    return f"Ranking Distillation, remade on {results.title}"


def caption(table: Table) -> str:
    """How a results table is read."""
    several = any(cell.deviation for line in table.lines for cell in line.cells)
    told = ["Mean ± standard deviation over the seeds." if several else "One seed."]
    if table.published:
        near = percent(NEAR)
        told.append(f"Below ours: the published value and how far ours is from it; ≈ within {near}, ▲ above, ▼ below.")
    if any(name.startswith("ndcg_kdd18") for name in table.metrics):
        told.append("P is precision. nDCG is cut as in the published code.")
    return " ".join(told)


def cost_caption(results: Results) -> str:
    """How the table of size and inference is read."""
    users = cost_users(results)
    told = f"All users: seconds to make the lists of {users} users. " if users.strip("–") else ""
    told += "A query: median for one user alone."
    if any(theirs for cost in costs(results) for _, theirs in cost.cells):
        told += " The published seconds are of another machine: the shares of the teacher are what can be compared."
    return told


def remark(results: Results) -> str:
    """What has to be known of a quick version before its numbers are read; empty for a full one."""
    if not results.quick:
        return ""
    epochs, seeds = results.data.get("epochs"), results.data.get("seeds")
    length = f"{epochs} epoch{'' if epochs == 1 else 's'}" if epochs else "fewer epochs"
    many = f"{len(seeds)} seeds" if isinstance(seeds, list) and len(seeds) > 1 else "one seed"
    return (
        f"This is the quick version, with {length} and {many}: its numbers are not to be compared with the published."
    )


def remarks(results: Results) -> tuple[str, ...]:
    """All that is to be known first: quick, incomplete, and what the maker of the results says."""
    told = results.data.get("remarks") or []
    lacking = (
        "Not everything was made yet: what is missing is left out." if results.data.get("complete") is False else ""
    )
    spoken = [told] if isinstance(told, str) else [str(one) for one in told]
    return tuple(one for one in (remark(results), lacking, *spoken) if one)


def command(results: Results) -> str:
    """The command that makes the results again."""
    return word(results.data, "command")
