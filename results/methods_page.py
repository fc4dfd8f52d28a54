"""The page of the table of all methods: see `methods.py`."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from methods_rows import (
    DATA,
    EPOCHS,
    EPOCHS_OF_A_TRIAL,
    FACTORS,
    PAIRS,
    PLAIN,
    SEEDS,
    UNTAUGHT,
    Record,
    methods,
    students,
)

from rankdistill.report.markdown import table
from rankdistill.report.numerals import MISSING, megabytes, metric, metric_name, milliseconds, p_value, whole
from rankdistill.types import Json

SIGNIFICANT = 0.05
EXPLAINED = """{0}
Made by `python results/methods.py train --out runs/methods --timed`, which goes on where it stopped.

Everything is trained without the validation part and by the softmax over 100 negatives (not the paper's point-wise
loss), a student for {1}, with a step size that falls in a line. By MAP on
the validation users its best epoch is chosen, the learning rate of each pair (that of its best plain student, which
favours the plain ones), and each method's alpha: the best of three by short trainings of
{2}, or the method's own if that does better in whole ones; of a teacher
the better of two learning rates, and how long it is trained. `rankdistil` has ten times that own alpha since, and
`margin_mse` a tenth, for what the trials show. All figures are of the test users; rows stand in the order
of nDCG@10. A method's other settings are its own, so that a row says what it brings nearly by itself; a warm-up is
about a third of the epochs. Where the setting names a query share, so many of each batch's queries are distilled, drawn
at random, since the method scores the catalogue for each.

`plain, twice as long` is the plain student with twice the epochs, about the time that most distilled students take:
what a method brings beyond it is more than that it learns faster.

`popular` and `unpopular` are nDCG@10 among the items that hold the first and the second half of all training
interactions, of the users who have such targets; a user with targets in both halves can rank higher in all than in
either. `p` is that of the paired t-test over users against the plain student of the same seed, the largest of the
seeds; ▲ and ▼ stand for better and worse at p < .05, of which among so many some come out by chance. At a figure with
`°` alpha is the method's own, as long as the best one of the trials is not trained to the end. `ms a query` is a
median; compare it within a data set alone, for the two may have been timed on different processors."""
STAGES = (
    "So far no method has been trained.",
    "So far each method has its own alpha and one seed: nothing but the learning rate is tuned.",
    "So far some rows have a chosen alpha, or some pairs several seeds, of which those count that all of a pair's rows "
    "have; the columns `trials` and `seeds` say which.",
    "Each method's alpha is the best of three, and each row the mean of three seeds.",
)


def page(records: Sequence[Record]) -> str:
    """The tables of what is known."""
    epochs = [" and ".join(map(_epochs_on, each.items())) for each in (EPOCHS, EPOCHS_OF_A_TRIAL)]
    blocks = ["# Every method on the same students", EXPLAINED.format(STAGES[stage(records)], *epochs)]
    for record in records:
        pairs = [pair for pair in PAIRS if record.chosen(pair, PLAIN)]
        if not pairs:
            continue
        for name in ("ndcg@10", "map"):
            blocks += [f"## {DATA[record.data]}: {metric_name(name)} of all", overview(record, pairs, name)]
        for pair in pairs:
            blocks += [f"## {DATA[record.data]}: {pair}", *block(record, pair)]
    return "\n\n".join(blocks) + "\n"


def _epochs_on(given: tuple[str, int]) -> str:
    data, epochs = given
    return f"{epochs} epoch{'' if epochs == 1 else 's'} on {DATA[data]}"


def stage(records: Sequence[Record]) -> int:
    """Which of `STAGES` has been reached."""
    taught = [(record, pair, method) for record in records for pair in PAIRS for method in methods()]
    rows = [record.chosen(pair, method) for record, pair, method in taught]
    trials = [len(record.tried(pair, method)) for record, pair, method in taught]
    if not any(rows):
        return 0
    if all(len(each) == len(SEEDS) for each in rows) and min(trials) == len(FACTORS):
        return 3
    return 2 if max(trials) or max(map(len, rows)) > 1 else 1


def overview(record: Record, pairs: Sequence[str], name: str) -> str:
    """One line a method over all pairs: its metric, marked where every seed differs from the plain student's.

    Marked, too, is what has the method's own alpha because that which is chosen was not trained yet.
    """

    def cell(pair: str, method: str) -> str:
        found = record.shown(pair, method)
        if not found:
            return MISSING
        gains = [row["gain"][name] for row in found if "gain" in row]
        sure = gains and max(each["p_value"] for each in gains) < SIGNIFICANT
        up = {each["difference"] > 0 for each in gains}
        mark = ("▲ " if up == {True} else "▼ ") if sure and len(up) == 1 else ""
        return mark + metric(mean(found, name)) + ("" if is_chosen(record, found[0]) else "°")

    def merit(method: str) -> float:
        known = [
            (rows, plain) for pair in pairs for rows, plain in [(record.shown(pair, method), plains[pair])] if rows
        ]
        return -statistics.mean(mean(rows, name) / mean(plain, name) for rows, plain in known) if known else 0

    plains = {pair: record.shown(pair, PLAIN) for pair in pairs}
    teachers = [metric(mean([record.content["teachers"][PAIRS[pair][0]]], name)) for pair in pairs]
    taught = sorted(methods(), key=merit)
    rows = [(method, *(cell(pair, method) for pair in pairs)) for method in [*UNTAUGHT, *taught]]
    return table(("", *pairs), [("teacher", *teachers), *rows], numbers=True)


def is_chosen(record: Record, row: Json) -> bool:
    """Whether a row has the best alpha of all that are tried, or learns without one."""
    tried = record.tried(row["pair"], row["method"])
    best = record.best(row["pair"], row["method"])
    all_tried = row["method"] in UNTAUGHT or len(tried) == len(FACTORS)
    return all_tried and best is not None and best.factor == row["factor"]


def block(record: Record, pair: str) -> list[str]:
    """The costs of a pair's two models, and the table of its methods, the best on top."""
    teacher, known = PAIRS[pair][0], {method: record.shown(pair, method) for method in students()}
    some = next(rows[0] for rows in known.values() if rows)
    sizes = (("Teacher", record.content["teachers"][teacher], teacher), ("Student", some, pair))
    costs = [
        (name, whole(each["parameters"]), megabytes(each["bytes"]), milliseconds(record.content["latency_ms"].get(key)))
        for name, each, key in sizes
    ]
    taught = sorted((method for method in methods() if known[method]), key=lambda m: -mean(known[m], "ndcg@10"))
    rows = [("teacher", MISSING, *cells([record.content["teachers"][teacher]]), MISSING, MISSING, MISSING, "1")]
    for method in [*UNTAUGHT, *taught]:
        if found := known[method]:
            setting = ", ".join(f"{key.replace('_', ' ')} {value:g}" for key, value in found[0]["setting"].items())
            trials = len(record.tried(pair, method)) if is_chosen(record, found[0]) else 1
            rows.append((method, setting, *cells(found), *gain(found), str(trials), str(len(found))))
    heads = ("", "setting", "nDCG@10", "MAP", "popular", "unpopular", "nDCG@10 - plain", "p", "trials", "seeds")
    asked, plain = record.content["teachers"][teacher], known[PLAIN]
    doubts = [
        "The teacher is no better than the plain student: there is little to learn from it."
        if plain and asked["metrics"]["ndcg@10"] <= mean(plain, "ndcg@10")
        else "",
        "The student is as large as its teacher, or larger." if some["bytes"] >= asked["bytes"] else "",
    ]
    return [
        *(f"**Warning:** {doubt}" for doubt in doubts if doubt),
        table(("", "parameters", "size", "ms a query"), costs, numbers=True),
        table(heads, rows, numbers=True),
    ]


def mean(rows: Sequence[Json], name: str, group: str = "metrics") -> float:
    """The mean of a figure over the seeds."""
    return statistics.mean(float(row[group][name]) for row in rows)


def cells(rows: Sequence[Json]) -> tuple[str, ...]:
    """The quality of a row of the table."""
    asked = (("ndcg@10", "metrics"), ("map", "metrics"), ("head", "halves"), ("tail", "halves"))
    return tuple(metric(mean(rows, name, group)) for name, group in asked)


def gain(rows: Sequence[Json]) -> tuple[str, str]:
    """What a method adds to the plain student of the same seed, and the largest p of all seeds."""
    found = [row["gain"]["ndcg@10"] for row in rows if "gain" in row]
    if not found:
        return MISSING, MISSING
    added = statistics.mean(each["difference"] for each in found)
    return metric(added, sign=True), p_value(max(each["p_value"] for each in found))
