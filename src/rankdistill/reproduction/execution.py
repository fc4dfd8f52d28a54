"""Carries out a plan: cell by cell, several at once, over again only what changed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rankdistill import parallel
from rankdistill.console import silence
from rankdistill.data.splitting import Split
from rankdistill.data.storage import read_split, write_split
from rankdistill.errors import DataError
from rankdistill.files import read_object
from rankdistill.model_folder import CARD, WEIGHTS
from rankdistill.parallel import Processors, Task
from rankdistill.pipeline import prepare
from rankdistill.reproduction.cells import Cell, Part, Plan
from rankdistill.reproduction.work import DONE, Job, do
from rankdistill.runs import EVALUATION
from rankdistill.stages import data_settings


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
        files = (CARD, WEIGHTS, EVALUATION if cell.part == "test" else "metrics.jsonl")
        stamp = read_object(folder / DONE).get("stamp")
        return stamp == self.stamp(cell) and all((folder / name).exists() for name in files)

    def job(self, cell: Cell) -> Job:
        """What a worker has to know."""
        teacher = None if cell.teacher is None else self.folder(self.plan.cell(cell.teacher, cell.seed))
        return Job(cell, self.folder(cell), self.data(cell.part).absolute(), self.stamp(cell), teacher)


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
    tasks = [
        Task(
            cell.name,
            workshop.job(cell),
            None if cell.teacher is None else workshop.plan.cell(cell.teacher, cell.seed).name,
        )
        for cell in cells
        if not workshop.is_done(cell)
    ]
    parallel.execute(tasks, do, processors, done)
