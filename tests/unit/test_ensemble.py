"""Several models as one teacher."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import rankdistill as rd
from rankdistill.data.queries import Queries
from rankdistill.errors import ConfigError
from rankdistill.model_folder import load_model, save_model
from rankdistill.pipeline import build
from rankdistill.ranker import rank
from rankdistill.served import served


@pytest.fixture(scope="module")
def members(split: rd.Split) -> list[rd.Ranker]:
    configs = (rd.Caser.Config(dim=4), rd.MatrixFactorization.Config(dim=6), rd.ItemKNN.Config())
    return [build(config, split, seed) for seed, config in enumerate(configs)]


def asked(split: rd.Split, count: int) -> Queries:
    return split.windows.queries("targets", slice(0, count), split.untrained_items)


def score_of(model: rd.Ranker, split: rd.Split, query: int, item: int) -> float:
    one = asked(split, query + 1).rows(query, query + 1)
    users, history = (torch.from_numpy(each.astype(np.int64)) for each in (one.users, one.history))
    with torch.no_grad():
        return float(model.score(model.encode(users, history), torch.tensor([[item]]))[0, 0])


@pytest.mark.parametrize("weights", [None, [1.0, 2.0, 0.5]])
def test_scores_are_the_weighted_mean_of_log_probabilities(
    members: list[rd.Ranker], split: rd.Split, weights: Any
) -> None:
    ensemble = rd.Ensemble.of(members, weights, "log_sigmoid").eval()
    lists = rank(ensemble, asked(split, 7), 5)
    assert lists.scores is not None
    shares = weights or [1.0, 1.0, 1.0]
    for query, (items, scores) in enumerate(zip(lists.items.tolist(), lists.scores.tolist(), strict=True)):
        for item, score in zip(items, scores, strict=True):
            logs = [-math.log1p(math.exp(-score_of(member, split, query, item))) for member in members]
            wanted = sum(share * log for share, log in zip(shares, logs, strict=True)) / sum(shares)
            assert score == pytest.approx(wanted, rel=1e-5)
    assert rank(ensemble, asked(split, 1), split.num_items).items[0, :5].tolist() == lists.items[0].tolist()


@pytest.mark.parametrize("size", [1e308, 1e-320])
def test_only_what_the_weights_are_to_each_other_counts(members: list[rd.Ranker], split: rd.Split, size: float) -> None:
    wanted, found = (rd.Ensemble.of(members, weights).eval() for weights in (None, [size] * 3))
    np.testing.assert_array_equal(everything(found, split, 3), everything(wanted, split, 3))


@pytest.mark.parametrize(
    ("losses", "combine"),
    [
        ([rd.Softmax, rd.Softmax], "log_softmax"),
        ([rd.Pointwise, rd.GBCE], "log_sigmoid"),
        ([rd.Pointwise, rd.Softmax], "z_score"),
        ([rd.Pointwise, rd.Pairwise], "z_score"),
        ([rd.Pairwise, rd.Pairwise], "z_score"),
    ],
)
def test_what_is_added_up_follows_from_the_losses_of_the_models_trained_here_or_loaded(
    split: rd.Split, losses: list[Any], combine: str, tmp_path: Path
) -> None:
    train = rd.TrainConfig(epochs=0, device="cpu")
    models = [rd.train(rd.Caser.Config(dim=2), split, rd.Settings(loss=loss.Config(), train=train)) for loss in losses]
    assert rd.Ensemble.of(models).config.combine == combine
    for number, model in enumerate(models):
        save_model(tmp_path / str(number), model, split.user_ids, split.item_ids, {})
    loaded = [load_model(tmp_path / str(number))[0] for number in range(len(models))]
    assert rd.Ensemble.of(loaded).config.combine == combine


def test_models_that_learned_by_no_loss_are_added_up_by_z_score(split: rd.Split) -> None:
    train = rd.Settings(train=rd.TrainConfig(epochs=0, device="cpu"))
    caser, ease = rd.train(rd.Caser.Config(dim=2), split, train), rd.train(rd.EASE.Config(), split, train)
    assert rd.Ensemble.of([caser, ease]).config.combine == "z_score"
    both = rd.Ensemble.of([caser, caser])
    assert both.config.combine == "log_sigmoid"
    assert rd.Ensemble.of([caser, both]).config.combine == "z_score"


def test_the_loss_of_a_model_is_read_from_the_settings_of_an_earlier_card(split: rd.Split, tmp_path: Path) -> None:
    model = build(rd.Caser.Config(dim=2), split, 0)
    about = {"settings": {"ranking_loss.kind": "softmax"}}
    save_model(tmp_path, model, split.user_ids, split.item_ids, about)
    card = json.loads((tmp_path / "model.json").read_text())
    del card["ranking_loss"]
    (tmp_path / "model.json").write_text(json.dumps(card))
    assert load_model(tmp_path)[0].ranking_loss == "softmax"


def test_it_is_labelled_and_distilled_from_like_any_teacher(members: list[rd.Ranker], split: rd.Split) -> None:
    ensemble = rd.Ensemble.of(members)
    lists = rd.label(ensemble, split, k=4)
    assert len(lists) == len(split.windows)
    train = rd.TrainConfig(epochs=1, device="cpu")
    rd.distill(lists, rd.Caser.Config(dim=2), split, rd.RankingDistillation.Config(k=4), rd.Settings(train=train))


def test_a_model_of_weight_0_takes_no_part(
    members: list[rd.Ranker], split: rd.Split, caplog: pytest.LogCaptureFixture
) -> None:
    other = rd.read("synthetic", users=40, items=30, length=12).split("leave_last_out")
    unfit = [build(rd.Fossil.Config(dim=2), split, 0), build(rd.Caser.Config(dim=4), other, 0)]
    with caplog.at_level("INFO", "rankdistill"):
        found = rd.Ensemble.of([unfit[0], *members, unfit[1]], [0.0, 1.0, 2.0, 0.5, 0.0]).eval()
    assert caplog.messages == ["left out for a weight of 0: Fossil, Caser"]
    wanted = rd.Ensemble.of(members, [1.0, 2.0, 0.5]).eval()
    assert found.config == wanted.config
    assert found.parameters_count == sum(each.parameters_count for each in members)
    np.testing.assert_array_equal(everything(found, split, 3), everything(wanted, split, 3))


def test_what_cannot_be_one_teacher_is_refused(members: list[rd.Ranker], split: rd.Split) -> None:
    with pytest.raises(ConfigError, match="an ensemble of no models"):
        rd.Ensemble.of([])
    with pytest.raises(ConfigError, match="give one number from 0 on for each of the 3 models"):
        rd.Ensemble.of(members, [1.0, 2.0])
    for wrong in (float("nan"), float("inf"), -1.0):
        with pytest.raises(ConfigError, match="give one number from 0 on"):
            rd.Ensemble.of(members, [wrong, 1.0, 1.0])
    with pytest.raises(ConfigError, match="a Fossil cannot be one of several models"):
        rd.Ensemble.of([*members, build(rd.Fossil.Config(dim=2), split, 0)])
    other = rd.read("synthetic", users=40, items=30, length=12).split("leave_last_out")
    with pytest.raises(ConfigError, match="an ensemble of models of different data"):
        rd.Ensemble.of([*members, build(rd.Caser.Config(dim=4), other, 0)])


def everything(model: rd.Ranker, split: rd.Split, count: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Scores [count, I] of the items by the model's own `score`."""
    queries = asked(split, count)
    users, history = (torch.from_numpy(each.astype(np.int64)) for each in (queries.users, queries.history))
    with torch.no_grad():
        return model.score(model.encode(users, history))[:, 1:].double().numpy()


@pytest.mark.parametrize("combine", ["log_softmax", "z_score"])
def test_scores_of_other_scales_are_made_comparable(members: list[rd.Ranker], split: rd.Split, combine: Any) -> None:
    weights = [1.0, 2.0, 0.5]
    ensemble = rd.Ensemble.of(members, weights, combine).eval()
    wanted = np.zeros((5, split.num_items))
    for member, weight in zip(members, weights, strict=True):
        scores = everything(member, split, 5)
        for row in range(5):
            own = scores[row]
            if combine == "z_score":
                mean = sum(own) / len(own)
                deviation = math.sqrt(sum((each - mean) ** 2 for each in own) / len(own))
                own = (own - mean) / deviation if deviation else 0 * own
            wanted[row] += weight / sum(weights) * own
    np.testing.assert_allclose(everything(ensemble, split, 5), wanted, rtol=1e-4, atol=1e-5)


def test_the_mean_of_log_softmax_ranks_as_the_mean_of_scores_does(members: list[rd.Ranker], split: rd.Split) -> None:
    ours = everything(rd.Ensemble.of(members[:2], [2.0, 1.0], "log_softmax").eval(), split, 5)
    logs = [torch.log_softmax(torch.from_numpy(everything(each, split, 5)), 1).numpy() for each in members[:2]]
    true = (2 * logs[0] + logs[1]) / 3
    difference = ours - true
    np.testing.assert_allclose(difference, difference[:, :1].repeat(split.num_items, 1), atol=1e-5)


def test_a_model_that_tells_no_item_from_another_counts_nothing(members: list[rd.Ranker], split: rd.Split) -> None:
    flat = build(rd.Popularity.Config(), split, 0)
    flat.get_buffer("counts").fill_(3.0)
    with_it = everything(rd.Ensemble.of([members[0], flat], combine="z_score").eval(), split, 3)
    alone = everything(rd.Ensemble.of([members[0]], combine="z_score").eval(), split, 3)
    np.testing.assert_allclose(2 * with_it, alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("combine", ["log_sigmoid", "log_softmax", "z_score"])
def test_scores_of_some_items_are_those_of_the_whole_catalogue(
    members: list[rd.Ranker], split: rd.Split, combine: Any
) -> None:
    ensemble = rd.Ensemble.of(members, combine=combine).eval()
    users, history = torch.tensor([0, 3]), torch.tensor([[1, 2, 3, 4, 5], [0, 0, 0, 7, 9]])
    with torch.no_grad():
        queries = ensemble.encode(users, history)
        whole, items = ensemble.score(queries), torch.tensor([[4, 1, 9], [2, 2, 30]])
        torch.testing.assert_close(ensemble.score(queries, items), whole.gather(1, items))
        torch.testing.assert_close(ensemble.score(queries, items[0]), whole[:, items[0]])


@pytest.mark.parametrize("combine", ["log_sigmoid", "log_softmax", "z_score"])
def test_it_comes_back_from_its_folder_and_is_served_as_it_is(split: rd.Split, combine: Any, tmp_path: Path) -> None:
    settings = rd.Settings(train=rd.TrainConfig(epochs=1, device="cpu"))
    configs = (rd.Caser.Config(dim=4), rd.LightGCN.Config(dim=4), rd.EASE.Config(), rd.ItemKNN.Config())
    ensemble = rd.Ensemble.of([rd.train(each, split, settings) for each in configs], combine=combine).eval()
    save_model(tmp_path, ensemble, split.user_ids, split.item_ids, {"role": "teacher"})
    again, card = load_model(tmp_path)
    assert (card["kind"], card["parameters"]) == ("ensemble", ensemble.parameters_count)
    wanted = rank(ensemble, split.test_queries, 5)
    found = rank(again, split.test_queries, 5)
    np.testing.assert_array_equal(found.items, wanted.items)
    np.testing.assert_array_equal(found.scores, wanted.scores)
    form = served(again, split.train)
    assert form.has_users
    for row, user in enumerate(split.test_queries.users[:8].tolist()):
        items, scores = form.best(user, split.train.of(user), 5)
        assert items.tolist() == wanted.items[row].tolist()
        np.testing.assert_allclose(scores, wanted.scores[row], rtol=1e-4)
    stranger = form.best(split.num_users, np.array([3, 7]), 5)
    assert np.isfinite(stranger[1]).all()
