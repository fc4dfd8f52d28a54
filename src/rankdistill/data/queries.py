"""What a ranker is asked, and what may not stand in its answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from rankdistill.data.sequences import Sequences
from rankdistill.types import Ints, Items


@dataclass(frozen=True, slots=True, eq=False)
class Exclude:
    """Items that may not be ranked.

    Attributes:
        seen: each user's known items, excluded from her lists; None excludes none.
        per_query: [Q, E], items excluded query by query (PAD where there are fewer).
        never: [m], items excluded from every list (those that never occur in training).
    """

    seen: Sequences | None = None
    per_query: Items | None = None
    never: Items = field(default_factory=lambda: np.zeros(0, dtype=np.int32))


@dataclass(frozen=True, slots=True, eq=False)
class Queries:
    """Users and what they did before.

    Attributes:
        ids: [Q], unique: (user, position) packed.
        users: [Q].
        history: [Q, L], the last L items, left-padded with PAD.
        exclude: what may not be ranked.
        relevant: the items [Q, ...] whose ranks an evaluation asks for, or None.
    """

    ids: Ints
    users: Ints
    history: Items
    exclude: Exclude = field(default_factory=Exclude)
    relevant: Sequences | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def by_user(self) -> Sequences:
        """The relevant items of each user."""
        if self.relevant is None:
            return Sequences(np.zeros(1, dtype=np.int64), np.zeros(0, dtype=np.int32))
        return Sequences.from_pairs(self.users[self.relevant.users], self.relevant.items, int(self.users.max()) + 1)

    def rows(self, start: int, stop: int) -> Queries:
        """The queries `start` to `stop`."""
        span = slice(start, stop)
        stop = min(stop, len(self))
        per_query = self.exclude.per_query
        return replace(
            self,
            ids=self.ids[span],
            users=self.users[span],
            history=self.history[span],
            exclude=self.exclude if per_query is None else replace(self.exclude, per_query=per_query[span]),
            relevant=None if self.relevant is None else self.relevant.take(np.arange(start, stop)),
        )

    def blocks(self, size: int) -> Iterator[Queries]:
        """The queries, `size` at a time."""
        for start in range(0, len(self), size):
            yield self.rows(start, start + size)


def last_items(sequences: Sequences, users: Ints, positions: Ints, length: int) -> Items:
    """The `length` items [n, L] of each user [n] before each position [n], left-padded with PAD."""
    columns = positions[:, None] - length + np.arange(length)
    rows = sequences.starts[users][:, None] + columns
    if len(sequences.items) == 0:
        return np.zeros(rows.shape, dtype=np.int32)
    return np.where(columns >= 0, sequences.items[np.maximum(rows, 0)], 0).astype(np.int32)
