"""`rankdistill distill`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rankdistill.cli.inputs import check_teachers, load_data, load_experiment, load_teacher, use_processor
from rankdistill.cli.options import Changes, Config, Folder, Output, Training, check_folder
from rankdistill.cli.results import print_model
from rankdistill.errors import ConfigError


def distill(
    config: Config,
    teacher: Annotated[
        list[Path],
        typer.Option(
            "--teacher",
            metavar="FILE.parquet|MODEL_DIR",
            help="The teacher's lists, from label or elsewhere; or the teacher itself, a folder that train made. "
            "Repeated, folders are one teacher; for a method that climbs from easy lists to hard ones, the easiest "
            "comes first.",
        ),
    ],
    out: Folder,
    training: Training,
    changes: Changes,
    output: Output,
) -> None:
    """Data and anybody's lists to a student.

    The lists are checked before anything is trained. [teacher] of CONFIG is not used and may be missing. Lists of a
    teacher that is given itself are made first. A method that climbs has, in this order, those of --set teacher.easier,
    those of each --teacher, or of one model alone those of its earlier epochs, and the last --teacher's.
    """
    check_folder(out)
    check_teachers(teacher)
    from rankdistill.config import in_place_of_teacher

    experiment = load_experiment(config, changes, *in_place_of_teacher(teacher[0]))
    from rankdistill import measuring, stages
    from rankdistill.checks import check_metrics
    from rankdistill.climbing import lists_to_climb
    from rankdistill.config import TeacherLists
    from rankdistill.loss import DistillationConfig
    from rankdistill.model_folder import CARD
    from rankdistill.pipeline import label
    from rankdistill.teaching import Distillation, check_student, needs_of
    from rankdistill.workflow import warn_of

    given = experiment.teacher
    assert isinstance(given, TeacherLists)
    assert isinstance(experiment.distillation, DistillationConfig)
    check_metrics(experiment)
    check_student(experiment.student.model)
    use_processor(experiment)
    split = load_data(experiment, training.data)
    method, model = experiment.distillation, None
    if needs_of(method) == "several":
        climbed = given.model_copy(update={"rankings": teacher[-1], "easier": (*given.easier, *teacher[:-1])})
        lists = lists_to_climb(climbed, split, method, experiment.student.train.device)
    elif all((each / CARD).is_file() for each in teacher):
        model = load_teacher(teacher, split, experiment.student.train.device)
        lists = label(model, split, k=method.k, exclude=method.exclude)
    elif len(teacher) == 1:
        lists = stages.read_teacher(given.model_copy(update={"rankings": teacher[0]}), split)  # named as it was
    else:
        raise ConfigError(
            "--teacher: several files of lists are made one by `rankdistill fuse`; give that one. Models and files do "
            "not mix: `rankdistill label` the models first"
        )
    Distillation(lists, method, model).check(split)
    task = stages.Assignment("distilled", experiment.student, experiment, out, training.resume)
    ranker = stages.train_model(task, split, lists, model)
    measuring.evaluate_model(out, ranker, split, experiment.evaluate)
    stages.track_test(experiment, out)
    warn_of(out, teacher[-1] if len(teacher) == 1 or lists.easier else None)
    print_model(out, output)
