"""Latency and throughput of contestants, by batch size and threads."""

from __future__ import annotations

import logging
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from rankdistill.bench.contestants import Contestant
from rankdistill.bench.timing import Summary, summary, take_turns
from rankdistill.console import progress
from rankdistill.processor import cores, processor_name
from rankdistill.types import Json

logger = logging.getLogger(__name__)

_PACKAGES = ("torch", "onnxruntime", "faiss-cpu", "numpy")


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured.

    Attributes:
        batches: users of a call.
        threads: of a call.
        k: the length of the lists.
        seconds: how long each contestant runs for each pair of the two.
    """

    batches: tuple[int, ...] = (1, 8, 64, 512)
    threads: tuple[int, ...] = (1,)
    k: int = 10
    seconds: float = 2.0


@dataclass(frozen=True, slots=True)
class Row:
    """A contestant with so many threads and users a call."""

    contestant: Contestant
    threads: int
    batch: int
    found: Summary

    def json(self) -> Json:
        """As files have it."""
        who = self.contestant
        about = {"model": who.model, "role": who.role, "engine": who.engine}
        return {**about, "threads": self.threads, "batch": self.batch, **self.found.json()}


def measure(contestants: Sequence[Contestant], plan: Plan) -> list[Row]:
    """A row for each contestant, number of threads and batch size; contestants take turns in each of these."""
    rows = []
    pairs = [(threads, batch) for threads in plan.threads for batch in plan.batches]
    with progress(len(pairs), "timing") as advance:
        for threads, batch in pairs:
            calls = {one.name: one.calls(threads, batch) for one in contestants}
            samples = take_turns(calls, plan.seconds)
            rows += [Row(one, threads, batch, summary(samples[one.name], batch)) for one in contestants]
            advance(1, f"batch {batch}, threads {threads}")
    return sorted(rows, key=lambda row: [one.name for one in contestants].index(row.contestant.name))


def result(rows: Sequence[Row], plan: Plan) -> Json:
    """The rows with where and how they were measured."""
    notes = dict.fromkeys(row.contestant.note for row in rows if row.contestant.note)
    return {
        "k": plan.k,
        "seconds": plan.seconds,
        "machine": {"processor": processor_name(), "cores": cores(), "system": platform.system()},
        "versions": {"python": platform.python_version(), **_versions()},
        "notes": list(notes),
        "rows": [row.json() for row in rows],
    }


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            logger.debug("%s is not installed", name)
    return found
