"""How large the models are and how fast they answer, with nothing else running."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rankdistill.data.splitting import with_windows
from rankdistill.files import read_object, write_json
from rankdistill.latency import measure_latency
from rankdistill.model_folder import load_model
from rankdistill.ranker import index_of, rank
from rankdistill.reproduction.cells import Cell, Row
from rankdistill.reproduction.execution import Workshop
from rankdistill.types import Json

FILE = "inference.json"
_PASSES = 5
_LIST_LENGTH = 10


def measure(workshop: Workshop, rows: Sequence[Row]) -> None:
    """Measures size and speed of the models of `rows` that are done, of the first seed, unless that is known."""
    for row in rows:
        cell = workshop.plan.cell(row.cell, workshop.plan.seeds[0])
        if workshop.is_done(cell) and _known(workshop, row) is None:
            found = {"stamp": workshop.stamp(cell), **_figures(workshop, cell)}
            write_json(workshop.path / FILE, {**_read(workshop), row.name: found})


def measured(workshop: Workshop, rows: Sequence[Row]) -> list[Json]:
    """What is known of the size and speed of `rows`."""
    return [
        {
            "name": row.name,
            "family": row.family,
            "role": row.role,
            **{key: value for key, value in figures.items() if key != "stamp"},
            "published": workshop.plan.inference.get(row.name),
        }
        for row in rows
        if (figures := _known(workshop, row)) is not None
    ]


def _known(workshop: Workshop, row: Row) -> Json | None:
    """The figures of the model as it is now."""
    figures: Json = _read(workshop).get(row.name, {})
    cell = workshop.plan.cell(row.cell, workshop.plan.seeds[0])
    return figures if figures.get("stamp") == workshop.stamp(cell) else None


def _read(workshop: Workshop) -> Json:
    return read_object(workshop.path / FILE)


def _figures(workshop: Workshop, cell: Cell) -> Json:
    """Seconds to make a list of ten for every test user, from the model in memory, and the latency of one query."""
    model, card = load_model(workshop.folder(cell), cell.model.train.device)
    queries = with_windows(workshop.splits[cell.part], cell.experiment.windows).test_queries
    times = []
    for _ in range(_PASSES):
        begin = time.perf_counter()
        rank(model, queries, _LIST_LENGTH, index=index_of(model, queries))
        times.append(time.perf_counter() - begin)
    latency = measure_latency(model, queries)
    return {
        "parameters": card["parameters"],
        "bytes": card["bytes"],
        "users": len(queries),
        "seconds_all_users": round(min(times), 4),
        "p50_ms": latency.p50,
        "p99_ms": latency.p99,
    }
