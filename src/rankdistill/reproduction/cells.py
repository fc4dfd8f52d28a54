"""One training of a reproduction: what it depends on, and where it is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from rankdistill.config import Experiment, RoleConfig
from rankdistill.runs import stamp_of
from rankdistill.types import Json

Part = Literal["test", "validation"]
RowRole = Literal["teacher", "student", "distilled", "baseline"]


@dataclass(frozen=True, slots=True)
class Cell:
    """A model that is trained and measured.

    Attributes:
        key: what is trained, the same for all seeds; a folder's name.
        experiment: all settings, the seed among them; the model is its `[student]`.
        teacher: the key of the cell, of the same seed, whose lists the model learns from.
    """

    key: str
    experiment: Experiment
    teacher: str | None = None

    @property
    def seed(self) -> int:
        """The seed."""
        return self.experiment.seed

    @property
    def name(self) -> str:
        """Key and seed."""
        return f"{self.key}/seed-{self.seed}"

    @property
    def part(self) -> Part:
        """What the model is measured on: the test data, or where it is being tuned the validation data alone."""
        return "test" if self.experiment.split.train_on_validation else "validation"

    @property
    def model(self) -> RoleConfig:
        """The model and how it is trained."""
        return self.experiment.student

    def stamp(self, content: str, teacher: str | None) -> str:
        """A hash of all that the numbers depend on: the settings, the data's content and the teacher's stamp."""
        return stamp_of(experiment=settings_of(self.experiment), data=content, teacher=teacher)


def settings_of(experiment: Experiment) -> Json:
    """The settings that numbers depend on: not the device, the threads, where the data lies, nor where logs go."""
    dump: Json = experiment.model_dump(mode="json")
    for section in (dump["train"], dump["student"]["train"], dump["teacher"].get("train", {})):
        for key in ("device", "threads"):
            section.pop(key, None)
    dump["data"].pop("path", None)
    dump.pop("tracking", None)
    return dump


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table: which cells it is the mean of.

    Attributes:
        cell: their key.
        name: as the paper writes it.
        role: what it is in its family.
        family: the models that it is compared with; None for a baseline.
        settings: where they come from, in words.
        timed: whether its size and speed are measured.
        published: metric -> the published value; empty where there is none.
    """

    cell: str
    name: str
    role: RowRole
    family: str | None = None
    settings: str = ""
    timed: bool = False
    published: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Series:
    """A curve: its points are cells by x, or the epochs of one cell."""

    name: str
    role: str
    points: Mapping[float, str]
    line: bool = False
    """Whether it is one value, drawn across the figure."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure: MAP of cells against something."""

    key: str
    title: str
    x: str
    caption: str
    series: Sequence[Series]
    log: bool = False
    by_epoch: bool = False
    """Whether each series is the validation curve of one cell."""
    of_queries: bool = False
    """Whether x is a share of the training queries, to be shown as their number."""


@dataclass(frozen=True, slots=True)
class Trial:
    """Settings that were tried on the validation data."""

    cell: str
    settings: str
    chosen: bool = False
    published: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a reproduction trains, in order, and what is made of it.

    Attributes:
        seeds: of the tables.
        figure_seeds: those that all points of the figures have.
        cells: the trainings; a teacher stands before its students.
        tables: name -> rows.
        pairs: (table, row, row) that are tested against each other.
        figures: the figures.
        search: family -> the settings that were tried.
        remarks: sentences that the reader has to know.
        inference: name of a row -> its published size and speed.
    """

    paper: str
    dataset: str
    title: str
    quick: bool
    epochs: int
    seeds: Sequence[int]
    figure_seeds: Sequence[int]
    cells: Sequence[Cell]
    tables: Mapping[str, Sequence[Row]]
    pairs: Sequence[tuple[str, str, str]]
    figures: Sequence[Figure]
    search: Mapping[str, Sequence[Trial]]
    remarks: Sequence[str]
    inference: Mapping[str, Mapping[str, Any]]

    @property
    def parts(self) -> dict[str, list[str]]:
        """The keys of the cells of each table and figure, by its name."""
        parts = {name: [row.cell for row in rows] for name, rows in self.tables.items()}
        if self.search:
            parts["search"] = [trial.cell for trials in self.search.values() for trial in trials]
        for figure in self.figures:
            parts[figure.key] = [key for series in figure.series for key in series.points.values()]
        return parts

    @property
    def shown(self) -> list[Cell]:
        """The cells that a table or figure shows; a teacher may serve its students alone."""
        keys = {key for part in self.parts.values() for key in part}
        return [cell for cell in self.cells if cell.key in keys]

    def needed(self, keys: Sequence[str]) -> list[Cell]:
        """The cells of all seeds of the given keys, their teachers first."""
        teachers = [cell.teacher for cell in self.cells if cell.key in keys and cell.teacher]
        return [cell for key in dict.fromkeys([*teachers, *keys]) for cell in self.cells if cell.key == key]

    def cell(self, key: str, seed: int) -> Cell:
        """The cell of a key and seed."""
        return next(cell for cell in self.cells if (cell.key, cell.seed) == (key, seed))

    def seeds_of(self, key: str) -> list[int]:
        """The seeds of a key, in order."""
        return [cell.seed for cell in self.cells if cell.key == key]
