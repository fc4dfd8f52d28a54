"""The reference implementations against the outputs of the published code, and against each other."""

from __future__ import annotations

import math
from statistics import mean
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rankdistill.testing import oracles


def estimated_ranks(case: dict[str, Any]) -> list[list[int]]:
    return [
        [oracles.estimated_rank(score, samples, case["num_items"]) for score in scores]
        for scores, samples in zip(case["teacher"], case["rank_samples"], strict=True)
    ]


def test_estimated_ranks_are_those_of_the_published_code_counted_from_one(
    golden_case: dict[str, Any],
) -> None:
    assert [[rank - 1 for rank in row] for row in estimated_ranks(golden_case)] == golden_case[
        "estimated_rank_zero_based"
    ]


def test_discrepancy_weights_are_those_of_the_published_code(golden_case: dict[str, Any]) -> None:
    for ranks, expected in zip(estimated_ranks(golden_case), golden_case["discrepancy"], strict=True):
        assert oracles.discrepancy_weights(ranks, golden_case["mu"]) == pytest.approx(expected, rel=0, abs=1e-12)


@pytest.mark.parametrize("weighting", ["position", "hybrid"])
def test_weights_and_losses_are_those_of_the_published_code(
    golden_case: dict[str, Any], weighting: oracles.Weighting
) -> None:
    expected = golden_case["by_weighting"][weighting]
    weights = [
        oracles.weights(
            weighting, ranks, position_sharpness=golden_case["lam"], discrepancy_sharpness=golden_case["mu"]
        )
        for ranks in estimated_ranks(golden_case)
    ]
    distilled = [oracles.distillation(*pair) for pair in zip(golden_case["teacher"], weights, strict=True)]
    plain = [oracles.pointwise(*pair) for pair in zip(golden_case["positive"], golden_case["negative"], strict=True)]
    shared = expected["weights"] * len(weights) if weighting == "position" else expected["weights"]
    for ours, theirs in zip(weights, shared, strict=True):
        assert ours == pytest.approx(theirs, rel=0, abs=1e-12)
    assert mean(plain) == pytest.approx(expected["ranking"], rel=0, abs=1e-12)
    assert mean(plain) == pytest.approx(golden_case["plain"], rel=0, abs=1e-12)
    assert mean(plain) + golden_case["alpha"] * mean(distilled) == pytest.approx(expected["total"], rel=0, abs=1e-12)


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=12), st.floats(0.01, 100), st.floats(0.001, 10))
def test_renormalized_weights_sum_to_one_and_keep_their_proportions(
    ranks: list[int], position_sharpness: float, discrepancy_sharpness: float
) -> None:
    for weighting in get_args(oracles.Weighting):
        raw, normal = (
            oracles.weights(
                weighting,
                ranks,
                position_sharpness=position_sharpness,
                discrepancy_sharpness=discrepancy_sharpness,
                renormalize=renormalize,
            )
            for renormalize in (False, True)
        )
        assert sum(normal) == (pytest.approx(1) if sum(raw) > 0 else 0)
        assert normal == pytest.approx([weight / (sum(raw) or 1) for weight in raw])


def test_the_weightings_are_the_formulas_by_hand() -> None:
    ranks = [1, 12, 3]
    e1, e2, e3 = math.exp(-1 / 2), math.exp(-2 / 2), math.exp(-3 / 2)
    position = [e / (e1 + e2 + e3) for e in (e1, e2, e3)]
    discrepancy = [0.0, math.tanh(0.1 * 10), 0.0]
    expected: dict[oracles.Weighting, list[float]] = {
        "uniform": [1 / 3] * 3,
        "reciprocal": [1, 1 / 2, 1 / 3],
        "position": position,
        "discrepancy": discrepancy,
        "hybrid": [0.0, position[1] * discrepancy[1], 0.0],
    }
    for weighting, weights in expected.items():
        assert oracles.weights(weighting, ranks, position_sharpness=2.0) == pytest.approx(weights), weighting


def test_a_student_that_ranks_as_the_teacher_does_leaves_no_hybrid_weight_even_renormalized() -> None:
    assert oracles.weights("hybrid", [1, 2, 3], renormalize=True) == [0.0, 0.0, 0.0]


def test_an_item_above_all_samples_has_rank_one_and_below_all_the_last() -> None:
    assert oracles.estimated_rank(9.0, [1.0, 2.0], 101) == 1
    assert oracles.estimated_rank(0.0, [1.0, 2.0], 101) == 101
    assert oracles.estimated_rank(1.0, [1.0, 2.0], 101) == 51


def test_losses_of_one_positive_and_one_negative_agree_with_each_other() -> None:
    assert oracles.pointwise([0.7], []) == pytest.approx(-math.log(1 / (1 + math.exp(-0.7))))
    assert oracles.pointwise([], [0.7]) == pytest.approx(-math.log(1 - 1 / (1 + math.exp(-0.7))))
    assert oracles.pairwise([0.7], [0.2]) == pytest.approx(oracles.softmax([0.7], [0.2]))
    assert oracles.softmax([1.0], [2.0, 3.0]) == pytest.approx(
        -math.log(math.exp(1) / (math.exp(1) + math.exp(2) + math.exp(3)))
    )


def test_extreme_scores_stay_finite() -> None:
    assert oracles.pointwise([-1e4], [1e4]) == 2e4
    assert oracles.pairwise([-1e4], [1e4]) == 2e4
    assert oracles.softmax([-1e4], [1e4]) == 2e4
    assert oracles.distillation([-1e4], [0.5]) == 5e3


@pytest.mark.parametrize("name", ["coverage@10", "precision", "auc"])
def test_a_metric_without_an_oracle_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no oracle"):
        oracles.metric(name, [1, 2], [1])
