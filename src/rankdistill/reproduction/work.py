"""One cell, from the prepared data to its figures; in a process of its own."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from rankdistill.parallel import logged_into
from rankdistill.report.numerals import duration
from rankdistill.reproduction.cells import Cell

DONE = "cell.json"


@dataclass(frozen=True, slots=True)
class Job:
    """A cell to be done, where, and what its teacher is.

    Attributes:
        cell: what to train.
        folder: where to.
        data: the prepared data.
        stamp: what the result depends on.
        teacher: the folder of the model whose lists it learns from.
    """

    cell: Cell
    folder: Path
    data: Path
    stamp: str
    teacher: Path | None


def do(job: Job) -> str:
    """Trains and measures a cell; what it logs goes to `log.txt` in its folder.

    An unfinished training goes on where it stopped, and a finished one with the same settings is taken as it is.

    Returns:
        How long it took.
    """
    with logged_into(job.folder):
        return _do(job)


def _do(job: Job) -> str:
    import torch

    from rankdistill import measuring, stages
    from rankdistill.data.splitting import with_windows
    from rankdistill.data.storage import read_split
    from rankdistill.files import write_json
    from rankdistill.loss import DistillationConfig
    from rankdistill.model_folder import load_model
    from rankdistill.pipeline import label

    begin = time.perf_counter()
    cell, experiment = job.cell, job.cell.experiment
    split = with_windows(read_split(job.data), experiment.windows)
    lists = None
    if job.teacher is not None:
        method = experiment.distillation
        assert isinstance(method, DistillationConfig)
        teacher, _ = load_model(job.teacher, cell.model.train.device)
        lists = label(teacher, split, k=method.k, exclude=method.exclude)
    role = "student" if lists is None else "distilled"
    task = stages.Assignment(role, cell.model, experiment, job.folder)  # type: ignore[arg-type]
    model = stages.go_on_training(task, split, lists)
    if cell.part == "test":
        measuring.evaluate_model(job.folder, model, split, experiment.evaluate, timed=False)
    seconds = time.perf_counter() - begin
    threads = torch.get_num_threads()
    write_json(job.folder / DONE, {"stamp": job.stamp, "seconds": round(seconds, 1), "threads": threads})
    return f"in {duration(seconds)}"
