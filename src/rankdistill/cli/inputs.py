"""What verbs work on: the experiment, its data and the processor."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from rankdistill.cli.options import Changes
from rankdistill.errors import ConfigError
from rankdistill.processor import cores, threads_of_environment

if TYPE_CHECKING:
    from rankdistill.config import Experiment, Section
    from rankdistill.data.splitting import Split
    from rankdistill.types import Json

    R = TypeVar("R", bound=Section)

logger = logging.getLogger(__name__)


def load_experiment(path: Path, changes: Changes, *first: str) -> Experiment:
    """The experiment of a file with the changes of the command line, those in `first` before the others."""
    from rankdistill.config import Teachers, load

    experiment = load(path, [*first, *changes.as_overrides()])
    short = {name: value for name in ("device", "threads") if (value := getattr(changes, name)) is not None}
    student = _everywhere(experiment.student, short)
    teacher: Section = experiment.teacher
    if isinstance(teacher, Teachers):
        each = tuple(_everywhere(each, short) for each in teacher.each)
        teacher = teacher.model_copy(update={"each": each})
    else:
        teacher = _everywhere(teacher, short)
    return experiment.model_copy(update={"teacher": teacher, "student": student})


def _everywhere(role: R, short: Json) -> R:
    """`--device` and `--threads` hold for a role that has its own, too."""
    train = getattr(role, "train", None)
    return role if train is None else role.model_copy(update={"train": train.model_copy(update=short)})


def use_processor(experiment: Experiment) -> None:
    """Sets the number of threads for the whole process, and says so.

    Raises:
        TrainingError: the device that the experiment asks for is not there.
    """
    import torch

    from rankdistill.ranker import device_named

    threads = experiment.train.threads or default_threads()
    torch.set_num_threads(threads)
    device = device_named(experiment.student.train.device)
    logger.info("%d thread%s, %s", threads, "" if threads == 1 else "s", device)


def default_threads() -> int:
    """`OMP_NUM_THREADS` where it is set, else the cores that this process may use."""
    return threads_of_environment() or cores()


def load_data(experiment: Experiment, prepared: Path | None) -> Split:
    """The experiment's data: read from the raw file, or from a folder that `prepare` wrote."""
    from rankdistill.data.splitting import with_windows
    from rankdistill.data.storage import read_split, settings_of
    from rankdistill.pipeline import prepare
    from rankdistill.stages import data_settings

    if prepared is None:
        return prepare(experiment)
    written, asked = settings_of(prepared), data_settings(experiment)
    for key in written:
        if written[key] != asked.get(key):
            raise ConfigError(
                f"{prepared}: prepared with {key} = {written[key]!r}, and the experiment has {asked.get(key)!r}; "
                f"prepare it again, or leave --data out"
            )
    return with_windows(read_split(prepared), experiment.windows)


def taught_by(teachers: Sequence[Path]) -> list[str]:
    """The overrides that put what `--teacher` names in the place of `[teacher]`, the first where it names several.

    Raises:
        RankDistillError: one of them is no teacher.
    """
    from rankdistill.checks import check_given
    from rankdistill.config import in_place_of_teacher

    check_given(teachers)
    return in_place_of_teacher(teachers[0])


def experiment_of(folder: Path, config: Path | None, changes: Changes) -> Experiment:
    """The experiment of a model folder: its own `config.toml`, unless another one is named.

    Raises:
        CheckpointError: there is no model in `folder`.
    """
    from rankdistill.model_folder import check_model

    check_model(folder)
    return load_experiment(config or folder / "config.toml", changes)
