"""Ranking metrics as pure functions of the ranks of each query's targets, one value a query.

Every metric follows from the full-catalogue ranks of a query's targets alone. A target that is never ranked
(its item does not occur in training, or it lies below the depth of the lists) is never hit, and counts in
every denominator that counts targets.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rankdistill.errors import EvaluationError
from rankdistill.types import NEVER, PAD, Bools, Doubles, Ints, Items


@dataclass(frozen=True, slots=True, eq=False)
class SortedRanks:
    """The ranks of every query's targets, ascending within the query; infinity for one never ranked."""

    query_ids: Ints  # [Q] ascending
    starts: Ints  # [Q] the query's first row
    counts: Ints  # [Q] number of targets, at least 1
    ranks: Doubles  # [n]
    hits: Doubles  # [n] how many of the query's targets rank at or above this row's

    @classmethod
    def of(cls, query_ids: Ints, ranks: Ints) -> SortedRanks:
        """Sorts one row per (query, target) [n], in any order.

        >>> SortedRanks.of(np.array([7, 4, 7]), np.array([5, 2, 1])).ranks.tolist()
        [2.0, 1.0, 5.0]

        Raises:
            EvaluationError: a rank below 1 that is not `NEVER`, or two targets of a query at the same rank.
        """
        values = np.where(ranks == NEVER, np.inf, ranks)
        order = np.lexsort((values, query_ids))
        unique, starts, counts = np.unique(query_ids[order], return_index=True, return_counts=True)
        hits = np.arange(1, len(order) + 1) - np.repeat(starts, counts)
        result = cls(unique, starts, counts, values[order], hits.astype(np.float64))
        result._check()
        return result

    def _check(self) -> None:
        queries = np.repeat(self.query_ids, self.counts)
        if (below := self.ranks < 1).any():
            raise EvaluationError(
                f"rank {self.ranks[below][0]:.0f} of a target of query {queries[below][0]} is no rank: "
                f"ranks count from 1, and {NEVER} stands for a target that is never ranked"
            )
        same = (queries[1:] == queries[:-1]) & (self.ranks[1:] == self.ranks[:-1]) & np.isfinite(self.ranks[1:])
        if same.any():
            raise EvaluationError(
                f"two targets of query {queries[1:][same][0]} share rank {self.ranks[1:][same][0]:.0f} "
                f"({same.sum():,} such pairs): break ties between scores, and name a target once"
            )

    def sum(self, values: Doubles) -> Doubles:
        """The sum of `values` [n] over each query's rows, [Q]."""
        return np.add.reduceat(values, self.starts) if len(self.starts) else np.zeros(0)

    def hits_at(self, k: int) -> Doubles:
        """How many of each query's targets rank within the first `k`, [Q]."""
        return self.sum((self.ranks <= k).astype(np.float64))


def precision(targets: SortedRanks, k: int) -> Doubles:
    """Precision@k [Q]: hits within the first k, divided by k (also where a query has fewer targets)."""
    return targets.hits_at(k) / k


def recall(targets: SortedRanks, k: int) -> Doubles:
    """Recall@k [Q]: hits within the first k, divided by the number of targets."""
    return targets.hits_at(k) / targets.counts


def hit(targets: SortedRanks, k: int) -> Doubles:
    """Hit rate@k [Q]: 1 if any target ranks within the first k, else 0."""
    return (targets.ranks[targets.starts] <= k).astype(np.float64)


def reciprocal_rank(targets: SortedRanks, k: int) -> Doubles:
    """MRR@k [Q]: 1 / rank of the best target where that is at most k, else 0."""
    first = targets.ranks[targets.starts]
    return np.where(first <= k, 1.0 / first, 0.0)


def ndcg(targets: SortedRanks, k: int) -> Doubles:
    """Standard nDCG@k [Q] with binary relevance: DCG@k / IDCG.

    DCG@k = sum of 1 / log2(rank + 1) over the targets ranked within the first k;
    IDCG = sum_{r = 1..min(k, targets)} 1 / log2(r + 1).
    """
    cuts = np.minimum(k, targets.counts)
    return _gain(targets, targets.ranks <= k) / _ideal_gain(cuts)


def ndcg_kdd18(targets: SortedRanks, k: int) -> Doubles:
    """nDCG@k [Q] of the code published with Tang & Wang, KDD 2018: DCG and IDCG both cut at min(k, targets).

    Lower than the standard `ndcg` for a query with fewer than k targets and hits below that many ranks.
    """
    cuts = np.minimum(k, targets.counts)
    return _gain(targets, targets.ranks <= np.repeat(cuts, targets.counts)) / _ideal_gain(cuts)


def average_precision(targets: SortedRanks) -> Doubles:
    """Average precision over the full ranking [Q]; its mean is MAP.

    AP = (1 / targets) sum over the targets of (hits up to the target's rank) / rank.
    """
    return targets.sum(targets.hits / targets.ranks) / targets.counts


def average_precision_at(targets: SortedRanks, k: int) -> Doubles:
    """Average precision of the first k [Q]; its mean is MAP@k.

    AP@k = (1 / min(k, targets)) sum over the targets within the first k of (hits up to its rank) / rank. The
    denominator is what a perfect list of k can hold, so that it scores 1; full-catalogue `map` divides by all
    targets.
    """
    within = np.where(targets.ranks <= k, targets.hits / targets.ranks, 0.0)
    return targets.sum(within) / np.minimum(k, targets.counts)


def coverage(items: Items, k: int, num_items: int) -> float:
    """Coverage@k: the share of the catalogue that occurs in the first k of any list.

    NaN without lists or without items.

    Args:
        items: Lists [Q, K], best first; `PAD` stands for no item.
        k: Cutoff.
        num_items: Real items of the catalogue, numbered 1..num_items.

    Raises:
        EvaluationError: an item outside the catalogue.
    """
    if not items.size or not num_items:
        return float("nan")
    if (highest := int(items.max())) > num_items:
        raise EvaluationError(f"the lists hold item {highest:,}, but the catalogue counts {num_items:,} items")
    seen = np.zeros(num_items + 1, dtype=np.bool_)
    seen[items[:, :k]] = True
    seen[PAD] = False
    return float(seen.sum()) / num_items


def _gain(targets: SortedRanks, within: Bools) -> Doubles:
    return targets.sum(np.where(within, 1.0 / np.log2(targets.ranks + 1.0), 0.0))


def _ideal_gain(cuts: Ints) -> Doubles:
    deepest = int(cuts.max(initial=1))
    return np.asarray(np.cumsum(1.0 / np.log2(np.arange(2, deepest + 2)))[cuts - 1])


PerQuery = Callable[[SortedRanks, int], Doubles]

AT_K: dict[str, PerQuery] = {
    "precision": precision,
    "recall": recall,
    "hit": hit,
    "ndcg": ndcg,
    "ndcg_kdd18": ndcg_kdd18,
    "mrr": reciprocal_rank,
    "map": average_precision_at,
}
"""The metrics with one value a query and a cutoff k, by name."""

NAMES = (*(f"{name}@k" for name in AT_K), "map", "coverage@k")
"""Every metric that can be asked for."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric and its cutoff; full-catalogue `map` has none."""

    name: str
    k: int | None

    @classmethod
    def parse(cls, text: str) -> Metric:
        """The metric called `text`.

        >>> Metric.parse("ndcg@10")
        Metric(name='ndcg', k=10)

        Raises:
            EvaluationError: no such metric, or a cutoff that is missing or no positive whole number.
        """
        name, at, cutoff = text.partition("@")
        if name not in AT_K and name != "coverage":
            raise EvaluationError(_unknown(text))
        if name == "map" and not at:
            return cls(name, None)
        if not at:
            raise EvaluationError(f"metric {text!r} needs a cutoff: ask for '{name}@10', say")
        if not re.fullmatch(r"[1-9][0-9]*", cutoff):
            raise EvaluationError(
                f"metric {text!r} has the cutoff {cutoff!r}, which is no whole number from 1 on: "
                f"ask for '{name}@10', say"
            )
        return cls(name, int(cutoff))

    def __str__(self) -> str:
        return self.name if self.k is None else f"{self.name}@{self.k}"

    def per_query(self, targets: SortedRanks) -> Doubles:
        """The metric's value for every query, [Q]; not for `coverage`, which is one value for all lists."""
        return average_precision(targets) if self.k is None else AT_K[self.name](targets, self.k)


def _unknown(text: str) -> str:
    written = re.fullmatch(r"(.*?)@?(\d*)", text.strip().lower(), re.DOTALL)
    name, cutoff = written.groups() if written else (text, "")
    near = difflib.get_close_matches(name, [*AT_K, "coverage"], n=1)
    at = "" if near == ["map"] and not cutoff and "@" not in text else f"@{cutoff or 10}"
    nearest = f"; did you mean '{near[0]}{at}'?" if near else "."
    return f"metric {text!r} does not exist{nearest} There are {', '.join(NAMES)}"
