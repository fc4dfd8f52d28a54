"""Every user's items in time order, as two flat arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rankdistill.types import Bools, Ints, Items


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
        users = np.concatenate([self.users, later.users])
        order = np.argsort(users, kind="stable")
        return Sequences.from_pairs(users[order], np.concatenate([self.items, later.items])[order], len(self))

    def take(self, users: Ints) -> Sequences:
        """The sequences of the given users [m], renumbered in their order."""
        lengths = self.lengths[users]
        rows = np.repeat(self.starts[users] - np.concatenate([[0], np.cumsum(lengths)[:-1]]), lengths)
        items = self.items[rows + np.arange(len(rows))]
        return Sequences(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), items)

    def where(self, keep: Bools) -> Sequences:
        """The items [n] that `keep` [n] marks."""
        return Sequences.from_pairs(self.users[keep], self.items[keep], len(self))

    def distinct(self) -> Sequences:
        """Each user's items once, where they first occur."""
        first = np.zeros(len(self.items), dtype=np.bool_)
        pairs = self.users * (int(self.items.max(initial=0)) + 1) + self.items
        first[np.unique(pairs, return_index=True)[1]] = True
        return self.where(first)

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
        return cls(np.unique(sequences.users * stride + sequences.items), stride)

    def __call__(self, users: NDArray[Any], items: NDArray[Any]) -> Bools:
        """Whether each user [n] has each item [n]; arrays that broadcast are welcome."""
        users, items = np.broadcast_arrays(users, items)
        wanted = users.astype(np.int64) * self.stride + items
        rows = np.searchsorted(self.keys, wanted.ravel()).reshape(wanted.shape)
        rows[rows == len(self.keys)] = 0
        found = self.keys[rows] == wanted if len(self.keys) else np.zeros(wanted.shape, dtype=np.bool_)
        return found & (items < self.stride)
