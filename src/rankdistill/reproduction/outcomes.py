"""What came of each training: read from its folder, or from results that were written before."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rankdistill.errors import StorageError
from rankdistill.files import read_kept
from rankdistill.model_folder import load_card
from rankdistill.reproduction.cells import Cell, Plan, Row
from rankdistill.reproduction.execution import Workshop
from rankdistill.reproduction.published import METRICS
from rankdistill.types import Json


def read_earlier(results: Path, plan: Plan) -> Json:
    """The results in a folder, of the same plan; empty where there are none.

    Raises:
        StorageError: they are of something else, or cannot be read, and would be replaced; or there is a file in their
            place.
    """
    if results.exists() and not results.is_dir():
        raise StorageError(f"{results}: is no folder; name another --results")
    earlier = read_kept(results / "results.json")
    for key in ("paper", "dataset", "quick"):
        if earlier and earlier.get(key) != getattr(plan, key):
            before, now = json.dumps(earlier.get(key)), json.dumps(getattr(plan, key))
            raise StorageError(
                f"{results}: holds results with {key} = {before}, and now {key} = {now} is asked for; "
                f"name another --results"
            )
    return earlier


@dataclass(frozen=True, slots=True)
class Outcomes:
    """The outcome of each cell that is known.

    An outcome from earlier results counts where its stamp says that it is of the same settings, data and teacher.

    Attributes:
        workshop: the folder, whose models come first.
        earlier: what `results.json` held; empty where nothing is to be taken from there.
    """

    workshop: Workshop
    earlier: Json = field(default_factory=dict)

    def of(self, cell: Cell) -> Json | None:
        """Stamp, parameters, seconds, and the metrics on the test data or the MAP by epoch on the validation data."""
        return self._here(cell) if self.workshop.is_done(cell) else self._before(cell)

    def is_known(self, cell: Cell) -> bool:
        """Whether the cell needs no training."""
        return self.workshop.is_done(cell) or self._before(cell) is not None

    def todo(self, cells: Iterable[Cell]) -> list[Cell]:
        """The cells to be trained, each once: what is not known, and the teachers that it takes."""
        plan, found = self.workshop.plan, dict[str, Cell]()
        for cell in cells:
            if not self.is_known(cell):
                teacher = () if cell.teacher is None else (plan.cell(cell.teacher, cell.seed),)
                found |= {each.name: each for each in (*teacher, cell) if not self.workshop.is_done(each)}
        return list(found.values())

    def _before(self, cell: Cell) -> Json | None:
        found: Json = self.earlier.get("cells", {}).get(cell.name, {})
        return found if found.get("stamp") == self.workshop.stamp(cell) else None

    def _here(self, cell: Cell) -> Json:
        folder = self.workshop.folder(cell)
        card = load_card(folder)
        return {
            "stamp": self.workshop.stamp(cell),
            "parameters": card["parameters"],
            "train_seconds": card["train_seconds"],
            **({"metrics": card["metrics"]} if cell.part == "test" else {"curve": _curve(folder / "metrics.jsonl")}),
        }

    def comparisons(self, table: str, names: tuple[str, str], cells: Sequence[Sequence[Cell]]) -> list[Json]:
        """The earlier comparisons of two rows, where they are of these cells."""
        seeds = [cell.seed for cell in cells[0]]
        found = [
            each
            for each in self.earlier.get("comparisons", ())
            if (each["part"], each["a"], each["b"]) == (table, *names)
            and [single["seed"] for single in each["seeds"]] == seeds
        ]
        known = all(self._before(cell) is not None for each in cells for cell in each)
        return found if known and {each["metric"] for each in found} == set(METRICS) else []

    def inference(self, rows: Sequence[Row]) -> list[Json]:
        """The earlier sizes and speeds of the families whose models are all the same as then.

        A family's are of one machine: what counts is the ratio of student to teacher.
        """
        plan = self.workshop.plan
        earlier = {each["name"]: each for each in self.earlier.get("inference", ())}
        changed = {
            row.family
            for row in rows
            if row.name not in earlier or self._before(plan.cell(row.cell, plan.seeds[0])) is None
        }
        return [earlier[row.name] for row in rows if row.family not in changed]


def _curve(path: Path) -> list[Json]:
    """The epochs that were measured on the validation data."""
    rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return [{"epoch": row["epoch"], "map": row["validation"]["map"]} for row in rows if "validation" in row]
