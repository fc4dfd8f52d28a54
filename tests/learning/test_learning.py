"""Learning both ways: models find the structure that is there, and none where there is none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

import rankdistill as rd
from rankdistill import plugins
from rankdistill.config import Section, TrainConfig
from rankdistill.data.events import Events
from rankdistill.data.interactions import Interactions
from rankdistill.data.synthetic import MarkovModel
from rankdistill.loss import RankingLossConfig
from rankdistill.models.popularity import Popularity
from rankdistill.pipeline import build
from rankdistill.ranker import Catalogue, Ranker

USERS, ITEMS, LENGTH, K = 400, 50, 20, 5
GROUPS, GROUP_SIZE, GROUP_LENGTH = 5, 10, 8
BPR = rd.Pairwise.Config(negatives=5)


class BestPossible(Ranker):
    """Ranks by the probabilities that the data was drawn from."""

    Config = Popularity.Config

    def __init__(self, split: rd.Split) -> None:
        super().__init__(Popularity.Config(), Catalogue(split.num_users, split.num_items, split.history_length))
        model = MarkovModel.draw(ITEMS, np.random.default_rng(0))  # what `generate` draws first from this seed
        raw = split.item_ids.values.to_numpy() - 1
        table = np.zeros((split.num_items + 1, split.num_items + 1), dtype=np.float32)
        table[1:, 1:] = model.next_probabilities(raw)[:, raw]
        self.register_buffer("table", torch.from_numpy(table))

    def encode(self, users: Tensor, history: Tensor) -> Tensor:
        return self.get_buffer("table")[history[:, -1]]

    def score(self, queries: Tensor, items: Tensor | None = None) -> Tensor:
        return queries.clone() if items is None else queries.gather(1, items)


def config(dim: int) -> rd.Caser.Config:
    return rd.Caser.Config(dim=dim, horizontal_filters=4, dropout=0.001, activation="identity")


def settings(epochs: int, loss: RankingLossConfig | None = None, learning_rate: float = 0.02) -> rd.Settings:
    train = TrainConfig(epochs=epochs, batch_size=128, learning_rate=learning_rate, device="cpu")
    return rd.Settings(loss=loss or rd.Pointwise.Config(negatives=5), train=train)


def quality(model: rd.Ranker, split: rd.Split) -> float:
    lists = rd.recommend(model, split.test_queries, k=10)
    return rd.evaluate(lists, split.test, ["ndcg@10"]).mean()["ndcg@10"]


def overlap(model: rd.Ranker, lists: rd.Rankings, split: rd.Split) -> float:
    """The mean share of a teacher's list that the model's own list holds."""
    ours = rd.label(model, split, k=K)
    shared = [len({*one} & {*other}) for one, other in zip(ours.items.tolist(), lists.items.tolist(), strict=True)]
    return float(np.mean(shared)) / K


@pytest.fixture(scope="module")
def chain() -> rd.Split:
    log = rd.read("synthetic", users=USERS, items=ITEMS, length=LENGTH, seed=0)
    return log.split("leave_last_out", history_length=2)


def split_of(walks: NDArray[np.int64], name: str) -> rd.Split:
    frame = pl.DataFrame({"user": np.repeat(np.arange(len(walks)), walks.shape[1]), "item": walks.ravel()})
    return Interactions.from_events(Events(frame, None, (), name)).split("leave_last_out", history_length=2)


@pytest.fixture(scope="module")
def noise() -> rd.Split:
    generator = np.random.default_rng(0)
    return split_of(np.stack([generator.permutation(ITEMS)[:LENGTH] for _ in range(USERS)]), "noise")


@pytest.fixture(scope="module")
def groups() -> rd.Split:
    """Each user takes items of one group alone, in any order."""
    generator = np.random.default_rng(0)
    tastes = generator.integers(0, GROUPS, USERS)
    walks = [taste * GROUP_SIZE + generator.permutation(GROUP_SIZE)[:GROUP_LENGTH] for taste in tastes]
    return split_of(np.stack(walks), "groups")


def chance(rankable: int) -> float:
    """The nDCG@10 of one target at a random place among so many items."""
    return sum(1 / float(np.log2(rank + 1)) for rank in range(1, min(10, rankable) + 1)) / rankable


@pytest.fixture(scope="module")
def teacher_lists(chain: rd.Split) -> rd.Rankings:
    return rd.label(BestPossible(chain), chain, k=K)


@pytest.fixture(scope="module")
def plain(chain: rd.Split) -> rd.Ranker:
    return rd.train(config(8), chain, settings(6))


def test_caser_beats_popularity_by_far_and_comes_near_the_best_there_is(chain: rd.Split) -> None:
    ours = quality(rd.train(config(32), chain, settings(8)), chain)
    popular = quality(rd.train(Popularity.Config(), chain), chain)
    best = quality(BestPossible(chain), chain)
    assert ours > 2.5 * popular
    assert 0.7 * best < ours < 1.02 * best


@pytest.mark.parametrize(
    ("model", "loss", "learning_rate"),
    [
        (rd.SASRec.Config(dim=32, dropout=0.1), None, 0.005),
        (rd.SASRec.Config(dim=32, dropout=0.1), rd.GBCE.Config(negatives=5), 0.005),
        (rd.GRU4Rec.Config(dim=32, dropout=0.1), None, 0.02),
    ],
)
def test_sequential_models_beat_popularity_by_far_and_come_near_the_best_there_is(
    model: Section, loss: RankingLossConfig | None, learning_rate: float, chain: rd.Split
) -> None:
    sequences = replace(chain, history_length=LENGTH, min_history=1)
    ours = quality(rd.train(model, sequences, settings(8, loss, learning_rate)), sequences)
    best = quality(BestPossible(chain), chain)
    assert ours > 2.5 * quality(rd.train(Popularity.Config(), chain), chain)
    assert 0.7 * best < ours < 1.02 * best


@pytest.mark.parametrize(
    "model", [rd.Fossil.Config(dim=16), rd.MatrixFactorization.Config(dim=16), rd.LightGCN.Config(dim=16, layers=2)]
)
@pytest.mark.parametrize("loss", [BPR, rd.Pointwise.Config(negatives=5)])
def test_models_of_taste_beat_popularity_by_far_and_rank_the_users_group_first(
    model: Section, loss: RankingLossConfig, groups: rd.Split
) -> None:
    ours = quality(rd.train(model, groups, settings(6, loss)), groups)
    best = chance(GROUP_SIZE - (GROUP_LENGTH - 1))
    assert ours > 3 * quality(rd.train(Popularity.Config(), groups), groups)
    assert ours == pytest.approx(best, abs=4 * 0.25 / USERS**0.5)


@pytest.mark.parametrize("model", [rd.ItemKNN.Config(), rd.EASE.Config(l2=10.0)])
def test_the_nearest_items_are_those_of_the_group(model: Section, groups: rd.Split) -> None:
    ours = quality(rd.train(model, groups), groups)
    assert ours > 3 * chance(GROUPS * GROUP_SIZE - (GROUP_LENGTH - 1))
    assert ours == pytest.approx(chance(GROUP_SIZE - (GROUP_LENGTH - 1)), abs=4 * 0.25 / USERS**0.5)


@pytest.mark.parametrize("loss", [BPR, rd.Pointwise.Config(negatives=5)])
def test_fossil_learns_what_follows_what_and_taste_alone_does_not(loss: RankingLossConfig, chain: rd.Split) -> None:
    fossil, tastes = (
        quality(rd.train(model, chain, settings(4, loss)), chain)
        for model in (rd.Fossil.Config(dim=16), rd.MatrixFactorization.Config(dim=16))
    )
    assert fossil > 2.5 * quality(rd.train(Popularity.Config(), chain), chain)
    assert tastes < 0.5 * fossil < fossil < 1.02 * quality(BestPossible(chain), chain)


TABLES: dict[str, dict[str, Any]] = {
    "low_rank": {"rank": 8},
    "hashed": {"buckets": 25, "hashes": 3},
    "product_quantised": {"parts": 8},
}


@pytest.mark.parametrize("kind", TABLES)
def test_every_kind_of_table_learns_the_structure_and_none_beats_chance_on_noise(
    kind: str, chain: rd.Split, noise: rd.Split
) -> None:
    given = {"dim": 16, "dropout": 0.001, "activation": "identity", "item_table": kind, **TABLES[kind]}
    ours = quality(rd.train(rd.Caser.Config(**given), chain, settings(8)), chain)
    assert ours > 2 * quality(rd.train(Popularity.Config(), chain), chain)
    assert ours > 0.55 * quality(BestPossible(chain), chain)
    luck = quality(rd.train(rd.Caser.Config(**given), noise, settings(4)), noise)
    assert luck == pytest.approx(chance(ITEMS - (LENGTH - 1)), abs=4 * 0.25 / USERS**0.5)


@pytest.mark.parametrize(
    "given",
    [{"tied": True}, {"user_vectors": False}, {"tied": True, "user_vectors": False, "precision": "int8", "dim": 128}],
    ids=["tied", "no users", "tied, no users, int8"],
)
def test_a_smaller_caser_learns_what_follows_what(given: dict[str, Any], chain: rd.Split) -> None:
    model = rd.Caser.Config(**{"dim": 32, "dropout": 0.001, "activation": "identity", **given})
    assert quality(rd.train(model, chain, settings(8)), chain) > 0.7 * quality(BestPossible(chain), chain)


@pytest.mark.parametrize(
    ("model", "loss"),
    [
        (config(16), None),
        (rd.Fossil.Config(dim=16), BPR),
        (rd.SASRec.Config(dim=16), rd.GBCE.Config()),
        (rd.GRU4Rec.Config(dim=16), None),
        (rd.MatrixFactorization.Config(dim=16), BPR),
        (rd.LightGCN.Config(dim=16, layers=2), BPR),
        (rd.ItemKNN.Config(), None),
        (rd.EASE.Config(l2=10.0), None),
        (Popularity.Config(), None),
    ],
)
def test_no_model_beats_chance_on_noise(model: Section, loss: RankingLossConfig | None, noise: rd.Split) -> None:
    ours = quality(rd.train(model, noise, settings(4, loss)), noise)
    assert ours == pytest.approx(chance(ITEMS - (LENGTH - 1)), abs=4 * 0.25 / USERS**0.5)


@pytest.mark.parametrize("weighting", ["uniform", "reciprocal", "position", "hybrid"])
def test_a_distilled_student_takes_over_its_teachers_list(
    weighting: Any, chain: rd.Split, teacher_lists: rd.Rankings, plain: rd.Ranker
) -> None:
    method = rd.RankingDistillation.Config(k=K, weighting=weighting, warmup_epochs=2)
    distilled = rd.distill(teacher_lists, config(8), chain, method, settings(6))
    untrained = overlap(build(config(8), chain, 0), teacher_lists, chain)
    before, after = (overlap(model, teacher_lists, chain) for model in (plain, distilled))
    assert untrained + 0.1 < before < after - 0.05
    assert quality(distilled, chain) > quality(plain, chain)


class Logits(BestPossible):
    """The same, with scores of which a softmax makes the probabilities."""

    def __init__(self, split: rd.Split) -> None:
        super().__init__(split)
        self.register_buffer("table", torch.log(self.get_buffer("table").clamp_min(1e-6)))


METHODS: dict[str, dict[str, Any]] = {
    "rrd": {"alpha": 0.3},
    "dcd": {"alpha": 0.3, "student_list": 15, "head": 5, "tail": 5, "temperature": 3.0},
    "unkd": {"alpha": 0.5, "groups": 2, "k": 30},  # speaks of the order inside of the list alone
    "cd": {"alpha": 0.3, "items": 10, "shift": 3.0, "decay": 5.0},
    "list_softmax": {"alpha": 0.5, "tail": 20},
    "dllm2rec": {"confidence_share": 2.0},
    "rankdistil": {"alpha": 0.3, "temperature": 0.3},
    "cross_entropy": {"temperature": 1.0, "alpha": 3.0},
    "rce_kd": {"alpha": 3.0, "student_list": 20, "adaptive": 5},
    "margin_mse": {"alpha": 0.3},
    "hetcomp": {"alpha": 0.3, "reached": 0.3},
}
"""Each but ranking distillation, with options for a catalogue of 50 items."""


@pytest.mark.parametrize("kind", [kind for kind in plugins.kinds("distillation") if kind != "ranking_distillation"])
def test_every_method_brings_the_student_nearer_to_its_teacher(kind: str, chain: rd.Split, plain: rd.Ranker) -> None:
    teacher = Logits(chain)
    method = plugins.find("distillation", kind).Config(**{"k": 2 * K, **METHODS[kind]})
    lists = rd.label(teacher, chain, k=method.k)
    lists = replace(lists, easier=(rd.label(plain, chain, k=method.k),))  # for those that climb
    distilled = rd.distill(lists, config(8), chain, method, settings(6), teacher)
    before, after = (overlap(model, lists.cut(K), chain) for model in (plain, distilled))
    assert after > before + 0.03
    assert quality(distilled, chain) > 0.95 * quality(plain, chain)


@pytest.mark.parametrize(
    ("teacher", "student"),
    [
        (rd.ItemKNN.Config(), config(8)),
        (rd.ItemKNN.Config(), rd.Fossil.Config(dim=8)),
        (config(32), rd.Fossil.Config(dim=8)),
        (rd.SASRec.Config(dim=32), config(8)),
    ],
    ids=["item_knn to caser", "item_knn to fossil", "caser to fossil", "sasrec to caser"],
)
def test_a_student_takes_over_the_list_of_a_teacher_of_another_kind(
    teacher: Section, student: Section, chain: rd.Split
) -> None:
    lists = rd.label(rd.train(teacher, chain, settings(6)), chain, k=K)
    method = rd.RankingDistillation.Config(k=K, weighting="uniform", alpha=2.0)
    plain, distilled = rd.train(student, chain, settings(6)), rd.distill(lists, student, chain, method, settings(6))
    before, after = (overlap(model, lists, chain) for model in (plain, distilled))
    assert after > before + 0.05


def test_a_teacher_of_noise_teaches_nothing_of_use(chain: rd.Split, plain: rd.Ranker) -> None:
    generator = np.random.default_rng(0)
    lists = rd.label(build(config(8), chain, 5), chain, k=ITEMS - 2)
    shuffled = np.stack([generator.permutation(row)[:K] for row in lists.items])
    misled = rd.distill(
        rd.Rankings(lists.query_ids, shuffled),
        config(8),
        chain,
        rd.RankingDistillation.Config(k=K, weighting="uniform"),
        settings(6),
    )
    assert quality(misled, chain) <= quality(plain, chain) + 0.02


def test_a_distilled_student_starts_and_draws_otherwise_than_a_teacher_of_the_same_seed() -> None:
    split = rd.read("synthetic", users=60, items=40, length=15).split("leave_last_out")
    config, untrained = rd.Caser.Config(dim=4), rd.Settings(train=rd.TrainConfig(epochs=0), seed=7)
    teacher = rd.train(config, split, untrained)
    student = rd.distill(rd.label(teacher, split, k=10), config, split, settings=untrained)
    assert torch.equal(teacher.item_vectors, rd.train(config, split, untrained).item_vectors)
    correlation = torch.corrcoef(torch.stack([each.item_vectors.detach().flatten() for each in (teacher, student)]))
    assert abs(correlation[0, 1].item()) < 0.2
