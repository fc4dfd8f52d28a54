"""`rankdistill prepare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rankdistill.cli.inputs import load_experiment
from rankdistill.cli.options import Changes, Config, Folder, Output, check_parquet
from rankdistill.owners import check_owner

_COUNTS = (
    "users",
    "items",
    "interactions",
    "train",
    "validation",
    "test",
    "training_queries",
    "test_users",
    "targets",
    "unseen_targets",
)


def prepare(
    config: Config,
    out: Folder,
    changes: Changes,
    output: Output,
    training_rows: Annotated[
        Path | None,
        typer.Option(
            "--training-rows",
            metavar="FILE.parquet",
            help="Also write user_id, position, item_id of the training part, for teachers of other libraries.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Raw file to prepared data.

    The folder is what train, label, distill and evaluate take as --data.
    """
    check_owner(out, "prepare")
    experiment = load_experiment(config, changes)
    if training_rows is not None:
        check_parquet(training_rows, experiment.data.path, option="--training-rows")
    from rankdistill import pipeline, stages
    from rankdistill.data.storage import write_split

    split = pipeline.prepare(experiment)
    write_split(split, out, stages.data_settings(experiment))
    if training_rows is not None:
        stages.write_training_rows(split, training_rows)
    about = stages.describe_data(split, experiment)
    rows = [(key.replace("_", " "), f"{about[key]:,}") for key in _COUNTS]
    output.show(about, ("", "count"), rows, f"split: {split.description}", f"data: {out}")
