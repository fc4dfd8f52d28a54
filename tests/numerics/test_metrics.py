"""The vectorised metrics against other implementations: golden files, a walk down the list, properties."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rankdistill.evaluation import evaluate
from rankdistill.evaluation.metrics import AT_K, SortedRanks, coverage
from rankdistill.rankings import TargetRanks
from rankdistill.testing import oracles

NAMES = [f"{name}@{k}" for name in AT_K for k in (1, 2, 3, 5, 10, 100)] + ["map"]


@dataclass(frozen=True)
class Query:
    ranking: list[int]
    targets: list[int]


def target_ranks(queries: list[Query], seed: int = 0) -> TargetRanks:
    """One row per (query, target), shuffled; a target outside the ranking is never ranked."""
    rows = [
        (number, target, query.ranking.index(target) + 1 if target in query.ranking else 0)
        for number, query in enumerate(queries)
        for target in query.targets
    ]
    table = np.array(rows, dtype=np.int64).reshape(-1, 3)
    ids, items, ranks = np.random.default_rng(seed).permutation(table).T
    return TargetRanks(ids, items.astype(np.int32), ranks)


@st.composite
def random_queries(draw: st.DrawFn, unranked: bool = True) -> list[Query]:
    num_items = draw(st.integers(1, 30))
    pool = list(range(1, num_items + 1 + (4 if unranked else 0)))
    targets = st.lists(st.sampled_from(pool), min_size=1, max_size=15, unique=True)
    query = st.builds(Query, st.permutations(range(1, num_items + 1)), targets)
    return draw(st.lists(query, min_size=1, max_size=6))


def test_the_published_metrics_agree_with_the_golden_file(golden: Callable[[str], Any]) -> None:
    users = golden("metrics.json")["users"]
    ours = evaluate(
        target_ranks([Query(user["ranking"], user["targets"]) for user in users]),
        ["map", *(f"{name}@{k}" for name in ("precision", "recall", "ndcg_kdd18") for k in (3, 5, 10))],
    )
    for name, values in ours.values.items():
        key = {"map": "ap"}.get(name, name.replace("ndcg_kdd18", "ndcg"))
        np.testing.assert_allclose(values, [user[key] for user in users], rtol=0, atol=1e-12, err_msg=name)


def test_the_golden_file_tells_the_published_ndcg_from_the_standard_one(golden: Callable[[str], Any]) -> None:
    users = golden("metrics.json")["users"]
    queries = [Query(user["ranking"], user["targets"]) for user in users]
    standard = evaluate(target_ranks(queries), ["ndcg@10"]).values["ndcg@10"]
    assert np.abs(standard - [user["ndcg@10"] for user in users]).max() > 0.01


@given(random_queries())
def test_every_metric_agrees_with_a_walk_down_the_list(queries: list[Query]) -> None:
    ours = evaluate(target_ranks(queries), NAMES)
    for name in NAMES:
        walked = [oracles.metric(name, query.ranking, query.targets) for query in queries]
        np.testing.assert_allclose(ours.values[name], walked, rtol=0, atol=1e-12, err_msg=name)


@given(random_queries(unranked=False))
def test_a_perfect_ranking_scores_one_or_all_that_its_cutoff_allows(queries: list[Query]) -> None:
    perfect = [
        Query(query.targets + [item for item in query.ranking if item not in query.targets], query.targets)
        for query in queries
    ]
    counts = np.array([len(query.targets) for query in queries])
    ours = evaluate(target_ranks(perfect), NAMES)
    for name in NAMES:
        base, _, cutoff = name.partition("@")
        best = np.ones(len(counts))
        if base in ("precision", "recall"):
            k = int(cutoff)
            best = np.minimum(k, counts) / (k if base == "precision" else counts)
        np.testing.assert_allclose(ours.values[name], best, atol=1e-12, err_msg=name)


@given(random_queries(), st.data())
def test_moving_a_target_up_never_lowers_a_metric(queries: list[Query], data: st.DataObject) -> None:
    query = queries[0]
    movable = [item for item in query.targets if item in query.ranking]
    target = data.draw(st.sampled_from(movable or query.targets))
    rest = [item for item in query.ranking if item != target]
    place = data.draw(st.integers(0, query.ranking.index(target) if movable else len(rest)))
    moved = Query([*rest[:place], target, *rest[place:]], query.targets)
    before, after = (evaluate(target_ranks([each]), NAMES) for each in (query, moved))
    for name in NAMES:
        assert after.values[name][0] >= before.values[name][0] - 1e-12, name


@given(random_queries(), st.integers(1, 30))
def test_lists_k_deep_are_enough_for_every_metric_at_k(queries: list[Query], k: int) -> None:
    names = [f"{name}@{k}" for name in AT_K]
    whole = target_ranks(queries)
    known = TargetRanks(whole.query_ids, whole.items, np.where(whole.ranks <= k, whole.ranks, 0), depth=k)
    ours, full = evaluate(known, names), evaluate(whole, names)
    for name in names:
        np.testing.assert_array_equal(ours.values[name], full.values[name], err_msg=name)


@given(random_queries())
def test_the_order_of_the_rows_does_not_matter(queries: list[Query]) -> None:
    ours, other = (evaluate(target_ranks(queries, seed), NAMES) for seed in (0, 1))
    np.testing.assert_array_equal(ours.query_ids, other.query_ids)
    for name in NAMES:
        np.testing.assert_array_equal(ours.values[name], other.values[name], err_msg=name)


def test_the_two_ndcgs_differ_as_the_definitions_say() -> None:
    ours = evaluate(target_ranks([Query([1, 2, 3, 4], [2, 9])]), ["ndcg@1", "ndcg@10", "ndcg_kdd18@10"])
    late = evaluate(target_ranks([Query([1, 2, 3, 4], [3, 9])]), ["ndcg@10", "ndcg_kdd18@10"])
    ideal = 1 + 1 / np.log2(3)
    assert ours.values["ndcg@1"][0] == 0.0
    assert ours.values["ndcg@10"][0] == ours.values["ndcg_kdd18@10"][0] == (1 / np.log2(3)) / ideal
    assert late.values["ndcg@10"][0] == 0.5 / ideal
    assert late.values["ndcg_kdd18@10"][0] == 0.0  # two targets: the published cut looks at two ranks only


def test_a_target_that_is_never_ranked_counts_in_the_denominator_alone() -> None:
    ours = evaluate(target_ranks([Query([1, 2], [1, 7])]), ["map", "recall@2", "map@1", "ndcg@1"])
    assert ours.mean() == {"map": 0.5, "recall@2": 0.5, "map@1": 1.0, "ndcg@1": 1.0}


def test_a_query_none_of_whose_targets_is_ranked_scores_zero_everywhere() -> None:
    ours = evaluate(target_ranks([Query([1, 2], [7, 8])]), NAMES)
    assert set(ours.mean().values()) == {0.0}


def test_metrics_are_float64_and_one_per_query() -> None:
    ours = evaluate(target_ranks([Query([1, 2, 3], [1]), Query([1, 2, 3], [3, 2])]), NAMES)
    assert {(values.dtype, values.shape) for values in ours.values.values()} == {(np.dtype(np.float64), (2,))}


@given(st.integers(1, 12), st.integers(1, 6), st.data())
def test_coverage_agrees_with_a_set_of_items(num_items: int, k: int, data: st.DataObject) -> None:
    depth = data.draw(st.integers(1, num_items))
    lists = data.draw(st.lists(st.permutations(range(1, num_items + 1)), min_size=1, max_size=5))
    lists = [ranking[:depth] for ranking in lists]
    ours = coverage(np.array(lists, dtype=np.int32), k, num_items)
    assert ours == oracles.coverage(lists, k, num_items)


def test_places_behind_the_end_of_a_short_list_cover_nothing() -> None:
    assert coverage(np.array([[3, 0, 0], [3, 4, 0]], dtype=np.int32), 3, 4) == 0.5


def test_no_queries_at_all_sort_to_nothing() -> None:
    nothing = np.zeros(0, dtype=np.int64)
    assert len(SortedRanks.of(nothing, nothing).hits_at(10)) == 0
