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


class GivenTeacher(GivenScores):
    """A teacher that gives row u of the scores [n, I + 1] to the queries of user u."""

    def __init__(self, scores: Tensor) -> None:
        super().__init__(scores.shape[1] - 1)
        self.scores = scores

    def encode(self, users: Tensor, history: Tensor) -> Tensor:
        return self.scores[users]


def batch_of(
    targets: list[list[int]],
    negatives: list[list[int]],
    teacher: list[list[int]],
    given: Tensor | None = None,
    easier: list[list[list[int]]] | None = None,
) -> Batch:
    """A query each of users 0, 1, ...; `given` are the teacher's scores [n, I + 1], `easier` other lists."""
    rows = len(targets)
    empty: list[list[int]] = [[]] * rows
    groups = [torch.tensor(group or empty, dtype=torch.int64) for group in (targets, negatives, teacher)]
    scores = None if given is None else given.gather(1, groups[2])
    lists = None if easier is None else torch.tensor(easier, dtype=torch.int64)
    return Batch(
        torch.arange(rows),
        torch.zeros(rows, 3, dtype=torch.int64),
        *groups,
        scores,
        easier_items=lists,
    )


def step_of(scores: Tensor, batch: Batch, *, epoch: int = 50, seed: int = 0, given: Tensor | None = None) -> Step:
    """One step in which item i of query b scores `scores[b, i]`, and `given[b, i]` for the teacher."""
    generator = torch.Generator().manual_seed(seed)
    teacher = None if given is None else GivenTeacher(given)
    return Step(batch, scores, GivenScores(scores.shape[1] - 1), epoch, generator, teacher=teacher)


def twice(batch: Batch) -> Batch:
    """Every query two times."""
    groups = (batch.users, batch.history, batch.targets, batch.negatives, batch.teacher_items)
    scores = None if batch.teacher_scores is None else torch.cat([batch.teacher_scores] * 2)
    easier = None if batch.easier_items is None else torch.cat([batch.easier_items] * 2)
    return Batch(*(torch.cat([group, group]) for group in groups), scores, easier_items=easier)
