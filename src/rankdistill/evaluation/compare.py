"""Is one ranker better than another? Paired over the users both were evaluated on."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

import numpy as np
from scipy import stats

from rankdistill.errors import EvaluationError
from rankdistill.evaluation.evaluate import Evaluation
from rankdistill.types import Doubles, Ints

_DRAWS_PER_BLOCK = 1 << 18
"""Users drawn at once by the bootstrap (about 4 MB), however many users and samples there are."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The paired difference of two rankers in one metric."""

    metric: str
    difference: float  # mean(a) - mean(b)
    low: float  # of the bootstrap interval
    high: float
    p_value: float  # two-sided paired t-test
    users: int


def compare(
    a: Evaluation,
    b: Evaluation,
    metric: str,
    *,
    samples: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Comparison:
    """Compares two evaluations of the same users: mean difference a - b, its interval and its p-value.

    The interval is the percentile bootstrap over users, the p-value that of the two-sided paired t-test (1
    where no user differs). With fewer than two users both are undefined, NaN.

    Raises:
        EvaluationError: the users differ, or the metric is missing or undefined for some of them.
    """
    if samples < 1 or not 0 < confidence < 1:
        raise EvaluationError(
            f"a bootstrap of {samples} samples with confidence {confidence} cannot be had: "
            "samples must be at least 1, confidence between 0 and 1"
        )
    differences = _paired_differences(a, b, metric)
    users = len(differences)
    difference = float(differences.mean()) if users else float("nan")
    if users < 2:
        return Comparison(metric, difference, float("nan"), float("nan"), float("nan"), users)
    means = bootstrap_means(differences, samples, np.random.default_rng(seed))
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Comparison(metric, difference, float(low), float(high), paired_p_value(differences), users)


def bootstrap_means(values: Doubles, samples: int, generator: np.random.Generator) -> Doubles:
    """Means [samples] of as many resamples of `values` [n], each of n values drawn with replacement.

    Works in blocks of bounded memory; the result does not depend on the size of a block.
    """
    rows = max(1, _DRAWS_PER_BLOCK // len(values))
    means = np.empty(samples)
    for start in range(0, samples, rows):
        shape = (min(rows, samples - start), len(values))
        drawn = generator.integers(len(values), size=shape, dtype=np.int32)
        means[start : start + rows] = values.take(drawn).mean(axis=1)
    return means


def paired_p_value(differences: Doubles) -> float:
    """Two-sided p-value of the paired t-test on the differences [n] of at least two users."""
    if not np.ptp(differences):  # the t statistic is 0 / 0 or infinite
        return 0.0 if differences[0] else 1.0
    return float(stats.ttest_1samp(differences, 0.0).pvalue)


def _paired_differences(a: Evaluation, b: Evaluation, metric: str) -> Doubles:
    orders = [np.argsort(evaluation.query_ids, kind="stable") for evaluation in (a, b)]
    users_a, users_b = a.users[orders[0]], b.users[orders[1]]
    if not np.array_equal(users_a, users_b):
        raise EvaluationError(_unpaired(users_a, users_b))
    values = [
        _values(evaluation, metric, which)[order]
        for evaluation, order, which in zip((a, b), orders, ("first", "second"), strict=True)
    ]
    differences = values[0] - values[1]
    if (undefined := np.isnan(differences)).any():
        raise EvaluationError(
            f"metric {metric!r} is undefined for {undefined.sum():,} of {len(undefined):,} users, which "
            "cannot be paired: compare another metric or leave these users out of both evaluations"
        )
    return differences


def _values(evaluation: Evaluation, metric: str, which: str) -> Doubles:
    if metric in evaluation.values:
        return evaluation.values[metric]
    if metric in evaluation.totals:
        raise EvaluationError(f"metric {metric!r} has no value per user, so that users cannot be paired: leave it out")
    near = difflib.get_close_matches(metric, evaluation.values, n=1)
    nearest = f"; did you mean {near[0]!r}?" if near else "."
    raise EvaluationError(
        f"metric {metric!r} is not in the {which} evaluation{nearest} It has {', '.join(evaluation.values) or 'none'}"
    )


def _unpaired(users_a: Ints, users_b: Ints) -> str:
    only_a, only_b = np.setdiff1d(users_a, users_b), np.setdiff1d(users_b, users_a)
    return (
        f"the two evaluations are not of the same users ({len(users_a):,} in the first and "
        f"{len(users_b):,} in the second; {len(only_a):,} only in the first, "
        f"{len(only_b):,} only in the second): evaluate both on the same test split"
    )
