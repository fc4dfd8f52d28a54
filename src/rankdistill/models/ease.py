"""EASE^R (Steck, WWW 2019): a linear autoencoder of a user's items, in closed form."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field, model_validator
from scipy import sparse
from scipy.linalg import lapack
from torch import Tensor
from torch.nn.functional import embedding, embedding_bag

from rankdistill.config import Choice, Range, Section
from rankdistill.data.sequences import Sequences
from rankdistill.errors import ConfigError
from rankdistill.ranker import Catalogue, Ranker
from rankdistill.seen import OwnItems
from rankdistill.served import Served, last, once
from rankdistill.types import Floats

_MOST_ITEMS = 20_000
"""Beyond, the inverse in float64 takes more than 3.2 GB, and the model 1.6 GB."""
_ROWS_A_BLOCK = 1024
"""Rows of the weights that are turned from float64 to float32 at once."""


class ServedEASE(Served):
    """The same votes of whatever somebody has, known or not."""

    model: EASE

    def encode(self, users: Tensor, history: Tensor) -> Tensor:
        """See `EASE.encode`."""
        if self.model.config.voters == "history":
            history = last(history, self.model.catalogue.history_length)
        weights = self.model.get_buffer("weights")
        votes = self.model.votes(history)
        return (votes.unsqueeze(1) @ embedding(history, weights)).squeeze(1)


class EASE(Ranker):
    """score(u, j) = sum over items i of the user of B_ij, with B_ij = -P_ij / P_jj for i != j and B_jj = 0.

    P = (X^T X + l2 I)^-1 (Eq. 8), X [U, I] with 1 for what a user has in training: B is the least squares solution of
    X B = X with a ridge and a diagonal of zeros. It has a number for each pair of items: I^2 of them, and a catalogue
    of more than 20,000 is refused. Nothing is learned by gradient. A query's vector is its scores.

    Who votes for a training query is a choice. With `voters = "training"`, as published, it is all that the user has
    in training, as for a test user. The query's target and what came after it are among that: no item votes for
    itself, but the target votes for its neighbours, so a list for a training query may name what only the future
    tells, as those of item-kNN, Fossil and any model with user vectors do. Nothing of the test part is in it. With
    `voters = "history"` the last items of the query vote alone, which all stand before its target, and with a `recency`
    the item before a others counts (1 + a)^-recency, which is for data where people move on, as among places.
    """

    class Config(Section):
        """Options of EASE^R."""

        kind: Literal["ease"] = "ease"
        l2: Annotated[float, Range(10.0, 5000.0, log=True)] = Field(
            500.0, ge=0.01, description="lambda, the ridge of the least squares"
        )
        voters: Annotated[Literal["training", "history"], Choice()] = Field(
            "training", description="whose weights are added up: all that the user has, or the last items of the query"
        )

        recency: float = Field(
            0.0, ge=0, description="how fast older items of a history lose their vote; 0 = not at all, 1 = as 1 / age"
        )

        @model_validator(mode="after")
        def _ages_are_known(self) -> EASE.Config:
            if self.recency and self.voters == "training":
                raise ValueError(f"recency: {self.recency:g} needs voters = 'history', in which items have an age")
            return self

    config: Config
    served_as = ServedEASE
    learns = False

    def __init__(self, config: Config, catalogue: Catalogue) -> None:
        super().__init__(config, catalogue)
        rows = catalogue.num_items + 1
        if catalogue.num_items > _MOST_ITEMS:
            raise ConfigError(
                f"kind = 'ease': {catalogue.num_items:,} items are more than {_MOST_ITEMS:,}, and a weight for each "
                f"pair takes {4e-9 * rows * rows:.1f} GB; take 'item_knn', or raise [data] min_item_interactions"
            )
        self.own = OwnItems(catalogue.num_users)
        self.register_buffer("weights", torch.zeros(rows, rows))

    def prepare(self, train: Sequences) -> None:
        """Solves for the weights."""
        self.own.keep(train)
        self.get_buffer("weights").copy_(torch.from_numpy(_weights(train, self.catalogue.num_items, self.config.l2)))

    def encode(self, users: Tensor, history: Tensor) -> Tensor:
        """The scores [B, I + 1] of the catalogue; they are added up once for a user who stands in several rows."""
        weights = self.get_buffer("weights")
        if self.config.voters == "history":
            return embedding_bag(history, weights, mode="sum", per_sample_weights=self.votes(history))
        distinct, rows = torch.unique_consecutive(users, return_inverse=True)
        owned, _ = self.own.of(distinct)
        lengths = self.own.lengths(distinct)
        return embedding_bag(owned, weights, lengths.cumsum(0) - lengths, mode="sum")[rows]

    def votes(self, history: Tensor) -> Tensor:
        """What each item of histories [B, H] counts, (1 + age)^-recency where the item occurs last: [B, H]."""
        ages = torch.arange(history.shape[1] - 1, -1, -1, device=history.device)
        worth = (1.0 + ages.to(self.get_buffer("weights").dtype)) ** -self.config.recency
        return once(history, self.catalogue.num_items) * worth

    def score(self, queries: Tensor, items: Tensor | None = None) -> Tensor:
        """See `Ranker.score`."""
        if items is None:
            return queries
        return queries.gather(1, items) if items.dim() == 2 else queries[:, items]


def _weights(train: Sequences, num_items: int, l2: float) -> Floats:
    """B [I + 1, I + 1], row and column 0 of the padding item zero."""
    distinct = train.distinct()
    ones = np.ones(len(distinct.items))
    has = sparse.csr_array((ones, distinct.items, distinct.starts), shape=(len(distinct), num_items + 1))
    inverse = (has.T @ has).toarray(order="F")
    inverse[np.diag_indices(num_items + 1)] += l2
    inverse, failed = lapack.dpotrf(inverse, lower=1, overwrite_a=1)
    assert not failed, "a ridge of at least 0.01 is far above the rounding of counts"
    inverse, _ = lapack.dpotri(inverse, lower=1, overwrite_c=1)  # the lower triangle alone
    diagonal = inverse.diagonal().copy()
    weights = np.empty(inverse.shape, dtype=np.float32)
    for first in range(0, num_items + 1, _ROWS_A_BLOCK):
        rows = slice(first, first + _ROWS_A_BLOCK)
        inverse[:first, rows] = inverse[rows, :first].T
        square = np.tril(inverse[rows, rows])
        inverse[rows, rows] = square + np.tril(square, -1).T
    for first in range(0, num_items + 1, _ROWS_A_BLOCK):
        rows = slice(first, first + _ROWS_A_BLOCK)
        weights[rows] = inverse[rows] / -diagonal
    np.fill_diagonal(weights, 0.0)
    return weights
