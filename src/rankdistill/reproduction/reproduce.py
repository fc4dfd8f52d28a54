"""`rankdistill reproduce`: from the data folder to the last figure, in a folder that it can go on from."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rankdistill.errors import StorageError
from rankdistill.estimate import Training, seconds_of
from rankdistill.files import write_json
from rankdistill.folders import alone
from rankdistill.model_folder import versions
from rankdistill.owners import check_owner
from rankdistill.parallel import Processors
from rankdistill.processor import cores, processor_name
from rankdistill.ranker import device_named
from rankdistill.report.numerals import duration
from rankdistill.report.paper import write_results
from rankdistill.reproduction.cells import Cell, Plan, Row
from rankdistill.reproduction.execution import Workshop, execute
from rankdistill.reproduction.gather import Gathering
from rankdistill.reproduction.inference import measure, measured
from rankdistill.reproduction.outcomes import Outcomes, read_earlier
from rankdistill.reproduction.published import METRICS
from rankdistill.reproduction.request import Request
from rankdistill.stages import describe_data
from rankdistill.types import Json

logger = logging.getLogger(__name__)

RESULTS, BEGUN = "results", "reproduce.json"


def reproduce(request: Request, out: Path, results: Path | None = None) -> Path:
    """Does what is not done yet, and writes the results behind each table and figure.

    Args:
        request: what to reproduce.
        out: the folder for data and models; an interrupted reproduction goes on there.
        results: the folder for the results; None is `results` in `out`. What is known there, with the same settings
            and data, is not trained again.

    Returns:
        The page of the results.

    Raises:
        ConfigError: there is no such paper, data set, part or key, or the folder is that of something else.
        StorageError: a folder was begun with other settings, or another reproduction is at work in it.
        DataError: the data set is not to be had, or is not the published one.
    """
    plan = request.plan()
    parts = request.parts(plan)
    check_owner(out, "reproduce")
    work = _begun(request, plan, out, results)
    with alone(out, "reproduction"):
        work.workshop.prepare()
        work.announce(parts)
        return work.carry_out(parts)


def outlook(request: Request, out: Path, results: Path | None = None) -> list[Json]:
    """The trainings of a reproduction: which are done, and about how many seconds the others take. Writes nothing.

    Raises:
        RankDistillError: as `reproduce` does.
    """
    plan = request.plan()
    parts = request.parts(plan)
    check_owner(out, "reproduce")
    work = _begun(request, plan, out, results)
    work.workshop.read()
    seconds = work.announce(parts)
    return [
        {
            "key": cell.key,
            "seed": cell.seed,
            "epochs": cell.model.train.epochs,
            "teacher": cell.teacher,
            "done": cell.name not in seconds,
            "seconds": round(seconds.get(cell.name, 0.0), 1),
        }
        for cell in {cell.name: cell for cells in parts for cell in cells}.values()
    ]


def _begun(request: Request, plan: Plan, out: Path, results: Path | None) -> _Reproduction:
    """With what went before.

    Raises:
        StorageError: a folder was begun with other settings.
    """
    earlier = {} if results is None else read_earlier(results, plan)
    spent = _spent(request, out, earlier)
    outcomes = Outcomes(Workshop(plan, out), earlier)
    return _Reproduction(request, outcomes, request.processors(plan), results or out / RESULTS, spent)


@dataclass(slots=True)
class _Reproduction:
    request: Request
    outcomes: Outcomes
    processors: Processors
    results: Path
    spent: float
    """Seconds that went into it before."""
    begin: float = field(default_factory=time.perf_counter)

    @property
    def workshop(self) -> Workshop:
        """The folder."""
        return self.outcomes.workshop

    def _todo(self, parts: Iterable[Iterable[Cell]]) -> list[Cell]:
        return self.outcomes.todo(cell for part in parts for cell in part)

    def announce(self, parts: Iterable[Iterable[Cell]]) -> dict[str, float]:
        """Says what there is to do and how long it will take; returns the seconds of each training by name."""
        todo = self._todo(parts)
        seconds = seconds_of({cell.name: self._training(cell) for cell in todo}, self.processors.threads)
        if not todo:
            logger.info("everything is trained already")
            return seconds
        logger.info(
            "%d training%s to do, about %s: %s",
            len(todo),
            "" if len(todo) == 1 else "s",
            duration(sum(seconds.values()) / self.processors.jobs),
            self.processors,
        )
        return seconds

    def _training(self, cell: Cell) -> Training:
        taught = cell.teacher is not None
        return Training(cell.experiment, self.workshop.splits[cell.part], distilled=taught, labels=taught)

    def carry_out(self, parts: list[list[Cell]]) -> Path:
        """Trains, measures and writes."""
        waiting = [part for part in parts if self._todo([part])]
        timed = [row for row in self.workshop.plan.tables["main"] if row.timed]

        def behind_each() -> None:
            self._note()
            finished = [part for part in waiting if not self._todo([part])]
            for part in finished:
                waiting.remove(part)
            if finished:
                write_results(self._found(timed), self.results)

        self._note()
        execute(self.workshop, self._todo(parts), self.processors, behind_each)
        measure(self.workshop, self._unmeasured(timed))
        self._note()
        return write_results(self._found(timed), self.results)

    def _unmeasured(self, timed: Sequence[Row]) -> list[Row]:
        """The rows whose size and speed earlier results do not have."""
        known = {each["name"] for each in self.outcomes.inference(timed)}
        return [row for row in timed if row.name not in known]

    def _seconds(self) -> float:
        return round(self.spent + time.perf_counter() - self.begin, 1)

    def _note(self) -> None:
        write_json(self.workshop.path / BEGUN, {**self.request.settings(), "seconds": self._seconds()})

    def _found(self, timed: Sequence[Row]) -> Json:
        """All that is known by now."""
        plan, gathering = self.workshop.plan, Gathering(self.outcomes)
        inference = [*self.outcomes.inference(timed), *measured(self.workshop, self._unmeasured(timed))]
        inference.sort(key=lambda each: [row.name for row in timed].index(each["name"]))
        cells = gathering.cells()
        taken = sum(not self.workshop.is_done(cell) for cell in plan.cells if cell.name in cells)
        return {
            "paper": plan.paper,
            "dataset": plan.dataset,
            "title": plan.title,
            "quick": plan.quick,
            "complete": all(map(self.outcomes.is_known, plan.shown)) and bool(inference),
            "command": self.request.command(),
            "epochs": plan.epochs,
            "seeds": list(plan.seeds),
            "remarks": list(plan.remarks),
            "made": {
                "date": time.strftime("%Y-%m-%d"),
                "versions": versions(),
                "machine": self._machine(),
                "trainings": len(cells),
                "taken_from_earlier_results": taken,
                "train_seconds": round(sum(each["train_seconds"] for each in cells.values()), 1),
                "wall_seconds": self._seconds(),
            },
            "data": describe_data(self.workshop.splits["test"], plan.cells[0].experiment),
            "metrics": list(METRICS),
            **gathering.tables(),
            "comparisons": gathering.comparisons(),
            "inference": inference,
            "figures": gathering.figures(),
            "search": gathering.search(),
            "cells": cells,
        }

    def _machine(self) -> Json:
        device = device_named(self.workshop.plan.cells[0].model.train.device)
        return {
            "processor": processor_name(),
            "cores": cores(),
            "jobs": self.processors.jobs,
            "threads": self.processors.threads,
            "device": str(device),
        }


def _spent(request: Request, out: Path, earlier: Json) -> float:
    """The seconds that went into a folder before, or into the earlier results that a new folder goes on from.

    Raises:
        StorageError: it was begun with other settings.
    """
    path = out / BEGUN
    try:
        known: Json = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return float(earlier["made"]["wall_seconds"]) if earlier.get("cells") else 0.0
    except (OSError, ValueError) as error:
        raise StorageError(f"{path}: cannot be read ({error}); name another --out") from error
    if not isinstance(known, dict):
        raise StorageError(f"{path}: is none of ours; name another --out")
    for key, value in request.settings().items():
        if known.get(key) != value:
            before, now = json.dumps(known.get(key)), json.dumps(value)
            raise StorageError(
                f"{out}: was begun with {key} = {before}, and now {key} = {now} is asked for; go on with what it was "
                f"begun with, or name another --out"
            )
    return float(known.get("seconds", 0.0))
