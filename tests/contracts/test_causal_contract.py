"""What every model keeps to that encodes whole sequences: a window and a place of a sequence are the same query."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import rankdistill as rd
from rankdistill import plugins
from rankdistill.config import TrainConfig
from rankdistill.data.negatives import NegativeSampler
from rankdistill.data.segments import Segments
from rankdistill.errors import RankDistillError
from rankdistill.loss import Objective
from rankdistill.losses.pointwise import Pointwise
from rankdistill.pipeline import build
from rankdistill.ranker import Ranker, model_state
from rankdistill.training import Checkpoint, Session, TrainingData, fit

LENGTH = 6
CAUSAL = [
    kind
    for kind in plugins.kinds("models")
    if plugins.find("models", kind).encode_sequences is not Ranker.encode_sequences
]

each_causal = pytest.mark.parametrize("kind", CAUSAL)


@pytest.fixture(scope="module")
def padded(split: rd.Split) -> rd.Split:
    return replace(split, history_length=LENGTH, min_history=1)


def model_of(kind: str, split: rd.Split) -> Ranker:
    return build(plugins.find("models", kind).Config(dim=8), split, 0).double().eval()


@each_causal
def test_windows_and_sequences_give_the_same_vectors_where_the_history_fits(kind: str, padded: rd.Split) -> None:
    model, windows = model_of(kind, padded), padded.windows
    (part,) = Segments.of(windows, np.random.default_rng(0)).batches(len(windows), np.random.default_rng(0))
    rows, columns = part.places()
    fits = windows.positions[part.rows] <= LENGTH
    assert 0 < fits.sum() < len(fits)
    with torch.no_grad():
        by_sequence = model.encode_sequences(torch.from_numpy(part.users), torch.from_numpy(part.items()).long())
        users, history = torch.from_numpy(windows.users[part.rows]), torch.from_numpy(windows.history(part.rows))
        by_window = model.encode(users, history.long())
    ours = by_sequence[rows, columns]
    torch.testing.assert_close(ours[fits], by_window[fits], rtol=1e-9, atol=1e-12)
    assert not torch.allclose(ours[~fits], by_window[~fits])  # a part of their history is not shown


@pytest.mark.parametrize("kind", [*CAUSAL, "ensemble"])
@pytest.mark.parametrize("share", [1.0, 0.4])
def test_queries_that_are_encoded_together_are_what_they_are_alone(
    kind: str, share: float, split: rd.Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = replace(split, history_length=LENGTH, min_history=0, query_share=share).windows
    assert (asked.positions == 0).any()
    members = [model_of(each, replace(split, history_length=LENGTH)) for each in CAUSAL]
    model = rd.Ensemble.of(members) if kind == "ensemble" else members[CAUSAL.index(kind)]
    monkeypatch.setattr("rankdistill.prefixes._SEQUENCES_A_BLOCK", 7)
    users, history = torch.from_numpy(asked.users), torch.from_numpy(asked.history()).long()
    with torch.no_grad():
        together, alone = model.encode_together(users, history), model.encode(users, history)
        assert model.encode_together(users[:0], history[:0]).shape == (0, alone.shape[1])
    torch.testing.assert_close(together, alone, rtol=1e-9, atol=1e-12)


@each_causal
def test_together_a_sequence_is_encoded_once(kind: str, padded: rd.Split, monkeypatch: pytest.MonkeyPatch) -> None:
    model, windows = model_of(kind, padded), padded.windows
    encoded: list[int] = []
    encode_sequences = type(model).encode_sequences

    def counted(self: Ranker, users: Tensor, sequences: Tensor) -> Tensor:
        encoded.append(len(users))
        return encode_sequences(self, users, sequences)

    monkeypatch.setattr(type(model), "encode_sequences", counted)
    model.encode_together(torch.from_numpy(windows.users), torch.from_numpy(windows.history()).long())
    short = windows.positions < LENGTH
    assert sum(encoded) == len(windows) - short.sum()  # each user of this log has more than L items


@each_causal
def test_no_place_depends_on_what_follows_it(kind: str, padded: rd.Split) -> None:
    model = model_of(kind, padded)
    users, sequences = torch.arange(4), torch.randint(1, 30, (4, LENGTH), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = model.encode_sequences(users, sequences)
        for place in range(1, LENGTH):
            changed = sequences.clone()
            changed[:, place] = 31
            after = model.encode_sequences(users, changed)
            torch.testing.assert_close(after[:, :place], before[:, :place], rtol=1e-9, atol=1e-12)
            assert not torch.allclose(after[:, place:], before[:, place:])
            cut = model.encode_sequences(users, sequences[:, :place])
            torch.testing.assert_close(cut, before[:, :place], rtol=1e-9, atol=1e-12)


def trained(kind: str, split: rd.Split, session: Session, epochs: int = 3) -> dict[str, Tensor]:
    model = build(plugins.find("models", kind).Config(dim=8), split, 7)
    data = TrainingData(split.windows, NegativeSampler.of(split.train, split.num_items), 3)
    objective = Objective(Pointwise(Pointwise.Config()))
    fit(model, data, objective, TrainConfig(epochs=epochs, batch_size=64, device="cpu"), session)
    return model_state(model)


@each_causal
def test_a_resumed_training_ends_in_the_same_bits(
    kind: str, padded: rd.Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rankdistill.training.checkpoint._SHARE_OF_TIME", 1e9)  # the state after each epoch
    whole = trained(kind, padded, Session(7))
    values = iter([0.1, 0.2])

    def interrupted(model: Ranker) -> dict[str, float]:
        value = next(values, None)
        if value is None:
            raise RankDistillError("stopped")
        return {"map": value}

    with pytest.raises(RankDistillError, match="stopped"):
        trained(kind, padded, Session(7, validate=interrupted, checkpoint=Checkpoint(tmp_path, {}, resume=False)))
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 2
    best = Session(7, validate=lambda model: {"map": 0.3}, checkpoint=Checkpoint(tmp_path, {}, resume=True))
    resumed = trained(kind, padded, best)
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


@each_causal
@pytest.mark.parametrize("method", plugins.kinds("distillation"))
def test_every_method_distils_into_and_from_it(kind: str, method: str, padded: rd.Split) -> None:
    model = plugins.find("models", kind).Config(dim=8)
    small = replace(padded, target_length=2, query_share=0.4)
    settings = rd.Settings(train=TrainConfig(epochs=1, batch_size=64, device="cpu"))
    teacher = rd.train(model, small, settings)
    config = plugins.find("distillation", method).Config(k=5)
    lists = rd.label(teacher, small, k=5)
    lists = replace(lists, easier=(rd.label(rd.train(rd.Popularity.Config(), small), small, k=5),))
    student = rd.distill(lists, model, small, config, settings, teacher)
    assert all(torch.isfinite(tensor).all() for tensor in model_state(student).values())
