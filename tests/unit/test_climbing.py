"""What a method climbs that goes from easy lists to hard ones: which lists, and which are not easier."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from test_workflow import CASER, experiment, figures, log

import rankdistill as rd
from rankdistill.config import Experiment
from rankdistill.pipeline import prepare
from rankdistill.stages import kept_models
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
