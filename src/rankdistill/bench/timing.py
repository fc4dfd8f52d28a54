"""Contestants that take turns, and what their calls took."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from rankdistill.types import Json

TURNS = 20
"""A busy moment of the machine falls on all contestants alike where none of them runs for long."""
_CALLS_FOR = {95: 20, 99: 100}
"""So many calls have to be known for a percentile: of fewer it would be the longest call under another name."""

Call: TypeAlias = Callable[[], object]
Clock: TypeAlias = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Summary:
    """Milliseconds of a call, and users answered a second; a percentile that too few calls tell of is None."""

    p50: float
    p95: float | None
    p99: float | None
    users_per_second: float
    calls: int

    def json(self) -> Json:
        """As files have it."""
        return {
            "latency_ms": {"p50": self.p50, "p95": self.p95, "p99": self.p99},
            "users_per_second": self.users_per_second,
            "calls": self.calls,
        }


def summary(seconds: Sequence[float], batch: int) -> Summary:
    """The percentiles of calls that each answer `batch` users.

    >>> summary([0.001, 0.002, 0.003], 8)
    Summary(p50=2.0, p95=None, p99=None, users_per_second=4000.0, calls=3)
    """
    p95, p99 = (percentile(seconds, q) if len(seconds) >= least else None for q, least in _CALLS_FOR.items())
    rate = len(seconds) * batch / sum(seconds)
    return Summary(percentile(seconds, 50), p95, p99, round(rate, 1), len(seconds))


def percentile(seconds: Sequence[float], q: float) -> float:
    """In milliseconds, linear between the two nearest samples."""
    return round(float(np.percentile(np.asarray(seconds), q)) * 1e3, 4)


def take_turns(
    contestants: Mapping[str, Sequence[Call]], seconds: float, clock: Clock = time.perf_counter
) -> dict[str, list[float]]:
    """What each call of each contestant took, `seconds` long for each of them in all.

    A contestant goes through its calls over and over. The first turn is a warm-up, and so is the first call of every
    other one: the processor's caches hold what the contestant before has left there. Every second turn goes backwards.
    """
    waiting = {name: itertools.cycle(calls) for name, calls in contestants.items()}
    samples: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(TURNS + 1):
        order = list(contestants)
        for name in order if turn % 2 == 0 else reversed(order):
            next(waiting[name])()
            times = _turn(waiting[name], seconds / TURNS, clock)
            if turn:
                samples[name] += times
    return samples


def _turn(calls: itertools.cycle[Call], seconds: float, clock: Clock) -> list[float]:
    times: list[float] = []
    start = end = clock()
    while not times or end - start < seconds:
        call, begin = next(calls), end
        call()
        end = clock()
        times.append(end - begin)
    return times
