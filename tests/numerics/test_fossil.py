"""Fossil against its formula in plain Python, and its training by row against Adam on whole tables."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import rankdistill as rd
from rankdistill.config import TrainConfig
from rankdistill.data.negatives import NegativeSampler
from rankdistill.data.queries import Exclude
from rankdistill.data.sequences import Sequences
from rankdistill.data.teacher_items import TeacherItems
from rankdistill.data.windows import Windows
from rankdistill.loss import Objective
from rankdistill.models.fossil import Fossil
from rankdistill.pipeline import build
from rankdistill.ranker import Catalogue, Ranker, model_state, rank
from rankdistill.training import Session, TrainingData, fit

ITEMS, LENGTH, DIM = 12, 3, 4
TRAIN = [[1, 2, 3, 4, 5], [], [7], [3, 3, 9, 3, 9, 11], [12, 1]]
"""A usual user, one without items, one with a single item, one who comes back to items, one with fewer than L."""
USERS = torch.tensor([0, 1, 2, 3, 4, 0, 3])
HISTORY = torch.tensor([[3, 4, 5], [0, 0, 0], [0, 0, 7], [3, 9, 11], [0, 12, 1], [1, 2, 8], [3, 3, 3]])


def sequences(lists: list[list[int]]) -> Sequences:
    users = np.repeat(np.arange(len(lists)), [len(each) for each in lists])
    return Sequences.from_pairs(users, np.array([i for each in lists for i in each], dtype=np.int32), len(lists))


def small(exponent: float = 0.2) -> Fossil:
    """A model in float64 in which every parameter counts."""
    torch.manual_seed(0)
    model = Fossil(Fossil.Config(dim=DIM, history_exponent=exponent), Catalogue(len(TRAIN), ITEMS, LENGTH))
    for parameter in model.parameters():
        nn.init.normal_(parameter)
    model.prepare(sequences(TRAIN))
    return model.double().eval()


def naive(model: Fossil, user: int, history: list[int], item: int) -> float:
    """The score of one item, term by term."""
    vectors, items = model.history_vectors.tolist(), model.item_vectors.tolist()
    weights, own_weights = model.weights.tolist(), model.user_weights[user].tolist()
    has = set(TRAIN[user])
    scale = len(has) ** -model.config.history_exponent if has else 0.0
    score = model.item_bias[item].item()
    for d in range(DIM):
        query = 0.0
        for other in has - {item}:
            query += scale * vectors[other][d]
        for k in range(1, LENGTH + 1):
            last = history[-k]
            if last:
                query += (weights[k - 1] + own_weights[k - 1]) * vectors[last][d]
        score += query * items[item][d]
    return score


def scores_of(model: Ranker, items: Tensor | None = None) -> Tensor:
    return model.adjust(model.score(model.encode(USERS, HISTORY), items), USERS, items)


@pytest.mark.parametrize("exponent", [0.0, 0.2, 1.0])
def test_scores_are_those_of_the_formula_for_items_that_a_user_has_and_for_others(exponent: float) -> None:
    model = small(exponent)
    expected = [
        [naive(model, user, history, item) for item in range(1, ITEMS + 1)]
        for user, history in zip(USERS.tolist(), HISTORY.tolist(), strict=True)
    ]
    np.testing.assert_allclose(scores_of(model).detach()[:, 1:], expected, rtol=1e-12, atol=1e-12)


def test_scores_of_chosen_items_are_those_of_the_whole_catalogue_one_sample_for_all_or_some_for_each() -> None:
    model, generator = small(), torch.Generator().manual_seed(0)
    everything = scores_of(model)
    each = torch.randint(0, ITEMS + 1, (len(USERS), 9), generator=generator)
    sample = torch.tensor([11, 3, 3, 1, 7, 12, 9])
    torch.testing.assert_close(scores_of(model, each), everything.gather(1, each), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(scores_of(model, sample), everything[:, sample], rtol=1e-12, atol=1e-12)


def test_adjusting_changes_the_scores_of_own_items_alone_and_leaves_what_it_was_given() -> None:
    model = small()
    given = model.score(model.encode(USERS, HISTORY))
    before = given.clone()
    changed = model.adjust(given, USERS) != before
    assert torch.equal(given, before)
    assert [set(torch.nonzero(row).flatten().tolist()) for row in changed] == [set(TRAIN[u]) for u in USERS.tolist()]


def dense(model: Fossil, items: Tensor) -> Tensor:
    """The scores [B, n] of items [B, n] with the whole of each history in one dense matrix."""
    has = torch.zeros(len(TRAIN), ITEMS + 1, dtype=torch.float64)
    for user, owned in enumerate(TRAIN):
        has[user, owned] = 1.0
    has = has[USERS].unsqueeze(1).repeat(1, items.shape[1], 1)  # [B, n, I + 1]
    scale = has.sum(2).clamp_min(1) ** -model.config.history_exponent
    has.scatter_(2, items.unsqueeze(2), 0.0)
    long_term = scale.unsqueeze(2) * (has @ model.history_vectors)
    places = nn.functional.one_hot(HISTORY, ITEMS + 1).double()
    places[..., 0] = 0.0
    weights = (model.weights + model.user_weights[USERS]).flip(1)
    short_term = torch.einsum("bl,bli,id->bd", weights, places, model.history_vectors)
    queries = long_term + short_term.unsqueeze(1)
    return (queries * model.item_vectors[items]).sum(2) + model.item_bias[items]


@pytest.mark.parametrize("form", ["each", "sample", "catalogue"])
def test_gradients_are_those_of_a_dense_history(form: str) -> None:
    model, generator = small(), torch.Generator().manual_seed(1)
    items = {
        "each": torch.randint(1, ITEMS + 1, (len(USERS), 6), generator=generator),
        "sample": torch.tensor([3, 9, 3, 1, 7]),
        "catalogue": None,
    }[form]
    every = torch.arange(ITEMS + 1) if items is None else items
    every = every.expand(len(USERS), -1)
    weights = torch.randn(every.shape, generator=generator, dtype=torch.float64) * (every > 0)
    parameters = dict(model.named_parameters())
    found, expected = (
        torch.autograd.grad((scores.sigmoid() * weights).sum(), list(parameters.values()))
        for scores in (scores_of(model, items), dense(model, every))
    )
    for name, ours, theirs in zip(parameters, found, expected, strict=True):
        assert theirs.abs().sum() > 0, name
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12, msg=name)


def test_a_user_without_items_is_scored_by_the_bias_and_what_she_looked_at_last() -> None:
    model = small()
    users, nothing = torch.tensor([1]), torch.zeros(1, LENGTH, dtype=torch.int64)
    assert torch.equal(model.score(model.encode(users, nothing)), model.item_bias.unsqueeze(0))
    one = torch.tensor([[0, 0, 8]])
    expected = (model.weights[0] + model.user_weights[1, 0]) * model.history_vectors[8]
    torch.testing.assert_close(model.encode(users, one)[0], expected, rtol=1e-12, atol=1e-12)


def test_a_model_whose_users_have_nothing_at_all_gives_scores() -> None:
    model = Fossil(Fossil.Config(dim=DIM), Catalogue(2, ITEMS, LENGTH))
    model.prepare(Sequences.empty(2))
    users, items = torch.tensor([0, 1]), torch.tensor([[1, 2], [3, 3]])
    scores = model.score(model.encode(users, torch.tensor([[0, 1, 2], [0, 0, 0]])), items)
    assert torch.equal(model.adjust(scores, users, items), scores)
    assert torch.isfinite(scores).all()


@pytest.mark.parametrize(("dim", "parameters"), [(50, 1_480_760), (20, 640_160)])
def test_gowalla_takes_the_published_number_of_parameters(dim: int, parameters: int) -> None:
    with torch.device("meta"):
        model = Fossil(Fossil.Config(dim=dim), Catalogue(13_149, 14_009, 5))
    assert model.parameters_count == parameters


def test_what_users_have_is_no_parameter(split: rd.Split) -> None:
    model = build(Fossil.Config(dim=DIM), split, 0)
    assert len(model.get_buffer("own.items")) > 0
    assert model.parameters_count == sum(parameter.numel() for parameter in model.parameters())


@dataclass(frozen=True)
class Ranked:
    """A model in float32 with large weights, and the training queries of its data."""

    model: Fossil
    windows: Windows

    @classmethod
    def of(cls, split: rd.Split) -> Ranked:
        model = build(Fossil.Config(dim=8), split, 0)
        assert isinstance(model, Fossil)
        generator = torch.Generator().manual_seed(0)
        for parameter in model.parameters():
            nn.init.normal_(parameter, generator=generator)
        return cls(model, split.windows)


def test_lists_that_may_hold_own_items_are_ranked_by_their_adjusted_scores(split: rd.Split) -> None:
    ranked = Ranked.of(split)
    model, windows = ranked.model, ranked.windows
    never = np.zeros(0, dtype=np.int32)
    lists = rank(model, windows.queries("targets", slice(None), never), 10)
    users, history = torch.from_numpy(windows.users), torch.from_numpy(windows.history()).long()
    with torch.no_grad():
        scores = model.adjust(model.score(model.encode(users, history)), users)
        plain = model.score(model.encode(users, history))
    for table in (scores, plain):
        table[:, 0] = -torch.inf
        table.scatter_(1, torch.from_numpy(windows.targets()).long(), -torch.inf)
    assert lists.items.tolist() == scores.topk(10).indices.tolist()
    assert lists.items.tolist() != plain.topk(10).indices.tolist()
    own = split.train.members()
    assert own(windows.users[:, None], lists.items).mean() > 0.05


def test_lists_without_own_items_need_no_adjusting_and_are_the_same(
    split: rd.Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, queries = Ranked.of(split).model, split.test_queries
    monkeypatch.setattr(Fossil, "factorized", False)
    slowly = rank(model, queries, 10)
    monkeypatch.undo()
    assert slowly.target_ranks is not None
    assert slowly.scores is not None

    def refuse(*arguments: Any) -> Tensor:
        raise AssertionError("own items cannot be in the lists")

    monkeypatch.setattr(Fossil, "adjust", refuse)
    quickly = rank(model, queries, 10)
    assert quickly.scores is not None
    assert quickly.items.tolist() == slowly.items.tolist()
    np.testing.assert_allclose(quickly.scores, slowly.scores, rtol=1e-4)
    assert quickly.target_ranks is not None
    assert quickly.target_ranks.ranks.tolist() == slowly.target_ranks.ranks.tolist()
    with pytest.raises(AssertionError, match="own items"):
        rank(model, queries, 10, Exclude())


class WholeTables:
    """`torch.optim.Adam`, which takes no gradients by row, in the place of ours."""

    def __init__(self, model: Ranker, config: TrainConfig) -> None:
        self.plain = torch.optim.Adam(
            model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, eps=1e-8
        )
        self.zero_grad, self.step = self.plain.zero_grad, self.plain.step

    def holds(self, table: Tensor) -> bool:
        return False

    def set_learning_rate(self, learning_rate: float) -> None:
        """It stays."""

    def bring_all_up(self) -> None:
        """Nothing is ever behind."""


def trained(split: rd.Split, loss: rd.Pairwise | rd.Softmax, lists: rd.Rankings) -> dict[str, Tensor]:
    method = rd.RankingDistillation(rd.RankingDistillation.Config(k=lists.depth, weighting="position"))
    model = build(Fossil.Config(dim=8), split, 3)
    data = TrainingData(split.windows, NegativeSampler.of(split.train, split.num_items), 3, TeacherItems(lists.items))
    config = TrainConfig(epochs=3, batch_size=64, device="cpu", learning_rate=0.01)
    fit(model, data, Objective(loss, method), config, Session(seed=3))
    return model_state(model)


@pytest.mark.parametrize("loss", [rd.Pairwise(rd.Pairwise.Config()), rd.Softmax(rd.Softmax.Config())])
def test_training_by_row_moves_it_as_adam_on_whole_tables(
    loss: rd.Pairwise | rd.Softmax, ways: str, split: rd.Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step reads a row of P for the long term, for the short term and to adjust the score of the item itself."""
    lists = rd.label(rd.train(rd.Popularity.Config(), split), split, k=5)
    by_row = trained(split, loss, lists)
    monkeypatch.setattr(sys.modules[fit.__module__], "Adam", WholeTables)
    whole, start = trained(split, loss, lists), model_state(build(Fossil.Config(dim=8), split, 3))
    for name, _ in build(Fossil.Config(dim=8), split, 3).named_parameters():
        moved = (whole[name] - start[name]).norm()
        assert moved > 0, name
        assert (by_row[name] - whole[name]).norm() < 1e-3 * moved, name
