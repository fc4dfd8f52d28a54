"""The rows and columns of a remade paper, already in words: shared by the page and the Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from rankdistill.report.numerals import count, metric, metric_letters, percent, whole
from rankdistill.report.paper.results import PUBLISHED, Contrast, Results, Row
from rankdistill.report.run import Comparison
from rankdistill.report.tables import Difference, difference

NEAR = 0.03
"""A value within this share of the published one counts as met."""

MARKS = {"within": "≈", "above": "▲", "below": "▼"}


@dataclass(frozen=True, slots=True)
class Cell:
    """Ours in a metric, beside the published value."""

    value: str
    deviation: str
    """`± .0017`, empty for a single seed."""
    published: str
    """Empty where nothing was published."""
    change: str
    """Ours to the published value in per cent, empty where one of them is missing."""
    verdict: str
    """`within`, `above`, `below` or empty."""

    @property
    def mark(self) -> str:
        """The verdict in a sign."""
        return MARKS.get(self.verdict, "")


@dataclass(frozen=True, slots=True)
class Line:
    """A model's row of a results table."""

    name: str
    role: str
    notes: tuple[str, ...]
    """The settings and the parameters."""
    cells: tuple[Cell, ...]

    @property
    def published(self) -> bool:
        """Whether anything was published for this row."""
        return any(cell.published for cell in self.cells)

    @property
    def verdict(self) -> str:
        """`below` or `above` where a cell is, `within` where all cells are, empty where nothing can be compared."""
        found = {cell.verdict for cell in self.cells}
        return next((one for one in ("below", "above", "within") if one in found), "")

    @property
    def mark(self) -> str:
        """The verdict in a sign."""
        return MARKS.get(self.verdict, "")

    @property
    def tally(self) -> str:
        """How many cells are within the share, above and below it."""
        counts = {one: sum(cell.verdict == one for cell in self.cells) for one in MARKS}
        known = {one: number for one, number in counts.items() if number}
        if len(known) == 1:
            return f"all {next(iter(known))}"
        return ", ".join(f"{number} {one}" for one, number in known.items())


@dataclass(frozen=True, slots=True)
class Table:
    """A results table: a column a metric."""

    metrics: tuple[str, ...]
    lines: tuple[Line, ...]

    @property
    def heads(self) -> tuple[str, ...]:
        """The metrics as heads."""
        return tuple(metric_letters(name) for name in self.metrics)

    @property
    def published(self) -> bool:
        """Whether anything was published for any row."""
        return any(line.published for line in self.lines)


def table(results: Results, part: str) -> Table | None:
    """A part's table; None for a part without rows. Of weightings, the metrics that were published alone."""
    rows, names = results.rows(part), results.metrics()
    if not rows:
        return None
    if part == "weighting":
        names = tuple(name for name in names if any(name in row.published for row in rows)) or names
    return Table(names, tuple(_line(row, names) for row in rows))


def _line(row: Row, names: Sequence[str]) -> Line:
    settings = f"{row.settings} settings" if row.settings == PUBLISHED else row.settings
    parameters = f"{count(row.parameters)} parameters" if row.parameters else ""
    notes = tuple(note for note in (settings, parameters) if note)
    return Line(row.name, row.role, notes, tuple(_cell(row, name) for name in names))


def _cell(row: Row, name: str) -> Cell:
    ours, theirs, deviation = row.mean.get(name), row.published.get(name), row.deviation.get(name)
    spread = f"± {metric(deviation)}" if ours is not None and deviation is not None else ""
    published = "" if theirs is None else metric(theirs)
    if ours is None or not theirs:
        return Cell(metric(ours), spread, published, "", "")
    change = ours / theirs - 1
    return Cell(metric(ours), spread, published, percent(change, sign=True, decimals=1), verdict(change))


def verdict(change: float) -> str:
    """Whether a relative difference is within the share that counts as met.

    >>> verdict(-0.03), verdict(0.031), verdict(-0.05)
    ('within', 'above', 'below')
    """
    return "within" if abs(change) <= NEAR + 1e-9 else "above" if change > 0 else "below"


def summary(results: Results) -> str:
    """How many of the published numbers are met, in a sentence; empty where there is none to meet."""
    found = table(results, "main")
    verdicts = [cell.verdict for line in found.lines for cell in line.cells if cell.verdict] if found else []
    if not verdicts:
        return ""
    counts = {one: verdicts.count(one) for one in MARKS}
    rest = [f"{counts[one]} {'is' if counts[one] == 1 else 'are'} {one}" for one in ("above", "below") if counts[one]]
    met = f"Of {len(verdicts)} published numbers, {counts['within']} are met within {percent(NEAR)}"
    return f"{', '.join([met, *rest])}."


@dataclass(frozen=True, slots=True)
class Gain:
    """By how much a family's distilled student is ahead of its plain one, ours and published."""

    label: str
    ours: str
    published: str


def gains(results: Results) -> tuple[Gain, ...]:
    """The gains of all families in the main metric, of distilled students with any settings."""
    name, rows = results.main_metric(), results.rows("main")
    found = []
    for row in rows:
        plain = next((one for one in rows if one.role == "student" and one.family == row.family), None)
        ours = _ahead(row.mean.get(name), plain.mean.get(name)) if plain and row.role == "distilled" else None
        if plain is not None and ours is not None:
            theirs = _ahead(row.published.get(name), plain.published.get(name))
            label = f"{row.name} over {plain.name}, {metric_letters(name)}"
            note = percent(theirs, sign=True, decimals=1) if theirs is not None else ""
            found.append(Gain(label, percent(ours, sign=True, decimals=1), note))
    return tuple(found)


def _ahead(value: float | None, base: float | None) -> float | None:
    return value / base - 1 if value is not None and base else None


@dataclass(frozen=True, slots=True)
class Pair:
    """A comparison's row: all seeds together, then each seed."""

    name: str
    metric: str
    whole: Difference | None
    seeds: tuple[Difference | None, ...]


COMPARED_TOO = "ndcg_kdd18@10"
"""The metric that is compared beside the main one; all of them are in results.json."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """A part's comparisons: a row a pair and metric, a column a seed."""

    seeds: tuple[str, ...]
    rows: tuple[Pair, ...]
    users: str

    @property
    def heads(self) -> tuple[str, ...]:
        """The heads of all columns."""
        return ("Models", "Metric", "All seeds" if self.seeds else "Difference", *(f"Seed {one}" for one in self.seeds))


def pairs(results: Results, part: str) -> Pairs | None:
    """A part's comparisons in the two metrics of most weight; None where none were made.

    There is a column a seed only where there are several.
    """
    shown = (results.main_metric(), COMPARED_TOO)
    made = [one for one in results.contrasts(part) if one.whole.metric in shown]
    if not made:
        return None
    seeds = tuple(dict.fromkeys(seed for one in made for seed in one.seeds))
    seeds = seeds if len(seeds) > 1 else ()
    users = dict.fromkeys(whole(one.users) for one in made if one.users is not None)
    return Pairs(seeds, tuple(_pair(one, seeds) for one in made), " or ".join(users))


def _pair(made: Contrast, seeds: Iterable[str]) -> Pair:
    singles = tuple(_difference(made.seeds.get(seed)) for seed in seeds)
    name = f"{made.whole.a} − {made.whole.b}"
    return Pair(name, metric_letters(made.whole.metric), _difference(made.whole), singles)


def _difference(made: Comparison | None) -> Difference | None:
    """A comparison in words, its interval empty where there is none."""
    found = difference(made)
    unknown = made is None or made.low is None or made.high is None
    return replace(found, interval="") if found is not None and unknown else found


@dataclass(frozen=True, slots=True)
class Single:
    """A row's main metric, a value a seed."""

    name: str
    role: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Singles:
    """The main metric of all main rows seed by seed."""

    seeds: tuple[str, ...]
    rows: tuple[Single, ...]


def singles(results: Results) -> Singles | None:
    """The values behind the means; None where there is one seed alone."""
    name, rows = results.main_metric(), results.rows("main")
    seeds = tuple(dict.fromkeys(one.seed for row in rows for one in row.seeds))
    if len(seeds) < 2:
        return None
    known = [(row, {one.seed: one.metrics.get(name) for one in row.seeds}) for row in rows]
    made = (Single(row.name, row.role, tuple(metric(got.get(seed)) for seed in seeds)) for row, got in known)
    return Singles(seeds, tuple(made))
