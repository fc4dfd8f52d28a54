"""One model in a folder of its own, which no run belongs to: what `train` and `distill` do."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from rankdistill import measuring, stages
from rankdistill.climbing import lists_to_climb
from rankdistill.config import Experiment, TeacherLists
from rankdistill.data.splitting import Split
from rankdistill.ensemble import Combine, Ensemble
from rankdistill.errors import ConfigError
from rankdistill.loss import DistillationConfig
from rankdistill.members import Company
from rankdistill.model_folder import is_model, load_card
from rankdistill.pipeline import label, warn_of_few_queries
from rankdistill.ranker import Ranker
from rankdistill.rankings import Rankings
from rankdistill.report import together
from rankdistill.teaching import Distillation, needs_of

logger = logging.getLogger(__name__)


def train(
    experiment: Experiment, role: Literal["teacher", "student"], split: Split, out: Path, *, resume: bool
) -> None:
    """Trains the model of a role into the folder `out`, and measures it.

    Args:
        experiment: names the model; a teacher of several models is trained as such.
        role: which of its models.
        split: the data.
        out: the model folder.
        resume: go on with a training that was interrupted, instead of starting it over.
    """
    trained = [each for name, each in experiment.roles() if name.partition(".")[0] == role]
    warn_of_few_queries(split, max(each.train.batch_size for each in trained))
    company = Company.of(experiment, out) if role == "teacher" else None
    if company is not None:
        company.train(lambda each: stages.train_model(each, split), resume=resume)
        ranker: Ranker = company.join(split)
    else:
        (model,) = trained
        ranker = stages.train_model(stages.Assignment(role, model, experiment, out, resume), split)
    _measure(experiment, ranker, split, out)


def distill(experiment: Experiment, teachers: Sequence[Path], split: Split, out: Path, *, resume: bool) -> None:
    """Trains the student into the folder `out` by anybody's lists, and measures it.

    Args:
        experiment: names the student; of its teacher, how lists are read.
        teachers: a file of lists, or the folders of models that are one teacher; for a method that climbs both, the
            easiest first.
        split: the data.
        out: the model folder.
        resume: go on with a training that was interrupted, instead of starting it over.

    Raises:
        RankDistillError: they cannot be one teacher, or do not fit the data or the method; found before anything is
            trained.
    """
    lists, teacher = _taught_by(experiment, teachers, split)
    method = experiment.distillation
    assert isinstance(method, DistillationConfig)
    Distillation(lists, method, teacher).check(split)
    warn_of_few_queries(split, experiment.student.train.batch_size)
    task = stages.Assignment("distilled", experiment.student, experiment, out, resume)
    _measure(experiment, stages.train_model(task, split, lists, teacher), split, out)
    _warn_of(out, teachers[-1] if len(teachers) == 1 or lists.easier else None)


def _taught_by(experiment: Experiment, teachers: Sequence[Path], split: Split) -> tuple[Rankings, Ranker | None]:
    """The lists to learn from, and the teacher itself where it is one of models."""
    given, method, device = experiment.teacher, experiment.distillation, experiment.student.train.device
    assert isinstance(given, TeacherLists)
    assert isinstance(method, DistillationConfig)
    if needs_of(method) == "several":
        climbed = given.model_copy(update={"rankings": teachers[-1], "easier": (*given.easier, *teachers[:-1])})
        return lists_to_climb(climbed, split, method, device), None
    if all(map(is_model, teachers)):
        model = load_teacher(teachers, split, device)
        return label(model, split, k=method.k, exclude=method.exclude), model
    if len(teachers) == 1:
        return stages.read_teacher(given.model_copy(update={"rankings": teachers[0]}), split), None  # named as it was
    raise ConfigError(
        "--teacher: several files of lists are made one by `rankdistill fuse`; give that one. Models and files do "
        "not mix: `rankdistill label` the models first"
    )


def load_teacher(folders: Sequence[Path], split: Split, device: str, combine: Combine | None = None) -> Ranker:
    """The model of a folder, or an ensemble of those of several, by `combine` or what fits them; see `Ensemble.of`.

    Raises:
        CheckpointError: as `load_ranker` does.
        ConfigError: they cannot be one teacher.
    """
    members = [stages.load_ranker(folder, split, device) for folder in folders]
    if len(members) == 1:
        return members[0]
    teacher = Ensemble.of(members, combine=combine)
    learned = ", ".join(
        f"{folder} ({member.ranking_loss or 'no known loss'})" for folder, member in zip(folders, members, strict=True)
    )
    logger.info("%d models are added up by %s: %s", len(members), teacher.config.combine, learned)
    return teacher


def _measure(experiment: Experiment, ranker: Ranker, split: Split, folder: Path) -> None:
    """Measures a model on the test users, into its folder and for the tracker."""
    measuring.evaluate_model(folder, ranker, split, experiment.evaluate)
    stages.track_test(experiment, folder)


def _warn_of(folder: Path, teacher: Path | None) -> None:
    """Logs what speaks against a distilled student, as far as what is at hand can tell.

    That is its teacher, where it is one model folder, and the plain student of the same data in a folder `student`
    beside its own.
    """
    plain = folder.parent / "student"
    data = load_card(folder)["fingerprint"]
    models = [each for each in (plain, teacher) if each is not None and is_model(each)]
    known = [each for each in models if load_card(each).get("fingerprint") == data]
    if plain not in known:
        logger.info("not compared with a plain student: %s is none of this data; `rankdistill run` trains one", plain)
    for warning in together([folder, *known]).warnings:
        logger.warning(warning)
