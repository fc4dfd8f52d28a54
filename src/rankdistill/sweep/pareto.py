"""Which points nothing else beats."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def front(costs: Sequence[float], qualities: Sequence[float]) -> list[bool]:
    """Whether each point is on the Pareto front of low cost and high quality.

    A point is on the front where no other one is as cheap and as good and better in one of the two. Points that are
    equal in both are all on it. A point that lacks one of the two (NaN) is not.

    >>> front([1, 2, 2, 3], [0.1, 0.3, 0.2, 0.3])
    [True, True, False, False]
    """
    cost, quality = np.asarray(costs, dtype=np.float64), np.asarray(qualities, dtype=np.float64)
    known = np.flatnonzero(~(np.isnan(cost) | np.isnan(quality)))
    kept = np.zeros(len(cost), dtype=np.bool_)
    best, best_cost = -np.inf, np.nan
    for place in known[np.lexsort((-quality[known], cost[known]))]:
        if quality[place] > best:
            best, best_cost, kept[place] = quality[place], cost[place], True
        elif quality[place] == best and cost[place] == best_cost:
            kept[place] = True
    return kept.tolist()
