from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import rankdistill as rd
from rankdistill.data.queries import Exclude, Queries
from rankdistill.data.sequences import Sequences
from rankdistill.errors import TrainingError
from rankdistill.models.popularity import Popularity
from rankdistill.ranker import Catalogue, Ranker, device_named, rank


class Table(Ranker):
    """Each user has a row of scores [I + 1] of her own."""

    Config = Popularity.Config

    def __init__(self, scores: Tensor) -> None:
        super().__init__(Popularity.Config(), Catalogue(len(scores), scores.shape[1] - 1, 2))
        self.register_buffer("scores", scores)

    def encode(self, users: Tensor, history: Tensor) -> Tensor:
        return self.get_buffer("scores")[users]

    def score(self, queries: Tensor, items: Tensor | None = None) -> Tensor:
        return queries.clone() if items is None else queries.gather(1, items)


def sequences(lists: list[list[int]]) -> Sequences:
    users = np.repeat(np.arange(len(lists)), [len(each) for each in lists])
    return Sequences.from_pairs(users, np.array([i for each in lists for i in each], dtype=np.int32), len(lists))


def queries_of(num_users: int, exclude: Exclude | None = None, relevant: Sequences | None = None) -> Queries:
    users = np.arange(num_users)
    history = np.zeros((num_users, 2), dtype=np.int32)
    return Queries(users << 32, users, history, exclude or Exclude(), relevant)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Tensor, Queries, list[set[int]]]:
    """Scores full of ties, all three kinds of exclusion, and relevant items, excluded ones among them."""
    num_users, num_items = draw(st.integers(1, 6)), draw(st.integers(1, 12))
    levels = draw(st.integers(1, 8))
    generator = np.random.default_rng(draw(st.integers(0, 10_000)))
    scores = generator.integers(0, levels, size=(num_users, num_items + 1)) / 7
    some = st.lists(st.integers(1, num_items), max_size=5)
    seen, relevant = (draw(st.lists(some, min_size=num_users, max_size=num_users)) for _ in range(2))
    per_query = generator.integers(0, num_items + 1, size=(num_users, draw(st.integers(0, 3))))
    never = draw(some)
    exclude = Exclude(sequences(seen), per_query.astype(np.int32), np.array(never, dtype=np.int32))
    out = [{*seen[user], *per_query[user].tolist(), *never, 0} for user in range(num_users)]
    queries = queries_of(num_users, exclude, sequences([sorted(set(each)) for each in relevant]))
    return torch.from_numpy(scores.astype(np.float32)), queries, out


def naive(scores: list[float], out: set[int]) -> list[int]:
    return sorted((item for item in range(len(scores)) if item not in out), key=lambda item: (-scores[item], item))


@given(cases(), st.integers(1, 15), st.sampled_from([1, 30, 1 << 21]))
def test_lists_and_ranks_are_those_of_a_sort(case: tuple[Tensor, Queries, list[set[int]]], k: int, block: int) -> None:
    scores, queries, out = case
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rankdistill.ranker._SCORES_A_BLOCK", block)
        lists = rank(Table(scores), queries, k)
    orders = [naive(row, excluded) for row, excluded in zip(scores.tolist(), out, strict=True)]
    for row, order in zip(lists.items.tolist(), orders, strict=True):
        assert [item for item in row if item] == order[:k]
        assert row == sorted(row, key=lambda item: item == 0)  # PAD stands behind the end alone
    assert queries.relevant is not None
    assert lists.target_ranks is not None
    expected = [
        orders[user].index(item) + 1 if item in orders[user] else 0
        for user, item in zip(queries.relevant.users, queries.relevant.items, strict=True)
    ]
    assert lists.target_ranks.ranks.tolist() == expected
    assert lists.target_ranks.items.tolist() == queries.relevant.items.tolist()
    assert lists.target_ranks.query_ids.tolist() == [int(user) << 32 for user in queries.relevant.users]
    assert lists.target_ranks.depth is None


@given(cases())
def test_the_scores_of_a_list_are_those_of_its_items(case: tuple[Tensor, Queries, list[set[int]]]) -> None:
    scores, queries, _ = case
    lists = rank(Table(scores), queries, 5)
    assert lists.scores is not None
    real = lists.items > 0
    expected = np.take_along_axis(scores.numpy(), lists.items.astype(np.int64), axis=1)
    np.testing.assert_array_equal(lists.scores[real], expected[real])


def test_a_large_catalogue_with_many_ties_is_ranked_as_by_a_sort() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randint(0, 50, (7, 5_001), generator=generator).float()
    lists = rank(Table(scores), queries_of(7), 300)
    assert lists.items.tolist() == [naive(row, {0})[:300] for row in scores.tolist()]


def test_lists_are_sorted_by_query_whatever_the_order_of_the_queries() -> None:
    scores = torch.tensor([[0.0, 1, 2], [0, 2, 1], [0, 1, 2]])
    queries = queries_of(3)
    order = np.array([2, 0, 1])
    mixed = Queries(queries.ids[order], queries.users[order], queries.history[order])
    lists = rank(Table(scores), mixed, 2)
    assert lists.query_ids.tolist() == queries.ids.tolist()
    assert lists.items.tolist() == [[2, 1], [1, 2], [2, 1]]


def test_an_exclusion_that_is_given_takes_the_place_of_the_queries_own() -> None:
    queries = queries_of(1, Exclude(seen=sequences([[1]])))
    scores = torch.tensor([[0.0, 3, 2, 1]])
    assert rank(Table(scores), queries, 3).items.tolist() == [[2, 3, 0]]
    assert rank(Table(scores), queries, 3, Exclude()).items.tolist() == [[1, 2, 3]]


@pytest.mark.parametrize("k", [0, -1])
def test_lists_without_items_are_refused(k: int, split: rd.Split) -> None:
    model = rd.train(rd.Popularity.Config(), split)
    with pytest.raises(rd.RankDistillError, match=f"k = {k} is no length of a list"):
        rd.recommend(model, split.test_queries, k=k)


def test_nothing_asked_is_nothing_answered() -> None:
    lists = rank(Table(torch.zeros(2, 4)), queries_of(0, relevant=sequences([])), 3)
    assert (len(lists), lists.items.shape) == (0, (0, 3))
    assert lists.target_ranks is not None
    assert len(lists.target_ranks.ranks) == 0


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_scores_that_are_no_finite_numbers_are_refused(bad: float) -> None:
    scores = torch.zeros(2, 4)
    scores[1, 2] = bad
    with pytest.raises(TrainingError, match="Table gives scores that are not finite"):
        rank(Table(scores), queries_of(2), 2)


@pytest.mark.parametrize("size", [1e4, 1e30])
def test_scores_however_large_are_ranked(size: float) -> None:
    scores = torch.full((1, 12), size)
    scores[0, 3] = -size
    assert rank(Table(scores), queries_of(1), 11).items.tolist() == [[1, 2, *range(4, 12), 3]]


@pytest.mark.parametrize("training", [True, False])
def test_ranking_leaves_the_model_in_the_mode_it_was_in(training: bool, split: rd.Split) -> None:
    model = rd.train(rd.Popularity.Config(), split).train(training)
    rank(model, split.test_queries, 5)
    assert model.training is training


def test_a_device_that_is_not_there_is_refused_by_name() -> None:
    with pytest.raises(TrainingError, match=r"device 'cuda:93' is not there .* use 'cpu' or 'auto'"):
        device_named("cuda:93")
    assert device_named("cpu").type == "cpu"


@pytest.mark.parametrize("shards", [1, 3, 7])
def test_the_shards_of_a_labelling_are_its_parts(split: rd.Split, shards: int) -> None:
    model = rd.train(rd.Popularity.Config(), split)
    whole = rd.label(model, split, k=4)
    parts = [rd.label(model, split, k=4, shard=(number, shards)) for number in range(1, shards + 1)]
    np.testing.assert_array_equal(np.concatenate([part.query_ids for part in parts]), whole.query_ids)
    np.testing.assert_array_equal(np.concatenate([part.items for part in parts]), whole.items)
    assert {part.fingerprint for part in parts} == {split.fingerprint}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 41}, "k = 41 is more than the catalogue's 40 items give: .* lower k to 39"),
        ({"shard": (0, 2)}, "shard 0/2 does not exist"),
        ({"shard": (3, 2)}, "shard 3/2 does not exist"),
    ],
)
def test_labels_that_cannot_be_made_are_refused(split: rd.Split, options: dict[str, Any], message: str) -> None:
    model = rd.train(rd.Popularity.Config(), split)
    with pytest.raises(rd.RankDistillError, match=message):
        rd.label(model, split, **options)


def test_evaluation_of_deep_lists_agrees_with_the_exact_ranks(split: rd.Split) -> None:
    model = rd.train(rd.Popularity.Config(), split)
    lists = rd.recommend(model, split.test_queries, k=40)
    names = ["ndcg@10", "recall@20", "coverage@5"]
    exact = rd.evaluate(lists, split.test, names, split.num_items)
    listed = rd.evaluate(replace(lists, target_ranks=None), split.test, names, split.num_items)
    np.testing.assert_array_equal(exact.query_ids >> 32, listed.query_ids >> 32)
    assert exact.mean() == pytest.approx(listed.mean(), abs=1e-12)
    assert exact.totals == listed.totals


def test_evaluation_is_against_the_targets_that_are_given(validated: rd.Split) -> None:
    model = rd.train(rd.Popularity.Config(), validated)
    lists = rd.recommend(model, validated.test_queries, k=10)  # brings the ranks of the test items along
    assert validated.validation is not None
    ours = rd.evaluate(lists, validated.validation, ["hit@10"])
    listed = rd.evaluate(replace(lists, target_ranks=None), validated.validation, ["hit@10"])
    assert ours.mean() == listed.mean()


def test_lists_of_queries_in_order_are_not_copied() -> None:
    queries = queries_of(3)
    assert rank(Table(torch.zeros(3, 4)), queries, 2).query_ids is queries.ids


def test_a_model_that_encodes_nothing_cannot_be_made() -> None:
    class Nothing(Ranker):
        Config = Popularity.Config

    with pytest.raises(TypeError, match="Nothing has to give encode, encode_sequences, or a user_table and encode_as"):
        Nothing(Popularity.Config(), Catalogue(2, 3, 1))
