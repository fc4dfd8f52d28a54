"""Paired comparison: the differences, their interval and their p-value."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from scipy import integrate, special

from rankdistill.errors import EvaluationError
from rankdistill.evaluation import Evaluation, compare
from rankdistill.evaluation.compare import bootstrap_means, compare_all, paired_p_value
from rankdistill.rankings import pack
from rankdistill.types import Doubles


def evaluation(values: Doubles | list[float], users: list[int] | None = None, position: int = 4) -> Evaluation:
    numbers = np.asarray(values, dtype=np.float64)
    ids = np.arange(len(numbers)) if users is None else np.array(users)
    return Evaluation(pack(ids, position), {"map": numbers}, {"coverage@10": 0.5})


def random_pair(users: int = 60, seed: int = 3) -> tuple[Evaluation, Evaluation]:
    generator = np.random.default_rng(seed)
    first = generator.random(users)
    return evaluation(first), evaluation(first - 0.05 + 0.2 * generator.standard_normal(users))


def test_the_difference_is_that_of_the_means_and_changes_sign_with_the_sides() -> None:
    a, b = random_pair()
    forth, back = compare(a, b, "map"), compare(b, a, "map")
    assert forth.difference == pytest.approx(a.mean()["map"] - b.mean()["map"])
    assert back.difference == pytest.approx(-forth.difference)
    assert (back.low, back.high) == pytest.approx((-forth.high, -forth.low))
    assert back.p_value == pytest.approx(forth.p_value)
    assert (forth.metric, forth.users) == ("map", 60)


def test_the_interval_is_that_of_a_naive_bootstrap() -> None:
    a, b = random_pair()
    differences = a.values["map"] - b.values["map"]
    generator = np.random.default_rng(11)
    means = [differences[generator.integers(60, size=60, dtype=np.int32)].mean() for _ in range(400)]
    ours = compare(a, b, "map", samples=400, seed=11, confidence=0.9)
    assert (ours.low, ours.high) == pytest.approx((np.quantile(means, 0.05), np.quantile(means, 0.95)), abs=1e-14)


def test_the_interval_is_near_that_of_the_normal_distribution() -> None:
    a, b = random_pair(users=2000)
    differences = a.values["map"] - b.values["map"]
    error = 1.96 * differences.std(ddof=1) / np.sqrt(2000)
    ours = compare(a, b, "map")
    assert (ours.difference - ours.low, ours.high - ours.difference) == pytest.approx((error, error), rel=0.1)


def test_the_p_value_is_that_of_the_t_test_by_hand() -> None:
    differences = np.array([0.3, -0.1, 0.2, 0.4, 0.0, 0.1])
    n = len(differences)
    t = differences.mean() / (differences.std(ddof=1) / np.sqrt(n))
    constant = special.gamma(n / 2) / (np.sqrt((n - 1) * np.pi) * special.gamma((n - 1) / 2))
    tail, _ = integrate.quad(lambda x: constant * (1 + x * x / (n - 1)) ** (-n / 2), t, np.inf)
    assert paired_p_value(differences) == pytest.approx(2 * tail, rel=1e-8)


@pytest.mark.filterwarnings("error")
def test_two_rankers_without_any_difference_have_the_p_value_one() -> None:
    a, _ = random_pair()
    ours = compare(a, a, "map")
    assert (ours.difference, ours.low, ours.high, ours.p_value) == (0.0, 0.0, 0.0, 1.0)


@pytest.mark.filterwarnings("error")
def test_one_and_the_same_difference_for_every_user_is_beyond_chance() -> None:
    ours = compare(evaluation([0.75, 0.5]), evaluation([0.5, 0.25]), "map")
    assert (ours.difference, ours.low, ours.high, ours.p_value) == (0.25, 0.25, 0.25, 0.0)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("users", [0, 1])
def test_fewer_than_two_users_leave_interval_and_p_value_undefined(users: int) -> None:
    ours = compare(evaluation([0.5] * users), evaluation([0.25] * users), "map")
    assert np.isnan([ours.low, ours.high, ours.p_value]).all()
    assert ours.users == users


def test_the_same_seed_gives_the_same_interval_and_another_seed_another() -> None:
    a, b = random_pair()
    assert compare(a, b, "map", seed=5) == compare(a, b, "map", seed=5)
    assert compare(a, b, "map", seed=5).low != compare(a, b, "map", seed=6).low


def test_the_size_of_a_block_does_not_change_the_bootstrap(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).random(37)
    whole = bootstrap_means(values, 50, np.random.default_rng(1))
    monkeypatch.setitem(bootstrap_means.__globals__, "_DRAWS_PER_BLOCK", 100)
    np.testing.assert_allclose(bootstrap_means(values, 50, np.random.default_rng(1)), whole, rtol=1e-14)


def test_the_bootstrap_needs_little_memory() -> None:
    values = np.random.default_rng(0).random(13_000)
    tracemalloc.start()
    means = bootstrap_means(values, 200, np.random.default_rng(1))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert means.std() > 0
    assert peak < 10e6  # all draws at once would be 31 MB


def test_users_are_paired_whatever_their_order_and_position() -> None:
    a = evaluation([0.1, 0.2, 0.3], users=[5, 7, 9])
    b = evaluation([0.3, 0.1, 0.2], users=[9, 5, 7], position=8)
    ours = compare(a, b, "map")
    assert (ours.low, ours.high, ours.p_value) == (0.0, 0.0, 1.0)


def test_evaluations_of_different_users_are_refused_with_the_counts() -> None:
    with pytest.raises(EvaluationError) as caught:
        compare(evaluation([0.1, 0.2], users=[1, 2]), evaluation([0.1, 0.2, 0.3], users=[2, 3, 4]), "map")
    assert str(caught.value) == (
        "the two evaluations are not of the same users (2 in the first and 3 in the second; 1 only in the "
        "first, 2 only in the second): evaluate both on the same test split"
    )


def test_a_metric_that_was_not_evaluated_is_refused_with_the_nearest() -> None:
    a, b = random_pair()
    with pytest.raises(EvaluationError, match=r"'mpa' is not in the first evaluation; did you mean 'map'\?"):
        compare(a, b, "mpa")
    with pytest.raises(EvaluationError, match="'coverage@10' has no value per user"):
        compare(a, b, "coverage@10")
    other = Evaluation(b.query_ids, {"hit@10": b.values["map"]}, {})
    with pytest.raises(EvaluationError, match="'map' is not in the second evaluation"):
        compare(a, other, "map")


def test_undefined_values_are_refused_not_dropped() -> None:
    with pytest.raises(EvaluationError, match="'map' is undefined for 1 of 3 users"):
        compare(evaluation([0.1, np.nan, 0.3]), evaluation([0.1, 0.2, 0.3]), "map")


@pytest.mark.parametrize(("samples", "confidence"), [(0, 0.95), (100, 0.0), (100, 1.0), (100, 95.0)])
def test_an_impossible_bootstrap_is_refused(samples: int, confidence: float) -> None:
    a, b = random_pair()
    with pytest.raises(EvaluationError, match="cannot be had"):
        compare(a, b, "map", samples=samples, confidence=confidence)


def test_several_metrics_have_the_intervals_of_each_alone_from_one_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = {name: random_pair(seed=seed) for seed, name in enumerate(["map", "ndcg@10", "hit@10"])}
    a, b = (
        Evaluation(sides[0].query_ids, {name: pair[side].values["map"] for name, pair in pairs.items()}, {})
        for side, sides in enumerate(zip(*pairs.values(), strict=True))
    )
    alone = [compare(a, b, metric, seed=4) for metric in pairs]
    calls = []
    monkeypatch.setitem(
        bootstrap_means.__globals__,
        "bootstrap_means",
        lambda *given: calls.append(1) or bootstrap_means(*given),
    )
    together = compare_all(a, b, list(pairs), seed=4)
    assert calls == [1]
    assert [one.metric for one in together] == list(pairs)
    for one, other in zip(together, alone, strict=True):
        assert (one.low, one.high) == pytest.approx((other.low, other.high), rel=1e-13)
        assert (one.difference, one.p_value, one.users) == (other.difference, other.p_value, other.users)


def test_no_metric_in_common_is_no_comparison() -> None:
    assert compare_all(*random_pair(), []) == []
