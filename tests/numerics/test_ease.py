"""EASE against a plain inverse in float64, and against the least squares that it claims to solve."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import rankdistill as rd
from rankdistill.data.sequences import Sequences
from rankdistill.errors import ConfigError
from rankdistill.models import ease
from rankdistill.models.ease import EASE
from rankdistill.ranker import Catalogue
from rankdistill.served import served
from rankdistill.types import Floats

ITEMS = 9
logs = st.lists(st.lists(st.integers(1, ITEMS), max_size=8), min_size=1, max_size=12)
ridges = st.sampled_from([0.5, 10.0, 500.0])


def sequences(lists: list[list[int]]) -> Sequences:
    users = np.repeat(np.arange(len(lists)), [len(each) for each in lists])
    return Sequences.from_pairs(users, np.array([i for each in lists for i in each], dtype=np.int32), len(lists))


def prepared(lists: list[list[int]], l2: float = 10.0, voters: str = "training", recency: float = 0.0) -> EASE:
    config = EASE.Config.model_validate({"l2": l2, "voters": voters, "recency": recency})
    model = EASE(config, Catalogue(len(lists), ITEMS, 2))
    model.prepare(sequences(lists))
    return model.double()


def weights_of(model: EASE) -> Floats:
    weights: Floats = model.get_buffer("weights").numpy()
    return weights


def scores_of(model: EASE, history: list[list[int]] | None = None) -> Floats:
    users = torch.arange(model.catalogue.num_users)
    asked = torch.zeros(len(users), 2, dtype=torch.int64) if history is None else torch.tensor(history)
    scores: Floats = model.score(model.encode(users, asked)).numpy()
    return scores


def table(lists: list[list[int]]) -> Floats:
    """X [U, I] of ones and zeros."""
    has = np.zeros((len(lists), ITEMS))
    for user, owned in enumerate(lists):
        for item in owned:
            has[user, item - 1] = 1.0
    return has


def naive_weights(lists: list[list[int]], l2: float) -> Floats:
    """The paper's formula, an entry at a time."""
    has = table(lists)
    inverse = np.linalg.inv(has.T @ has + l2 * np.eye(ITEMS))
    weights = np.zeros((ITEMS + 1, ITEMS + 1))
    for i in range(ITEMS):
        for j in range(ITEMS):
            weights[i + 1, j + 1] = 0.0 if i == j else -inverse[i, j] / inverse[j, j]
    return weights


@given(logs, ridges)
def test_the_weights_and_the_scores_are_those_of_the_formula(lists: list[list[int]], l2: float) -> None:
    model, expected = prepared(lists, l2), naive_weights(lists, l2)
    np.testing.assert_allclose(weights_of(model), expected, rtol=1e-5, atol=1e-8)
    scores = [[sum(expected[i, j] for i in set(owned)) for j in range(ITEMS + 1)] for owned in lists]
    np.testing.assert_allclose(scores_of(model), scores, rtol=1e-5, atol=1e-7)


@given(logs, ridges)
def test_each_column_is_the_ridge_regression_on_all_other_items(lists: list[list[int]], l2: float) -> None:
    """The diagonal is held at zero by leaving the item out of its own regression: another way to the optimum."""
    has, weights = table(lists), weights_of(prepared(lists, l2))
    for item in range(ITEMS):
        others = [each for each in range(ITEMS) if each != item]
        given_others, wanted = has[:, others], has[:, item]
        solved = np.linalg.solve(given_others.T @ given_others + l2 * np.eye(ITEMS - 1), given_others.T @ wanted)
        np.testing.assert_allclose(weights[[each + 1 for each in others], item + 1], solved, rtol=1e-5, atol=1e-8)
        assert weights[item + 1, item + 1] == 0.0


@given(logs, ridges)
def test_blocks_of_few_rows_give_what_one_block_gives(lists: list[list[int]], l2: float) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ease, "_ROWS_A_BLOCK", 3)
        in_blocks = weights_of(prepared(lists, l2))
    np.testing.assert_array_equal(in_blocks, weights_of(prepared(lists, l2)))


def test_an_item_without_users_votes_for_none_and_gets_no_votes() -> None:
    weights = weights_of(prepared([[1, 2], [2, 9]]))
    assert not weights[[0, 4]].any()
    assert not weights[:, [0, 4]].any()
    assert weights[2, 9] > 0


def test_users_without_items_and_a_log_without_any_are_scored_zero() -> None:
    assert not scores_of(prepared([[1, 2], []]))[1].any()
    assert not scores_of(prepared([[], []])).any()


def test_a_user_in_several_rows_is_scored_in_each() -> None:
    model = prepared([[1, 2], [2, 9], [1, 9, 3]])
    users = torch.tensor([2, 2, 0, 2, 1, 1])
    scores = model.encode(users, torch.zeros(6, 2, dtype=torch.int64)).numpy()
    np.testing.assert_allclose(scores, scores_of(model)[users], rtol=1e-12)


def test_all_that_the_user_has_votes_whatever_the_query_is() -> None:
    model = prepared([[1, 2, 3], [2, 9], [3, 9]])
    np.testing.assert_array_equal(scores_of(model, [[0, 1], [7, 2], [3, 9]]), scores_of(model))


def test_with_the_history_as_voters_the_last_items_of_the_query_vote_and_nothing_after_them() -> None:
    lists = [[1, 2, 3], [2, 9], [3, 9]]
    model, weights = prepared(lists, voters="history"), naive_weights(lists, 10.0)
    scores = scores_of(model, [[0, 1], [2, 2], [3, 9]])
    wanted = np.array([weights[1], weights[2], weights[3] + weights[9]])
    np.testing.assert_allclose(scores, wanted, rtol=1e-5, atol=1e-8)


def test_with_the_history_as_voters_a_list_knows_nothing_of_the_target() -> None:
    """Two users who differ in their last item alone are told apart by `training`, at the query before it, and not by
    `history`."""
    lists = [[1, 2, 3], [1, 2, 9], [3, 4], [3, 4], [9, 5], [9, 5]]
    before_the_last = [[1, 2]] * len(lists)
    by_all, by_history = (
        scores_of(prepared(lists, voters=voters), before_the_last) for voters in ("training", "history")
    )
    assert by_all[0, 4] > by_all[0, 5]
    assert by_all[1, 4] < by_all[1, 5]
    np.testing.assert_array_equal(by_history[0], by_history[1])


@pytest.mark.parametrize("recency", [0.5, 1.0, 2.0])
def test_older_items_of_a_history_count_less_as_recency_says(recency: float) -> None:
    lists = [[1, 2, 3], [2, 9], [3, 9]]
    model, weights = prepared(lists, voters="history", recency=recency), naive_weights(lists, 10.0)
    older = 2.0**-recency
    wanted = np.array([weights[1], weights[2], older * weights[3] + weights[9]])
    history = [[0, 1], [2, 2], [3, 9]]
    np.testing.assert_allclose(scores_of(model, history), wanted, rtol=1e-5, atol=1e-8)
    form = served(model.float(), sequences(lists))
    longer = torch.tensor([[0, 0, 0, 1], [0, 3, 2, 2], [9, 1, 3, 9]])
    np.testing.assert_allclose(form.encode(torch.tensor([3, 3, 3]), longer), wanted, rtol=1e-5, atol=1e-6)


def test_recency_needs_a_history_to_vote() -> None:
    with pytest.raises(ValueError, match="recency: 1 needs voters = 'history', in which items have an age"):
        EASE.Config(recency=1.0)


def test_a_catalogue_that_is_too_large_is_refused_before_anything_is_allocated() -> None:
    with pytest.raises(ConfigError) as caught:
        EASE(EASE.Config(), Catalogue(5, 1_000_000, 2))
    assert str(caught.value) == (
        "kind = 'ease': 1,000,000 items are more than 20,000, and a weight for each pair takes 4000.0 GB; "
        "take 'item_knn', or raise [data] min_item_interactions"
    )


def test_items_that_are_always_together_and_the_least_ridge_are_solved_all_the_same() -> None:
    lists = [[1, 2]] * 50
    np.testing.assert_allclose(weights_of(prepared(lists, l2=0.01)), naive_weights(lists, 0.01), rtol=1e-5, atol=1e-8)


def test_it_is_better_than_popularity_where_there_are_tastes() -> None:
    split = rd.read("synthetic", users=200, items=60, length=20, seed=3).split("leave_last_out")
    ours, popular = (
        rd.evaluate(rd.recommend(rd.train(config, split), split.test_queries), split.test_queries, ["ndcg@10"]).mean()
        for config in (EASE.Config(l2=20.0), rd.Popularity.Config())
    )
    assert ours["ndcg@10"] > 1.2 * popular["ndcg@10"]


def test_in_production_the_last_items_of_a_long_history_vote_alone_where_the_history_does() -> None:
    lists = [[1, 2, 3], [2, 9], [3, 9]]
    model = prepared(lists, voters="history").float()
    form, strangers = served(model, sequences(lists)), torch.tensor([3, 3])
    long = torch.tensor([[5, 3, 1, 2, 9], [0, 0, 0, 0, 1]])
    found = form.encode(strangers, long)
    torch.testing.assert_close(found, model.encode(torch.tensor([0, 0]), long[:, -2:]))
