"""LightGCN against dense matrices in numpy, and what it remembers between two questions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import rankdistill as rd
from rankdistill.data.sequences import Sequences
from rankdistill.models.lightgcn import LightGCN
from rankdistill.pipeline import build
from rankdistill.ranker import Catalogue, model_state, rank
from rankdistill.types import Doubles

ITEMS = 7
logs = st.lists(st.lists(st.integers(1, ITEMS), max_size=6), min_size=1, max_size=9)
layers = st.integers(0, 4)


def prepared(lists: list[list[int]], count: int, dim: int = 3) -> LightGCN:
    users = np.repeat(np.arange(len(lists)), [len(each) for each in lists])
    train = Sequences.from_pairs(users, np.array([i for each in lists for i in each], dtype=np.int32), len(lists))
    torch.manual_seed(0)
    model = LightGCN(LightGCN.Config(dim=dim, layers=count), Catalogue(len(lists), ITEMS, 2))
    model.prepare(train)
    return model.double()


def smoothing(lists: list[list[int]], count: int) -> Doubles:
    """1 / (K + 1) sum_k A^k with A as a dense matrix of users and items, entry by entry."""
    num_users, size = len(lists), len(lists) + ITEMS + 1
    graph = np.zeros((size, size))
    for user, owned in enumerate(lists):
        for item in set(owned):
            owners = sum(item in each for each in lists)
            graph[user, num_users + item] = graph[num_users + item, user] = 1 / np.sqrt(len(set(owned)) * owners)
    powers = [np.linalg.matrix_power(graph, k) for k in range(count + 1)]
    return np.asarray(sum(powers) / (count + 1), dtype=np.float64)


def learned(model: LightGCN) -> Doubles:
    return np.concatenate([model.user_vectors.detach().numpy(), model.item_vectors.detach().numpy()])


@given(logs, layers)
def test_scores_are_those_of_dense_matrices(lists: list[list[int]], count: int) -> None:
    model = prepared(lists, count)
    vectors = smoothing(lists, count) @ learned(model)
    wanted = vectors[: len(lists)] @ vectors[len(lists) :].T
    users = torch.arange(len(lists))
    with torch.no_grad():
        found = model.score(model.encode(users, torch.zeros(len(users), 2, dtype=torch.int64)))
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-10, atol=1e-14)


@given(logs, layers)
def test_gradients_are_those_of_dense_matrices(lists: list[list[int]], count: int) -> None:
    model = prepared(lists, count)
    users, items = torch.arange(len(lists)), torch.arange(2 * len(lists)).view(-1, 2) % ITEMS + 1
    scores = model.score(model.encode(users, torch.zeros(len(users), 2, dtype=torch.int64)), items)
    weights = torch.linspace(-1, 2, scores.numel(), dtype=torch.float64).view_as(scores)
    (weights * scores).sum().backward()
    dense = torch.from_numpy(learned(model)).requires_grad_()
    vectors = torch.from_numpy(smoothing(lists, count)) @ dense
    picked = (vectors[: len(lists)].unsqueeze(1) * vectors[len(lists) + items]).sum(2)
    (weights * picked).sum().backward()
    assert model.user_vectors.grad is not None
    assert model.item_vectors.grad is not None
    found = torch.cat([model.user_vectors.grad, model.item_vectors.grad])
    assert dense.grad is not None
    torch.testing.assert_close(found, dense.grad, rtol=1e-10, atol=1e-14)


def test_coming_back_to_an_item_counts_once() -> None:
    once, often = prepared([[1, 2], [1, 3]], 2), prepared([[1, 2, 1, 1], [3, 1, 3]], 2)
    for one, other in zip(once.vectors(), often.vectors(), strict=True):
        assert torch.equal(one, other)


def test_two_items_of_one_user_come_nearer_with_the_first_layers() -> None:
    near, far = (prepared([[1, 2], [3, 4], [1, 2]], count).vectors()[1] for count in (2, 0))
    distance = [(each[1] - each[2]).norm() / each[1].norm() for each in (near, far)]
    assert distance[0] < distance[1]


TRAIN = rd.TrainConfig(epochs=2, device="cpu", batch_size=64, learning_rate=0.01)


@pytest.mark.parametrize("validated", [False, True])
def test_what_was_trained_is_ranked_and_not_what_was_worked_out_on_the_way(split: rd.Split, validated: bool) -> None:
    """The fused optimiser changes numbers without saying so; nothing of an earlier step may be left."""
    data = rd.read("synthetic", users=60, items=40, length=15).split(
        "user_fractions", train_on_validation=not validated
    )
    model = rd.train(LightGCN.Config(dim=4, layers=2), data, rd.Settings(train=TRAIN))
    fresh = build(LightGCN.Config(dim=4, layers=2), data, 9)
    fresh.take(model_state(model))
    ours, wanted = (rank(each, data.test_queries, 10) for each in (model, fresh))
    np.testing.assert_array_equal(ours.items, wanted.items)
    np.testing.assert_array_equal(ours.scores, wanted.scores)


def test_another_state_is_another_answer(split: rd.Split) -> None:
    model, other = (build(LightGCN.Config(dim=4), split, seed).eval() for seed in (0, 1))
    first = rank(model, split.test_queries, 5)
    model.load_state_dict(model_state(other))
    np.testing.assert_array_equal(rank(model, split.test_queries, 5).scores, rank(other, split.test_queries, 5).scores)
    assert not np.array_equal(first.scores, rank(model, split.test_queries, 5).scores)


def test_the_graph_is_spread_over_once_for_many_questions(split: rd.Split, monkeypatch: pytest.MonkeyPatch) -> None:
    model, asked = build(LightGCN.Config(dim=4), split, 0).eval(), []
    from rankdistill.models import lightgcn

    spread = lightgcn._Graph.spread
    monkeypatch.setattr(lightgcn._Graph, "spread", lambda *arguments: asked.append(1) or spread(*arguments))
    for _ in range(3):
        rank(model, split.test_queries, 5)
    assert len(asked) == 1
