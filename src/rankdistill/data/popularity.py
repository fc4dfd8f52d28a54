"""Items by how often they occur in training."""

from __future__ import annotations

import numpy as np

from rankdistill.data.sequences import Sequences
from rankdistill.types import Bools, Ints


def popularity_groups(counts: Ints, groups: int) -> Ints:
    """The group [I + 1], from 0, the most popular first, of items that occur so often [I + 1].

    The groups hold about equally many occurrences (UnKD, WSDM 2023): an item is in group g where the items before it
    hold from g / groups of them on. Items that occur equally often are in the order of their numbers.
    """
    order = np.argsort(-counts, kind="stable")
    before = np.cumsum(counts[order]) - counts[order]
    found = np.empty(len(counts), dtype=np.int64)
    found[order] = np.minimum(before * groups // max(1, counts.sum()), groups - 1)
    return found


def popular_items(train: Sequences, num_items: int) -> Bools:
    """Which items [I + 1] are of the popular half: the fewest that together hold half of all training interactions."""
    counts = np.bincount(train.items, minlength=num_items + 1)
    popular: Bools = popularity_groups(counts, 2) == 0
    return popular
