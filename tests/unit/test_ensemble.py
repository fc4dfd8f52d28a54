"""Several models as one teacher."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

import rankdistill as rd
from rankdistill.data.queries import Queries
from rankdistill.errors import ConfigError
from rankdistill.pipeline import build
from rankdistill.ranker import rank


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
    ensemble = rd.Ensemble.of(members, weights).eval()
    lists = rank(ensemble, asked(split, 7), 5)
    assert lists.scores is not None
    shares = weights or [1.0, 1.0, 1.0]
    for query, (items, scores) in enumerate(zip(lists.items.tolist(), lists.scores.tolist(), strict=True)):
        for item, score in zip(items, scores, strict=True):
            logs = [-math.log1p(math.exp(-score_of(member, split, query, item))) for member in members]
            wanted = sum(share * log for share, log in zip(shares, logs, strict=True)) / sum(shares)
            assert score == pytest.approx(wanted, rel=1e-5)
    assert rank(ensemble, asked(split, 1), split.num_items).items[0, :5].tolist() == lists.items[0].tolist()


def test_it_is_labelled_and_distilled_from_like_any_teacher(members: list[rd.Ranker], split: rd.Split) -> None:
    ensemble = rd.Ensemble.of(members)
    lists = rd.label(ensemble, split, k=4)
    assert len(lists) == len(split.windows)
    train = rd.TrainConfig(epochs=1, device="cpu")
    rd.distill(lists, rd.Caser.Config(dim=2), split, rd.RankingDistillation.Config(k=4), rd.Settings(train=train))


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
