"""Training queries: every place of a user's training sequence that has enough history before it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from rankdistill.data.queries import Exclude, Queries, last_items
from rankdistill.data.sequences import Sequences
from rankdistill.rankings import pack
from rankdistill.types import Ints, Items


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """Pairs of a history and the items that followed it, one row a training query.

    A window is `history_length` items and the `target_length` items after them, as in the published code; with
    `min_history`, windows begin after as few items, and their histories are padded on the left. A user whose sequence
    is too short for that has one window.

    Attributes:
        sequences: the training sequences.
        users: [n], ascending.
        positions: [n], the index of the first target in the user's sequence.
        history_length: L.
        target_length: T.
    """

    sequences: Sequences
    users: Ints
    positions: Ints
    history_length: int
    target_length: int

    @classmethod
    def of(
        cls, sequences: Sequences, history_length: int, target_length: int, min_history: int | None = None
    ) -> Windows:
        """All windows of `sequences`, by default those with a full history.

        A user with fewer than `target_length` items has no window: there is nothing to predict.
        """
        lengths = sequences.lengths
        least = history_length if min_history is None else min_history
        counts = np.maximum(lengths - least - target_length + 1, 0)
        counts[(counts == 0) & (lengths >= target_length)] = 1
        users = np.repeat(np.arange(len(sequences)), counts)
        first = np.minimum(least, np.maximum(lengths - target_length, 0))
        within = np.arange(len(users)) - np.repeat(np.cumsum(counts) - counts, counts)
        return cls(sequences, users, first[users] + within, history_length, target_length)

    def __len__(self) -> int:
        return len(self.users)

    def part(self, share: float) -> Windows:
        """A random share of the windows, rounded up, always the same ones; a larger share holds a smaller one."""
        if share == 1.0:
            return self
        count = max(1, math.ceil(round(share * len(self), 6)))  # 7 % of 100 is 7.000000000000001
        rows = np.sort(np.random.default_rng(0).permutation(len(self))[:count])
        return replace(self, users=self.users[rows], positions=self.positions[rows])

    @property
    def ids(self) -> Ints:
        """The query id [n] of each window."""
        return pack(self.users, self.positions)

    @property
    def full(self) -> int:
        """How many windows have a history without padding."""
        return int((self.positions >= self.history_length).sum())

    def history(self, rows: Ints | slice = slice(None)) -> Items:
        """The histories [m, L] of the given windows [m]."""
        return last_items(self.sequences, self.users[rows], self.positions[rows], self.history_length)

    def targets(self, rows: Ints | slice = slice(None)) -> Items:
        """The targets [m, T] of the given windows [m]."""
        first = self.sequences.starts[self.users[rows]] + self.positions[rows]
        targets: Items = self.sequences.items[first[:, None] + np.arange(self.target_length)]
        return targets

    def queries(self, exclude: Literal["targets", "seen"], rows: slice, never: Items) -> Queries:
        """The windows as queries to a teacher.

        Args:
            exclude: `"targets"` keeps a query's own targets out of its list, `"seen"` all items of the user's
                training sequence.
            rows: which windows.
            never: items for no list at all.
        """
        seen = self.sequences if exclude == "seen" else None
        out = Exclude(seen, None if exclude == "seen" else self.targets(rows), never)
        return Queries(pack(self.users[rows], self.positions[rows]), self.users[rows], self.history(rows), out)
