"""Trainings in processes of their own, several at once."""

from __future__ import annotations

import logging
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import torch

from rankdistill.console import setup_logging
from rankdistill.errors import TrainingError
from rankdistill.processor import cores, threads_of_environment
from rankdistill.ranker import device_named

logger = logging.getLogger(__name__)

J = TypeVar("J")
R = TypeVar("R")

_PARENT_LOOKED_FOR_EVERY = 2.0


@dataclass(frozen=True, slots=True)
class Processors:
    """How many trainings run at once, with how many threads each."""

    jobs: int
    threads: int

    @classmethod
    def shared_out(cls, device: str, jobs: int | None, threads: int | None, most: int) -> Processors:
        """The machine's cores, shared out where it is not said how.

        Args:
            device: that the trainings run on.
            jobs: trainings at once; None is as many as have cores, up to `most`, or one on a GPU.
            threads: of each training; None is `OMP_NUM_THREADS`, and where that is not set, its share of the cores.
            most: see `jobs`.

        Raises:
            TrainingError: the device is not there.
        """
        on_gpu = device_named(device).type != "cpu"
        threads = threads or threads_of_environment()
        jobs = jobs or (1 if on_gpu else max(1, min(most, cores() // (threads or 1))))
        return cls(jobs, threads or max(1, cores() // jobs))

    def __str__(self) -> str:
        return f"{self.jobs} at once with {self.threads} thread{'' if self.threads == 1 else 's'} each"


@dataclass(frozen=True, slots=True)
class Task(Generic[J]):
    """Something to be done in another process.

    Attributes:
        name: what to call it.
        job: what the process is told.
        after: the name of the task that has to be done before, where it is one of those that are to be done.
    """

    name: str
    job: J
    after: str | None = None


def execute(
    tasks: Sequence[Task[J]],
    work: Callable[[J], str],
    processors: Processors,
    done: Callable[[], None] = lambda: None,
) -> None:
    """Does the tasks in processes of their own.

    Args:
        tasks: what is to be done, in about this order.
        work: does a job, in another process, and says how it went in a few words.
        processors: how many at once.
        done: called behind each task.

    Raises:
        RankDistillError: a task failed; what is done stays done.
    """
    todo = list(tasks)
    if not todo:
        return
    with workers(processors) as pool:
        running: dict[Future[str], Task[J]] = {}
        while todo or running:
            while len(running) < processors.jobs and (task := _next(todo, list(running.values()))):
                todo.remove(task)
                running[pool.submit(work, task.job)] = task
            for future in first_done(running):
                task = running.pop(future)
                finished = len(tasks) - len(todo) - len(running)
                logger.info("%d of %d: %s %s", finished, len(tasks), task.name, future.result())
                done()


def first_done(running: Iterable[Future[R]]) -> set[Future[R]]:
    """Those of the futures that are done, once there is one.

    It looks up every second: a Ctrl-C that another thread is given does not wake a thread that waits without end.
    """
    while not (done := wait(running, timeout=1.0, return_when=FIRST_COMPLETED).done):
        pass
    return done


@contextmanager
def workers(processors: Processors) -> Iterator[ProcessPoolExecutor]:
    """Processes that do what is submitted; an error in the block ends them, whatever they are at.

    Raises:
        TrainingError: a process was killed.
    """
    context = multiprocessing.get_context("spawn")
    arguments = (os.getpid(), processors.threads)
    with ProcessPoolExecutor(processors.jobs, context, _start_worker, arguments) as pool:
        try:
            yield pool
        except BaseException as error:
            for process in multiprocessing.active_children():
                process.terminate()  # what they are at is kept as a checkpoint
            if not isinstance(error, BrokenProcessPool):
                raise
            raise TrainingError(
                "a training was killed (out of memory?); start the same command again, perhaps with fewer --jobs"
            ) from error


def _next(todo: Sequence[Task[J]], running: Sequence[Task[J]]) -> Task[J] | None:
    """The first task that waits for no other one."""
    unfinished = {task.name for task in (*todo, *running)}
    return next((task for task in todo if task.after not in unfinished), None)


def _start_worker(parent: int, threads: int) -> None:
    """Prepares a process: it ends when its parent does, and keeps to its threads."""
    torch.set_num_threads(threads)  # it was imported to get here, and has read the environment
    os.environ["OMP_NUM_THREADS"] = str(threads)  # for what is imported later
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_PARENT_LOOKED_FOR_EVERY)
    os._exit(1)


@contextmanager
def logged_into(folder: Path) -> Iterator[None]:
    """What is logged goes to `log.txt` in a folder for a while."""
    folder.mkdir(parents=True, exist_ok=True)
    stderr = sys.stderr
    with (folder / "log.txt").open("a", encoding="utf-8", buffering=1) as log:
        sys.stderr = log
        setup_logging()
        try:
            yield
        finally:
            sys.stderr = stderr
            setup_logging()
