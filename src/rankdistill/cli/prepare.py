"""`rankdistill prepare`."""

from __future__ import annotations

from rankdistill.cli.inputs import load_experiment
from rankdistill.cli.options import Changes, Config, Folder, Output

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


def prepare(config: Config, out: Folder, changes: Changes, output: Output) -> None:
    """Raw file to prepared data.

    The folder is what train, label, distill and evaluate take as --data.
    """
    experiment = load_experiment(config, changes)
    from rankdistill import pipeline, stages
    from rankdistill.data.storage import write_split

    split = pipeline.prepare(experiment)
    write_split(split, out, stages.data_settings(experiment))
    about = stages.describe_data(split, experiment)
    rows = [(key.replace("_", " "), f"{about[key]:,}") for key in _COUNTS]
    output.show(about, ("", "count"), rows, f"split: {split.description}", f"data: {out}")
