"""Items that a user does not have, drawn uniformly for a whole epoch at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rankdistill.data.sequences import Membership, Sequences
from rankdistill.types import PAD, Ints, Items

_ROUNDS = 24


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

        A user who has every item of the catalogue gets PAD, which the losses leave out.
        """
        drawn = generator.integers(1, self.num_items + 1, size=(len(users), per_row), dtype=np.int32)
        flat, owner = drawn.reshape(-1), np.repeat(users, per_row)
        hits = np.flatnonzero(self.has(owner, flat))
        for _ in range(_ROUNDS):
            if not len(hits):
                return drawn
            flat[hits] = generator.integers(1, self.num_items + 1, size=len(hits), dtype=np.int32)
            hits = hits[self.has(owner[hits], flat[hits])]
        self._draw_from_rest(flat, owner, hits, generator)
        return drawn

    def _draw_from_rest(self, flat: Items, owner: Ints, hits: Ints, generator: np.random.Generator) -> None:
        """For users who have almost everything: draws from the list of what is left."""
        for user in np.unique(owner[hits]):
            rest = np.setdiff1d(np.arange(1, self.num_items + 1, dtype=np.int32), self.sequences.of(int(user)))
            rows = hits[owner[hits] == user]
            flat[rows] = generator.choice(rest, size=len(rows)) if len(rest) else PAD
