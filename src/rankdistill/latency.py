"""How fast a model answers: one query at a time, and many at once."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch

from rankdistill.data.queries import Queries
from rankdistill.ranker import Ranker, index_of, rank
from rankdistill.search import ItemIndex

_LIST_LENGTH = 10
_SINGLE_QUERIES = 300
_WARMUP_QUERIES = 30
_SECONDS = 3.0
_PASSES = 3
"""Each query counts with its quickest pass, so that something else on the machine is not taken for the model."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds a query of one (scoring, masking, top 10, on one thread), and users a second in blocks."""

    p50: float
    p99: float
    users_per_second: float


def measure_latency(model: Ranker, queries: Queries) -> Latency:
    """Times `rank` with lists of 10 on real queries, whose relevant items are left aside."""
    asked = Queries(queries.ids, queries.users, queries.history, queries.exclude)
    singles = [asked.rows(row, row + 1) for row in range(min(len(asked), _SINGLE_QUERIES + _WARMUP_QUERIES))]
    index = index_of(model, asked)  # what serves a model makes it once
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        passes = [[_seconds(model, query, index) for query in singles] for _ in range(_PASSES)]
    finally:
        torch.set_num_threads(threads)
    times = np.min(passes, axis=0)[min(_WARMUP_QUERIES, len(singles) // 2) :]
    p50, p99 = np.percentile(times, [50, 99]) * 1e3
    return Latency(round(float(p50), 4), round(float(p99), 4), round(_throughput(model, asked, index), 1))


def _seconds(model: Ranker, queries: Queries, index: ItemIndex | None) -> float:
    begin = time.perf_counter()
    rank(model, queries, _LIST_LENGTH, index=index)
    if model.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begin


def _throughput(model: Ranker, queries: Queries, index: ItemIndex | None) -> float:
    """Users a second over repeated passes of at most a few seconds."""
    part = queries.rows(0, 4096)
    _seconds(model, part, index)
    best, begin = float("inf"), time.perf_counter()
    for _ in range(5):
        best = min(best, _seconds(model, part, index))
        if time.perf_counter() - begin > _SECONDS:
            break
    return len(part) / best
