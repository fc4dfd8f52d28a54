"""How large the models are and how fast they answer, with nothing else running."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

from rankdistill.data.splitting import with_windows
from rankdistill.files import write_json
from rankdistill.latency import measure_latency
from rankdistill.model_folder import load_model
from rankdistill.ranker import index_of, rank
from rankdistill.reproduction.cells import Cell, Row
from rankdistill.reproduction.execution import Workshop
from rankdistill.types import Json

FILE = "inference.json"
_PASSES = 5
_LIST_LENGTH = 10


def measure(workshop: Workshop, rows: Sequence[Row]) -> list[Json]:
    """Size and speed of the models of `rows`, of the first seed; measured again only where a model changed."""
    path = workshop.path / FILE
    try:
        known: Json = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}
    found: Json = {}
    for row in rows:
        cell = workshop.plan.cell(row.cell, workshop.plan.seeds[0])
        if not workshop.is_done(cell):
            continue
        stamp = workshop.stamp(cell)
        before = known.get(row.name, {})
        found[row.name] = before if before.get("stamp") == stamp else {"stamp": stamp, **_measured(workshop, cell)}
        write_json(path, known | found)
    return [_shown(row, found[row.name], workshop) for row in rows if row.name in found]


def _shown(row: Row, figures: Json, workshop: Workshop) -> Json:
    published = workshop.plan.inference.get(row.name)
    about = {"name": row.name, "family": row.family, "role": row.role}
    return {**about, **{key: value for key, value in figures.items() if key != "stamp"}, "published": published}


def _measured(workshop: Workshop, cell: Cell) -> Json:
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
