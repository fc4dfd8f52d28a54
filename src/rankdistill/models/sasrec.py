"""SASRec (Kang & McAuley, ICDM 2018): self-attention over the last items, each looking at those before it."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from rankdistill.config import Range
from rankdistill.dropout import dropout
from rankdistill.ranker import Catalogue, Ranker
from rankdistill.tables import TableConfig, Vectors, table_of
from rankdistill.types import PAD

_EPSILON = 1e-8
"""Of the layer norms, as in the published code."""


class SASRec(Ranker):
    """score(i) = < LN(x_t), E_i >, x the item vectors sqrt(d) E + P of the history after blocks of self-attention.

    A block, as in the published code, where layer norm stands before the queries and what is added is normalised:
    y = LN(x) + attention(LN(x), x, x), then x' = z + W2 relu(W1 z + b1) + b2 with z = LN(y). One table E is read and
    scored against; there are no user vectors and no item biases.

    Positions P count from the first item that is shown. The published code counts them from the end of the batch's
    padded sequences, so that a shorter history has other positions in training than when it is ranked; here a query
    is the same vector in both as long as all its history is shown. Of a longer sequence, training shows at least the
    last half of the L items that ranking shows.
    """

    class Config(TableConfig):
        """Options of SASRec; the defaults are the published settings for MovieLens-1M."""

        kind: Literal["sasrec"] = "sasrec"
        dim: Annotated[int, Range(4, 256, log=True, size=True)] = Field(
            50, ge=1, description="d, the length of item vectors"
        )
        blocks: Annotated[int, Range(1, 3)] = Field(2, ge=1, description="blocks of self-attention")
        heads: int = Field(1, ge=1, description="heads of each attention; they divide dim")
        dropout: Annotated[float, Range(0.0, 0.8)] = Field(
            0.2, ge=0, lt=1, description="share dropped in training of vectors and attention"
        )

        @model_validator(mode="after")
        def _heads_divide_dim(self) -> SASRec.Config:
            if self.dim % self.heads:
                raise ValueError(f"heads: {self.heads} does not divide dim = {self.dim}")
            return self

    config: Config
    tables = ("item_vectors",)

    def __init__(self, config: Config, catalogue: Catalogue) -> None:
        super().__init__(config, catalogue)
        dim, rows = config.dim, catalogue.num_items + 1
        self.item_vectors = table_of(config, rows, dim)
        self.positions = nn.Parameter(torch.randn(catalogue.history_length, dim) / dim)
        self.blocks = nn.ModuleList(_Block(config) for _ in range(config.blocks))
        self.norm = nn.LayerNorm(dim, eps=_EPSILON)
        self.register_buffer("no_bias", torch.zeros(rows), persistent=False)

    def encode_sequences(self, users: Tensor, sequences: Tensor) -> Tensor:
        """Query vectors [U, S, d]."""
        vectors = self.read(self.item_vectors, sequences) * math.sqrt(self.config.dim)
        known = (sequences != PAD).unsqueeze(2)
        vectors = (vectors + self.positions[: sequences.shape[1]]) * known
        if self.training:
            vectors = dropout(vectors, self.config.dropout)
        for block in self.blocks:
            vectors = block(vectors)
        normed: Tensor = self.norm(vectors)
        return normed

    def item_table(self) -> tuple[Vectors, Tensor]:
        """E [I + 1, d] and no bias."""
        return self.item_vectors, self.get_buffer("no_bias")


class _Block(nn.Module):
    """Attention and a feed-forward layer; PAD stands on the right, where no item looks."""

    def __init__(self, config: SASRec.Config) -> None:
        super().__init__()
        self.heads, self.dropout = config.heads, config.dropout
        self.norm, self.forward_norm = (nn.LayerNorm(config.dim, eps=_EPSILON) for _ in range(2))
        self.query = nn.Linear(config.dim, config.dim)
        self.key_value = nn.Linear(config.dim, 2 * config.dim)
        self.first, self.second = nn.Linear(config.dim, config.dim), nn.Linear(config.dim, config.dim)

    def forward(self, vectors: Tensor) -> Tensor:
        """Vectors [U, S, d] after the block, of vectors [U, S, d] before it."""
        normed = self.norm(vectors)
        attended = self.forward_norm(normed + self._attention(normed, vectors))
        inner = self._dropped(torch.relu(self.first(attended)))
        after: Tensor = attended + self._dropped(self.second(inner))
        return after

    def _attention(self, normed: Tensor, vectors: Tensor) -> Tensor:
        """What each place [U, S, d] takes from itself and the places before it."""
        keys, values = (self._by_head(part) for part in self.key_value(vectors).chunk(2, dim=2))
        queries = self._by_head(self.query(normed)) / math.sqrt(keys.shape[3])
        later = torch.ones(vectors.shape[1], vectors.shape[1], dtype=torch.bool, device=vectors.device).triu(1)
        weights = (queries @ keys.transpose(2, 3)).masked_fill(later, -torch.inf).softmax(3)
        return (self._dropped(weights) @ values).transpose(1, 2).flatten(2)

    def _dropped(self, values: Tensor) -> Tensor:
        return dropout(values, self.dropout) if self.training else values

    def _by_head(self, vectors: Tensor) -> Tensor:
        """[U, h, S, d / h]."""
        return vectors.view(*vectors.shape[:2], self.heads, vectors.shape[2] // self.heads).transpose(1, 2)
