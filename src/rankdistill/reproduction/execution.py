"""Carries out a plan: cell by cell, several at once, over again only what changed."""

from __future__ import annotations

import logging
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rankdistill.data.splitting import Split
from rankdistill.data.storage import read_split, write_split
from rankdistill.errors import DataError, StorageError, TrainingError
from rankdistill.files import read_object, remove_leftovers
from rankdistill.model_folder import CARD, WEIGHTS
from rankdistill.pipeline import prepare
from rankdistill.report.numerals import duration
from rankdistill.reproduction.cells import Cell, Part, Plan
from rankdistill.reproduction.request import Processors
from rankdistill.reproduction.work import DONE, Job, do, start_worker
from rankdistill.stages import data_settings
from rankdistill.types import Json

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Workshop:
    """The folder of a reproduction: prepared data and cells.

    Attributes:
        plan: what is to be done.
        path: the folder.
        splits: the prepared data of each part.
    """

    plan: Plan
    path: Path
    splits: dict[Part, Split] = field(default_factory=dict)
    _stamps: dict[str, str] = field(default_factory=dict)

    def folder(self, cell: Cell) -> Path:
        """Where a cell is kept."""
        return self.path / "models" / cell.key / f"seed-{cell.seed}"

    def data(self, part: Part) -> Path:
        """Where the prepared data of a part is kept."""
        return self.path / "data" / part

    def read(self) -> None:
        """Reads the data set, which is checked to be the published one.

        Raises:
            DataError: it is nowhere to be had, or a file of it is missing or has another checksum.
        """
        for part, cell in self._first_cells().items():
            with silence(but=logging.DEBUG if not self.splits else logging.ERROR):  # the same is said once
                self.splits[part] = prepare(cell.experiment)

    def _first_cells(self) -> dict[Part, Cell]:
        cells = {cell.part: cell for cell in reversed(self.plan.cells)}
        return {part: cells[part] for part in ("test", "validation") if part in cells}

    def prepare(self) -> None:
        """Reads the data set, and writes what the trainings need of it.

        Raises:
            DataError: see `read`.
        """
        self.read()
        for part, cell in self._first_cells().items():
            try:
                if read_split(self.data(part)).content == self.splits[part].content:
                    continue
            except DataError:
                pass
            write_split(self.splits[part], self.data(part), data_settings(cell.experiment))

    def stamp(self, cell: Cell) -> str:
        """What the cell's numbers depend on."""
        if cell.name not in self._stamps:
            teacher = None if cell.teacher is None else self.stamp(self.plan.cell(cell.teacher, cell.seed))
            self._stamps[cell.name] = cell.stamp(self.splits[cell.part].content, teacher)
        return self._stamps[cell.name]

    def is_done(self, cell: Cell) -> bool:
        """Whether the cell was trained and measured with what it depends on now, and its files are there."""
        folder = self.folder(cell)
        files = (CARD, WEIGHTS, "evaluation.parquet" if cell.part == "test" else "metrics.jsonl")
        stamp = read_object(folder / DONE).get("stamp")
        return stamp == self.stamp(cell) and all((folder / name).exists() for name in files)

    def job(self, cell: Cell, threads: int) -> Job:
        """What a worker has to know."""
        teacher = None if cell.teacher is None else self.folder(self.plan.cell(cell.teacher, cell.seed))
        return Job(cell, self.folder(cell), self.data(cell.part).absolute(), self.stamp(cell), teacher, threads)


@contextmanager
def silence(*, but: int) -> Iterator[None]:
    """Logs nothing below a level for a while."""
    log = logging.getLogger("rankdistill")
    before = log.level
    log.setLevel(max(before, but))
    try:
        yield
    finally:
        log.setLevel(before)


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Keeps others from working in the same folder.

    Raises:
        StorageError: somebody does, or the folder cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        file = (path / ".lock").open("a+", encoding="utf-8")
    except OSError as error:
        raise StorageError(f"{path}: cannot be made ({error.strerror}); name another --out") from error
    with file:
        try:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:  # not on Windows
            pass
        except OSError as error:
            raise StorageError(
                f"{path}: another reproduction is at work there; wait for it, or name another --out"
            ) from error
        remove_leftovers(path)
        yield


def execute(workshop: Workshop, cells: Sequence[Cell], processors: Processors, done: Callable[[], None]) -> None:
    """Does the cells that are not done; a teacher before its students.

    Args:
        workshop: where.
        cells: which; what is done already is skipped.
        processors: how many at once.
        done: called behind each training.

    Raises:
        RankDistillError: a training failed; what is done stays done.
    """
    todo = [cell for cell in cells if not workshop.is_done(cell)]
    if not todo:
        return
    total = len(todo)
    context = multiprocessing.get_context("spawn")
    arguments = (os.getpid(), processors.threads)
    with ProcessPoolExecutor(processors.jobs, context, start_worker, arguments) as pool:
        running: dict[Future[Json], Cell] = {}
        try:
            while todo or running:
                while len(running) < processors.jobs and (cell := _next(workshop, todo)):
                    todo.remove(cell)
                    running[pool.submit(do, workshop.job(cell, processors.threads))] = cell
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    cell = running.pop(future)
                    spent = duration(future.result()["seconds"])
                    logger.info("%d of %d: %s in %s", total - len(todo) - len(running), total, cell.name, spent)
                    done()
        except BrokenProcessPool as error:
            raise TrainingError(
                "a training was killed (out of memory?); start the same command again, perhaps with fewer --jobs"
            ) from error
        finally:
            for process in multiprocessing.active_children() if running or todo else ():
                process.terminate()  # what they are at is kept as a checkpoint


def _next(workshop: Workshop, todo: Sequence[Cell]) -> Cell | None:
    """The first cell whose teacher is there."""
    for cell in todo:
        if cell.teacher is None or workshop.is_done(workshop.plan.cell(cell.teacher, cell.seed)):
            return cell
    return None
