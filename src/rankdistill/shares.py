"""Weights as parts of one whole."""

from __future__ import annotations

import math
from collections.abc import Sequence


def shares_of(weights: Sequence[float]) -> list[float]:
    """The weights, finite and from 0 on and one of them above it, with the sum 1.

    >>> shares_of([2, 1, 1])
    [0.5, 0.25, 0.25]
    >>> shares_of([1e308, 1e308])
    [0.5, 0.5]
    """
    exponent = math.frexp(max(weights))[1]
    scaled = [math.ldexp(weight, -exponent) for weight in weights]  # exact, and no sum of them overflows
    return [weight / sum(scaled) for weight in scaled]
