"""Made-up interaction logs from a known model, so that the best possible ranking is known too.

Every user walks through the items: with probability `follow` to one of the few successors of the item she
is at (a Markov chain), else to any item, popular ones more often; never to an item she knows. A model that
learns what follows beats popularity by far, and none can rank better than `MarkovModel.next_probabilities`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from rankdistill.data.events import Events
from rankdistill.errors import ConfigError
from rankdistill.types import Bools, Doubles, Ints

_SHARES = (0.55, 0.25, 0.15, 0.05)
"""How often each of an item's successors is the next one."""


@dataclass(frozen=True, slots=True, eq=False)
class MarkovModel:
    """The model that the synthetic data is drawn from; items count from 0 here.

    Attributes:
        successors: [I, S] the items that follow each item, the most likely first.
        popularity: [I] the probability of each item when the walk jumps.
        follow: the probability that the walk goes to a successor.
    """

    successors: Ints
    popularity: Doubles
    follow: float = 0.8

    @classmethod
    def draw(cls, num_items: int, generator: np.random.Generator) -> MarkovModel:
        """A model in which every item has as many predecessors as successors."""
        successors = np.stack([generator.permutation(num_items) for _ in _SHARES], axis=1)
        weights = 1.0 / np.sqrt(1.0 + generator.permutation(num_items))
        return cls(successors, weights / weights.sum())

    def next_probabilities(self, current: Ints) -> Doubles:
        """The probability [B, I] of each item after the items `current` [B], before known items are excluded.

        As the known items alone are excluded and the rest scaled up, its order is the best possible ranking.
        """
        probabilities = np.tile((1.0 - self.follow) * self.popularity, (len(current), 1))
        for share, follower in zip(_SHARES, self.successors[current].T, strict=True):
            np.add.at(probabilities, (np.arange(len(current)), follower), self.follow * share)
        return probabilities

    def walk(self, num_users: int, length: int, generator: np.random.Generator) -> Ints:
        """Walks [U, length] through the items, none of which repeats an item."""
        walks = np.full((num_users, length), -1, dtype=np.int64)
        for step in range(length):
            waiting = np.arange(num_users)
            while len(waiting):  # who drew a known item draws again
                drawn = self._proposals(walks[waiting, step - 1] if step else None, len(waiting), generator)
                fresh = _unknown(drawn, walks[waiting, :step])
                walks[waiting[fresh], step] = drawn[fresh]
                waiting = waiting[~fresh]
        return walks

    def _proposals(self, current: Ints | None, count: int, generator: np.random.Generator) -> Ints:
        jumps = generator.choice(len(self.popularity), size=count, p=self.popularity)
        if current is None:
            return jumps
        chosen = generator.choice(len(_SHARES), size=count, p=_SHARES)
        return np.where(generator.random(count) < self.follow, self.successors[current, chosen], jumps)


def generate(num_users: int, num_items: int, length: int, seed: int) -> Events:
    """A log of `num_users` walks of `length` steps; users and items are the raw ids 1, 2, ...

    Raises:
        ConfigError: there are too few items for walks of that length, or nothing to draw.
    """
    if num_users < 1 or length < 1:
        raise ConfigError(f"synthetic data needs users and a length of 1 at least, not {num_users} and {length}")
    if num_items < max(2 * length, len(_SHARES) + 1):
        least = max(2 * length, len(_SHARES) + 1)
        raise ConfigError(f"synthetic data: items = {num_items} is too few for length = {length} (at least {least})")
    generator = np.random.default_rng(seed)
    model = MarkovModel.draw(num_items, generator)
    walks = model.walk(num_users, length, generator)
    frame = pl.DataFrame(
        {
            "user": np.repeat(np.arange(1, num_users + 1), length),
            "item": walks.ravel() + 1,
            "time": np.tile(np.arange(length), num_users),
        }
    )
    note = f"synthetic: {num_users:,} users, {num_items:,} items, {length} steps each, seed {seed}"
    return Events(frame, None, (note,), "synthetic")


def _unknown(drawn: Ints, known: Ints) -> Bools:
    fresh: Bools = ~(known == drawn[:, None]).any(axis=1)
    return fresh
