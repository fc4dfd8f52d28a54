"""A model as it answers in production: anybody, known or not, by all that they have so far."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, linear, pad

from rankdistill.data.sequences import Sequences
from rankdistill.ranker import Ranker, model_state
from rankdistill.tables import Table, whole
from rankdistill.types import PAD, Floats, Ints, Items

_RIDGE = 1e-3
"""Of the mean square of the numbers that a fold-in is estimated from."""
_LEAST = 1e-12


class Served(nn.Module):
    """The query vectors and scores of a trained model for whole histories, in operations that can be exported.

    A row of a history [B, H] is all that somebody has, oldest first, PAD on the left. Users count from 0, and
    `num_users` is anybody whom the model has never seen; where the model has no row a user (`has_users`), it makes no
    difference who asks. The row of a stranger is estimated from the items that she has: `fold_in`.
    """

    model: Ranker

    def __init__(self, model: Ranker, train: Sequences) -> None:
        super().__init__()
        self.model = copy_of(model).eval().requires_grad_(False)
        counts = torch.bincount(torch.from_numpy(train.items), minlength=model.catalogue.num_items + 1)
        offset = torch.where(counts > 0, 0.0, -torch.inf)
        if model.factorized:
            offset += self.model.item_table()[1]
        self.register_buffer("offset", offset)
        if model.user_table is not None:
            rows = self.model.get_parameter(model.user_table)
            self.register_buffer("rows", torch.cat([rows, torch.zeros_like(rows[:1])]))
            self.register_buffer("fold", fold_in(whole(self.model.item_table()[0]), train, rows))

    @property
    def rule(self) -> str:
        """How somebody whom the model has never seen is answered, in words."""
        if self.has_users:
            return "the user's row is estimated by least squares from the mean vector of the items of the history"
        return "by the history, as anybody else"

    @property
    def has_users(self) -> bool:
        """Whether it makes a difference who asks."""
        return self.model.user_table is not None

    def encode(self, users: Tensor, history: Tensor) -> Tensor:
        """Query vectors [B, D] of users [B] with histories [B, H]."""
        recent = last(history, self.model.catalogue.history_length)
        if not self.has_users:
            return self.model.encode(users, recent)
        return self.model.encode_as(self.user_rows(users, history), recent)

    def user_rows(self, users: Tensor, history: Tensor) -> Tensor:
        """The users' rows [B, E] of the model's user table; a stranger's is estimated."""
        kept = history.clamp_max(1).to(self.get_buffer("rows").dtype)  # 1 for an item, 0 for PAD
        sums = (kept.unsqueeze(1) @ self.model.read(self.model.item_table()[0], history)).squeeze(1)
        means = sums / kept.sum(1, keepdim=True).clamp_min(1)
        fold = self.get_buffer("fold")
        estimated = torch.addmm(fold[-1], means, fold[:-1])
        known = (users < self.model.catalogue.num_users).unsqueeze(1)
        return torch.where(known, embedding(users, self.get_buffer("rows")), estimated)

    def score(self, queries: Tensor) -> Tensor:
        """Scores [B, I + 1] of the catalogue; minus infinity for PAD and for items that nobody has in training."""
        if self.model.factorized:
            vectors, offset = self.model.item_table()[0], self.get_buffer("offset")
            if isinstance(vectors, Table):
                return vectors.score(queries, offset, None, None)
            return linear(queries, vectors, offset)
        return self.model.score(queries) + self.get_buffer("offset")

    def adjust(self, scores: Tensor, history: Tensor) -> Tensor:
        """The scores [B, I + 1] as they are for somebody who has `history` [B, H]; see `Ranker.adjust`."""
        return scores

    @torch.no_grad()
    def best(self, user: int, history: Items, k: int) -> tuple[Ints, Floats]:
        """The list [k] of somebody with a history [H], what is in it left out, and the scores; PAD behind its end."""
        items = torch.from_numpy(history.astype(np.int64)).unsqueeze(0) if len(history) else torch.zeros(1, 1).long()
        scores = self.adjust(self.score(self.encode(torch.tensor([user]), items)), items)[0]
        scores[items[0]] = -torch.inf
        values, found = torch.topk(scores, min(k, len(scores)))
        return torch.where(values.isneginf(), PAD, found).numpy(), values.numpy()

    @property
    def adjusts(self) -> bool:
        """Whether the scores of what somebody has are others than `score` gives."""
        return type(self).adjust is not Served.adjust


def served(model: Ranker, train: Sequences) -> Served:
    """The model as it answers in production, made from what its users have in training."""
    form = type(model).served_as or Served
    assert issubclass(form, Served)
    return form(model, train)


def copy_of(model: Ranker) -> Ranker:
    """Another model with the same numbers, on the processor."""
    copy = type(model)(model.config, model.catalogue)
    copy.take(model_state(model))
    return copy


def last(history: Tensor, length: int) -> Tensor:
    """The last `length` items [B, L] of histories [B, H], PAD on the left."""
    return pad(history, (length, 0), value=PAD)[:, -length:]


def once(history: Tensor, num_items: int) -> Tensor:
    """Marks [B, H] each item of histories [B, H] where it occurs last; PAD never.

    Costs as much as scores of the catalogue of so many items, whatever the length of a history.
    """
    places = torch.arange(1, history.shape[1] + 1, device=history.device).expand_as(history)
    nowhere = torch.zeros_like(history[:, :1]).expand(-1, num_items + 1)
    last_places = nowhere.scatter_reduce(1, history, places, "amax")
    marks: Tensor = (last_places.gather(1, history) == places) & (history != PAD)
    return marks


def fold_in(vectors: Tensor, train: Sequences, wanted: Tensor) -> Tensor:
    """The matrix [D + 1, E] that best turns the mean vector of a user's items, and 1, into her own vector.

    Least squares over the users, with a little ridge.

    Args:
        vectors: [I + 1, D], of the items.
        train: what each of the U users has.
        wanted: [U, E].
    """
    users, items = torch.from_numpy(train.users), torch.from_numpy(train.items).long()
    some = torch.from_numpy(train.lengths > 0)
    sums = torch.zeros(len(train), vectors.shape[1], dtype=torch.float64)
    sums.index_add_(0, users, vectors.detach().double()[items])
    means = sums[some] / torch.from_numpy(train.lengths)[some].unsqueeze(1)
    given = torch.cat([means, torch.ones(len(means), 1, dtype=torch.float64)], dim=1)
    size = _RIDGE * len(means) * means.square().mean().clamp_min(_LEAST)
    ridge = size * torch.eye(given.shape[1], dtype=torch.float64)
    ridge[-1, -1] = 0.0
    fold: Tensor = torch.linalg.solve(given.T @ given + ridge, given.T @ wanted.detach().double()[some])
    return fold.to(wanted.dtype)
