"""What a search leaves to be run: the teacher is trained for as long as was best in the search, as the student is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rankdistill.config import Experiment, RoleConfig, Teachers, TrainConfig, load, parse, to_toml
from rankdistill.model_folder import load_card
from rankdistill.stages import kept_models
from rankdistill.tuning.compress import compress
from rankdistill.tuning.final import ended_at, taught
from rankdistill.tuning.goal import Goal
from rankdistill.tuning.inputs import validation_only
from rankdistill.tuning.search import Budget
from rankdistill.tuning.tune import Asked, tune

pytest.importorskip("optuna")

FACTORS = {"kind": "matrix_factorization", "dim": 4}
WHOLE = {"epochs": 12, "learning_rate": 0.003, "schedule": "linear", "checkpoints": 5}
"""At these step sizes the teacher is best long before its last epoch, and not in its first one."""


def experiment(**changes: Any) -> Experiment:
    sections: dict[str, Any] = {
        "data": {"kind": "synthetic", "users": 60, "items": 40, "length": 15},
        "teacher": {**FACTORS, "dim": 8, "train": WHOLE},
        "student": FACTORS,
        "distillation": {"k": 3, "warmup_epochs": 0},
        "train": {"epochs": 4, "learning_rate": 0.01, "batch_size": 128, "threads": 1, "device": "cpu"},
        "evaluate": {"metrics": ["ndcg@10", "map"], "bootstrap_samples": 10},
    }
    return parse(sections | changes, "test")


def trained(folder: Path, own: Experiment, best: int, **others: Any) -> Path:
    """The card of a teacher's model that was best in an epoch."""
    assert isinstance(own.teacher, RoleConfig)
    train = own.teacher.train.model_dump(mode="json") | others
    folder.mkdir(parents=True)
    settings = {f"train.{key}": value for key, value in train.items()}
    card = {"kind": own.teacher.kind, "best_epoch": best, "settings": settings}
    (folder / "model.json").write_text(json.dumps(card))
    return folder


def epochs_of(own: Experiment) -> list[int]:
    """Of the trained teachers."""
    tables = own.teacher.each if isinstance(own.teacher, Teachers) else (own.teacher,)
    return [each.train.epochs for each in tables if isinstance(each, RoleConfig)]


def test_the_teacher_of_the_best_settings_learns_as_that_of_the_search_did_to_its_best_epoch(tmp_path: Path) -> None:
    own = experiment()
    tune(Asked(own, "distilled"), None, Budget(trials=1), tmp_path)
    best = load_card(tmp_path / "teacher")["best_epoch"]
    assert 1 < best < WHOLE["epochs"]
    teacher = load(tmp_path / "best.toml").teacher
    assert isinstance(teacher, RoleConfig)
    assert teacher.train.epochs == best
    searched = own.teacher
    assert isinstance(searched, RoleConfig)
    rates = [[each.train.learning_rate_in(epoch) for epoch in range(1, best + 1)] for each in (teacher, searched)]
    assert rates[0] == rates[1]
    apart = tmp_path / "apart"
    tune(Asked(validation_only(own), "distilled"), None, Budget(trials=1), apart)
    assert epochs_of(load(apart / "best.toml")) == [WHOLE["epochs"]]  # its best epoch is picked again


def test_what_a_compressed_student_climbs_is_what_the_students_of_the_search_climbed(tmp_path: Path) -> None:
    own = experiment(distillation={"kind": "hetcomp", "k": 3})
    asked = Asked(own, "distilled", keys=["student.dim=2..8"], sizes=True)
    assert compress(asked, Goal(under_mb=0.002), Budget(trials=1), tmp_path)["met"]
    searched, final = (tmp_path / name / "teacher" for name in ("search", "final"))
    best = load_card(searched)["best_epoch"]
    assert load_card(final)["epochs"] == best < WHOLE["epochs"]
    kept = [[path.name for path in kept_models(folder)] for folder in (searched, final)]
    assert kept[0] == kept[1] != []


def test_each_of_several_teachers_ends_at_its_best_epoch_and_trainings_of_one_table_at_the_median(
    tmp_path: Path,
) -> None:
    own, table = experiment(), {**FACTORS, "dim": 8, "train": WHOLE}
    for number, best in enumerate((3, 10, 4, 7), start=1):
        trained(tmp_path / "members" / str(number), own, best)
    (tmp_path / "model.json").write_text(json.dumps({"kind": "ensemble"}))
    lists = {"rankings": "lists.parquet"}
    several = experiment(teacher=[{**table, "members": 3}, table, lists], ensemble={"combine": "ranks"})
    found = taught(several, tmp_path)
    assert epochs_of(found) == [4, 7]
    assert isinstance(found.teacher, Teachers)
    assert isinstance(several.teacher, Teachers)
    assert found.teacher.each[2] == several.teacher.each[2]
    (tmp_path / "best.toml").write_text(to_toml(found))
    assert load(tmp_path / "best.toml") == found
    assert epochs_of(taught(experiment(teacher={**table, "members": 3}), tmp_path)) == [4]
    assert epochs_of(taught(experiment(teacher={**table, "members": 4}), tmp_path)) == [6]  # between 4 and 7
    without = experiment(teacher=[{**table, "members": 2, "weight": 0.0}, table, table])
    assert epochs_of(taught(without, tmp_path)) == [12, 4, 7]


@pytest.mark.parametrize(
    ("others", "epochs"),
    [
        ({}, 5),
        ({"patience": 2, "checkpoints": 0, "validation_metric": "ndcg@10"}, 5),
        ({"learning_rate": 0.01}, 12),
        ({"batch_size": 64}, 12),
        ({"epochs": 30}, 12),  # the step size fell less steeply
        ({"epochs": 30, "schedule_epochs": 30, "schedule": "constant"}, 12),
    ],
)
def test_the_best_epoch_of_a_given_model_is_taken_over_where_it_learned_by_the_same_steps(
    tmp_path: Path, others: dict[str, Any], epochs: int
) -> None:
    own = experiment()
    given = trained(tmp_path / "given", own, 5, **others)
    assert epochs_of(taught(own, given)) == [epochs]
    assert taught(validation_only(own), given) == validation_only(own)


def test_a_training_that_ends_before_keeps_the_epochs_of_the_whole_one_up_to_there() -> None:
    whole = TrainConfig(epochs=25, checkpoints=3)
    assert whole.kept_epochs == [6, 12, 18]
    assert ended_at(whole, 13).kept_epochs == [6, 12]
    assert ended_at(ended_at(whole, 13), 7).kept_epochs == [6]
    assert ended_at(whole, 25) == ended_at(whole, 0) == whole
    assert ended_at(TrainConfig(epochs=25), 13) == TrainConfig(epochs=13)
