"""A student whose query vectors are its scores, so that a loss can be asked about any scores."""

from __future__ import annotations

import torch
from torch import Tensor

from rankdistill.loss import Batch, Step
from rankdistill.models.popularity import Popularity
from rankdistill.ranker import Catalogue, Ranker


class GivenScores(Ranker):
    """Scores [B, I + 1] come in the place of query vectors."""

    Config = Popularity.Config

    def __init__(self, num_items: int) -> None:
        super().__init__(Popularity.Config(), Catalogue(9, num_items, 3))

    def encode(self, users: Tensor, history: Tensor) -> Tensor:
        raise AssertionError("a loss has the query vectors already")

    def score(self, queries: Tensor, items: Tensor | None = None) -> Tensor:
        if items is None:
            return queries
        return queries[:, items] if items.dim() == 1 else queries.gather(1, items)


def batch_of(targets: list[list[int]], negatives: list[list[int]], teacher: list[list[int]]) -> Batch:
    rows = len(targets)
    empty: list[list[int]] = [[]] * rows
    groups = (torch.tensor(group or empty, dtype=torch.int64) for group in (targets, negatives, teacher))
    return Batch(torch.zeros(rows, dtype=torch.int64), torch.zeros(rows, 3, dtype=torch.int64), *groups)


def step_of(scores: Tensor, batch: Batch, *, epoch: int = 50, seed: int = 0) -> Step:
    """One step in which item i of query b scores `scores[b, i]`."""
    generator = torch.Generator().manual_seed(seed)
    return Step(batch, scores, GivenScores(scores.shape[1] - 1), epoch, generator)


def twice(batch: Batch) -> Batch:
    """Every query two times."""
    groups = (batch.users, batch.history, batch.targets, batch.negatives, batch.teacher_items)
    return Batch(*(torch.cat([group, group]) for group in groups))
