"""A search on validation data: its space, its trials, what it finds, and that it goes on where it stopped."""

from __future__ import annotations

import itertools
import json
import shutil
import threading
import tomllib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from rankdistill.config import Choice, Experiment, Range, Section, load, parse, to_toml
from rankdistill.data.splitting import Split
from rankdistill.errors import ConfigError, DataError, RankingsError, StorageError
from rankdistill.evaluation.evaluate import Evaluation
from rankdistill.members import Company
from rankdistill.model_folder import bytes_of, load_card, save_model
from rankdistill.parallel import Processors
from rankdistill.pipeline import build, evaluate, fit_model, label, prepare, train
from rankdistill.ranker import Ranker, rank
from rankdistill.rankings import Rankings
from rankdistill.report.numerals import metric as figure
from rankdistill.runs import Role
from rankdistill.training import FitResult
from rankdistill.tuning import search
from rankdistill.tuning.compress import compress
from rankdistill.tuning.final import settled
from rankdistill.tuning.goal import Goal, Model, check
from rankdistill.tuning.inputs import prepare_teacher, validation_only
from rankdistill.tuning.outcome import lacking, looks, sureness
from rankdistill.tuning.output import markdown, table
from rankdistill.tuning.proposing import proposals
from rankdistill.tuning.search import Budget, Search
from rankdistill.tuning.sizes import Sizes, ladder_of, name_of
from rankdistill.tuning.smallest import Smallest
from rankdistill.tuning.space import Point, at, changed, is_valid, limited, point_of, space_of
from rankdistill.tuning.trials import Ledger, Trial
from rankdistill.tuning.tune import Asked, begun_with, best_of, tune
from rankdistill.tuning.watching import Watch, lowest_bar, median_bar
from rankdistill.tuning.work import Job, do

pytest.importorskip("optuna")

FACTORS = {"kind": "matrix_factorization", "dim": 4}
KEPT = {"checkpoints": 2, "learning_rate": 0.003}  # at which the first epoch is not the best


def experiment(**changes: Any) -> Experiment:
    sections: dict[str, Any] = {
        "data": {"kind": "synthetic", "users": 60, "items": 40, "length": 15},
        "teacher": {**FACTORS, "dim": 8},
        "student": FACTORS,
        "distillation": {"k": 3, "warmup_epochs": 0},
        "train": {"epochs": 4, "learning_rate": 0.01, "batch_size": 128, "threads": 1, "device": "cpu"},
        "evaluate": {"metrics": ["ndcg@10", "map"], "bootstrap_samples": 10},
    }
    for key, value in changes.items():
        replaced = not isinstance(value, dict) or "kind" in value or "rankings" in value
        sections[key] = value if replaced else {**sections.get(key, {}), **value}
    return parse(sections, "test")


def delimited(path: Path, seed: int) -> dict[str, str]:
    """Users, each with 15 of 40 items, as a file; and the section that names it."""
    draw = np.random.default_rng(seed)
    rows = [f"{user},{item},{time}" for user in range(60) for time, item in enumerate(draw.permutation(40)[:15])]
    path.write_text("\n".join(["user,item,time", *rows, ""]))
    return {"kind": "delimited", "path": str(path), "user": "user", "item": "item", "time": "time"}


def trial(number: int, value: float, **fields: Any) -> Trial:
    return replace(Trial(number, {}, "complete", value), **fields)


class TestSpace:
    def test_a_distilled_student_is_searched_without_its_size_and_without_its_teachers_loss(self) -> None:
        space = space_of(experiment(), "distilled", sizes=False)
        assert {address.rpartition(".")[0] for address in space} == {"student.train", "distillation"}
        assert "student.dim" in space_of(experiment(), "distilled", sizes=True)
        assert "ranking_loss.negatives" not in space
        assert "ranking_loss.negatives" in space_of(experiment(), "student", sizes=False)

    def test_a_teacher_with_a_loss_of_its_own_is_searched_with_it_and_leaves_the_student_free(self) -> None:
        own = experiment(teacher={**FACTORS, "ranking_loss": {"kind": "gbce"}})
        space = space_of(own, "teacher", sizes=False)
        assert {"teacher.ranking_loss.negatives", "teacher.ranking_loss.calibration"} <= set(space)
        assert "ranking_loss.negatives" not in space
        moved = at(own, {"teacher.ranking_loss.negatives": 5})
        assert moved.loss_of(moved.teacher).model_dump()["negatives"] == 5
        assert moved.ranking_loss == own.ranking_loss
        assert "ranking_loss.negatives" in space_of(own, "distilled", sizes=False)

    def test_the_loss_of_several_teachers_is_left_alone(self) -> None:
        several = experiment(teacher=[FACTORS, {**FACTORS, "ranking_loss": {"kind": "gbce"}}])
        assert "ranking_loss.negatives" not in space_of(several, "distilled", sizes=False)

    def test_a_foreign_teacher_s_student_may_have_another_loss(self, tmp_path: Path) -> None:
        lists = experiment(teacher={"rankings": str(tmp_path / "lists.parquet")})
        assert "ranking_loss.negatives" in space_of(lists, "distilled", sizes=False)
        with pytest.raises(ConfigError, match="names what is not trained here and has no settings"):
            space_of(lists, "teacher", sizes=False)

    def test_several_teachers_are_not_tuned_at_once(self) -> None:
        with pytest.raises(ConfigError) as caught:
            space_of(experiment(teacher=[FACTORS, FACTORS]), "teacher", sizes=False)
        assert str(caught.value) == ("[[teacher]] are several, and one is tuned at a time; name that one as [teacher]")

    def test_a_teacher_without_gradients_has_its_own_options_alone(self) -> None:
        space = space_of(experiment(teacher={"kind": "item_knn"}), "teacher", sizes=True)
        assert set(space) == {"teacher.neighbors", "teacher.shrink"}

    def test_the_experiment_is_a_point_of_its_space_and_every_point_an_experiment(self) -> None:
        own, space = experiment(), space_of(experiment(), "distilled", sizes=True)
        assert at(own, point_of(own, space)) == own
        moved = at(own, {"student.dim": 2, "student.train.epochs": 9, "distillation.k": 5})
        assert (moved.student.model.dim, moved.student.train.epochs, moved.distillation.k) == (2, 9, 5)
        assert (moved.train.epochs, moved.teacher) == (4, own.teacher)

    @pytest.mark.parametrize(
        ("key", "address", "found"),
        [
            ("student.dim=2..16", "student.dim", Range(2, 16)),
            ("student.dim=2..16:log", "student.dim", Range(2, 16, log=True)),
            ("train.learning_rate=1e-3..1", "student.train.learning_rate", Range(1e-3, 1, log=True)),
            ("student.train.epochs=5..9", "student.train.epochs", Range(4, 9)),
            ("distillation.weighting=position,hybrid", "distillation.weighting", Choice("position", "hybrid")),
            ("distillation.mixing=sum,convex", "distillation.mixing", Choice("sum", "convex")),
            ("distillation.k=3,5,7", "distillation.k", Choice(3, 5, 7)),
        ],
    )
    def test_a_key_is_searched_where_the_command_line_says(self, key: str, address: str, found: object) -> None:
        own = experiment()
        space = changed(space_of(own, "distilled", sizes=False), [key], [], own, "distilled")
        assert space[address] == found

    @pytest.mark.parametrize(
        ("key", "message"),
        [
            ("student.dim", "--key 'student.dim': write it as a.b=low..high, a.b=low..high:log or a.b=one,other"),
            ("student.dimm=1..2", "--key 'student.dimm=1..2': [student] has no key 'dimm'; did you mean 'dim'?"),
            (
                "data.users=1..2",
                "--key 'data.users=1..2': there is nothing to search at [data] for the distilled model; name a key of "
                "[student], [student.train], [distillation]",
            ),
            ("teacher.dim=1..2", "there is nothing to search at [teacher] for the distilled model"),
            ("ranking_loss.negatives=1..2", "there is nothing to search at [ranking_loss] for the distilled model"),
            (
                "distillation.preset=kdd18-code,kdd18-paper",
                "stands for other keys, which a search has by themselves; name them (alpha, mixing, exclude, "
                "renormalize), or --set distillation.preset",
            ),
            (
                "student.kind=caser,fossil",
                "--key 'student.kind=caser,fossil': each kind has options of its own, so that none is searched; take "
                "one with --set student.kind=..., or several with `sweep --student.kind ...`",
            ),
            ("student.train.kind=a,b", "--key 'student.train.kind=a,b': [student.train] has no key 'kind'"),
            ("student.dim=9..2", "is no range: low has to be below high"),
            ("student.dim=0..9", "[student] dim: 0 is out of range (at least 1)"),
            ("student.dim=a..b", "'a..b' are no numbers"),
            ("student.dim=1..9:ln", "'ln' is no scale; write log, or leave it out"),
            ("distillation.weighting=position,x", "'x' is not 'uniform'"),
            ("distillation.weighting=position", "is no choice: give two different values or more"),
        ],
    )
    def test_a_key_that_cannot_be_searched_is_refused_by_name(self, key: str, message: str) -> None:
        own = experiment()
        with pytest.raises(ConfigError) as caught:
            changed({}, [key], [], own, "distilled")
        assert message in str(caught.value)

    @pytest.mark.parametrize(
        ("first", "second", "address"),
        [
            ("student.dim=5..8", "student.dim=2..3", "student.dim"),
            ("student.dim=5..8", "student.dim=5..8", "student.dim"),
            ("student.train.epochs=5..9", "train.epochs=5..6", "student.train.epochs"),
        ],
    )
    def test_a_key_that_is_given_twice_is_refused(self, first: str, second: str, address: str) -> None:
        own = experiment()
        with pytest.raises(ConfigError) as caught:
            changed({}, [first, second], [], own, "student")
        assert str(caught.value) == f"--key {second!r}: {address} is given twice; drop one of the two"

    def test_what_is_set_is_kept(self) -> None:
        own = experiment()
        fixed = ["train.learning_rate=0.01", "distillation.alpha=1.0", "seed=3"]
        space = changed(space_of(own, "distilled", sizes=False), [], fixed, own, "distilled")
        assert not {"student.train.learning_rate", "distillation.alpha"} & set(space)
        assert "student.train.weight_decay" in space

    def test_a_list_is_no_longer_than_there_is(self) -> None:
        space = {"distillation.k": Range(3, 50, log=True)}
        assert limited(space, "distillation.k", 20) == {"distillation.k": Range(3, 20, log=True)}
        assert limited(space, "distillation.k", 3) == {}
        assert limited(space, "distillation.k", 90) == space

    def test_values_that_do_not_go_together_are_no_point(self) -> None:
        assert not is_valid(experiment(), {"distillation.alpha": 2.0, "distillation.mixing": "convex"})
        assert is_valid(experiment(), {"distillation.alpha": 0.5, "distillation.mixing": "convex"})


class TestProposals:
    SPACE = {"a": Range(1, 64, log=True), "b": Range(0.0, 1.0), "c": Choice("x", "y")}  # noqa: RUF012

    def ask(self, trials: Sequence[Trial], seed: int = 0, running: Sequence[Point] = ()) -> Point:
        return next(self.several(trials, seed, running))

    def several(self, trials: Sequence[Trial], seed: int = 0, running: Sequence[Point] = ()) -> Iterator[Point]:
        return proposals(self.SPACE, {"a"}, trials, running, lambda each: each.value, [seed, len(trials)])

    def history(self, count: int, seed: int = 0) -> list[Trial]:
        trials: list[Trial] = []
        for number in range(1, count + 1):
            point = self.ask(trials, seed)
            assert isinstance(point["b"], float)
            trials.append(trial(number, 1 - abs(point["b"] - 0.25), point=point))
        return trials

    def test_the_same_trials_and_seed_give_the_same_proposal_and_others_another(self) -> None:
        trials = self.history(3)
        assert self.ask(trials) == self.ask(trials)
        assert self.ask(trials) != self.ask(trials, seed=1)

    @pytest.mark.parametrize("count", [8, 12])
    def test_a_proposal_that_is_refused_leaves_no_mark_on_the_next(
        self, count: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        trials, running = self.history(count), [self.ask(self.history(1), seed=7)]
        together = list(itertools.islice(self.several(trials, running=running), 20))
        assert len({str(point) for point in together}) > 1
        monkeypatch.setattr("itertools.count", lambda: iter([19]))
        assert next(self.several(trials, running=running)) == together[19]

    def test_proposals_come_nearer_to_what_is_good(self) -> None:
        searches = [self.history(24, seed) for seed in range(5)]
        early, late = (
            np.mean([1 - (each.value or 0) for search in searches for each in search[part]])
            for part in (slice(0, 8), slice(16, 24))
        )
        assert late < 0.7 * early

    def test_a_proposal_lies_in_the_space_and_integers_stay_whole(self) -> None:
        for point in (each.point for each in self.history(12)):
            assert isinstance(point["a"], int)
            assert 1 <= point["a"] <= 64
            assert 0 <= float(point["b"]) <= 1
            assert point["c"] in ("x", "y")

    def test_a_trial_without_a_value_is_no_hindrance(self) -> None:
        failed = Trial(1, {"a": 3, "b": 0.5, "c": "x"}, "failed")
        assert set(self.ask([failed])) == set(self.SPACE)


@dataclass
class OneStep:
    """A strategy that lets no second point be tried before the first one ends."""

    ended: threading.Event

    def first(self, tried: Sequence[Trial], running: Sequence[Point]) -> Point | None:
        return None if tried or running else {"a": 0.5}

    def refused(self, point: Point, tried: Sequence[Trial]) -> bool:
        self.ended.set()
        return not tried

    def score(self, trial: Trial) -> float | None:
        return trial.value

    def bar(self, tried: Sequence[Trial]) -> tuple[float, ...]:
        return ()


def test_what_is_refused_while_a_trial_runs_is_asked_again_when_it_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strategy = OneStep(threading.Event())

    def do(job: Job) -> Trial:
        strategy.ended.wait(10)
        return trial(job.number, 0.1, point=job.point)

    monkeypatch.setattr(search, "_ATTEMPTS", 2)
    monkeypatch.setattr(search, "do", do)
    monkeypatch.setattr(search, "_workers", lambda jobs, template: ThreadPoolExecutor(jobs))
    monkeypatch.setattr(Search, "_whole", frozenset())
    template = Job(0, {}, experiment(), "student", "map", tmp_path)
    ledger = Ledger(tmp_path / "trials.json", {})
    Search({"a": Range(0.0, 1.0)}, experiment(), strategy, 0, template).run(ledger, Budget(trials=3, jobs=2))
    assert [each.number for each in ledger.trials] == [1, 2, 3]


@pytest.mark.parametrize(("named", "each"), [(None, 4), (3, 3)])
def test_trials_at_once_share_the_cores_unless_threads_are_named(
    named: int | None, each: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("rankdistill.parallel.cores", lambda: 8)
    monkeypatch.setattr(search, "workers", lambda processors: processors)
    template = Job(0, {}, experiment(train={"threads": named}), "student", "map", tmp_path)
    assert search._workers(2, template) == Processors(jobs=2, threads=each)


class TestWatching:
    def watched(self, values: Sequence[float], bar: Sequence[float], grace: int = 0) -> Watch:
        from rankdistill.training import StopTraining

        watch = Watch("map", bar, grace, None)
        for epoch, value in enumerate(values, start=1):
            try:
                watch.on_epoch({"epoch": epoch, "validation": {"map": value}})
            except StopTraining:
                break
        return watch

    def test_what_is_behind_the_others_is_stopped_and_what_has_been_ahead_is_not(self) -> None:
        bar = (0.1, 0.2, 0.3)
        behind = self.watched([0.1, 0.1, 0.5], bar)
        assert (behind.behind, behind.curve) == (True, [0.1, 0.1])
        ahead = self.watched([0.4, 0.1, 0.1, 0.0], bar)
        assert (ahead.behind, len(ahead.curve)) == (False, 4)

    def test_nothing_is_stopped_before_its_grace_is_over(self) -> None:
        assert len(self.watched([0.0, 0.0, 0.0, 0.0], (1.0,) * 4, grace=2).curve) == 3

    def test_a_training_out_of_time_is_stopped_behind_its_first_validation(self) -> None:
        from rankdistill.training import StopTraining

        watch = Watch("map", (), 0, -1.0)
        watch.on_epoch({"epoch": 1})
        with pytest.raises(StopTraining):
            watch.on_epoch({"epoch": 2, "validation": {"map": 0.1}})
        assert (watch.late, watch.behind) == (True, False)

    def test_the_bar_is_the_median_of_at_least_four(self) -> None:
        curves = [[0.1, 0.4], [0.3, 0.2], [0.2, 0.5], [0.4, 0.6]]
        assert median_bar(curves) == pytest.approx((0.25, 0.45))
        assert median_bar(curves[:3]) == ()

    def test_the_lowest_bar_is_a_share_of_the_lowest(self) -> None:
        assert lowest_bar([[0.2, 0.4], [0.3]], 0.5) == pytest.approx((0.1, 0.15))
        assert lowest_bar([], 0.5) == ()


class TestTuning:
    ASKED = Asked(
        experiment(student={**FACTORS, "dim": 8}, train={"epochs": 6, "learning_rate": 1e-5, "batch_size": 64}),
        "student",
        fixed=["train.batch_size=64", "train.weight_decay=1e-6"],
    )

    @pytest.fixture(scope="class")
    @classmethod
    def found(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        out = tmp_path_factory.mktemp("tuned")
        tune(cls.ASKED, None, Budget(trials=10), out)
        return out

    def test_a_learning_rate_far_too_low_is_found_out(self, found: Path) -> None:
        ledger = Ledger.open(found / "trials.json", _begun(found))
        best, first = best_of(ledger.trials), ledger.trials[0]
        assert first.point["student.train.learning_rate"] == 1e-5
        assert (best.value or 0) > 1.1 * (first.value or 0)
        assert float(best.point["student.train.learning_rate"]) > 1e-3

    def test_the_best_settings_are_an_experiment_that_runs_on_all_that_it_may_learn_from(self, found: Path) -> None:
        best = load(found / "best.toml")
        ledger = Ledger.open(found / "trials.json", _begun(found))
        assert best == settled(self.ASKED.experiment, best_of(ledger.trials), "student", "map")
        assert best.split.train_on_validation
        assert best.student.train.epochs == best_of(ledger.trials).best_epoch
        assert best.teacher == self.ASKED.experiment.teacher

    def test_where_the_validation_part_is_kept_apart_the_best_epoch_is_picked_as_in_the_trial(self) -> None:
        apart = validation_only(self.ASKED.experiment)
        best = Trial(1, point_of(apart, self.ASKED.space()), "complete", 0.3, best_epoch=2)
        train = settled(apart, best, "student", "recall@10").student.train
        assert (train.validation_metric, train.epochs) == ("recall@10", apart.student.train.epochs)

    @pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
    def test_the_final_model_learns_with_the_step_sizes_of_the_trial_to_its_best_epoch(self, schedule: str) -> None:
        own = experiment(train={"epochs": 50, "schedule": schedule})
        point: Point = {"student.train.learning_rate": 0.02, "student.train.epochs": 40}
        tried = at(own, point).student.train
        final = settled(own, trial(1, 0.3, point=point, best_epoch=20), "student", "map")
        assert final.student.train.epochs == 20
        assert [final.student.train.learning_rate_in(epoch) for epoch in range(1, 21)] == [
            tried.learning_rate_in(epoch) for epoch in range(1, 21)
        ]
        assert parse(tomllib.loads(to_toml(final)), "best.toml") == final
        again = settled(final, trial(1, 0.3, best_epoch=9), "student", "map").student.train
        assert (again.epochs, again.learning_rate_in(9)) == (9, tried.learning_rate_in(9))

    def test_where_the_last_epoch_is_the_best_one_nothing_is_said_of_the_schedule(self) -> None:
        own = experiment(train={"epochs": 4, "schedule": "linear"})
        assert settled(own, trial(1, 0.3, best_epoch=4), "student", "map") == own

    def test_each_trial_is_measured_on_validation_users_alone(self, found: Path) -> None:
        split = prepare(validation_only(self.ASKED.experiment))
        ledger = Ledger.open(found / "trials.json", _begun(found))
        for each in ledger.trials:
            kept = Evaluation.read(found / "trials" / f"{each.number:04}.parquet", split.user_ids)
            np.testing.assert_array_equal(kept.users, split.queries("validation").users)
            assert kept.mean()["map"] == pytest.approx(each.value)

    @pytest.mark.parametrize(("role", "trainings"), [("teacher", 2), ("student", 2), ("distilled", 3)])
    def test_no_training_of_a_search_sees_the_validation_part(
        self, role: Role, trainings: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        given, learnt = experiment(), list[Split]()
        assert given.split.train_on_validation

        def fit(model: Section, split: Split, *others: Any) -> tuple[Ranker, FitResult]:
            learnt.append(split)
            return fit_model(model, split, *others)

        for trainer in ("tuning.work", "stages"):  # of the trials, and of the teacher
            monkeypatch.setattr(f"rankdistill.{trainer}.fit_model", fit)
        tune(Asked(given, role), None, Budget(trials=2), tmp_path)
        assert len(learnt) == trainings
        apart = prepare(validation_only(given)).validation
        assert apart is not None
        kept = set(zip(apart.users.tolist(), apart.items.tolist(), strict=True))
        assert len(kept) == len(apart.items) > 0
        for part in (split.train for split in learnt):
            assert kept.isdisjoint(zip(part.users.tolist(), part.items.tolist(), strict=True))

    def test_a_search_that_goes_on_is_the_one_that_was_not_stopped(self, found: Path, tmp_path: Path) -> None:
        tune(self.ASKED, None, Budget(trials=4), tmp_path)
        tune(self.ASKED, None, Budget(trials=10), tmp_path)
        pairs = zip(
            *(Ledger.open(each / "trials.json", _begun(each)).trials for each in (found, tmp_path)), strict=True
        )
        assert all(replace(one, seconds=0) == replace(other, seconds=0) for one, other in pairs)

    def test_a_search_goes_on_with_the_same_question_alone(self, found: Path) -> None:
        given = self.ASKED.experiment
        longer = at(given, {"student.train.epochs": 7})
        other = replace(self.ASKED, experiment=longer)
        with pytest.raises(StorageError) as caught:
            tune(other, None, Budget(trials=10), found)
        assert "this search was begun without student.train.epochs and cannot go on with 7" in str(caught.value)

    def test_a_member_of_the_teacher_is_named_by_its_key_and_its_threads_are_free(self, tmp_path: Path) -> None:
        own, path = {"epochs": 2, "threads": 1}, tmp_path / "trials.json"

        def begun(dim: int = 8, **train: Any) -> dict[str, Any]:
            several = [FACTORS, {**FACTORS, "dim": dim, "train": own | train, "ranking_loss": {"kind": "softmax"}}]
            return begun_with(Asked(experiment(teacher=several), "distilled"), {}, "map")

        Ledger.open(path, begun()).add(trial(1, 0.1))
        assert len(Ledger.open(path, begun(threads=2)).trials) == 1
        with pytest.raises(
            StorageError, match=r"begun with teacher\.2\.dim = 8 and cannot go on with 9; put that back"
        ):
            Ledger.open(path, begun(dim=9))

    def test_what_the_user_changed_is_named_and_not_what_follows_from_it(self, tmp_path: Path) -> None:
        lists = experiment(teacher={"rankings": str(tmp_path / "lists.parquet")})

        def begun(own: Experiment, *fixed: str) -> dict[str, Any]:
            asked = Asked(own, "distilled", fixed=fixed, sizes=True)
            return begun_with(asked, asked.space(), "map")

        for number, (now, line) in enumerate(
            (
                (
                    begun(at(lists, {"student.dim": 5}), "student.dim=5"),
                    "with student.dim = 4 and cannot go on with 5; put",
                ),
                (
                    begun(lists, "student.dim=4"),
                    "with student.dim searched (4 to 256, log) and cannot go on with it not searched; put",
                ),
                (
                    begun(experiment()),
                    f"with teacher.rankings = '{tmp_path}/lists.parquet' and cannot go on without it",
                ),
            )
        ):
            path = tmp_path / f"{number}.json"
            Ledger.open(path, begun(lists)).add(trial(1, 0.1))
            with pytest.raises(StorageError) as caught:
                Ledger.open(path, now)
            assert f"this search was begun {line}" in str(caught.value)

    @pytest.mark.parametrize(
        ("kept", "asked"),
        [
            ({"teacher": [{"kind": "ease"}, {"train": {"threads": 1, "epochs": 2}}]}, {"teacher.1.kind": "ease"}),
            ({"teacher.ranking_loss": {"kind": "softmax"}}, {"teacher.ranking_loss.kind": "softmax"}),
            ({"split.fractions": [0.8, 0.1, 0.1]}, {"split.fractions": [0.8, 0.1, 0.1]}),
        ],
    )
    def test_a_search_whose_file_holds_whole_tables_goes_on(
        self, tmp_path: Path, kept: dict[str, Any], asked: dict[str, Any]
    ) -> None:
        path = tmp_path / "trials.json"
        Ledger(path, kept).add(trial(1, 0.1))
        several = {"teacher.2.train.epochs": 2} if "teacher" in kept else {}
        assert len(Ledger.open(path, asked | several).trials) == 1

    @pytest.mark.parametrize(
        ("damage", "reason"),
        [
            (lambda text: text[:-20], "cannot be read ("),
            (lambda text: "", "cannot be read ("),
            (lambda text: "[]", "cannot be read (no JSON object)"),
            (lambda text: text.replace('"curve"', '"bend"'), "holds no trials of this version ('curve')"),
        ],
    )
    def test_a_damaged_file_of_trials_is_refused_and_left_as_it_is(
        self, tmp_path: Path, damage: Callable[[str], str], reason: str
    ) -> None:
        path = tmp_path / "trials.json"
        Ledger(path, {"a": 1}).add(trial(1, 0.1))
        path.write_text(damaged := damage(path.read_text()))
        with pytest.raises(StorageError) as caught:
            Ledger.open(path, {"a": 1})
        assert str(caught.value).startswith(f"{path}: {reason}")
        assert "put back a copy of it, or " in str(caught.value)
        assert path.read_text() == damaged

    def test_how_deep_members_lists_are_added_up_is_part_of_the_question_and_how_deep_one_looks_is_not(self) -> None:
        several = [FACTORS, {**FACTORS, "dim": 8}]
        asked, deeper, measured = (
            begun_with(Asked(experiment(teacher=several, **changes), "distilled"), {}, "map")
            for changes in ({}, {"ensemble": {"depth": 7}}, {"evaluate": {"depth": 7}})
        )
        assert asked == measured != deeper

    @pytest.mark.parametrize("role", ["student", "distilled"])
    def test_a_search_goes_on_with_the_same_data_alone(self, tmp_path: Path, role: Role) -> None:
        own, out = experiment(data=delimited(tmp_path / "ev.csv", seed=0)), tmp_path / "out"
        asked = Asked(own, role)
        tune(asked, None, Budget(trials=1), out)
        delimited(tmp_path / "ev.csv", seed=1)
        with pytest.raises(StorageError) as caught:
            tune(asked, None, Budget(trials=2), out)
        kept = json.loads((out / "trials.json").read_text())
        assert str(caught.value) == (
            f"{out / 'trials.json'}: this search was begun with fingerprint of the data = "
            f"{kept['made_from']['fingerprint of the data']!r} and cannot go on with "
            f"{prepare(validation_only(own)).content!r}; put that back, or name another --out"
        )
        delimited(tmp_path / "ev.csv", seed=0)
        assert tune(asked, None, Budget(trials=2), out)["trials"] == 2

    def test_the_budget_in_minutes_lets_the_first_trial_end(self, tmp_path: Path) -> None:
        tune(self.ASKED, None, Budget(minutes=1e-6), tmp_path)
        (only,) = Ledger.open(tmp_path / "trials.json", _begun(tmp_path)).trials
        assert (only.state, only.epochs) == ("complete", 6)

    def test_one_trial_is_compared_with_none_and_two_with_each_other(self, tmp_path: Path) -> None:
        alone, two = (tune(self.ASKED, None, Budget(trials=trials), tmp_path) for trials in (1, 2))
        assert alone["verdict"][1:] == [
            "the settings as they were given are all that was tried; more --trials or --minutes try others"
        ]
        assert markdown(alone).splitlines()[4].startswith("- 1 trial in ")
        other = next(row for row in two["ranking"] if row["number"] != two["best"]["number"])
        told = two["verdict"][2]
        assert told in (
            f"trial {other['number']} cannot be told from it by these users (paired t-test, p >= .05)",
            f"trial {other['number']} is worse by more than chance among these users (p < .05)",
        )
        assert f" | {figure(other['difference'], sign=True)} [−" in markdown(two)

    def test_a_loss_that_is_no_number_is_a_failed_trial(self, tmp_path: Path) -> None:
        wild = replace(self.ASKED, keys=["train.learning_rate=1e30,1e-2"], experiment=experiment())
        found = tune(wild, None, Budget(trials=8), tmp_path)
        assert found["failed"] > 0
        assert found["best"]["settings"]["student.train.learning_rate"] == 0.01

    def test_a_distilled_student_learns_from_one_set_of_lists(self, tmp_path: Path) -> None:
        asked = Asked(experiment(), "distilled", keys=["distillation.k=2..12"])
        found = tune(asked, "ndcg@10", Budget(trials=3), tmp_path)
        assert found["metric"] == "ndcg@10"
        assert len(list(tmp_path.glob("labels-*.parquet"))) == 1
        assert found["trials"] == 3

    def test_a_distilled_student_learns_from_the_lists_that_its_trial_asks_for(self, tmp_path: Path) -> None:
        own = validation_only(experiment())
        asked = Asked(own, "distilled", keys=["distillation.exclude=targets,seen"])
        found = tune(asked, None, Budget(trials=8), tmp_path)
        tried = {row["settings"]["distillation.exclude"] for row in found["ranking"]}
        assert (tried, found["failed"]) == ({"targets", "seen"}, 0)
        searched = Job(90, {"distillation.exclude": "seen"}, own, "distilled", "map", tmp_path)
        alone = replace(searched, point={}, base=at(own, searched.point), out=tmp_path / "alone")
        tune(Asked(alone.base, "distilled"), None, Budget(trials=1), alone.out)
        assert do(searched).curve == do(alone).curve != do(replace(searched, point={})).curve

    def test_k_is_searched_as_far_as_the_lists_of_several_teachers_are_the_same_for_each(self, tmp_path: Path) -> None:
        several: dict[str, Any] = {"teacher": [FACTORS, FACTORS], "ensemble": {"combine": "ranks", "depth": 7}}
        found = tune(Asked(experiment(**several), "distilled"), None, Budget(trials=1), tmp_path)
        assert found["space"]["distillation.k"] == "3 to 7, log"
        deep = experiment(**several, distillation={"k": 9})
        with pytest.raises(ConfigError) as caught:
            tune(Asked(deep, "distilled"), None, Budget(trials=1), tmp_path / "deep")
        assert str(caught.value) == (
            "[distillation] k = 9: above [ensemble] depth = 7 the lists of several teachers are others for each k, and "
            "a search has one set; --set ensemble.depth=9, or search no k above 7"
        )
        assert not (tmp_path / "deep" / "teacher").exists()

    @pytest.mark.parametrize("role", ["student", "distilled"])
    def test_a_folder_that_was_another_search_s_in_the_same_process_is_read_anew(
        self, tmp_path: Path, role: Role
    ) -> None:
        def value(seed: int, out: Path) -> float:
            data = delimited(tmp_path / "ev.csv", seed=seed)
            asked = Asked(experiment(data=data, distillation={"kind": "cross_entropy"}), role)
            best: float = tune(asked, None, Budget(trials=1), out)["best"]["value"]
            return best

        first, second = value(0, tmp_path / "first"), value(1, tmp_path / "second")
        assert value(0, tmp_path / "again") == first != second
        shutil.rmtree(tmp_path / "again")
        assert value(1, tmp_path / "again") == second

    def test_data_without_a_validation_part_is_refused(self, tmp_path: Path) -> None:
        asked = Asked(experiment(split={"fractions": [0.8, 0.0, 0.2]}), "student")
        with pytest.raises(DataError, match="there is no validation part, and settings are chosen by nothing else"):
            tune(asked, None, Budget(trials=2), tmp_path)

    def test_a_model_without_options_is_refused(self, tmp_path: Path) -> None:
        asked = Asked(experiment(teacher={"kind": "popularity"}), "teacher")
        with pytest.raises(ConfigError, match="--role teacher: there is nothing to search"):
            tune(asked, None, Budget(trials=2), tmp_path)


def test_the_table_of_a_search_names_the_settings_that_are_not_the_experiments_own() -> None:
    given = {"student.dim": 8, "student.activation": "relu", "student.train.dim": 1, "student.dropout": 0.5}
    other = given | {"student.dim": 9, "student.activation": "tanh", "student.dropout": 0.123456}
    found = {
        "metric": "map",
        "space": dict.fromkeys(given, ""),
        "given": given,
        "ranking": [
            {"number": 2, "value": 0.25, "epochs": 3, "settings": other},
            {"number": 1, "value": 0.125, "epochs": 4, "settings": given},
        ],
    }
    heads, rows = table(found)
    assert heads == ["trial", "MAP", "epochs", "other settings"]
    assert rows == [
        [2, ".2500", 3, "student.dim=9, activation=tanh, dropout=0.123"],
        [1, ".1250", 4, "as given"],
    ]


def _begun(folder: Path) -> dict[str, Any]:
    begun: dict[str, Any] = json.loads((folder / "trials.json").read_text())["begun_with"]
    return begun


def test_a_method_that_climbs_finds_the_lists_of_the_teachers_earlier_epochs(tmp_path: Path) -> None:
    climbing = experiment(distillation={"kind": "hetcomp", "k": 3}, teacher={**FACTORS, "dim": 8, "train": KEPT})
    found = tune(Asked(climbing, "distilled"), None, Budget(trials=2), tmp_path)
    assert (found["trials"], found["failed"]) == (2, 0)


class TestGoal:
    SMALL, GIVEN, TEACHER = Model("a", 1_000_000, 0.1), Model("b", 2_000_000, 0.2), Model("c", 8_000_000, 0.4)
    QUICK = Model("q", 1_500_000, 0.08)

    @pytest.mark.parametrize(
        ("asked", "message"),
        [
            ((None, None, None), "no goal: name one or more of --within 1%, --under-mb 1.1 and --under-ms 0.2"),
            (("0%", None, None), "asks a student to be as good as its teacher or better, which none can promise"),
            (("-1%", None, None), "asks a student to be as good as its teacher or better, which none can promise"),
            (("100%", None, None), "any student is within that; name a loss below 100%"),
            (("0.01", None, None), "write a percentage of the teacher's metric, such as 1%"),
            ((None, 0.0, None), "--under-mb 0: no student takes 0 MB; name a number above 0"),
            ((None, float("nan"), None), "--under-mb nan: no student takes nan MB; name a number above 0"),
            ((None, None, float("inf")), "--under-ms inf: no student takes inf ms; name a number above 0"),
            ((None, None, -1.0), "--under-ms -1: no student takes -1 ms; name a number above 0"),
        ],
    )
    def test_a_goal_that_is_none_is_refused(self, asked: tuple[Any, Any, Any], message: str) -> None:
        with pytest.raises(ConfigError) as caught:
            Goal.read(*asked, "map")
        assert message in str(caught.value)

    @pytest.mark.parametrize(
        ("goal", "message"),
        [
            (Goal(under_mb=0.5), "--under-mb 0.5: the smallest student that is searched, a, has 1 MB; ask for more"),
            (
                Goal(under_ms=0.05),
                "--under-ms 0.05: the quickest student that is searched, q, takes 0.080 ms a query here",
            ),
            (
                Goal(under_mb=1.1, under_ms=0.09),
                "--under-ms 0.09: the quickest student that is searched with --under-mb 1.1, a, takes 0.100 ms a query",
            ),
            (Goal(under_ms=0.4), "--under-ms 0.4: the teacher itself, c, takes 0.400 ms a query here; ask for less"),
            (Goal(under_mb=8.0), "--under-mb 8: the teacher itself, c, has 8 MB; ask for less"),
        ],
    )
    def test_a_goal_that_contradicts_the_experiment_is_refused(self, goal: Goal, message: str) -> None:
        with pytest.raises(ConfigError) as caught:
            check(goal, [self.SMALL, self.QUICK], self.GIVEN, self.TEACHER)
        assert str(caught.value).startswith(message)

    def test_students_are_not_timed_while_others_train(self, tmp_path: Path) -> None:
        asked, out = Asked(experiment(), "distilled", sizes=True), tmp_path / "out"
        with pytest.raises(ConfigError) as caught:
            compress(asked, Goal(under_ms=0.2), Budget(trials=2, jobs=2), out)
        assert str(caught.value) == (
            "--under-ms 0.2: --jobs 2 trains students while others are timed, which makes these slow; leave out --jobs"
        )
        assert not out.exists()

    def test_a_goal_is_refused_where_no_student_is_smaller_than_the_teacher(self) -> None:
        with pytest.raises(ConfigError) as caught:
            check(Goal(within=0.01), [Model("d", 9_000_000)], self.TEACHER, self.TEACHER)
        assert str(caught.value).startswith(
            "the smallest student that is searched, c, has 8 MB and the teacher c 8 MB: there is nothing to compress; "
            "name a smaller student"
        )
        check(Goal(within=0.01), [Model("d", 9_000_000), self.SMALL], self.TEACHER, self.TEACHER)
        check(Goal(within=0.01, under_mb=2), [self.SMALL], self.GIVEN, self.TEACHER)
        check(Goal(under_mb=9), [self.SMALL], self.GIVEN, None)

    def test_where_time_alone_is_limited_a_student_may_be_larger_than_its_teacher(self) -> None:
        large = Model("d", 9_000_000, 0.3)
        check(Goal(under_ms=0.3), [], large, self.TEACHER)
        check(Goal(within=0.01, under_ms=0.3), [], large, self.TEACHER)
        with pytest.raises(ConfigError, match="there is nothing to compress"):
            check(Goal(under_mb=9.5, under_ms=0.3), [], large, self.TEACHER)

    def test_no_student_is_looked_at_behind_one_that_fits(self) -> None:
        looked_at = iter([self.QUICK, self.SMALL])
        check(Goal(under_ms=0.09), looked_at, self.GIVEN, self.TEACHER)
        assert list(looked_at) == [self.SMALL]

    def test_how_sure_it_is_counts_the_resamples_within_the_goal(self) -> None:
        generator = np.random.default_rng(0)
        teacher = generator.uniform(0.2, 0.8, 400)
        lost = 0.05 + generator.normal(0, 0.2, 400)
        one, other = (Evaluation(np.arange(400), {"map": values}, {}) for values in (teacher * (1 - lost), teacher))
        sure = [sureness(one, other, Goal(within=share, metric="map")) for share in (0.01, 0.05, 0.09)]
        assert [each["lost"] for each in sure] == [pytest.approx(sure[0]["lost"])] * 3
        assert sure[0]["low"] < sure[0]["lost"] < sure[0]["high"]
        assert sure[0]["probability"] < 0.1
        assert 0.1 < sure[1]["probability"] < 0.9
        assert sure[2]["probability"] > 0.9
        assert sureness(one, other, Goal(under_mb=1, metric="map"))["probability"] is None


@pytest.mark.parametrize(
    ("goal", "least", "lines"),
    [
        (Goal(within=0.1), 0.3, []),
        (Goal(within=0.1), 0.32, ["the final student has nDCG@10 0.31 on the validation users, and 0.32 is needed"]),
        (Goal(under_ms=0.5), None, []),
        (Goal(under_ms=0.4), None, ["the final student took 0.450 ms a query when it was measured again"]),
    ],
)
def test_what_the_final_student_lacks_of_its_trial_is_said(goal: Goal, least: float | None, lines: list[str]) -> None:
    card = {"validation": {"ndcg@10": 0.31}, "latency_ms": {"p50": 0.45}}
    assert lacking(card, goal, least) == lines
    assert not lacking({"latency_ms": {"p50": 0.1}}, Goal(within=0.1), 0.3)  # of a run without a validation part


def test_how_often_the_test_users_were_looked_at_is_not_forgotten(tmp_path: Path) -> None:
    (tmp_path / "compress.json").write_text("{")
    asked = Asked(experiment(), "distilled", sizes=True)
    with pytest.raises(StorageError, match=r"compress.json: cannot be read \(.*\); put back a copy of it, or"):
        compress(asked, Goal(under_mb=0.002), Budget(trials=1), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["compress.json"]


def test_the_test_users_are_looked_at_once_a_student() -> None:
    one, other = {"sha256": "a"}, {"sha256": "b"}
    assert looks({}, one) == 1
    assert looks({**one, "looks": 1}, one) == 1
    assert looks({**one, "looks": 1}, other) == 2
    assert looks({"met": False}, one) == 1


class TestSizes:
    def sizes(self, own: Experiment) -> Sizes:
        return Sizes(own, prepare(validation_only(own)), timed=False)

    def test_a_teacher_is_as_large_as_the_file_that_it_becomes(self, tmp_path: Path) -> None:
        one = self.sizes(experiment())
        assert one.teacher() == one.of(one.experiment.teacher.model)
        several = experiment(teacher={**FACTORS, "dim": 8, "members": 3})
        split = prepare(validation_only(several))
        company = Company.of(several, tmp_path)
        assert company is not None
        for number in (1, 2, 3):
            model = build(several.teacher.model, split, number)
            save_model(tmp_path / "members" / str(number), model, split.user_ids, split.item_ids, {})
        company.join(split)
        teacher = self.sizes(several).teacher()
        assert teacher is not None
        assert (teacher.name, teacher.bytes) == ("3 models together", load_card(tmp_path)["bytes"])

    def test_a_teacher_of_fused_lists_is_as_large_as_its_models_together(self) -> None:
        both = [{**FACTORS, "dim": 8}, {**FACTORS, "dim": 2}]
        mixed = self.sizes(experiment(teacher=both, ensemble={"combine": "ranks"}))
        assert mixed.teacher().bytes == sum(mixed.of(each.model).bytes for each in mixed.experiment.teacher.each)
        assert self.sizes(experiment(teacher=[*both, {"rankings": "a.parquet"}])).teacher() is None
        assert self.sizes(experiment(teacher={"rankings": "a.parquet"})).teacher() is None

    def test_the_bytes_of_an_untrained_model_are_those_of_its_file(self, tmp_path: Path) -> None:
        own = experiment()
        split = prepare(validation_only(own))
        model = build(own.student.model, split, 0)
        save_model(tmp_path, model, split.user_ids, split.item_ids, {})
        assert bytes_of(model) == load_card(tmp_path)["bytes"]

    def test_a_ladder_goes_from_the_smallest_student_to_the_largest_and_has_the_given_one(self) -> None:
        own = experiment()
        space = space_of(own, "distilled", sizes=True)
        point = point_of(own, space)
        ladder = ladder_of(own, space, point)
        dims = [each["student.dim"] for each in ladder]
        assert dims == sorted(set(dims), key=int)
        assert (dims[0], dims[-1]) == (4, 256)
        assert point in ladder
        assert all({**each, "student.dim": 4} == point for each in ladder)
        sizes = self.sizes(own)
        sizable = [model.bytes for each in ladder[:8] if (model := sizes.at(each))]
        assert sizable == sorted(sizable)
        assert sizes.largest_that(lambda model: model.bytes <= sizable[3], ladder[:8]) == 3
        assert sizes.largest_that(lambda model: model.bytes < sizable[0], ladder[:8]) == -1

    def test_the_least_student_is_the_smallest_whose_values_go_together(self) -> None:
        own = experiment(student={"kind": "sasrec", "dim": 12, "heads": 3}, distillation={"k": 3})
        space = space_of(own, "distilled", sizes=True)
        sizes = self.sizes(own)
        least = list(sizes.least(space, point_of(own, space)))
        assert all("dim = 6" in model.name for model in least)
        assert min(model.bytes for model in least) < sizes.of(own.student.model).bytes

    def test_a_search_for_a_quick_student_begins_with_the_largest_that_is_quick_enough(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def as_many_ms_as_numbers(model: Any, queries: Any) -> float:
            return float(model.config.dim)

        monkeypatch.setattr("rankdistill.tuning.sizes.median_latency", as_many_ms_as_numbers)
        own = experiment()
        space = space_of(own, "distilled", sizes=True)
        point = point_of(own, space)
        ladder = ladder_of(own, space, point)
        sizes = Sizes(own, prepare(validation_only(own)), timed=True)
        quick = Smallest(sizes, Goal(under_ms=20.0), None, ladder, point, float("inf"))
        first = quick.first([], [])
        assert first is not None
        slower = ladder[ladder.index(first) + 1]
        assert int(first["student.dim"]) <= 20 < int(slower["student.dim"])
        assert quick.refused(slower, [])
        beside_a_tiny_teacher = replace(quick, teacher_bytes=1)
        assert beside_a_tiny_teacher.first([], []) == first
        assert not beside_a_tiny_teacher.refused(first, [])
        small_too = replace(beside_a_tiny_teacher, goal=Goal(under_ms=20.0, under_mb=1))
        assert small_too.first([], []) is None

    def test_a_student_that_is_not_good_enough_is_tried_as_large_as_may_be_and_then_between(self) -> None:
        own = experiment(student={**FACTORS, "dim": 8}, teacher={**FACTORS, "dim": 64})
        space = space_of(own, "distilled", sizes=True)
        point, tried = point_of(own, space), list[Trial]()
        sizes = self.sizes(own)
        teacher = sizes.teacher()
        assert teacher is not None
        ladder = ladder_of(own, space, point)
        small = Smallest(sizes, Goal(within=0.01), 0.5, ladder, point, teacher.bytes)
        dims = []
        while (asked := small.first(tried, [])) is not None:
            dims.append(dim := int(asked["student.dim"]))
            model = sizes.at(asked)
            assert model is not None
            good = 0.6 if dim >= 20 else 0.4  # what 20 numbers can tell
            tried.append(trial(len(tried), good, point=asked, bytes=model.bytes))
        all_dims = [int(each["student.dim"]) for each in ladder]
        assert dims[:2] == [8, max(dim for dim in all_dims if dim < 64)]
        found = small.chosen(tried)
        assert found is not None
        assert found.point["student.dim"] == min(dim for dim in all_dims if dim >= 20)
        hopeless = [trial(0, 0.4, point=point), trial(1, 0.4, point={**point, "student.dim": dims[1]})]
        assert small.first(hopeless, []) is None

    def test_the_closest_misses_least_of_what_is_asked_whatever_that_is(self) -> None:
        def closest(goal: Goal, least: float | None, *tried: Trial) -> int:
            return Smallest(self.sizes(experiment()), goal, least, [], {}, 1e9).closest(tried).number

        slow, slower = trial(0, 0.50, bytes=10, latency_ms=1.1), trial(1, 0.90, bytes=10, latency_ms=3.0)
        assert closest(Goal(under_ms=1.0), None, slow, slower) == 0
        large, larger = trial(0, 0.50, bytes=1_100_000), trial(1, 0.90, bytes=3_000_000)
        assert closest(Goal(under_mb=1.0), None, larger, large) == 0
        small = trial(2, 0.46, bytes=10)
        assert closest(Goal(within=0.01, under_mb=1.0), 0.5, large, small) == 2  # 8 % and 10 %
        assert closest(Goal(within=0.01, under_mb=1.0), 0.6, large, small) == 0  # 17 %, and 23 %
        assert closest(Goal(within=0.01), 0.95, slow, slower) == 1
        cut_short = trial(4, 0.1, bytes=10, latency_ms=0.9, state="pruned")
        assert closest(Goal(under_ms=1.0), None, cut_short, slow) == 0
        assert closest(Goal(under_ms=1.0), None, cut_short) == 4
        assert closest(Goal(under_ms=2.0), None, slow, trial(3, 0.6, bytes=10, latency_ms=1.2)) == 3

    @pytest.mark.parametrize("kind", ["matrix_factorization", "caser"])
    def test_where_no_size_fits_the_own_settings_are_tried_in_the_first_form_that_does(self, kind: str) -> None:
        own = experiment(student={"kind": kind, "dim": 4}, teacher={**FACTORS, "dim": 64})
        space = space_of(own, "distilled", sizes=True)
        point, sizes = point_of(own, space), self.sizes(own)
        goal = Goal(under_mb=(sizes.of(own.student.model).bytes - 1) / 1e6)
        best, within = (
            Smallest.of(sizes, each, least, space, point, float("inf"))
            for each, least in ((goal, None), (replace(goal, within=0.01), 0.5))
        )
        least, largest = within.first([], []), best.first([], [])
        assert least is not None
        assert largest is not None
        own_others = {address: value for address, value in point.items() if not space[address].size}
        for each in (least, largest):
            model = sizes.at(each)
            assert model is not None
            assert model.bytes <= goal.most_bytes
            assert {address: each[address] for address in own_others} == own_others
        assert int(least["student.dim"]) == 4 < int(largest["student.dim"])
        assert within.first([trial(1, 0.4, point=least, bytes=1)], []) == largest

    def test_a_student_is_called_by_all_that_decides_its_size(self) -> None:
        own = experiment(student={"kind": "caser", "dim": 4, "tied": True, "dropout": 0.1, "precision": "int8"})
        assert name_of(own.student.model) == 'caser with precision = "int8", dim = 4, tied = true'
        assert name_of(experiment(student={"kind": "caser", "dim": 4}).student.model) == "caser with dim = 4"

    def test_the_smallest_student_has_the_smallest_of_all_that_decides_the_size(self) -> None:
        own = experiment(student={"kind": "caser", "dim": 16}, teacher={"kind": "caser", "dim": 32})
        space = space_of(own, "distilled", sizes=True)
        smallest = min(self.sizes(own).least(space, point_of(own, space)), key=lambda model: model.bytes)
        others = [self.sizes(own).at({**point_of(own, space), "student.dim": 4, "student.tied": True})]
        assert smallest.bytes < min(model.bytes for model in others if model)


def test_a_best_toml_is_plain_toml(tmp_path: Path) -> None:
    tune(Asked(experiment(), "teacher"), None, Budget(trials=2), tmp_path)
    assert tomllib.loads((tmp_path / "best.toml").read_text())["teacher"]["kind"] == "matrix_factorization"


@pytest.fixture
def foreign(tmp_path: Path) -> Experiment:
    """An experiment whose teacher is three files of lists, for each query of the training part and for users."""
    apart = experiment(split={"train_on_validation": False})
    split = prepare(apart)
    teacher = train(apart.teacher.model, split)
    label(teacher, split, k=6).write(tmp_path / "lists.parquet", split.user_ids, split.item_ids, positions=True)
    for part in ("validation", "test"):
        lists = rank(teacher, split.queries(part), 20)
        lists.write(tmp_path / f"{part}.parquet", split.user_ids, split.item_ids)
    files = {"rankings": "lists", "validation_rankings": "validation", "test_rankings": "test"}
    return experiment(
        split={"train_on_validation": False},
        teacher={key: str(tmp_path / f"{name}.parquet") for key, name in files.items()},
    )


def test_lists_of_a_foreign_teacher_are_compressed_where_its_quality_is_known(
    foreign: Experiment, tmp_path: Path
) -> None:
    asked = Asked(foreign, "distilled", keys=["student.dim=2..8"], sizes=True)
    found = compress(asked, Goal(within=0.5), Budget(trials=2), tmp_path / "small")
    split = prepare(foreign)
    lists = Rankings.read(tmp_path / "validation.parquet", split.item_ids, split.user_ids)
    ranks = evaluate(lists.for_queries(split.queries("validation").ids), split.validation, ["ndcg@10"])
    assert found["teacher"]["validation"] == pytest.approx(ranks.mean()["ndcg@10"])
    assert found["teacher"]["bytes"] is None
    assert found["met"]
    assert found["space"]["distillation.k"] == "3 to 6, log"
    files = (tmp_path / "small" / "final" / role / "evaluation.parquet" for role in ("distilled", "teacher"))
    student, teacher = (Evaluation.read(file, split.user_ids).values["ndcg@10"] for file in files)
    assert found["sure"]["lost"] == pytest.approx(1 - student.mean() / teacher.mean())
    draws = np.random.default_rng(7).integers(len(student), size=(4000, len(student)))
    lost = 1 - student[draws].mean(1) / teacher[draws].mean(1)
    assert found["sure"]["probability"] == pytest.approx((lost <= 0.5).mean(), abs=0.03)
    assert [found["sure"][end] for end in ("low", "high")] == pytest.approx(np.quantile(lost, [0.025, 0.975]), abs=0.05)


@pytest.mark.parametrize("name", ["lists", "validation"])
def test_a_search_goes_on_with_the_same_lists_alone(foreign: Experiment, tmp_path: Path, name: str) -> None:
    asked = Asked(foreign, "distilled", keys=["student.dim=2..8"], sizes=True)
    compress(asked, Goal(within=0.5), Budget(trials=1), tmp_path / "small")
    path = tmp_path / f"{name}.parquet"
    given = pl.read_parquet(path)
    given.filter(pl.col("rank") < 6).write_parquet(path)
    with pytest.raises(StorageError, match=rf"begun with fingerprint of .*{name}.parquet = .* cannot go on with"):
        compress(asked, Goal(within=0.5), Budget(trials=2), tmp_path / "small")


def by_query(foreign: Experiment, *, apart: bool) -> Experiment:
    """The experiment of foreign lists, without those for users."""
    return experiment(split={"train_on_validation": not apart}, teacher={"rankings": str(foreign.teacher.rankings)})


def test_lists_of_the_training_part_serve_no_student_that_learns_from_more(foreign: Experiment, tmp_path: Path) -> None:
    asked = Asked(by_query(foreign, apart=False), "distilled", sizes=True)
    with pytest.raises(RankingsError) as caught:
        compress(asked, Goal(under_mb=0.002), Budget(trials=1), tmp_path / "small")
    message = str(caught.value)
    assert message.startswith(
        "[split] train_on_validation = true: the final student learns from the validation part, too, and the lists do "
        "not serve for that (lists.parquet: made from other data"
    )
    assert message.endswith("set split.train_on_validation=false, and it learns from the training part alone")
    assert not (tmp_path / "small" / "search" / "trials.json").exists()
    lists = pl.read_parquet(foreign.teacher.rankings)
    lists.write_parquet(foreign.teacher.rankings)  # somebody else's: no fingerprint
    with pytest.raises(RankingsError, match=r"\(lists.parquet: no list for 60 of 420 training queries, of 60 of 60"):
        compress(asked, Goal(under_mb=0.002), Budget(trials=1), tmp_path / "small")
    assert not (tmp_path / "small" / "search" / "trials.json").exists()
    found = compress(
        replace(asked, experiment=by_query(foreign, apart=True)), Goal(under_mb=0.002), Budget(trials=1), tmp_path
    )
    assert found["met"]


@pytest.mark.parametrize("several", [False, True])
def test_beside_a_teacher_without_test_lists_the_two_students_are_compared(
    foreign: Experiment, tmp_path: Path, several: bool
) -> None:
    one = {"rankings": str(foreign.teacher.rankings)}
    own = experiment(split={"train_on_validation": False}, teacher=[one, one] if several else one)
    asked = Asked(own, "distilled", sizes=True)
    found = compress(asked, Goal(under_mb=0.002), Budget(trials=1), tmp_path / "small")
    users = prepare(own).user_ids
    roles = ("distilled", "student")
    files = (tmp_path / "small" / "final" / role / "evaluation.parquet" for role in roles)
    distilled, plain = (Evaluation.read(file, users).values["ndcg@10"] for file in files)
    assert (found["sure"], found["plain"], found["looks"]) == (None, None, 1)
    assert found["gained"]["difference"] == pytest.approx((distilled - plain).mean())
    assert found["gained"]["low"] < found["gained"]["difference"] < found["gained"]["high"]
    said = found["sentences"]
    assert f"on the 60 test users, looked at once, its nDCG@10 is {figure(distilled.mean())}" in said
    (line,) = (each for each in said if each.startswith("the plain student of that size, which has no teacher, has "))
    assert f"has {figure(plain.mean())}: " in line
    assert f" {figure((distilled - plain).mean(), sign=True)} [" in line
    (page,) = (tmp_path / "small").glob("compress.md")
    assert line in page.read_text()


@pytest.mark.parametrize("apart", [True, False])
def test_lists_for_queries_of_the_validation_part_are_refused(foreign: Experiment, tmp_path: Path, apart: bool) -> None:
    whole = prepare(experiment())
    teacher = train(foreign.student.model, whole)
    label(teacher, whole, k=6).write(tmp_path / "lists.parquet", whole.user_ids, whole.item_ids, positions=True)
    pl.read_parquet(tmp_path / "lists.parquet").write_parquet(tmp_path / "lists.parquet")
    with pytest.raises(RankingsError, match=r"60 of 420 lists are for queries behind the training part"):
        compress(
            Asked(by_query(foreign, apart=apart), "distilled", sizes=True),
            Goal(under_mb=0.002),
            Budget(trials=1),
            tmp_path / "small",
        )


def test_one_list_a_user_serves_the_search_and_the_run(foreign: Experiment, tmp_path: Path) -> None:
    split = prepare(foreign)
    lists = rank(train(foreign.student.model, split), split.queries("validation"), 20)
    lists.write(tmp_path / "users.parquet", split.user_ids, split.item_ids)
    both = experiment(teacher={"rankings": str(tmp_path / "users.parquet")})
    found = compress(Asked(both, "distilled", sizes=True), Goal(under_mb=0.002), Budget(trials=1), tmp_path / "small")
    assert found["met"]


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("shortest", [7, 5])
def test_no_k_is_tried_that_lists_a_user_do_not_reach_together(
    foreign: Experiment, tmp_path: Path, several: bool, shortest: int
) -> None:
    split, path = prepare(foreign), tmp_path / "users.parquet"
    rank(train(foreign.student.model, split), split.queries("validation"), 7).write(
        path, split.user_ids, split.item_ids
    )
    lists = pl.read_parquet(path)
    lists.filter((pl.col("user_id") != lists["user_id"][0]) | (pl.col("rank") <= shortest)).write_parquet(path)
    one = {"rankings": str(path)}
    made = experiment(split={"train_on_validation": False}, teacher=[one, one] if several else one)
    _, space = prepare_teacher(made, "distilled", {"distillation.k": Range(3, 200)}, split, tmp_path / "out")
    assert space == {"distillation.k": Range(3, shortest - 1)}


def test_lists_among_several_teachers_are_looked_at_before_any_is_trained(foreign: Experiment, tmp_path: Path) -> None:
    pl.read_parquet(foreign.teacher.rankings).write_parquet(foreign.teacher.rankings)
    several = experiment(teacher=[FACTORS, {"rankings": str(foreign.teacher.rankings)}])
    with pytest.raises(RankingsError, match=r"\[split\] train_on_validation = true: the final student learns from"):
        tune(Asked(several, "distilled"), None, Budget(trials=1), tmp_path / "out")
    assert not (tmp_path / "out" / "teacher").exists()


def test_a_share_of_a_teacher_that_ranks_nothing_right_is_refused(foreign: Experiment, tmp_path: Path) -> None:
    split = prepare(foreign)
    targets = set(zip(split.validation.users.tolist(), split.validation.items.tolist(), strict=True))
    lists = pl.read_parquet(tmp_path / "validation.parquet")
    users = split.user_ids.encode(lists["user_id"]).tolist()
    items = split.item_ids.encode(lists["item_id"]).tolist()
    others = lists.filter(pl.Series([pair not in targets for pair in zip(users, items, strict=True)]))
    ranks = pl.int_range(1, pl.len() + 1).over("user_id").alias("rank")
    others.with_columns(ranks).write_parquet(tmp_path / "validation.parquet")
    asked = Asked(foreign, "distilled", sizes=True)
    with pytest.raises(ConfigError) as caught:
        compress(asked, Goal(within=0.5), Budget(trials=1), tmp_path / "small")
    assert str(caught.value) == (
        "--within 50%: the teacher's ndcg@10 on the validation users is 0, and any student is within that; do its "
        "lists leave out what it learned from, and that was the validation part, too? make them with --set "
        "split.train_on_validation=false"
    )
    assert compress(asked, Goal(under_mb=0.002), Budget(trials=1), tmp_path / "fits")["met"]
