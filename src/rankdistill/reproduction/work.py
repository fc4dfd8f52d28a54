"""One cell, from the prepared data to its figures; in a process of its own."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from rankdistill.console import setup_logging
from rankdistill.reproduction.cells import Cell
from rankdistill.types import Json

logger = logging.getLogger(__name__)

DONE = "cell.json"
_PARENT_LOOKED_FOR_EVERY = 2.0


@dataclass(frozen=True, slots=True)
class Job:
    """A cell to be done, where, and what its teacher is.

    Attributes:
        cell: what to train.
        folder: where to.
        data: the prepared data.
        stamp: what the result depends on.
        teacher: the folder of the model whose lists it learns from.
        threads: how many to use.
    """

    cell: Cell
    folder: Path
    data: Path
    stamp: str
    teacher: Path | None
    threads: int


def start_worker(parent: int, threads: int) -> None:
    """Prepares a process: it ends when its parent does, and keeps to its threads."""
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_PARENT_LOOKED_FOR_EVERY)
    os._exit(1)


def do(job: Job) -> Json:
    """Trains and measures a cell; what it logs goes to `log.txt` in its folder.

    An unfinished training goes on where it stopped, and a finished one with the same settings is taken as it is.

    Returns:
        What is kept as `cell.json`.
    """
    job.folder.mkdir(parents=True, exist_ok=True)
    stderr = sys.stderr
    with (job.folder / "log.txt").open("a", encoding="utf-8", buffering=1) as log:
        sys.stderr = log
        setup_logging()
        try:
            return _do(job)
        finally:
            sys.stderr = stderr
            setup_logging()


def _do(job: Job) -> Json:
    import torch

    from rankdistill import stages
    from rankdistill.data.splitting import with_windows
    from rankdistill.data.storage import read_split
    from rankdistill.files import write_json
    from rankdistill.loss import DistillationConfig
    from rankdistill.model_folder import load_model
    from rankdistill.pipeline import label

    begin = time.perf_counter()
    torch.set_num_threads(job.threads)
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
        stages.evaluate_model(job.folder, model, split, experiment.evaluate, timed=False)
    done: Json = {"stamp": job.stamp, "seconds": round(time.perf_counter() - begin, 1), "threads": job.threads}
    write_json(job.folder / DONE, done)
    return done
