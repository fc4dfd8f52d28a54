"""`rankdistill train`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from rankdistill.cli.inputs import load_data, load_experiment, use_processor
from rankdistill.cli.options import Changes, Config, Folder, Output, Training, check_folder
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
    check_folder(out)
    experiment = load_experiment(config, changes)
    from rankdistill import measuring, stages
    from rankdistill.checks import check_metrics
    from rankdistill.config import RoleConfig, TeacherLists
    from rankdistill.members import Company

    model = experiment.teacher if role is Role.teacher else experiment.student
    company = Company.of(experiment, out) if role is Role.teacher else None
    if (company is not None and not company.is_model) or isinstance(model, TeacherLists):
        raise ConfigError(
            f"{config}: [teacher] is known by its lists alone; there is no one model to train, only to run or distill"
        )
    check_metrics(experiment)
    use_processor(experiment)
    split = load_data(experiment, training.data)
    if company is not None:
        company.train(lambda each: stages.train_model(each, split), resume=training.resume)
        measuring.evaluate_model(out, company.join(split), split, experiment.evaluate)
        stages.track_test(experiment, out)
        print_model(out, output)
        return
    assert isinstance(model, RoleConfig)
    task = stages.Assignment(role.value, model, experiment, out, training.resume)
    ranker = stages.train_model(task, split)
    measuring.evaluate_model(out, ranker, split, experiment.evaluate)
    stages.track_test(experiment, out)
    print_model(out, output)
