"""From the cells that are done to the tables and figures: numbers by name, for the report."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np

from rankdistill.evaluation.compare import compare_all
from rankdistill.evaluation.evaluate import Evaluation, averaged
from rankdistill.reproduction.cells import Cell, Figure, Row, Series, Trial
from rankdistill.reproduction.execution import Workshop
from rankdistill.reproduction.outcomes import Outcomes
from rankdistill.reproduction.published import MEASURED, METRICS
from rankdistill.runs import EVALUATION
from rankdistill.types import Json


@dataclass(frozen=True, slots=True)
class Gathering:
    """Puts together what is known; what is not done yet is left out."""

    outcomes: Outcomes

    @property
    def workshop(self) -> Workshop:
        """The plan, the data and the models."""
        return self.outcomes.workshop

    def cells(self) -> dict[str, Json]:
        """The outcome of each cell that is known, by name."""
        known = {cell.name: self.outcomes.of(cell) for cell in self.workshop.plan.cells}
        return {name: outcome for name, outcome in known.items() if outcome is not None}

    def tables(self) -> dict[str, list[Json]]:
        """The rows of each table."""
        return {name: [self._row(row) for row in rows] for name, rows in self.workshop.plan.tables.items()}

    def _cells(self, key: str) -> dict[int, Cell]:
        """The cells of a key that are known, by seed."""
        plan = self.workshop.plan
        cells = [plan.cell(key, seed) for seed in plan.seeds_of(key)]
        return {cell.seed: cell for cell in cells if self.outcomes.is_known(cell)}

    def _outcome(self, cell: Cell) -> Json:
        """The outcome of a cell that is known."""
        found = self.outcomes.of(cell)
        assert found is not None
        return found

    def _row(self, row: Row) -> Json:
        found = {seed: self._outcome(cell) for seed, cell in self._cells(row.cell).items()}
        values = {name: [float(each["metrics"][name]) for each in found.values()] for name in MEASURED}
        model = self.workshop.plan.cell(row.cell, self.workshop.plan.seeds[0]).model.model
        return {
            "key": row.cell,
            "name": row.name,
            "family": row.family,
            "role": row.role,
            "kind": getattr(model, "kind", None),
            "dim": getattr(model, "dim", None),
            "settings": row.settings,
            "parameters": next((each["parameters"] for each in found.values()), None),
            "seeds": [
                {"seed": seed, "metrics": each["metrics"], "train_seconds": each["train_seconds"]}
                for seed, each in found.items()
            ],
            "mean": {name: float(np.mean(each)) for name, each in values.items() if each},
            "deviation": {name: float(np.std(each, ddof=1)) for name, each in values.items() if len(each) > 1} or None,
            "published": dict(row.published) or None,
        }

    def comparisons(self) -> list[Json]:
        """The paired comparisons: of each user's mean over the seeds, and seed by seed."""
        plan = self.workshop.plan
        found = []
        for table, a, b in plan.pairs:
            rows = {row.name: row for row in plan.tables[table]}
            of_both = [self._cells(rows[name].cell) for name in (a, b)]
            seeds = [seed for seed in of_both[0] if seed in of_both[1]]
            cells = [[each[seed] for seed in seeds] for each in of_both]
            if seeds:
                found += self.outcomes.comparisons(table, (a, b), cells) or self._compared(table, (a, b), cells)
        return found

    def _compared(self, table: str, names: tuple[str, str], cells: Sequence[Sequence[Cell]]) -> list[Json]:
        """Of the seeds whose models are there."""
        there = [all(map(self.workshop.is_done, pair)) for pair in zip(*cells, strict=True)]
        cells = [list(compress(each, there)) for each in cells]
        if not any(there):
            return []
        by_seed = [[self._evaluation(cell) for cell in each] for each in cells]
        single = [compare_all(a, b, METRICS, samples=1) for a, b in zip(*by_seed, strict=True)]
        together = compare_all(averaged(by_seed[0]), averaged(by_seed[1]), METRICS)
        return [
            {
                "part": table,
                "a": names[0],
                "b": names[1],
                "metric": whole.metric,
                "difference": whole.difference,
                "low": whole.low,
                "high": whole.high,
                "p_value": whole.p_value,
                "users": whole.users,
                "seeds": [
                    {"seed": cell.seed, "difference": each[place].difference, "p_value": each[place].p_value}
                    for cell, each in zip(cells[0], single, strict=True)
                ],
            }
            for place, whole in enumerate(together)
        ]

    def _evaluation(self, cell: Cell) -> Evaluation:
        user_ids = self.workshop.splits[cell.part].user_ids
        return Evaluation.read(self.workshop.folder(cell) / EVALUATION, user_ids)

    def figures(self) -> list[Json]:
        """The figures of which there are points."""
        found = []
        for figure in self.workshop.plan.figures:
            series = [drawn for each in figure.series if (drawn := self._series(figure, each))["points"]]
            if series:
                found.append(
                    {
                        "key": figure.key,
                        "title": figure.title,
                        "x": figure.x,
                        "log": figure.log,
                        "metric": "map",
                        "part": "validation" if figure.by_epoch else "test",
                        "caption": f"{figure.caption} {self._seeds()}",
                        "series": series,
                    }
                )
        return found

    def _seeds(self) -> str:
        """Which seeds the figures have, in words."""
        seeds = self.workshop.plan.figure_seeds
        return f"One seed, {seeds[0]}." if len(seeds) == 1 else f"Means and ranges over {len(seeds)} seeds."

    def _series(self, figure: Figure, series: Series) -> Json:
        points: list[Json] = []
        for x, key in sorted(series.points.items()):
            cells = [self.workshop.plan.cell(key, seed) for seed in self.workshop.plan.figure_seeds]
            if not all(map(self.outcomes.is_known, cells)):
                continue
            if figure.by_epoch:
                points += self._curve(cells)
                continue
            if figure.of_queries:
                x = math.ceil(round(x * len(self.workshop.splits["test"].windows), 6))
            points.append(_point(x, [self._outcome(cell)["metrics"]["map"] for cell in cells]))
        if series.line and points:
            ends = [x for each in figure.series if not each.line for x in each.points]
            points = [{"x": x, "y": points[0]["y"]} for x in (min(ends), max(ends))]
        return {"name": series.name, "role": series.role, "line": series.line, "points": points}

    def _curve(self, cells: Sequence[Cell]) -> list[Json]:
        """The validation curve: the mean over the seeds by epoch."""
        curves = [{at["epoch"]: at["map"] for at in self._outcome(cell)["curve"]} for cell in cells]
        return [_point(epoch, [curve[epoch] for curve in curves]) for epoch in curves[0]]

    def search(self) -> Json:
        """What was tried on the validation data."""
        families = [
            {"family": family, "rows": rows}
            for family, trials in self.workshop.plan.search.items()
            if (rows := list(self._tried(trials)))
        ]
        return {"metric": "map", "part": "validation", "families": families}

    def _tried(self, trials: Iterable[Trial]) -> Iterable[Json]:
        for trial in trials:
            cells = [self.workshop.plan.cell(trial.cell, seed) for seed in self.workshop.plan.figure_seeds]
            if all(map(self.outcomes.is_known, cells)):
                best = max(self._curve(cells), key=lambda point: point["y"])
                yield {
                    "settings": trial.settings,
                    "value": best["y"],
                    "epoch": best["x"],
                    "chosen": trial.chosen,
                    "published": trial.published,
                }


def _point(x: float, values: Sequence[float]) -> Json:
    """A mean, and the range of the seeds where there are several."""
    spread = {"low": min(values), "high": max(values)} if len(values) > 1 else {}
    return {"x": x, "y": float(np.mean(values)), **spread}
