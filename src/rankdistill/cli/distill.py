"""`rankdistill distill`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rankdistill.cli.inputs import load_data, load_experiment, taught_by, use_processor
from rankdistill.cli.options import Changes, Config, Folder, Output, Training, check_folder
from rankdistill.cli.results import print_model
from rankdistill.owners import check_not_replaced


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
    check_folder(out, "distill")
    experiment = load_experiment(config, changes, *taught_by(teacher))
    from rankdistill import single
    from rankdistill.checks import check_metrics
    from rankdistill.folders import begun
    from rankdistill.teaching import check_student

    for each in (*teacher, *getattr(experiment.teacher, "easier", ())):
        check_not_replaced(out, each)
    check_metrics(experiment)
    check_student(experiment.student.model)
    use_processor(experiment)
    with begun(out, "training"):
        single.distill(experiment, teacher, load_data(experiment, training.data), out, resume=training.resume)
    print_model(out, output)
