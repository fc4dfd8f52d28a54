"""Metrics of popular and of unpopular items apart: a mean over both hides who pays for a gain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from rankdistill.evaluation.compare import Comparison, compare_all
from rankdistill.evaluation.evaluate import Evaluation, evaluate
from rankdistill.evaluation.metrics import Metric
from rankdistill.rankings import TargetRanks
from rankdistill.types import Bools, Json

HALVES = ("head", "tail")
METRICS = ("ndcg@10", "recall@10", "map")
"""What is measured in each half."""


def evaluate_halves(ranks: TargetRanks, popular: Bools, metrics: Sequence[str] = METRICS) -> Evaluation:
    """The metrics of popular and of unpopular targets, under names such as `head/ndcg@10` and `tail/map`.

    The head are the most popular items, which together hold half of all training interactions; the tail are all others
    (the groups in which UnKD, WSDM 2023, measures what distillation does to unpopular items). In each half the user's
    targets of that half alone are relevant, at their ranks in the whole catalogue. A user without one has no value.

    Args:
        ranks: one row per (query, target).
        popular: [I + 1], whether an item is of the head; see `rankdistill.data.popularity.popular_items`.
        metrics: names; those that lists of limited depth do not reach for are left out.
    """
    reached = [name for name in metrics if ranks.depth is None or (Metric.parse(name).k or np.inf) <= ranks.depth]
    queries = np.unique(ranks.query_ids)
    values = {}
    for half, rows in zip(HALVES, (popular[ranks.items], ~popular[ranks.items]), strict=True):
        part = TargetRanks(ranks.query_ids[rows], ranks.items[rows], ranks.ranks[rows], ranks.depth)
        found = evaluate(part, reached)
        places = np.searchsorted(queries, found.query_ids)
        for name in reached:
            values[f"{half}/{name}"] = np.full(len(queries), np.nan)
            values[f"{half}/{name}"][places] = found.values[name]
    return Evaluation(queries, values, {})


def means_of(halves: Evaluation) -> Json:
    """Users and means of each half that has any: `{"head": {"users": 9, "metrics": {"map": 0.1}}, "tail": ...}`."""
    found: Json = {}
    for half in HALVES:
        part = of_half(halves, half)
        if len(part.query_ids):
            means = {name.removeprefix(f"{half}/"): mean for name, mean in part.mean().items()}
            found[half] = {"users": len(part.query_ids), "metrics": means}
    return found


def compare_halves(a: Evaluation, b: Evaluation, *, samples: int = 2000) -> list[Comparison]:
    """The paired differences a - b in each half, over the users who have targets in it; see `compare`.

    Raises:
        EvaluationError: the users differ.
    """
    made: list[Comparison] = []
    for half in HALVES:
        parts = of_half(a, half), of_half(b, half)
        shared = [name for name in parts[0].values if name in parts[1].values]
        if len(parts[0].query_ids) >= 2:
            made += compare_all(*parts, shared, samples=samples)
    return made


def of_half(halves: Evaluation, half: str) -> Evaluation:
    """The columns of one half, and the users who have targets in it."""
    values = {name: column for name, column in halves.values.items() if name.startswith(f"{half}/")}
    there = ~np.isnan(next(iter(values.values()), np.full(len(halves.query_ids), np.nan)))
    return replace(
        halves, query_ids=halves.query_ids[there], values={name: each[there] for name, each in values.items()}
    )


def beside(evaluation: Path) -> Path:
    """The file of the halves that belongs to the file of an evaluation."""
    return evaluation.with_name(f"{evaluation.stem}-halves.parquet")
