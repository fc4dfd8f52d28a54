"""Ending a training that will not be the best, or whose time is up."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from rankdistill.training import Callback, StopTraining
from rankdistill.types import Json

_LEAST_TRIALS = 4
"""Trials that must have ended before another one is compared with them."""


class Watch(Callback):
    """Keeps the metric behind each epoch, and stops a training that is behind the others or out of time.

    Args:
        metric: the validation metric.
        bar: the least that the best value so far must be, behind each validation; it may be shorter than the training.
        grace: validations before the bar counts.
        seconds: that are left; None for no limit.
    """

    def __init__(self, metric: str, bar: Sequence[float], grace: int, seconds: float | None) -> None:
        self._metric, self._bar, self._grace = metric, bar, grace
        self._end = None if seconds is None else time.monotonic() + seconds
        self.curve: list[float] = []
        self.behind = self.late = False

    def on_epoch(self, row: Json) -> None:
        """See `Callback.on_epoch`."""
        if "validation" in row:
            self.curve.append(float(row["validation"][self._metric]))
            place = len(self.curve) - 1
            self.behind = self._grace <= place < len(self._bar) and max(self.curve) < self._bar[place]
        self.late = bool(self.curve) and self._end is not None and time.monotonic() > self._end
        if self.behind or self.late:
            raise StopTraining


def median_bar(curves: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """The median of the others' best values so far, behind each validation; nothing while there are few.

    >>> median_bar([[0.1, 0.3], [0.2, 0.1], [0.3], [0.4, 0.4]])
    (0.25,)
    """
    best = [list(accumulate(curve, max)) for curve in curves if curve]
    bar: list[float] = []
    while len(there := [curve[len(bar)] for curve in best if len(curve) > len(bar)]) >= _LEAST_TRIALS:
        bar.append(float(np.median(there)))
    return tuple(bar)


def lowest_bar(curves: Sequence[Sequence[float]], share: float) -> tuple[float, ...]:
    """A share of the lowest of the others' best values so far, behind each validation."""
    best = [list(accumulate(curve, max)) for curve in curves if curve]
    longest = max((len(curve) for curve in best), default=0)
    return tuple(share * min(curve[min(place, len(curve) - 1)] for curve in best) for place in range(longest))
