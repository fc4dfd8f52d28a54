"""What a method climbs that goes from easy lists to hard ones: which lists, and which are not easier."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from test_workflow import CASER, experiment, figures, log

import rankdistill as rd
from rankdistill.config import Experiment
from rankdistill.errors import ConfigError, RankingsError
from rankdistill.pipeline import prepare
from rankdistill.stages import kept_models
from rankdistill.variants import Shared, Variant, is_done, train_variant
from rankdistill.workflow import run

HETCOMP = {"kind": "hetcomp", "k": 3, "alpha": 1.0}


@pytest.fixture
def here(tmp_path: Path) -> Path:
    log(tmp_path, 0, range(0, 30))
    return tmp_path


def climbing(folder: Path, teacher: dict[str, Any], **changes: Any) -> Experiment:
    """Without a validation part, so that the last epoch is the best one."""
    whole = {"split": {"train_on_validation": True}, "distillation": HETCOMP, **changes}
    return experiment(folder, teacher=teacher, **whole)


def keeping(dim: int, epochs: int, checkpoints: int) -> dict[str, Any]:
    return {**CASER, "dim": dim, "train": {"epochs": epochs, "checkpoints": checkpoints}}


def given(folder: Path, made: Experiment) -> list[Path]:
    """Two files of lists for the training queries, the easier ones first."""
    split, files = prepare(made), []
    for config in (rd.Popularity.Config(), rd.ItemKNN.Config()):
        files.append(folder / f"{type(config).__qualname__.partition('.')[0]}.parquet")
        lists = rd.label(rd.train(config, split), split, k=8)
        lists.write(files[-1], split.user_ids, split.item_ids, positions=True)
    return files


def weights(folder: Path) -> bytes:
    return (folder / "distilled" / "model.safetensors").read_bytes()


@pytest.mark.parametrize("resume", [False, True])
def test_epochs_of_an_earlier_teacher_are_not_climbed(here: Path, resume: bool) -> None:
    run(climbing(here, keeping(4, 8, 3)), here / "old")
    assert [path.name for path in kept_models(here / "old" / "teacher")] == ["2", "4", "6"]
    later = climbing(here, keeping(6, 5, 1))
    run(later, here / "old", resume=resume)
    run(later, here / "new")
    assert figures(here / "old") == figures(here / "new")
    for folder in (here / "old", here / "new"):
        assert [path.name for path in (folder / "teacher" / "epochs").iterdir()] == ["2"]
        assert [path.name for path in folder.glob("labels-*")] == ["labels-epoch-2.parquet"]


def test_a_teacher_of_lists_leaves_nothing_of_the_epochs_of_a_model(here: Path) -> None:
    made = climbing(here, keeping(4, 4, 1))
    run(made, here / "run")
    lists = given(here, made)[1]
    run(climbing(here, {"rankings": str(lists)}, distillation={"k": 3}), here / "run")
    assert not (here / "run" / "teacher" / "epochs").exists()
    assert not list((here / "run").glob("labels*"))


def test_epochs_after_the_best_one_are_not_easier(here: Path) -> None:
    run(climbing(here, keeping(4, 8, 3), distillation={"k": 3}), here / "run")
    teacher = here / "run" / "teacher"
    card = json.loads((teacher / "model.json").read_text())
    for best, names in ((8, ["2", "4", "6"]), (5, ["2", "4"]), (4, ["2"]), (2, [])):
        (teacher / "model.json").write_text(json.dumps({**card, "best_epoch": best}))
        assert [path.name for path in kept_models(teacher)] == names


def test_earlier_epochs_make_their_lists_for_a_method_that_climbs_them_alone(here: Path) -> None:
    run(climbing(here, keeping(4, 4, 1)), here / "run")
    assert (here / "run" / "labels-epoch-2.parquet").exists()
    run(climbing(here, keeping(4, 4, 1), distillation={"k": 3}), here / "run")
    assert not list((here / "run").glob("labels-*"))


def test_a_given_model_is_climbed_as_if_it_had_been_trained_here(here: Path) -> None:
    trained = climbing(here, keeping(4, 4, 1))
    run(trained, here / "trained")
    run(climbing(here, {"rankings": str(here / "trained" / "teacher")}), here / "given")
    assert weights(here / "given") == weights(here / "trained")


@pytest.mark.parametrize("part", [0, 5])
def test_files_beside_a_given_model_are_climbed_in_a_run_and_in_a_sweep(here: Path, part: int) -> None:
    run(climbing(here, keeping(4, 4, 1)), here / "trained")
    easier = given(here, climbing(here, CASER))[0]
    pl.read_parquet(easier).filter(pl.col("position") > part).write_parquet(easier)
    named = {"rankings": str(here / "trained" / "teacher"), "easier": [str(easier)], "on_missing": "skip"}
    made = climbing(here, named)
    run(made, here / "run")
    assert [path.name for path in (here / "run").glob("labels-*")] == ["labels-easier-1.parquet"]
    assert weights(here / "run") != weights(here / "trained")
    variant = Variant(made, distilled=True)
    shared = Shared.make(made, [variant], here / "sweep")
    train_variant(variant, Shared.open(made, here / "sweep", "targets"), here / "student")
    assert is_done(here / "student", shared.stamp(variant, here / "student"))
    assert (here / "student" / "model.safetensors").read_bytes() == weights(here / "run")


def test_files_beside_a_given_model_that_do_not_fit_are_refused_before_anything_is_written(here: Path) -> None:
    run(climbing(here, keeping(4, 4, 1)), here / "trained")
    easier = given(here, climbing(here, CASER))[0]
    pl.read_parquet(easier).filter(pl.col("position") != 5).write_parquet(easier)
    named = {"rankings": str(here / "trained" / "teacher"), "easier": [str(easier)]}
    with pytest.raises(RankingsError, match=r"Popularity.parquet: no list for 30 of "):
        run(climbing(here, named), here / "run")
    assert not (here / "run").exists()


@pytest.mark.parametrize(
    ("teacher", "advice"),
    [
        (CASER, "set [teacher.train] checkpoints = 3, give [[teacher]] several times"),
        (
            keeping(4, 1, 3),
            "set [teacher.train] checkpoints = 3 and more epochs than 1, give [[teacher]] several times",
        ),
        (
            {"kind": "ease", "train": {"checkpoints": 3}},
            "'ease' is not trained epoch by epoch: give [[teacher]] several times",
        ),
        (
            {"rankings": "a.parquet"},
            "name files in [teacher] easier, give [[teacher]] or --teacher several times",
        ),
    ],
)
def test_a_teacher_without_easier_lists_is_refused_with_what_it_can_do(
    here: Path, teacher: dict[str, Any], advice: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        run(climbing(here, teacher), here / "run")
    assert str(caught.value) == (
        "[teacher]: one list for each query, and [distillation] kind = 'hetcomp' climbs from easy lists to hard ones; "
        f"{advice}, or take another method (dcd, list_softmax, ranking_distillation, rrd, unkd)"
    )
    assert not (here / "run").exists()


def test_a_teacher_that_was_best_before_all_kept_epochs_is_refused_before_a_student_is_trained(here: Path) -> None:
    """At this step size its second epoch is its best one on the validation users."""

    def hasty(checkpoints: int) -> Experiment:
        train = {"epochs": 12, "learning_rate": 0.1, "checkpoints": checkpoints}
        return experiment(here, teacher={**CASER, "dim": 16, "train": train}, distillation=HETCOMP)

    with pytest.raises(ConfigError, match=r"none of the epochs to keep \(6\) is before its best one, 2: ") as caught:
        run(hasty(1), here / "run")
    advice = "train it with [teacher.train] checkpoints = 6, or with fewer epochs than 12, or take another method"
    assert advice in str(caught.value)
    assert not (here / "run" / "student").exists()
    run(hasty(6), here / "run")
    assert [path.name for path in (here / "run").glob("labels-*")] == ["labels-epoch-1.parquet"]
