"""Fossil (He & McAuley, ICDM 2016): similarity to all that a user has, and a weighted step from her last items."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from rankdistill.config import LATER, Range
from rankdistill.data.sequences import Sequences
from rankdistill.ranker import Catalogue, Ranker
from rankdistill.seen import OwnItems
from rankdistill.served import Served, once
from rankdistill.tables import TableConfig, Vectors, table_of
from rankdistill.types import PAD


class ServedFossil(Served):
    """H is what somebody has, known or not; a stranger's own weights of the last items are estimated."""

    model: Fossil

    def encode(self, users: Tensor, history: Tensor) -> Tensor:
        """See `Served.encode`."""
        kept = once(history, self.model.catalogue.num_items)
        long_term = (self.model.read(self.model.history_vectors, history) * kept.unsqueeze(2)).sum(1)
        return super().encode(users, history) + self.model.scale(kept.sum(1)).unsqueeze(1) * long_term

    def adjust(self, scores: Tensor, history: Tensor) -> Tensor:
        """See `Fossil.adjust`."""
        kept = once(history, self.model.catalogue.num_items)
        read, history_vectors, item_vectors = self.model.read, self.model.history_vectors, self.model.item_vectors
        products = (read(history_vectors, history) * read(item_vectors, history)).sum(2)
        own = self.model.scale(kept.sum(1)).unsqueeze(1) * products * kept
        return scores.scatter_add(1, history, -own)


class Fossil(Ranker):
    """score(u, j) = beta_j + < |H|^-a sum_{i in H without j} P_i + sum_{k=1..L} (eta_k + eta^u_k) P_{S_{t-k}}, Q_j >.

    H are the distinct items that the user has in training, S_{t-k} is the k-th last item of the query; a padded place
    adds nothing. That j is no part of its own history concerns the user's own items alone (`adjust`): for all others
    the score is the product of one query vector and Q_j. Row 0 of the item tables belongs to the padding item and is
    counted: 1,480,760 parameters at d = 50 on Gowalla.
    """

    class Config(TableConfig):
        """Options of Fossil; the defaults are the published Gowalla settings of the teacher."""

        kind: Literal["fossil"] = "fossil"
        dim: Annotated[int, Range(4, 256, log=True, size=True)] = Field(
            50, ge=1, description="d, the length of item vectors"
        )
        history_exponent: Annotated[float, Range(0.0, 1.0)] = Field(
            0.2, ge=0, le=1, description="a: a user's history is scaled by |H|^-a"
        )
        history_length: int | None = Field(
            None, ge=1, description="last items with weights; those of [windows] when left out", json_schema_extra=LATER
        )

    config: Config
    served_as = ServedFossil
    user_table = "user_weights"
    tables = ("history_vectors", "user_weights", "item_vectors", "item_bias")

    def __init__(self, config: Config, catalogue: Catalogue) -> None:
        super().__init__(config, catalogue)
        length, dim, rows = catalogue.looked_at(config.history_length), config.dim, catalogue.num_items + 1
        self.history_vectors = table_of(config, rows, dim)
        self.weights = nn.Parameter(torch.full((length,), 1.0 / length))
        self.user_weights = nn.Parameter(torch.zeros(catalogue.num_users, length))
        self.item_vectors = table_of(config, rows, dim, like=self.history_vectors)
        self.item_bias = nn.Parameter(torch.zeros(rows))
        self.own = OwnItems(catalogue.num_users)

    def prepare(self, train: Sequences) -> None:
        """Keeps what each user has in training."""
        super().prepare(train)
        self.own.keep(train)

    def encode(self, users: Tensor, history: Tensor) -> Tensor:
        """Query vectors [B, d], of histories [B, L] whose last column is the last item."""
        owned, owner = self.own.of(users)
        short_term = self.encode_as(self.read(self.user_weights, users), history)
        long_term = torch.zeros_like(short_term).index_add(0, owner, self.read(self.history_vectors, owned))
        return short_term + self._scale(users).unsqueeze(1) * long_term

    def encode_as(self, rows: Tensor, history: Tensor) -> Tensor:
        """The short-term part [B, d], with the users' weights [B, L]."""
        history = history[:, -len(self.weights) :]
        recent = self.read(self.history_vectors, history)
        weights = (self.weights + rows).flip(1) * (history != PAD)
        return (weights.unsqueeze(2) * recent).sum(1)  # quicker than a batch of tiny matrix products

    def item_table(self) -> tuple[Vectors, Tensor]:
        """Q [I + 1, d] and beta [I + 1]."""
        return self.item_vectors, self.item_bias

    def adjust(self, scores: Tensor, users: Tensor, items: Tensor | None = None) -> Tensor:
        """Takes - |H|^-a < P_j, Q_j > off the scores of items j that the users have; see `Ranker.adjust`."""
        rows, columns, items = self.own.among(users, items)
        vectors = self.read(self.history_vectors, items) * self.read(self.item_vectors, items)
        own = self._scale(users)[rows] * vectors.sum(1)
        return scores.index_put((rows, columns), -own, accumulate=True)

    def _scale(self, users: Tensor) -> Tensor:
        """|H|^-a [B] of the users' training items."""
        return self.scale(self.own.lengths(users))

    def scale(self, lengths: Tensor) -> Tensor:
        """|H|^-a [B] for as many distinct items [B]."""
        return lengths.clamp_min(1).to(self.weights.dtype) ** -self.config.history_exponent
