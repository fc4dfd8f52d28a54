"""Is one ranker better than another? Paired over the users both were evaluated on."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

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
    return compare_all(a, b, [metric], samples=samples, seed=seed, confidence=confidence)[0]


def compare_all(
    a: Evaluation,
    b: Evaluation,
    metrics: Sequence[str],
    *,
    samples: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> list[Comparison]:
    """What `compare` gives for each of the metrics, from users drawn once for all of them.

    Raises:
        EvaluationError: the users differ, or a metric is missing or undefined for some of them.
    """
    if samples < 1 or not 0 < confidence < 1:
        raise EvaluationError(
            f"a bootstrap of {samples} samples with confidence {confidence} cannot be had: "
            "samples must be at least 1, confidence between 0 and 1"
        )
    if not metrics:
        return []
    differences = _paired_differences(a, b, metrics)
    users = differences.shape[1]
    if users < 2:
        nan = float("nan")
        found = differences[:, 0] if users else np.full(len(metrics), nan)
        return [
            Comparison(metric, float(difference), nan, nan, nan, users)
            for metric, difference in zip(metrics, found, strict=True)
        ]
    means = bootstrap_means(differences.T, samples, np.random.default_rng(seed))
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    return [
        Comparison(metric, float(row.mean()), float(low[i]), float(high[i]), paired_p_value(row), users)
        for i, (metric, row) in enumerate(zip(metrics, differences, strict=True))
    ]


def bootstrap_means(values: Doubles, samples: int, generator: np.random.Generator) -> Doubles:
    """Means [samples, ...] of as many resamples of `values` [n, ...], each of n rows drawn with replacement.

    A resample is how often each row was drawn, so that all columns share one draw. Works in blocks of bounded
    memory; which rows are drawn does not depend on the size of a block.
    """
    users = len(values)
    size = max(1, _DRAWS_PER_BLOCK // users)
    means = np.empty((samples, *values.shape[1:]))
    for start in range(0, samples, size):
        drawn = generator.integers(users, size=(min(size, samples - start), users), dtype=np.int32)
        counts = np.empty(drawn.shape)
        for row, places in enumerate(drawn):
            counts[row] = np.bincount(places, minlength=users)
        means[start : start + size] = counts @ values / users
    return means


def paired_p_value(differences: Doubles) -> float:
    """Two-sided p-value of the paired t-test on the differences [n] of at least two users."""
    if not np.ptp(differences):  # the t statistic is 0 / 0 or infinite
        return 0.0 if differences[0] else 1.0
    from scipy import stats  # half a second, which verbs that compare nothing do without

    return float(stats.ttest_1samp(differences, 0.0).pvalue)


def _paired_differences(a: Evaluation, b: Evaluation, metrics: Sequence[str]) -> Doubles:
    """Differences a - b [metrics, n] of the users both have."""
    orders = [np.argsort(evaluation.query_ids, kind="stable") for evaluation in (a, b)]
    users_a, users_b = a.users[orders[0]], b.users[orders[1]]
    if not np.array_equal(users_a, users_b):
        raise EvaluationError(_unpaired(users_a, users_b))
    differences = np.empty((len(metrics), len(users_a)))
    for row, metric in zip(differences, metrics, strict=True):
        first, second = _values(a, metric, "first"), _values(b, metric, "second")
        row[:] = first[orders[0]] - second[orders[1]]
        if (undefined := np.isnan(row)).any():
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
