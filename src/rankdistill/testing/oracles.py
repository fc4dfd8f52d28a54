"""Reference implementations of metrics, losses and weights: plain Python, float64, one instance at a time.

They are written straight from the definitions, without a trick and without a library, so that a fast
implementation can be compared with something that a person can check by eye. Losses are those of one
instance (summed over its positives, negatives and candidates); a batch is the mean of its instances.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Literal

Weighting = Literal["uniform", "reciprocal", "position", "discrepancy", "hybrid"]


def metric(name: str, ranking: Sequence[int], targets: Collection[int]) -> float:
    """The metric called `name` (`ndcg@10`, `map`) of one query.

    Walks down the list; targets that are not in it are never hit.

    Args:
        name: A metric with one value a query.
        ranking: The full ranking of the catalogue, best first, no repeats.
        targets: The relevant items, at least one, no repeats.

    >>> metric("precision@2", ranking=[8, 3, 5], targets={3, 5})
    0.5
    """
    base, _, cutoff = name.partition("@")
    k = int(cutoff) if cutoff else None
    first = ranking[:k]
    hits = sum(item in targets for item in first)
    reachable = len(targets) if k is None else min(k, len(targets))
    if base == "precision" and k:
        return hits / k
    if base == "recall" and k:
        return hits / len(targets)
    if base == "hit" and k:
        return float(hits > 0)
    if base == "mrr" and k:
        return next((1.0 / rank for rank, item in enumerate(first, start=1) if item in targets), 0.0)
    if base == "ndcg" and k:
        return gain(first, targets) / gain(list(targets)[:reachable], targets)
    if base == "ndcg_kdd18" and k:
        return gain(first[:reachable], targets) / gain(list(targets)[:reachable], targets)
    if base == "map":
        return precision_sum(first, targets) / reachable
    raise ValueError(f"there is no oracle for the metric {name!r}")


def gain(ranking: Sequence[int], targets: Collection[int]) -> float:
    """Discounted cumulative gain: the sum of 1 / log2(rank + 1) over the ranks that hold a target."""
    return sum(1.0 / math.log2(rank + 1) for rank, item in enumerate(ranking, start=1) if item in targets)


def precision_sum(ranking: Sequence[int], targets: Collection[int]) -> float:
    """The precision at each rank that holds a target, summed."""
    hits, total = 0, 0.0
    for rank, item in enumerate(ranking, start=1):
        if item in targets:
            hits += 1
            total += hits / rank
    return total


def coverage(rankings: Sequence[Sequence[int]], k: int, num_items: int) -> float:
    """The share of the catalogue that occurs in the first k of any list."""
    return len({item for ranking in rankings for item in ranking[:k]}) / num_items


def log_sigmoid(score: float) -> float:
    """log(1 / (1 + exp(-score))), finite for every finite score."""
    return min(score, 0.0) - math.log1p(math.exp(-abs(score)))


def pointwise(positives: Sequence[float], negatives: Sequence[float]) -> float:
    """- sum log sigmoid(s+) - sum log(1 - sigmoid(s-))."""
    return -sum(log_sigmoid(score) for score in positives) - sum(log_sigmoid(-score) for score in negatives)


def pairwise(positives: Sequence[float], negatives: Sequence[float]) -> float:
    """- sum over all pairs of log sigmoid(s+ - s-)."""
    return -sum(log_sigmoid(positive - negative) for positive in positives for negative in negatives)


def softmax(positives: Sequence[float], others: Sequence[float]) -> float:
    """Cross-entropy of each positive against `others`: - sum log(exp(s+) / (exp(s+) + sum exp(s))).

    One positive does not compete with another. For the full catalogue, take one positive at a time, and every
    other item for `others`.
    """
    total = 0.0
    for positive in positives:
        top = max([positive, *others])
        total += top + math.log(sum(math.exp(score - top) for score in [positive, *others])) - positive
    return total


def gbce(positives: Sequence[float], negatives: Sequence[float], num_items: int, calibration: float = 0.75) -> float:
    """- sum log(sigmoid(s+)^beta) - sum log(1 - sigmoid(s-)) (Petrov & Macdonald, RecSys 2023).

    beta = alpha (t (1 - 1 / alpha) + 1 / alpha), t the calibration and alpha the negatives a positive over the number
    of items that are not this positive, at most 1.
    """
    alpha = min(1.0, len(negatives) / len(positives) / (num_items - 1))
    beta = alpha * (calibration * (1 - 1 / alpha) + 1 / alpha)
    return -sum(beta * log_sigmoid(score) for score in positives) - sum(log_sigmoid(-score) for score in negatives)


def distillation(scores: Sequence[float], weights: Sequence[float]) -> float:
    """- sum_r w_r log sigmoid(s_r) over the teacher's K items, best first (Tang & Wang, KDD 2018)."""
    return -sum(weight * log_sigmoid(score) for score, weight in zip(scores, weights, strict=True))


def log_sum_exp(values: Sequence[float]) -> float:
    """Log sum_i exp(v_i), finite for finite values, at least one."""
    top = max(values)
    return top + math.log(sum(math.exp(value - top) for value in values))


def relaxed_ranking(head: Sequence[float], tail: Sequence[float]) -> float:
    """- sum_k log [ e^{s_k} / (sum_{i >= k} e^{s_i} + sum_j e^{t_j}) ] (Kang et al., DE-RRD, CIKM 2020)."""
    return sum(log_sum_exp([*head[k:], *tail]) - score for k, score in enumerate(head))


def cross_entropy(scores: Sequence[float], teacher: Sequence[float]) -> float:
    """- sum_i softmax(t)_i log softmax(s)_i over the items that both sequences speak of."""
    ours, theirs = log_sum_exp(scores), log_sum_exp(teacher)
    return sum(math.exp(t - theirs) * (ours - s) for s, t in zip(scores, teacher, strict=True))


def binary_cross_entropy(scores: Sequence[float], wanted: Sequence[float]) -> float:
    """- sum_i [ q_i log sigmoid(s_i) + (1 - q_i) log(1 - sigmoid(s_i)) ] (CD, Lee et al., ICDM 2019)."""
    pairs = zip(scores, wanted, strict=True)
    return -sum(q * log_sigmoid(score) + (1 - q) * log_sigmoid(-score) for score, q in pairs)


def margin_mse(
    positives: Sequence[float],
    negatives: Sequence[float],
    teacher_positives: Sequence[float],
    teacher_negatives: Sequence[float],
) -> float:
    """The mean over all pairs of ((s_+ - s_-) - (t_+ - t_-))^2 (Hofstaetter et al., 2020)."""
    errors = [
        (ours_above - ours_below) - (theirs_above - theirs_below)
        for ours_above, theirs_above in zip(positives, teacher_positives, strict=True)
        for ours_below, theirs_below in zip(negatives, teacher_negatives, strict=True)
    ]
    return sum(error * error for error in errors) / len(errors)


def estimated_rank(score: float, samples: Sequence[float], num_items: int) -> int:
    """The estimated rank, from 1, of a score: floor(n (num_items - 1) / epsilon) + 1.

    n of the epsilon sampled items score above it. The published code counts the padding row in `num_items`
    and ranks from 0; it compares with positions from 0, which gives the same discrepancy.
    """
    above = sum(sample > score for sample in samples)
    return above * (num_items - 1) // len(samples) + 1


def position_weights(k: int, sharpness: float) -> list[float]:
    """w_r proportional to exp(-r / sharpness), r = 1..k, with sum 1 (Eq. 8; sharpness is lambda)."""
    raw = [math.exp((1 - r) / sharpness) for r in range(1, k + 1)]
    return [weight / sum(raw) for weight in raw]


def discrepancy_weights(ranks: Sequence[int], sharpness: float) -> list[float]:
    """w_r = tanh(max(sharpness (rank_r - r), 0)) (Eq. 9; sharpness is mu).

    Args:
        ranks: The student's ranks, from 1, of the teacher's items [K], the teacher's best first.
        sharpness: How soon an item that the student ranks too low gets full weight.
    """
    return [math.tanh(max(sharpness * (rank - r), 0.0)) for r, rank in enumerate(ranks, start=1)]


def weights(
    weighting: Weighting,
    ranks: Sequence[int],
    *,
    position_sharpness: float = 1.0,
    discrepancy_sharpness: float = 0.1,
    renormalize: bool = False,
) -> list[float]:
    """The weights [K] of the teacher's items under each of the five weightings.

    `uniform` 1/K; `reciprocal` 1/r, not normalised; `position` (Eq. 8); `discrepancy` (Eq. 9); `hybrid` the
    product of the last two. `renormalize` divides by the sum (paper; the published code does not), and leaves
    weights that are all zero as they are.

    Args:
        weighting: Which one.
        ranks: The student's (estimated) ranks, from 1, of the teacher's items; only their number matters to
            the first three.
        position_sharpness: lambda of Eq. 8.
        discrepancy_sharpness: mu of Eq. 9.
        renormalize: Whether the weights are made to sum to 1.
    """
    k = len(ranks)
    position = position_weights(k, position_sharpness)
    discrepancy = discrepancy_weights(ranks, discrepancy_sharpness)
    result = {
        "uniform": [1.0 / k] * k,
        "reciprocal": [1.0 / r for r in range(1, k + 1)],
        "position": position,
        "discrepancy": discrepancy,
        "hybrid": [a * b for a, b in zip(position, discrepancy, strict=True)],
    }[weighting]
    total = sum(result)
    return [weight / total for weight in result] if renormalize and total > 0 else result
