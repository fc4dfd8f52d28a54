"""Every user's items in time order, as two flat arrays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rankdistill.types import Bools, Ints, Items

_ROWS_A_BLOCK = 1 << 16
"""Rows that are sorted at once: they stay in the cache, and their keys fit into 63 bits (`_pairs_in_order`)."""


@dataclass(frozen=True, slots=True, eq=False)
class Sequences:
    """The items of user u, oldest first, are `items[starts[u]:starts[u + 1]]`.

    Attributes:
        starts: [U + 1].
        items: [n].
    """

    starts: Ints
    items: Items

    @classmethod
    def from_pairs(cls, users: NDArray[Any], items: NDArray[Any], num_users: int) -> Sequences:
        """From users [n], ascending, and their items [n] in time order."""
        counts = np.bincount(users, minlength=num_users)
        return cls(np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), items.astype(np.int32, copy=False))

    @classmethod
    def empty(cls, num_users: int) -> Sequences:
        """Users without items."""
        return cls(np.zeros(num_users + 1, dtype=np.int64), np.zeros(0, dtype=np.int32))

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lengths(self) -> Ints:
        """The number [U] of items of each user."""
        return np.diff(self.starts)

    @property
    def users(self) -> Ints:
        """The user [n] of each item."""
        return np.repeat(np.arange(len(self), dtype=np.int64), self.lengths)

    def of(self, user: int) -> Items:
        """The items of one user, oldest first."""
        return self.items[self.starts[user] : self.starts[user + 1]]

    def then(self, later: Sequences) -> Sequences:
        """Each user's items followed by her items in `later`."""
        items = np.empty(len(self.items) + len(later.items), dtype=np.int32)
        after = self.rows_after(later)
        mine = np.ones(len(items), dtype=np.bool_)
        mine[after] = False
        items[mine], items[after] = self.items, later.items
        return Sequences(self.starts + later.starts, items)

    def rows_after(self, later: Sequences) -> Ints:
        """Where in `self.then(later)` each item [n] of `later` stands."""
        rows = np.repeat(self.starts[1:], later.lengths)
        rows += np.arange(len(rows))
        return rows

    def take(self, users: Ints) -> Sequences:
        """The sequences of the given users [m], renumbered in their order."""
        lengths = self.lengths[users]
        rows = np.repeat(self.starts[users] - np.concatenate([[0], np.cumsum(lengths)[:-1]]), lengths)
        items = self.items[rows + np.arange(len(rows))]
        return Sequences(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), items)

    def where(self, keep: Bools) -> Sequences:
        """The items [n] that `keep` [n] marks."""
        kept = np.concatenate([[0], np.cumsum(keep)])
        return Sequences(kept[self.starts], self.items[keep])

    def once(self, which: Literal["first", "last"]) -> Bools:
        """Marks [n] the first or the last time that each user has an item."""
        marks = np.zeros(len(self.items), dtype=np.bool_)
        for first, last in self.blocks():
            pairs, places = self._pairs_in_order(first, last)
            edge = np.ones(len(pairs) + 1, dtype=np.bool_)
            np.not_equal(pairs[1:], pairs[:-1], out=edge[1:-1])
            marks[self.starts[first] + places[edge[:-1] if which == "first" else edge[1:]]] = True
        return marks

    def distinct(self) -> Sequences:
        """Each user's items once, where they first occur."""
        return self.where(self.once("first"))

    def blocks(self) -> Iterator[tuple[int, int]]:
        """Cuts the users into runs `first` to `last` (exclusive) of few rows, or of one user who has many."""
        first = 0
        while first < len(self):
            end = self.starts[first] + _ROWS_A_BLOCK
            last = int(np.searchsorted(self.starts, end, side="right")) - 1
            last = max(first + 1, min(last, first + _ROWS_A_BLOCK))
            yield first, last
            first = last

    def _pairs_in_order(self, first: int, last: int) -> tuple[Ints, Ints]:
        """The (user, item) pairs [n] of a block in ascending order, and the row [n] of each within the block.

        Pair and row are packed into one number, so that one plain sort does it: 16 bits for the user, 31 for the
        item and 16 for the row, or none for the user where the block has one alone.
        """
        starts = self.starts[first : last + 1]
        items = self.items[starts[0] : starts[-1]]
        users = np.repeat(np.arange(last - first), np.diff(starts))
        bits = (len(items) - 1).bit_length()
        keys = ((users * (1 << int(items.max(initial=0)).bit_length()) + items) << bits) + np.arange(len(items))
        keys.sort()
        return keys >> bits, keys & ((1 << bits) - 1)

    def members(self) -> Membership:
        """A lookup of who has which item."""
        return Membership.of(self)


@dataclass(frozen=True, slots=True, eq=False)
class Membership:
    """Answers "has user u item i?" for many pairs at once, from the sorted (user, item) keys."""

    keys: Ints
    stride: int

    @classmethod
    def of(cls, sequences: Sequences) -> Membership:
        """The lookup over all pairs of `sequences`."""
        stride = int(sequences.items.max(initial=0)) + 1
        keys = np.empty(len(sequences.items), dtype=np.int64)
        count = 0
        for first, last in sequences.blocks():
            rows = slice(sequences.starts[first], sequences.starts[last])
            users = np.repeat(np.arange(first, last), np.diff(sequences.starts[first : last + 1]))
            block = users * stride + sequences.items[rows]
            block.sort()
            block = block[np.diff(block, prepend=-1) > 0]
            keys[count : count + len(block)] = block
            count += len(block)
        return cls(keys[:count].copy() if count < len(keys) else keys, stride)

    def __call__(self, users: NDArray[Any], items: NDArray[Any]) -> Bools:
        """Whether each user [n] has each item [n]; arrays that broadcast are welcome."""
        users, items = np.broadcast_arrays(users, items)
        wanted = users.astype(np.int64) * self.stride + items
        rows = np.searchsorted(self.keys, wanted.ravel()).reshape(wanted.shape)
        rows[rows == len(self.keys)] = 0
        found = self.keys[rows] == wanted if len(self.keys) else np.zeros(wanted.shape, dtype=np.bool_)
        return found & (items < self.stride)
