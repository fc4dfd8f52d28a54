"""The trainings that a plan consists of, each noted once however many tables and figures it is in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rankdistill.config import Experiment, parse
from rankdistill.reproduction import published
from rankdistill.reproduction.cells import Cell
from rankdistill.reproduction.datasets import Dataset, Family
from rankdistill.reproduction.settings import merged, slug
from rankdistill.types import Json


@dataclass(frozen=True, slots=True)
class Variant:
    """A way in which trainings differ from those of the main table: part of their keys, settings, number of seeds."""

    suffix: str = ""
    sections: Json = field(default_factory=dict)
    one_seed: bool = True


EVERY_SEED, ONE_SEED = Variant(one_seed=False), Variant()


@dataclass(slots=True)
class Trainings:
    """Notes trainings and gives their keys.

    Attributes:
        dataset: the data set and its models.
        quick: whether they are those of the quick version.
        seeds: of the tables; a variant with one seed has the first.
        changes: `section.key=value`, for every training.
        cells: what was noted, by key and seed.
    """

    dataset: Dataset
    quick: bool
    seeds: Sequence[int]
    changes: Sequence[str]
    cells: dict[tuple[str, int], Cell] = field(default_factory=dict)

    def add(self, key: str, sections: Json, teacher: str | None = None, *, one: bool = False) -> str:
        """Notes a training for every seed, or for the first one; returns its key."""
        for seed in self.seeds[:1] if one else self.seeds:
            evaluate = {"metrics": published.MEASURED, "depth": 10}
            base: Json = {"seed": seed, "data": {"kind": self.dataset.kind}, "evaluate": evaluate}
            mapping = merged(base, sections)
            mapping["teacher"] = mapping["student"]  # each cell is of one model; its lists come from another cell
            cell = Cell(key, self._experiment(mapping), teacher)
            assert self.cells.setdefault((key, seed), cell) == cell, f"{key} stands for two trainings"
        return key

    def _experiment(self, mapping: Json) -> Experiment:
        """With fewer epochs, in the quick version or by a change, the warm-up is shorter, too: a fifth of them."""
        planned = parse(mapping, self.dataset.name).train.epochs
        if self.quick:
            mapping = merged(mapping, {"train": {"epochs": min(self.dataset.quick_epochs, planned)}})
        experiment = parse(mapping, self.dataset.name, self.changes)
        epochs, given = experiment.train.epochs, any("warmup_epochs" in change for change in self.changes)
        if epochs < planned and not given:
            mapping = merged(mapping, {"distillation": {"warmup_epochs": max(1, epochs // 5)}})
            experiment = parse(mapping, self.dataset.name, self.changes)
        return experiment

    def plain(self, family: Family, dim: int, variant: Variant = EVERY_SEED) -> str:
        """A model that learns from the data alone."""
        own = {"student": {"kind": family.kind, "dim": dim}}
        sections = merged(family.sections, own, variant.sections)
        return self.add(
            f"{family.kind}-{dim}{variant.suffix}", sections, one=variant.one_seed and not self.dataset.every_seed
        )

    def distilled(
        self,
        family: Family,
        teacher: str,
        method: Json,
        variant: Variant = EVERY_SEED,
        dim: int | None = None,
    ) -> str:
        """A student with the given keys of `[distillation]`."""
        dim = dim or family.dims[1]
        own = {"student": {"kind": family.kind, "dim": dim}, "distillation": method}
        key = f"{family.kind}-{dim}-rd{slug(method)}{variant.suffix}"
        return self.add(
            key,
            merged(family.sections, own, variant.sections),
            teacher,
            one=variant.one_seed and not self.dataset.every_seed,
        )

    def trio(self, family: Family) -> tuple[str, str, str]:
        """Teacher, plain student, student distilled with the published settings."""
        teacher, student = (self.plain(family, dim) for dim in family.dims)
        return teacher, student, self.distilled(family, teacher, {})
