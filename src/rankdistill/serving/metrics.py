"""What `/metrics` shows, in Prometheus's text format; any worker shows the numbers of all of them."""

from __future__ import annotations

import itertools
import mmap
import os
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from rankdistill.errors import ConfigError
from rankdistill.types import Doubles

PATHS = ("/recommend", "/items", "/example", "/model", "/health", "/metrics", "/", "other")
_STATUSES = (200, 400, 404, 405, 408, 413, 422, 500, 503, 504, 0)
"""0 counts all others."""
_BOUNDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0, 5.0, float("inf"))
"""Seconds, each the upper end of a bucket."""

_REQUESTS = [(path, status) for path in PATHS for status in _STATUSES]
_COUNTERS = {
    "lists_total": "Lists that were answered.",
    "reloads_total": "Newer exports that took the place of a former one.",
    "refused_reloads_total": "Newer exports that were damaged and not loaded.",
}
_GAUGES = {
    "process": "Process id of the worker.",
    "in_flight": "Requests that are being answered.",
    "resident_bytes": "Memory of the worker.",
    "loaded_seconds": "When the student was loaded, in seconds since 1970.",
}
_NUMBERS = [
    *(("requests", *each) for each in _REQUESTS),
    *(("bucket", bound) for bound in _BOUNDS),
    ("seconds",),
    *((name,) for name in (*_COUNTERS, *_GAUGES)),
]
_PLACE = {name: place for place, name in enumerate(_NUMBERS)}


class Metrics:
    """The numbers of one worker, in a row of a table that all workers share.

    A worker that takes the place of one that died goes on with its row.

    Args:
        path: the table, from `new_table`; None is a table of one row in memory.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.worker = 0
        if path is None:
            self._table: Doubles = np.zeros((1, len(_NUMBERS)))
        else:
            self._file = os.open(path, os.O_RDWR)  # open for as long as the process lives, and so is the lock on a row
            self._memory = mmap.mmap(self._file, 0)
            self._table = np.frombuffer(self._memory, dtype=np.float64).reshape(-1, len(_NUMBERS))
            self.worker = _free_row(self._file, len(self._table))
        self._row = self._table[self.worker]
        self.put("in_flight", 0)
        self.put("process", os.getpid())

    def add(self, name: str, amount: float = 1) -> None:
        """Counts."""
        self._row[_PLACE[(name,)]] += amount

    def put(self, name: str, value: float) -> None:
        """Sets a number."""
        self._row[_PLACE[(name,)]] = value

    def answered(self, path: str, status: int, seconds: float) -> None:
        """Counts a request that is done."""
        self._row[_PLACE["requests", path, status if status in _STATUSES else 0]] += 1
        if path == PATHS[0]:
            self._row[_PLACE["bucket", _BOUNDS[bisect_left(_BOUNDS, seconds)]]] += 1
            self.add("seconds", seconds)

    def measure_memory(self) -> None:
        """Notes how much memory this process has, where the system says it."""
        try:
            pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
        except OSError:
            return
        self.put("resident_bytes", pages * os.sysconf("SC_PAGE_SIZE"))

    def text(self) -> str:
        """All numbers."""
        self.measure_memory()
        return "\n".join(itertools.chain(self._requests(), self._seconds(), self._single())) + "\n"

    def _requests(self) -> Iterator[str]:
        yield from _heading("requests_total", "counter", "Requests by path and status.")
        for (worker, row), (path, status) in itertools.product(enumerate(self._table), _REQUESTS):
            count = row[_PLACE["requests", path, status]]
            if count:
                labels = f'worker="{worker}",path="{path}",status="{status or "other"}"'
                yield f"rankdistill_requests_total{{{labels}}} {count:.0f}"

    def _seconds(self) -> Iterator[str]:
        name = "request_seconds"
        yield from _heading(name, "histogram", "From a request for lists to its answer.")
        for worker, row in enumerate(self._table):
            counts = np.cumsum([row[_PLACE["bucket", bound]] for bound in _BOUNDS])
            for bound, count in zip(_BOUNDS, counts, strict=True):
                end = "+Inf" if bound == _BOUNDS[-1] else f"{bound:g}"
                yield f'rankdistill_{name}_bucket{{worker="{worker}",le="{end}"}} {count:.0f}'
            yield f'rankdistill_{name}_sum{{worker="{worker}"}} {row[_PLACE[("seconds",)]]:.6f}'
            yield f'rankdistill_{name}_count{{worker="{worker}"}} {counts[-1]:.0f}'

    def _single(self) -> Iterator[str]:
        kinds = {**dict.fromkeys(_COUNTERS, "counter"), **dict.fromkeys(_GAUGES, "gauge")}
        for name, about in {**_COUNTERS, **_GAUGES}.items():
            yield from _heading(name, kinds[name], about)
            for worker, row in enumerate(self._table):
                yield f'rankdistill_{name}{{worker="{worker}"}} {row[_PLACE[(name,)]]:.0f}'


def _heading(name: str, kind: str, about: str) -> Iterator[str]:
    yield f"# HELP rankdistill_{name} {about}"
    yield f"# TYPE rankdistill_{name} {kind}"


def new_table(path: Path, workers: int) -> None:
    """Writes the table that so many workers share."""
    path.write_bytes(bytes(8 * len(_NUMBERS) * workers))


def _free_row(file: int, rows: int) -> int:
    """The first row that no living process has locked; it is this process's from now on."""
    import fcntl  # not everywhere, and workers that share a table alone need it

    for row in range(rows):
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, row)
        except OSError:
            continue
        return row
    raise ConfigError(f"{rows} workers share the table of metrics, and this is one more")
