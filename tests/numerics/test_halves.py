"""Popular and unpopular halves against a plain loop over users and targets."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import stats

import rankdistill as rd
from rankdistill.data.popularity import popular_items, popularity_groups
from rankdistill.evaluation import Evaluation, halves
from rankdistill.ids import IdMap
from rankdistill.pipeline import evaluate_halves
from rankdistill.rankings import ANY_POSITION, TargetRanks, pack


def naive_head(train: list[int], num_items: int) -> set[int]:
    """The most popular items, one by one, until they hold half of all interactions."""
    counts = {item: train.count(item) for item in range(1, num_items + 1)}
    head: set[int] = set()
    held = 0
    for item in sorted(counts, key=lambda item: (-counts[item], item)):
        if 2 * held >= len(train):
            break
        head.add(item)
        held += counts[item]
    return head


def naive_value(metric: str, ranks: list[int]) -> float:
    found = sorted(rank for rank in ranks if rank > 0)
    if metric == "map":
        return sum((place + 1) / rank for place, rank in enumerate(found)) / len(ranks)
    shown = [rank for rank in found if rank <= 10]
    if metric == "recall@10":
        return len(shown) / len(ranks)
    ideal = sum(1 / math.log2(place + 2) for place in range(min(10, len(ranks))))
    return sum(1 / math.log2(rank + 1) for rank in shown) / ideal


def drawn(seed: int, users: int = 40, items: int = 30) -> tuple[TargetRanks, np.ndarray]:
    random = np.random.default_rng(seed)
    rows = []
    for user in range(users):
        targets = random.choice(np.arange(1, items + 1), size=random.integers(1, 6), replace=False)
        ranks = random.choice(np.arange(1, items + 1), size=len(targets), replace=False)
        ranks[random.random(len(ranks)) < 0.1] = 0  # never ranked
        rows += [(user, item, rank) for item, rank in zip(targets, ranks, strict=True)]
    random.shuffle(rows)
    who, what, where = np.array(rows).T
    popular = np.zeros(items + 1, dtype=np.bool_)
    popular[random.choice(np.arange(1, items + 1), size=6, replace=False)] = True
    return TargetRanks(pack(who, ANY_POSITION), what.astype(np.int32), where), popular


@pytest.mark.parametrize("seed", range(3))
def test_the_head_is_the_fewest_items_that_hold_half_of_all_interactions(seed: int) -> None:
    data = rd.read("synthetic", users=30, items=25, length=12, seed=seed)
    split = data.split("user_fractions")
    expected = naive_head(split.train.items.tolist(), split.num_items)
    assert set(np.flatnonzero(popular_items(split.train, split.num_items))) == expected


def test_items_that_occur_equally_often_are_taken_in_the_order_of_their_numbers() -> None:
    assert popularity_groups(np.array([0, 2, 2, 2, 2]), 2).tolist() == [1, 0, 0, 1, 1]
    assert popularity_groups(np.array([0, 9, 1, 0]), 2).tolist() == [1, 0, 1, 1]


@pytest.mark.parametrize("seed", range(5))
def test_each_half_is_what_a_loop_over_its_targets_gives(seed: int) -> None:
    ranks, popular = drawn(seed)
    found = halves.evaluate_halves(ranks, popular)
    assert found.query_ids.tolist() == sorted(set(ranks.query_ids.tolist()))
    undefined = 0
    for half, inside in (("head", True), ("tail", False)):
        for metric in halves.METRICS:
            for place, query in enumerate(found.query_ids):
                own = [
                    int(rank)
                    for one, item, rank in zip(ranks.query_ids, ranks.items, ranks.ranks, strict=True)
                    if one == query and popular[item] == inside
                ]
                value = found.values[f"{half}/{metric}"][place]
                undefined += not own
                assert np.isnan(value) if not own else value == pytest.approx(naive_value(metric, own), abs=1e-12)
    assert undefined


def test_the_summary_counts_and_averages_those_who_have_targets_in_a_half() -> None:
    ranks, popular = drawn(0)
    found = halves.evaluate_halves(ranks, popular)
    assert np.isnan(found.values["head/map"]).any()
    said = halves.means_of(found)
    for half in halves.HALVES:
        column = found.values[f"{half}/map"]
        there = column[~np.isnan(column)]
        assert said[half]["users"] == len(there)
        assert said[half]["metrics"]["map"] == pytest.approx(there.mean())
    nobody = halves.means_of(halves.evaluate_halves(ranks, np.ones_like(popular)))
    assert list(nobody) == ["head"]


def test_lists_of_limited_depth_leave_out_what_they_do_not_reach() -> None:
    ranks, popular = drawn(1)
    shallow = TargetRanks(ranks.query_ids, ranks.items, np.where(ranks.ranks <= 10, ranks.ranks, 0), depth=10)
    assert set(halves.evaluate_halves(shallow, popular).values) == {
        *("head/ndcg@10", "head/recall@10", "tail/ndcg@10", "tail/recall@10")
    }


def test_halves_are_compared_over_the_users_of_each() -> None:
    ranks, popular = drawn(2)
    better = TargetRanks(ranks.query_ids, ranks.items, np.where(popular[ranks.items], ranks.ranks, ranks.ranks + 30))
    one, two = (halves.evaluate_halves(each, popular) for each in (ranks, better))
    made = {each.metric: each for each in halves.compare_halves(one, two, samples=50)}
    assert list(made) == [f"{half}/{metric}" for half in halves.HALVES for metric in halves.METRICS]
    assert made["head/map"].difference == 0
    tail = one.values["tail/map"] - two.values["tail/map"]
    tail = tail[~np.isnan(tail)]
    assert (made["tail/map"].users, made["tail/map"].difference) == (len(tail), pytest.approx(tail.mean()))
    assert made["tail/map"].p_value == pytest.approx(stats.ttest_1samp(tail, 0.0).pvalue)


def test_the_file_has_a_row_a_user_and_comes_back_as_it_was(tmp_path: Path) -> None:
    ranks, popular = drawn(3)
    users = IdMap(pl.Series("user_id", [f"user {number}" for number in range(40)]), first=0)
    found, path = halves.evaluate_halves(ranks, popular), tmp_path / "evaluation-halves.parquet"
    found.write(path, users)
    assert pl.read_parquet(path)["user_id"].n_unique() == len(pl.read_parquet(path)) == 40
    again = Evaluation.read(path, users)
    assert all(np.array_equal(again.values[name], found.values[name], equal_nan=True) for name in found.values)


def test_a_recommender_of_popular_items_finds_none_of_the_others(split: rd.Split) -> None:
    popular = rd.train(rd.Popularity.Config(), split)
    found = evaluate_halves(rd.recommend(popular, split.test_queries), split).mean()
    assert found["head/recall@10"] > 2 * found["tail/recall@10"]
