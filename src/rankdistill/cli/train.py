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
    check_folder(out, "train")
    experiment = load_experiment(config, changes)
    from rankdistill import single
    from rankdistill.checks import check_metrics
    from rankdistill.folders import begun
    from rankdistill.members import kind_of

    if role is Role.teacher and (kind := kind_of(experiment)) not in ("trained", "ensemble"):
        known = "is a model that is there already" if kind == "given" else "is known by its lists alone"
        raise ConfigError(f"{config}: [teacher] {known}; there is no one model to train, only to run or distill")
    check_metrics(experiment)
    use_processor(experiment)
    with begun(out, "training"):
        single.train(experiment, role.value, load_data(experiment, training.data), out, resume=training.resume)
    print_model(out, output)
