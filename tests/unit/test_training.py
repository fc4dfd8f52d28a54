"""The loop: same seed same bits, resumed or not; the best epoch; early stopping; a loss that is no number."""

from __future__ import annotations

import json
import logging
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import rankdistill as rd
from rankdistill import plugins
from rankdistill.config import TrainConfig
from rankdistill.data.negatives import NegativeSampler
from rankdistill.data.sequences import Sequences
from rankdistill.data.teacher_items import TeacherItems
from rankdistill.errors import CheckpointError, DataError, TrainingError
from rankdistill.loss import Batch, Loss, Objective, Step
from rankdistill.losses.pointwise import Pointwise
from rankdistill.pipeline import build
from rankdistill.ranker import Ranker, model_state
from rankdistill.seen import SeenItems
from rankdistill.training import Callback, Checkpoint, FitResult, Session, StopTraining, TrainingData, fit
from rankdistill.types import Json

CASER = rd.Caser.Config(dim=6, horizontal_filters=2)
MAP = [0.1, 0.3, 0.5, 0.4, 0.2, 0.1]
CPU = torch.device("cpu")
State = dict[str, torch.Tensor]


class KilledError(Exception):
    """Stands for the end of the process."""


def data_of(split: rd.Split, lists: rd.Rankings | None = None) -> TrainingData:
    sampler = NegativeSampler.of(split.train, split.num_items)
    return TrainingData(split.windows, sampler, 3, None if lists is None else TeacherItems(lists.items))


def objective_of(lists: rd.Rankings | None = None) -> Objective:
    ranking = Pointwise(Pointwise.Config())
    if lists is None:
        return Objective(ranking)
    return Objective(ranking, rd.RankingDistillation(rd.RankingDistillation.Config(k=5, warmup_epochs=1)))


def trained(
    split: rd.Split,
    *,
    lists: rd.Rankings | None = None,
    session: Session | None = None,
    **train: Any,
) -> tuple[State, FitResult]:
    config = TrainConfig(**{"epochs": 4, "batch_size": 64, "device": "cpu", **train})
    model = build(CASER, split, 7)
    result = fit(model, data_of(split, lists), objective_of(lists), config, session or Session(seed=7))
    return model_state(model), result


def same(one: State, other: State) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def losses(result: FitResult) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key != "seconds"} for row in result.rows]


def scripted(values: list[float]) -> Callable[[Ranker], dict[str, float]]:
    """A validation that gives `values` one by one."""
    calls = iter(values)
    return lambda model: {"map": next(calls)}


@pytest.fixture(scope="module")
def lists(split: rd.Split) -> rd.Rankings:
    return rd.label(rd.train(rd.Popularity.Config(), split), split, k=5)


class TestSeeds:
    def test_the_same_seed_gives_the_same_bits_twice(self, split: rd.Split) -> None:
        (one, first), (other, second) = trained(split), trained(split)
        assert same(one, other)
        assert losses(first) == losses(second)

    def test_another_seed_gives_other_numbers(self, split: rd.Split) -> None:
        assert not same(trained(split)[0], trained(split, session=Session(seed=8))[0])

    def test_what_was_drawn_before_the_training_does_not_matter(self, split: rd.Split) -> None:
        one = trained(split)[0]
        torch.manual_seed(99)
        torch.rand(5)
        np.random.default_rng(3).random(5)
        assert same(one, trained(split)[0])

    def test_training_leaves_the_callers_generator_alone(self, split: rd.Split) -> None:
        torch.manual_seed(5)
        expected = torch.rand(3)
        torch.manual_seed(5)
        trained(split, epochs=1)
        assert torch.equal(torch.rand(3), expected)

    def test_fewer_epochs_are_the_beginning_of_more(self, split: rd.Split) -> None:
        few, many = trained(split, epochs=2)[1], trained(split, epochs=4)[1]
        assert losses(many)[:2] == losses(few)


class TestEpochs:
    def test_the_log_has_a_row_an_epoch_with_each_term(self, split: rd.Split, lists: rd.Rankings) -> None:
        plain, distilled = trained(split)[1], trained(split, lists=lists)[1]
        assert [row["epoch"] for row in plain.rows] == [1, 2, 3, 4]
        assert set(plain.rows[0]) == {"epoch", "seconds", "ranking_loss"}
        assert set(distilled.rows[0]) == {"epoch", "seconds", "ranking_loss", "distillation_loss"}
        assert plain.seconds == pytest.approx(sum(row["seconds"] for row in plain.rows))

    def test_the_loss_falls(self, split: rd.Split) -> None:
        rows = trained(split, epochs=6, learning_rate=1e-2)[1].rows
        assert rows[-1]["ranking_loss"] < 0.9 * rows[0]["ranking_loss"]

    def test_no_epoch_leaves_the_model_as_it_was_built(self, split: rd.Split) -> None:
        state, result = trained(split, epochs=0)
        assert same(state, model_state(build(CASER, split, 7)))
        assert (result.rows, result.best_epoch) == ([], 0)

    def test_an_epoch_sees_every_window_once_with_its_own_row(self, split: rd.Split, lists: rd.Rankings) -> None:
        data, windows = data_of(split, lists), split.windows
        batches = list(data.batches(64, np.random.default_rng(0), torch.device("cpu")))
        assert [len(batch.users) for batch in batches] == [64] * 6 + [36]
        rows = sorted(
            (*map(tuple, (user, history, target, teacher)),)
            for batch in batches
            for user, history, target, teacher in zip(
                batch.users[:, None].tolist(),
                batch.history.tolist(),
                batch.targets.tolist(),
                batch.teacher_items.tolist(),
                strict=True,
            )
        )
        parts = (windows.users[:, None], windows.history(), windows.targets(), lists.items)
        assert rows == sorted((*map(tuple, row),) for row in zip(*(part.tolist() for part in parts), strict=True))
        for batch in batches:
            assert batch.negatives.shape[1] == 3
            known = split.train.members()(batch.users[:, None].numpy(), batch.negatives.numpy())
            assert not known.any()

    def test_a_model_without_gradients_has_no_epochs(self, split: rd.Split) -> None:
        model = build(rd.Popularity.Config(), split, 0)
        before = model_state(model)
        result = fit(model, data_of(split), objective_of(), TrainConfig(device="cpu"), Session(seed=0))
        assert (result.rows, result.best_epoch) == ([], 0)
        assert same(before, model_state(model))

    def test_data_without_a_single_window_is_refused(self, split: rd.Split) -> None:
        with pytest.raises(DataError, match="no user has 99 training items"):
            rd.train(CASER, replace(split, target_length=99))

    def test_longer_targets_and_histories_train_too(self, split: rd.Split) -> None:
        wide = replace(split, target_length=2, history_length=30)  # longer than any sequence
        model = rd.train(CASER, wide, rd.Settings(train=TrainConfig(epochs=1, device="cpu")))
        assert all(torch.isfinite(tensor).all() for tensor in model_state(model).values())


class TestBestEpoch:
    def test_the_model_ends_with_the_numbers_of_its_best_epoch(self, split: rd.Split) -> None:
        two = trained(split, epochs=2)[0]
        state, result = trained(split, session=Session(7, validate=scripted([0.1, 0.4, 0.3, 0.4])))
        assert result.best_epoch == 2  # the first of equals
        assert [row["validation"]["map"] for row in result.rows] == [0.1, 0.4, 0.3, 0.4]
        assert same(state, two)

    def test_the_last_epoch_counts_where_there_is_no_validation(self, split: rd.Split) -> None:
        assert trained(split)[1].best_epoch == 4

    def test_the_metric_that_the_settings_name_chooses(self, split: rd.Split) -> None:
        values = iter([{"map": 0.9, "ndcg@10": 0.1}, {"map": 0.1, "ndcg@10": 0.2}])
        session = Session(7, validate=lambda model: next(values))
        assert trained(split, session=session, epochs=2, validation_metric="ndcg@10")[1].best_epoch == 2

    def test_training_stops_after_the_patience_is_used_up(self, split: rd.Split) -> None:
        session = Session(7, validate=scripted([0.1, 0.5, 0.4, 0.3, 0.9]))
        result = trained(split, session=session, epochs=5, patience=2)[1]
        assert (len(result.rows), result.best_epoch) == (4, 2)

    def test_patience_counts_validations_and_the_last_epoch_is_always_validated(self, split: rd.Split) -> None:
        session = Session(7, validate=scripted([0.5, 0.4, 0.3]))
        result = trained(split, session=session, epochs=5, patience=2, validate_every=2)[1]
        assert ["validation" in row for row in result.rows] == [False, True, False, True, True]
        assert result.best_epoch == 2

    def test_real_validation_is_logged_and_used(self, validated: rd.Split, tmp_path: Path) -> None:
        checkpoint = Checkpoint(tmp_path, {}, resume=False)
        train = TrainConfig(epochs=2, device="cpu", validation_metric="recall@10")
        rd.train(CASER, validated, rd.Settings(train=train, checkpoint=checkpoint))
        rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
        assert [set(row["validation"]) for row in rows] == [{"map", "ndcg@10", "recall@10"}] * 2


class Explosive(Loss):
    """Not a number from the third step on."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = 0

    def forward(self, step: Step) -> torch.Tensor:
        self.steps += 1
        return step.target_scores.sum() * (float("nan") if self.steps > 2 else 1.0)


def test_a_loss_that_is_no_number_stops_the_training_and_says_what_to_do(split: rd.Split, tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path, {}, resume=False)
    model, config = build(CASER, split, 7), TrainConfig(device="cpu", batch_size=64, learning_rate=0.5)
    with pytest.raises(TrainingError) as caught:
        fit(model, data_of(split), Objective(Explosive()), config, Session(7, "student", checkpoint=checkpoint))
    assert "\n" not in str(caught.value)
    for part in ("student: ranking_loss is nan", "of epoch 1", "learning_rate (now 0.5)"):
        assert part in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_learning_rate_that_blows_up_is_caught_by_itself(split: rd.Split) -> None:
    with pytest.raises(TrainingError, match=r"ranking_loss is (nan|inf) by step \d+ of epoch \d+"):
        trained(split, learning_rate=1e37)


class TestResume:
    settings: dict[str, Any] = {"seed": 7, "train.epochs": 4}  # noqa: RUF012

    def killed(self, split: rd.Split, folder: Path, epoch: int, lists: rd.Rankings | None = None, **train: Any) -> None:
        """Trains until a kill in the validation of an epoch, before anything of it is written."""
        calls: list[int] = []

        def validate(model: Ranker) -> dict[str, float]:
            calls.append(1)
            if len(calls) == epoch:
                raise KilledError
            return {"map": MAP[len(calls) - 1]}

        session = Session(7, validate=validate, checkpoint=Checkpoint(folder, self.settings, resume=False))
        with pytest.raises(KilledError):
            trained(split, lists=lists, session=session, **train)

    def resumed(
        self, split: rd.Split, folder: Path, lists: rd.Rankings | None = None, **train: Any
    ) -> tuple[State, FitResult]:
        checkpoint = Checkpoint(folder, self.settings, resume=True)
        done = len((folder / "metrics.jsonl").read_text().splitlines()) if (folder / "metrics.jsonl").exists() else 0
        session = Session(7, validate=scripted(MAP[done:]), checkpoint=checkpoint)
        return trained(split, lists=lists, session=session, **train)

    @pytest.mark.parametrize("epoch", [1, 2, 3, 4])
    @pytest.mark.parametrize("distilled", [False, True])
    def test_a_killed_and_resumed_training_ends_in_the_same_bits(
        self,
        split: rd.Split,
        lists: rd.Rankings,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        epoch: int,
        distilled: bool,
    ) -> None:
        monkeypatch.setattr("rankdistill.training.checkpoint._SHARE_OF_TIME", 1e9)  # the state after each epoch
        teacher = lists if distilled else None
        whole, expected = trained(split, lists=teacher, session=Session(7, validate=scripted(MAP)))
        self.killed(split, tmp_path, epoch, teacher)
        state, result = self.resumed(split, tmp_path, teacher)
        assert same(state, whole)
        assert losses(result) == losses(expected)
        assert result.best_epoch == expected.best_epoch == 3

    @pytest.mark.parametrize(
        "schedule", [{"schedule": "linear"}, {"schedule": "cosine"}, {"schedule": "linear", "schedule_epochs": 9}]
    )
    def test_a_falling_step_size_goes_on_where_it_was(
        self, split: rd.Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, schedule: dict[str, Any]
    ) -> None:
        monkeypatch.setattr("rankdistill.training.checkpoint._SHARE_OF_TIME", 1e9)
        whole, expected = trained(split, session=Session(7, validate=scripted(MAP)), **schedule)
        constant, other = trained(split, session=Session(7, validate=scripted(MAP)))
        assert losses(expected)[0] == losses(other)[0]  # the first epoch is the same
        assert losses(expected)[1] != losses(other)[1]
        assert not same(whole, constant)
        self.killed(split, tmp_path, 3, **schedule)
        state, result = self.resumed(split, tmp_path, **schedule)
        assert same(state, whole)
        assert losses(result) == losses(expected)

    def test_a_training_that_ends_before_its_schedule_is_the_beginning_of_the_whole_one(self, split: rd.Split) -> None:
        whole, begun = trained(split, schedule="cosine"), trained(split, schedule="cosine", epochs=2, schedule_epochs=4)
        assert losses(begun[1]) == losses(whole[1])[:2]
        assert losses(trained(split, schedule="cosine", epochs=2)[1]) != losses(begun[1])

    def test_a_state_older_than_the_log_gives_the_same_bits_again(
        self, split: rd.Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole, expected = trained(split)
        monkeypatch.setattr("rankdistill.training.checkpoint._SHARE_OF_TIME", 1e-9)  # after the first epoch alone
        trained(split, session=Session(7, checkpoint=Checkpoint(tmp_path, self.settings, resume=False)))
        state, result = trained(split, session=Session(7, checkpoint=Checkpoint(tmp_path, self.settings, resume=True)))
        assert same(state, whole)
        assert losses(result) == losses(expected)
        rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
        assert [row["epoch"] for row in rows] == [1, 2, 3, 4]

    def test_a_training_that_was_finished_has_nothing_left_to_do(
        self, split: rd.Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("rankdistill.training.checkpoint._SHARE_OF_TIME", 1e9)
        whole, _ = trained(split, session=Session(7, checkpoint=Checkpoint(tmp_path, self.settings, resume=False)))
        session = Session(7, checkpoint=Checkpoint(tmp_path, self.settings, resume=True))
        state, result = trained(split, session=session)
        assert same(state, whole)
        assert len(result.rows) == 4

    def test_early_stopping_is_the_same_after_a_resume(
        self, split: rd.Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("rankdistill.training.checkpoint._SHARE_OF_TIME", 1e9)
        train = {"epochs": 6, "patience": 2}
        whole, expected = trained(split, session=Session(7, validate=scripted(MAP)), **train)
        self.killed(split, tmp_path, 5, **train)
        state, result = self.resumed(split, tmp_path, **train)
        assert len(result.rows) == len(expected.rows) == 5
        assert same(state, whole)

    def test_an_unfinished_training_is_started_over_with_a_warning_unless_resumed(
        self, split: rd.Split, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        self.killed(split, tmp_path, 3)
        with caplog.at_level(logging.WARNING, logger="rankdistill"):
            session = Session(7, checkpoint=Checkpoint(tmp_path, self.settings, resume=False))
            _, result = trained(split, session=session)
        assert "--resume would go on with it" in caplog.text
        assert len(result.rows) == 4

    def test_a_state_of_other_settings_is_refused_with_both_values(self, split: rd.Split, tmp_path: Path) -> None:
        self.killed(split, tmp_path, 3)
        checkpoint = Checkpoint(tmp_path, {**self.settings, "train.epochs": 9}, resume=True)
        with pytest.raises(CheckpointError, match=r"train.epochs = 4 and cannot go on with 9"):
            trained(split, session=Session(7, checkpoint=checkpoint))

    @pytest.mark.parametrize("damage", ["cut", "empty", "text", "another"])
    def test_a_damaged_state_is_refused_by_its_path(self, split: rd.Split, tmp_path: Path, damage: str) -> None:
        self.killed(split, tmp_path, 3)
        path = tmp_path / "checkpoint.safetensors"
        if damage == "another":
            save_file({"weights": torch.zeros(2)}, path)
        else:
            path.write_bytes({"cut": path.read_bytes()[:-9], "empty": b"", "text": b"not a checkpoint"}[damage])
        with pytest.raises(CheckpointError, match=r"checkpoint\.safetensors") as caught:
            trained(split, session=Session(7, checkpoint=Checkpoint(tmp_path, self.settings, resume=True)))
        assert "\n" not in str(caught.value)

    def test_a_kill_during_the_write_leaves_the_earlier_state(
        self, split: rd.Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("rankdistill.training.checkpoint._SHARE_OF_TIME", 1e9)
        self.killed(split, tmp_path / "a", 3)
        shutil.copytree(tmp_path / "a", tmp_path / "b")
        (tmp_path / "b" / ".checkpoint.safetensors.1234.tmp").write_bytes(b"half")
        one, other = (self.resumed(split, tmp_path / name)[0] for name in ("a", "b"))
        assert same(one, other)

    def test_the_state_goes_when_the_model_is_written_and_the_whole_log_stays(
        self, split: rd.Split, tmp_path: Path
    ) -> None:
        checkpoint = Checkpoint(tmp_path, self.settings, resume=False)
        _, result = trained(split, session=Session(7, checkpoint=checkpoint))
        assert (tmp_path / "checkpoint.safetensors").exists()
        checkpoint.finish(result.rows)
        assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]
        rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
        assert rows == result.rows


def test_seen_items_of_a_sample_are_those_of_a_naive_lookup() -> None:
    generator = np.random.default_rng(3)
    users = np.sort(generator.integers(0, 6, size=60))
    sequences = Sequences.from_pairs(users, generator.integers(1, 31, size=60), num_users=7)  # user 6 has nothing
    asked, sample = np.array([6, 2, 2, 0, 5]), np.array([1, 4, 9, 9, 10, 22, 30])
    seen = SeenItems(sequences, torch.device("cpu"))
    found = seen.among(torch.from_numpy(asked), torch.from_numpy(sample))
    naive = [[int(item) in sequences.of(int(user)).tolist() for item in sample] for user in asked]
    assert found.tolist() == naive
    assert any(any(row) for row in naive)


class Listener(Callback):
    """Notes all that it is told, and does something after an epoch."""

    def __init__(self, after: dict[int, Exception] | None = None) -> None:
        self.after, self.told = after or {}, list[tuple[Any, ...]]()

    def on_start(self, name: str, settings: Json, rows: Sequence[Json]) -> None:
        self.told.append(("start", name, settings, [row["epoch"] for row in rows]))

    def on_epoch(self, row: Json) -> None:
        self.told.append(("epoch", row))
        if row["epoch"] in self.after:
            raise self.after[row["epoch"]]

    def on_end(self, result: FitResult | None) -> None:
        self.told.append(("end", result))


class TestACallback:
    def test_is_told_of_the_start_of_each_epoch_and_of_the_end(self, split: rd.Split) -> None:
        listener = Listener()
        _, result = trained(split, session=Session(7, "student", callbacks=(listener,), settings={"model.dim": 6}))
        epochs = [("epoch", row) for row in result.rows]
        assert listener.told == [("start", "student", {"model.dim": 6}, []), *epochs, ("end", result)]

    def test_changes_no_bit_of_the_training(self, split: rd.Split) -> None:
        assert same(trained(split)[0], trained(split, session=Session(7, callbacks=(Listener(),)))[0])

    def test_can_end_the_training_which_keeps_its_best_epoch(self, split: rd.Split) -> None:
        listener = Listener({3: StopTraining()})
        session = Session(7, validate=scripted([0.1, 0.4, 0.3]), callbacks=(listener,))
        _, result = trained(split, session=session)
        assert (len(result.rows), result.best_epoch) == (3, 2)
        assert listener.told[-1] == ("end", result)

    def test_passes_another_exception_on_and_can_be_resumed(self, split: rd.Split, tmp_path: Path) -> None:
        listener = Listener({2: KilledError()})
        checkpoint = Checkpoint(tmp_path, {}, resume=False)
        with pytest.raises(KilledError):
            trained(split, session=Session(7, checkpoint=checkpoint, callbacks=(listener,)))
        assert listener.told[-1] == ("end", None)
        again = Listener()
        session = Session(7, checkpoint=Checkpoint(tmp_path, {}, resume=True), callbacks=(again,))
        whole, result = trained(split, session=session)
        assert [each[0] for each in again.told[:2]] == ["start", "epoch"]
        assert again.told[0][3] == [row["epoch"] for row in result.rows[: 6 - len(again.told)]] != []
        assert same(whole, trained(split)[0])

    def test_is_told_what_speaks_against_what_was_learned_from(self, split: rd.Split, lists: rd.Rankings) -> None:
        listener, scored = Listener(), replace(lists, scores=np.ones(lists.items.shape, dtype=np.float32))
        scored = replace(scored, score_scale="other")
        settings = rd.Settings(train=TrainConfig(epochs=1, device="cpu"), callbacks=(listener,))
        rd.distill(scored, CASER, split, plugins.find("distillation", "cd").Config(k=5), settings)
        (_, result) = listener.told[-1]
        assert ["no log-odds" in said for said in result.warnings] == [True]

    def test_is_told_of_a_model_without_epochs_too(self, split: rd.Split) -> None:
        listener = Listener()
        rd.train(rd.Popularity.Config(), split, rd.Settings(callbacks=(listener,)))
        (_, name, settings, rows), (_, result) = listener.told
        assert (name, settings["model.kind"], settings["seed"], rows) == ("model", "popularity", 1234, [])
        assert result.rows == []


class TestAskingTheTeacher:
    def made(self, split: rd.Split, teacher: Ranker | None) -> TrainingData:
        return TrainingData(split.windows, NegativeSampler.of(split.train, split.num_items), 3, teacher=teacher)

    def batches(self, data: TrainingData) -> list[Batch]:
        return list(data.batches(50, np.random.default_rng(0), CPU))

    def test_its_vectors_are_those_that_it_gives_when_asked(self, split: rd.Split) -> None:
        teacher = build(rd.Caser.Config(dim=8), split, 0)
        data = self.made(split, teacher).asking(CPU)
        assert not teacher.training
        for batch in self.batches(data):
            assert batch.teacher_queries is not None
            with torch.no_grad():
                torch.testing.assert_close(batch.teacher_queries, teacher.encode(batch.users, batch.history))

    def test_they_are_not_kept_where_they_are_too_large(self, split: rd.Split, monkeypatch: pytest.MonkeyPatch) -> None:
        teacher = build(rd.Caser.Config(dim=8), split, 0)
        loop = sys.modules["rankdistill.training.fit"]
        monkeypatch.setattr(loop, "_MOST_KEPT_BYTES", len(split.windows) * 16 * 4 - 1)  # a vector is [z ; P_u]
        assert self.made(split, teacher).asking(CPU).teacher_queries is None
        monkeypatch.setattr(loop, "_MOST_KEPT_BYTES", len(split.windows) * 16 * 4)
        assert self.made(split, teacher).asking(CPU).teacher_queries is not None

    def test_without_a_teacher_nothing_is_kept(self, split: rd.Split) -> None:
        assert all(batch.teacher_queries is None for batch in self.batches(self.made(split, None).asking(CPU)))
