"""The experiment that is run in the end: with what a search found, each model trained for as long as was best there."""

from __future__ import annotations

import statistics
from itertools import islice
from pathlib import Path

from rankdistill import plugins
from rankdistill.config import Experiment, TeacherConfig, TeacherLists, Teachers, TrainConfig
from rankdistill.members import members_of
from rankdistill.model_folder import CARD, load_card
from rankdistill.runs import Role
from rankdistill.tuning.space import at, place_of, role_config
from rankdistill.tuning.trials import Trial

_TRAIN = "train."


def settled(experiment: Experiment, trial: Trial, role: Role, metric: str) -> Experiment:
    """The experiment with a trial's settings, as it is to be run.

    Its best epoch is picked as in the trial, by the metric. Where the final model learns from the validation part, too,
    no validation can pick it: it is trained as the trial was to its best epoch, see `ended_at`.
    """
    found, name = at(experiment, trial.point), place_of(role)
    if not experiment.split.train_on_validation:
        return at(found, {f"{name}.train.validation_metric": metric})
    model = role_config(found, role)
    return found.model_copy(update={name: model.model_copy(update={"train": ended_at(model.train, trial.best_epoch)})})


def taught(experiment: Experiment, teacher: Path) -> Experiment:
    """The experiment with a teacher that is trained as that of the search was to its best epoch.

    It is where the final models learn from the validation part, too, and the teacher is trained anew: no validation can
    pick its best epoch then. Trainings of one table with several seeds have the median of theirs.

    Args:
        experiment: as it is to be run.
        teacher: the folder of the search's teacher, in which those of its members lie.
    """
    if not experiment.split.train_on_validation:
        return experiment
    given, members = experiment.teacher, iter(members_of(experiment))
    several, tables = isinstance(given, Teachers), list[TeacherConfig | TeacherLists]()
    for table in given.each if isinstance(given, Teachers) else (given,):
        if several and not table.weight:
            tables.append(table)  # none of the members is of it
            continue
        copies = table.members if isinstance(table, TeacherConfig) else 1
        folders = [member.folder(teacher) for member in islice(members, copies)] or [teacher]
        tables.append(table if isinstance(table, TeacherLists) else _ended_as(table, folders))
    return experiment.model_copy(update={"teacher": Teachers(each=tuple(tables)) if several else tables[0]})


def _ended_as(table: TeacherConfig, folders: list[Path]) -> TeacherConfig:
    best = [epoch for folder in folders if (epoch := _best_epoch(table, folder))]
    if not best:
        return table
    return table.model_copy(update={"train": ended_at(table.train, round(statistics.median(best)))})


def _best_epoch(table: TeacherConfig, folder: Path) -> int:
    """The best epoch of a model that learned as a table says, up to there; 0 of another one, and where there is none.

    A model that was given in the place of the table may have been trained with other steps.
    """
    card = load_card(folder) if (folder / CARD).is_file() else {}
    best: int = card.get("best_epoch", 0)
    settings = card.get("settings", {})
    known = {key.removeprefix(_TRAIN): value for key, value in settings.items() if key.startswith(_TRAIN)}
    if not best or card["kind"] != plugins.kind_of(table.model):
        return 0
    then = TrainConfig.model_validate({key: known[key] for key in TrainConfig.model_fields if key in known})
    return best if _steps(then, best) == _steps(table.train, best) else 0


def _steps(train: TrainConfig, epochs: int) -> tuple[object, ...]:
    """What a training does in its first epochs."""
    rates = [train.learning_rate_in(epoch) for epoch in range(1, epochs + 1)]
    return train.batch_size, train.weight_decay, rates


def ended_at(train: TrainConfig, epoch: int) -> TrainConfig:
    """A training that ends after an epoch, and is to there what the whole one is.

    The step size falls as it does there, and the same epochs are kept.
    """
    if not 0 < epoch < train.epochs:
        return train
    whole = train.schedule_epochs or train.epochs
    depends = train.schedule != "constant" or train.checkpoints
    return train.model_copy(update={"epochs": epoch, **({"schedule_epochs": whole} if depends else {})})
