"""Item-kNN against sets in plain Python."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rankdistill.data.sequences import Sequences
from rankdistill.models import item_knn
from rankdistill.models.item_knn import ItemKNN
from rankdistill.ranker import Catalogue

ITEMS = 9
logs = st.lists(st.lists(st.integers(1, ITEMS), max_size=8), min_size=1, max_size=12)
shrinks = st.sampled_from([0.0, 0.5, 10.0])


def prepared(lists: list[list[int]], neighbors: int = ITEMS, shrink: float = 0.0, num_items: int = ITEMS) -> ItemKNN:
    users = np.repeat(np.arange(len(lists)), [len(each) for each in lists])
    train = Sequences.from_pairs(users, np.array([i for each in lists for i in each], dtype=np.int32), len(lists))
    model = ItemKNN(ItemKNN.Config(neighbors=neighbors, shrink=shrink), Catalogue(len(lists), num_items, 2))
    model.prepare(train)
    return model.double()


def scores_of(model: ItemKNN) -> torch.Tensor:
    users = torch.arange(model.catalogue.num_users)
    return model.score(model.encode(users, torch.zeros(len(users), 2, dtype=torch.int64)))


def nearest_of(model: ItemKNN, item: int) -> dict[int, float]:
    """The neighbours of an item, in the order in which they are kept, and their similarities."""
    starts = model.get_buffer("starts").tolist()
    kept = slice(starts[item], starts[item + 1])
    neighbors, similarities = (model.get_buffer(name)[kept].tolist() for name in ("neighbors", "similarities"))
    return dict(zip(neighbors, similarities, strict=True))


def naive_nearest(lists: list[list[int]], item: int, neighbors: int, shrink: float) -> dict[int, float]:
    """The same, with the users of each item as a set; similarities that float32 cannot tell apart are equal."""
    users = {each: {user for user, owned in enumerate(lists) if each in owned} for each in range(ITEMS + 1)}
    similar = {}
    for other in range(1, ITEMS + 1):
        both = len(users[item] & users[other])
        if both and other != item:
            similar[other] = both / (math.sqrt(len(users[item]) * len(users[other])) + shrink)
    order = sorted(similar, key=lambda other: (-np.float32(similar[other]), other))
    return {other: similar[other] for other in order[:neighbors]}


@given(logs, st.integers(1, ITEMS), shrinks)
def test_the_nearest_items_and_the_scores_are_those_of_a_loop(
    lists: list[list[int]], neighbors: int, shrink: float
) -> None:
    model = prepared(lists, neighbors, shrink)
    nearest = {item: naive_nearest(lists, item, neighbors, shrink) for item in range(ITEMS + 1)}
    for item, expected in nearest.items():
        found = nearest_of(model, item)
        assert list(found) == list(expected)
        assert list(found.values()) == pytest.approx(list(expected.values()), rel=1e-6)
    scores = [[sum(nearest[i].get(j, 0.0) for i in set(owned)) for j in range(ITEMS + 1)] for owned in lists]
    np.testing.assert_allclose(scores_of(model), scores, rtol=1e-6, atol=0)


@given(logs, st.integers(1, 4), shrinks)
def test_blocks_of_few_items_give_what_one_block_gives(lists: list[list[int]], neighbors: int, shrink: float) -> None:
    whole = prepared(lists, neighbors, shrink)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(item_knn, "_ITEMS_A_BLOCK", 3)
        in_blocks = prepared(lists, neighbors, shrink)
    for name in ("starts", "neighbors", "similarities"):
        assert torch.equal(in_blocks.get_buffer(name), whole.get_buffer(name)), name


def test_of_equally_near_items_those_of_smaller_index_are_kept() -> None:
    model = prepared([[5, 9, 2, 7]], neighbors=2)
    assert nearest_of(model, 5) == {2: 1.0, 7: 1.0}
    assert nearest_of(model, 2) == {5: 1.0, 7: 1.0}


def test_similarities_that_differ_by_rounding_alone_count_as_equal() -> None:
    """3 of 9 users and 1 of 1 are as near to an item of 3: 3 / sqrt(27) = 1 / sqrt(3), but not in float64."""
    assert 3 / math.sqrt(27) < 1 / math.sqrt(3)
    lists = [[1, 2, 3], [1, 2], [1, 2], *[[2]] * 6]
    assert list(nearest_of(prepared(lists, neighbors=1), 1)) == [2]


def test_shrinking_takes_more_off_the_similarity_of_rare_items() -> None:
    """Items 1 and 2 share one user of one each, items 3 and 4 four of four."""
    lists = [[1, 2], [3, 4], [3, 4], [3, 4], [3, 4]]
    plain, shrunk = prepared(lists), prepared(lists, shrink=2.0)
    assert [nearest_of(plain, item) for item in (1, 3)] == [{2: 1.0}, {4: 1.0}]
    assert nearest_of(shrunk, 1)[2] == pytest.approx(1 / 3)
    assert nearest_of(shrunk, 3)[4] == pytest.approx(4 / 6)


def test_an_item_without_users_is_near_to_none_and_scored_zero() -> None:
    model = prepared([[1, 2], [2, 9]])
    assert [nearest_of(model, item) for item in (0, 4)] == [{}, {}]
    assert all(4 not in nearest_of(model, item) for item in range(ITEMS + 1))
    scores = scores_of(model)
    assert not scores[:, [0, 4]].any()
    assert scores[0, 9] > 0


def test_users_without_items_and_a_log_without_any_are_scored_zero() -> None:
    assert not scores_of(prepared([[1, 2], []]))[1].any()
    assert not scores_of(prepared([[], []])).any()


def test_coming_back_to_an_item_counts_once() -> None:
    once, often = prepared([[1, 2], [1, 3]]), prepared([[1, 2, 1, 1], [3, 1, 3]])
    assert torch.equal(scores_of(once), scores_of(often))


def test_the_last_items_of_a_query_make_no_difference() -> None:
    model, users = prepared([[1, 2], [2, 9]]), torch.tensor([1, 1])
    first, second = model.encode(users, torch.tensor([[1, 2], [0, 7]]))
    assert torch.equal(first, second)
