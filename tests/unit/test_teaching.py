"""How a method takes the scores of a teacher's lists."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import rankdistill as rd
from rankdistill.distillation.cd import CD
from rankdistill.pipeline import build
from rankdistill.rankings import Rankings
from rankdistill.rankings.fusion import fuse
from rankdistill.stages import digest_of
from rankdistill.teaching import Distillation

K = 6
METHOD = CD.Config(k=K, items=4)


def teacher(split: rd.Split, loss: str | None, seed: int = 0) -> rd.Ranker:
    """A model whose best items have probabilities of about .8."""
    model = build(rd.Caser.Config(dim=4), split, seed)
    model.ranking_loss = loss
    with torch.no_grad():
        model.get_parameter("item_bias").add_(torch.linspace(-1.5, 1.5, split.num_items + 1))
    return model


def taken(lists: Rankings, split: rd.Split) -> Any:
    """The scores [n, K] that the method is given."""
    return Distillation(lists, METHOD).check(split).scores


def warnings_of(lists: Rankings, split: rd.Split) -> list[str]:
    return [line for level, line in Distillation(lists, METHOD).check(split).notes if level == logging.WARNING]


def written(lists: Rankings, split: rd.Split, path: Path) -> Rankings:
    """The lists as they are read back from a file."""
    lists.write(path, split.user_ids, split.item_ids, positions=True)
    return Rankings.read(path, split.item_ids, split.user_ids)


@pytest.mark.parametrize("loss", ["pointwise", "gbce"])
@pytest.mark.parametrize("from_file", [False, True])
def test_an_ensemble_of_one_teaches_what_the_model_alone_does(
    split: rd.Split, loss: str, from_file: bool, tmp_path: Path
) -> None:
    alone = rd.label(teacher(split, loss), split, k=K)
    together = rd.label(rd.Ensemble.of([teacher(split, loss)]), split, k=K)
    assert (alone.score_scale, together.score_scale) == ("log_odds", "log_probability")
    if from_file:
        together = written(together, split, tmp_path / "lists.parquet")
        alone = written(alone, split, tmp_path / "alone.parquet")
        assert (alone.score_scale, together.score_scale) == ("log_odds", "log_probability")
    assert alone.scores is not None
    assert together.scores is not None
    assert alone.scores.min() > 0 > together.scores.max()
    np.testing.assert_allclose(taken(together, split), alone.scores, rtol=1e-5)
    np.testing.assert_array_equal(taken(alone, split), alone.scores)
    assert warnings_of(alone, split) == warnings_of(together, split) == []


def test_the_probability_is_the_geometric_mean_of_the_members(split: rd.Split) -> None:
    models = [teacher(split, "pointwise", seed) for seed in (0, 1)]
    lists = rd.label(rd.Ensemble.of(models), split, k=K)
    assert lists.scores is not None
    wanted = np.exp(lists.scores.astype(np.float64))
    odds = taken(lists, split).astype(np.float64)
    np.testing.assert_allclose(1 / (1 + np.exp(-odds)), wanted, rtol=1e-5)


def test_what_is_learnt_from_tells_converted_scores_apart_and_no_others(split: rd.Split) -> None:
    lists = rd.label(rd.Ensemble.of([teacher(split, "pointwise")]), split, k=K)
    other = rd.plugins.find("distillation", "rankdistil").Config(k=K)
    scales = ("log_odds", "log_probability", "relative", None)
    for method, digests in ((METHOD, 2), (other, 1)):
        assert len({digest_of(replace(lists, score_scale=scale), method) for scale in scales}) == digests
    assert digest_of(replace(lists, score_scale=None), METHOD) == digest_of(
        replace(lists, score_scale="log_odds"), METHOD
    )


def test_a_certain_item_and_the_end_of_a_short_list_stay_numbers(split: rd.Split) -> None:
    lists = rd.label(rd.Ensemble.of([teacher(split, "pointwise")]), split, k=K)
    assert lists.scores is not None
    certain = np.tile(np.array([0, -1e-30, -1, -50, -1e4, -1e30], dtype=np.float32), (len(lists), 1))
    odds = taken(replace(lists, scores=certain), split)
    assert np.isfinite(odds).all()
    assert (np.diff(odds, axis=1) <= 0).all()
    assert odds[0, 2] == pytest.approx(np.log(np.exp(-1) / (1 - np.exp(-1))), rel=1e-6)


@pytest.mark.parametrize("what", ["softmax", "pairwise", "fused", "z_score", "ease"])
def test_scores_that_are_no_log_odds_are_named(split: rd.Split, what: str, caplog: pytest.LogCaptureFixture) -> None:
    if what == "fused":
        lists = fuse([rd.label(teacher(split, "pointwise", seed), split, k=K) for seed in (0, 1)], by="scores")
    elif what == "z_score":
        lists = rd.label(rd.Ensemble.of([teacher(split, "pointwise")], combine="z_score"), split, k=K)
    elif what == "ease":
        lists = rd.label(rd.train(rd.EASE.Config(), split), split, k=K)
    else:
        lists = rd.label(teacher(split, what), split, k=K)
    assert lists.score_scale == ("shifted_log_probability" if what == "softmax" else "relative")
    [line] = warnings_of(lists, split)
    assert line.startswith(
        f"{lists.source}: scores that are no log-odds, which [distillation] kind = 'cd' takes them for"
    )
    np.testing.assert_array_equal(taken(lists, split), lists.scores)
    with caplog.at_level("WARNING", "rankdistill"):
        Distillation(lists, METHOD).items_for(split)
    assert line in caplog.messages


def test_lists_of_somebody_else_and_other_methods_take_scores_as_they_are(split: rd.Split) -> None:
    lists = rd.label(rd.Ensemble.of([teacher(split, "pointwise")]), split, k=K)
    other = Distillation(lists, rd.plugins.find("distillation", "rankdistil").Config(k=K)).check(split)
    np.testing.assert_array_equal(other.scores, lists.scores)
    foreign = replace(lists, score_scale=None)
    np.testing.assert_array_equal(taken(foreign, split), lists.scores)
    assert warnings_of(foreign, split) == []


def test_files_that_say_different_things_of_their_scores_say_nothing_together(split: rd.Split, tmp_path: Path) -> None:
    parts = [rd.label(teacher(split, loss), split, k=K, shard=(n, 2)) for n, loss in ((1, "pointwise"), (2, "softmax"))]
    for number, part in enumerate(parts):
        part.write(tmp_path / f"{number}.parquet", split.user_ids, split.item_ids, positions=True)
    assert Rankings.read(tmp_path, split.item_ids, split.user_ids).score_scale is None
