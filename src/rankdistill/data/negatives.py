"""Items that a user does not have, drawn uniformly for a whole epoch at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rankdistill.data.sequences import Membership, Sequences
from rankdistill.types import PAD, Bools, Ints, Items

_ROUNDS = 24
_CHECKS_A_BLOCK = 1 << 18
"""Draws that are looked up at once: what this needs stays in the cache, however many negatives an epoch has."""
_CELLS_OF_A_TABLE = 1 << 22
"""Users times items up to which a table of who has what is made for a block: one look instead of a search."""


@dataclass(frozen=True, slots=True, eq=False)
class NegativeSampler:
    """Draws items uniformly from those that a user's training sequence does not hold."""

    sequences: Sequences
    has: Membership
    num_items: int

    @classmethod
    def of(cls, sequences: Sequences, num_items: int) -> NegativeSampler:
        """A sampler for the users of `sequences` over items 1..num_items."""
        return cls(sequences, sequences.members(), num_items)

    def draw(self, users: Ints, per_row: int, generator: np.random.Generator) -> Items:
        """Negatives [n, N] for users [n]: drawn, and drawn again only where they hit the user's items.

        A user who has every item of the catalogue gets PAD, which the losses leave out. Beside the result, memory
        goes to the draws that hit alone; the result does not depend on the size of a block.
        """
        drawn = generator.integers(1, self.num_items + 1, size=(len(users), per_row), dtype=np.int32)
        flat = drawn.reshape(-1)
        hits = self._hits(users, flat, per_row, None)
        for _ in range(_ROUNDS):
            if not len(hits):
                return drawn
            flat[hits] = generator.integers(1, self.num_items + 1, size=len(hits), dtype=np.int32)
            hits = self._hits(users, flat, per_row, hits)
        self._draw_from_rest(flat, users[hits // per_row], hits, generator)
        return drawn

    def _hits(self, users: Ints, flat: Items, per_row: int, places: Ints | None) -> Ints:
        """Where in `flat` [n * N], of the given places or anywhere, an item is the user's own."""
        found = [np.zeros(0, dtype=np.int64)]
        for start in range(0, len(flat if places is None else places), _CHECKS_A_BLOCK):
            stop = start + _CHECKS_A_BLOCK
            block = np.arange(start, min(stop, len(flat))) if places is None else places[start:stop]
            found.append(block[self._has(users[block // per_row], flat[block])])
        return np.concatenate(found)

    def _has(self, users: Ints, items: Items) -> Bools:
        """Whether each user [n] has each item [n]; quick where the users are few or neighbours, as in training data."""
        first, last, width = int(users.min()), int(users.max()) + 1, self.num_items + 1
        if (last - first) * width > _CELLS_OF_A_TABLE:
            return self.has(users, items)
        starts = self.sequences.starts[first : last + 1]
        table = np.zeros((last - first) * width, dtype=np.bool_)
        owners = np.repeat(np.arange(0, len(table), width), np.diff(starts))
        table[owners + self.sequences.items[starts[0] : starts[-1]]] = True
        found: Bools = table[(users - first) * width + items]
        return found

    def _draw_from_rest(self, flat: Items, owner: Ints, hits: Ints, generator: np.random.Generator) -> None:
        """For users who have almost everything: draws for `hits` [m] of users `owner` [m] from what is left."""
        for user in np.unique(owner):
            rest = np.setdiff1d(np.arange(1, self.num_items + 1, dtype=np.int32), self.sequences.of(int(user)))
            rows = hits[owner == user]
            flat[rows] = generator.choice(rest, size=len(rows)) if len(rest) else PAD
