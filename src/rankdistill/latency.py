"""How fast a model answers: one query at a time, and many at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from rankdistill.data.queries import Queries
from rankdistill.ranker import Ranker, index_of, rank
from rankdistill.search import ItemIndex

_LIST_LENGTH = 10
_WARMUP_QUERIES = 30
QUERIES = 300 + _WARMUP_QUERIES
"""Of one user each, at most."""
_SECONDS = 3.0
_PASSES = 3
"""Each query counts with its quickest pass, so that something else on the machine is not taken for the model; the 99th
percentile is of the queries that take longest, not of all calls."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds a query of one (scoring, masking, top 10, on one thread), and users a second in blocks."""

    p50: float
    p99: float
    users_per_second: float


def measure_latency(model: Ranker, queries: Queries) -> Latency:
    """Times `rank` with lists of 10 on real queries, whose relevant items are left aside."""
    asked = _alone(queries)
    index = index_of(model, asked)  # what serves a model makes it once
    return Latency(*_singles(model, asked, index), round(_throughput(model, asked, index), 1))


def median_latency(model: Ranker, queries: Queries) -> float:
    """The p50 of `measure_latency` alone, which takes a fraction of the time."""
    asked = _alone(queries)
    return _singles(model, asked, index_of(model, asked))[0]


def _alone(queries: Queries) -> Queries:
    return Queries(queries.ids, queries.users, queries.history, queries.exclude)


def _singles(model: Ranker, asked: Queries, index: ItemIndex | None) -> tuple[float, float]:
    """p50 and p99 of queries one by one, on one thread."""
    singles = [asked.rows(row, row + 1) for row in range(min(len(asked), QUERIES))]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return percentiles([partial(_answer, model, query, index) for query in singles])
    finally:
        torch.set_num_threads(threads)


def percentiles(calls: Sequence[Callable[[], object]]) -> tuple[float, float]:
    """p50 and p99, in milliseconds, of calls that answer one query each; the first ones are a warm-up."""
    passes = [[_seconds(call) for call in calls] for _ in range(_PASSES)]
    times = np.min(passes, axis=0)[min(_WARMUP_QUERIES, len(calls) // 2) :]
    p50, p99 = np.percentile(times, [50, 99]) * 1e3
    return round(float(p50), 4), round(float(p99), 4)


def _seconds(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def _answer(model: Ranker, queries: Queries, index: ItemIndex | None) -> None:
    rank(model, queries, _LIST_LENGTH, index=index)
    if model.device.type == "cuda":
        torch.cuda.synchronize()


def _throughput(model: Ranker, queries: Queries, index: ItemIndex | None) -> float:
    """Users a second over repeated passes of at most a few seconds."""
    part = queries.rows(0, 4096)
    answer = partial(_answer, model, part, index)
    answer()
    best, begin = float("inf"), time.perf_counter()
    for _ in range(5):
        best = min(best, _seconds(answer))
        if time.perf_counter() - begin > _SECONDS:
            break
    return len(part) / best
