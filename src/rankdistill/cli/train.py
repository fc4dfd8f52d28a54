"""`rankdistill train`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from rankdistill.cli.inputs import load_data, load_experiment, use_processor
from rankdistill.cli.options import Changes, Config, Folder, Output, Training
from rankdistill.cli.results import print_model
from rankdistill.errors import ConfigError


class Role(StrEnum):
    """The sections of an experiment file that name a model."""

    teacher = "teacher"
    student = "student"


def train(
    config: Config,
    role: Annotated[Role, typer.Option("--role", help="Which of the experiment's models to train.")],
    out: Folder,
    training: Training,
    changes: Changes,
    output: Output,
) -> None:
    """Data to a model folder.

    The model is evaluated on the test split, too.
    """
    experiment = load_experiment(config, changes)
    from rankdistill import stages
    from rankdistill.config import RoleConfig
    from rankdistill.workflow import check_metrics

    model = experiment.teacher if role is Role.teacher else experiment.student
    if not isinstance(model, RoleConfig):
        raise ConfigError(f"{config}: [teacher] names a file of lists; there is no teacher to train, only to distill")
    check_metrics(experiment)
    use_processor(experiment)
    split = load_data(experiment, training.data)
    task = stages.Assignment(role.value, model, experiment, out, training.resume)
    ranker = stages.train_model(task, split)
    stages.evaluate_model(out, ranker, split, experiment.evaluate)
    stages.track_test(experiment, out)
    print_model(out, output)
