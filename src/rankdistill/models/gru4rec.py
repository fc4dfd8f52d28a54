"""GRU4Rec (Hidasi et al., ICLR 2016): a gated recurrent unit reads the last items, one after the other."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from rankdistill.config import Choice, Range
from rankdistill.dropout import dropout
from rankdistill.ranker import Catalogue, Ranker
from rankdistill.tables import TableConfig, Vectors, table_of
from rankdistill.types import PAD


class GRU4Rec(Ranker):
    """score(i) = < W h_t, V_i > + b_i, h_t the state of the GRU after the vectors E of the items up to the last.

    With `tied`, V is E, as in the improved version (Hidasi & Karatzoglou, CIKM 2018, "constrained embedding"); else a
    second table. W is there where the state is not as long as an item's vector. The papers train on sessions in
    parallel with the other sessions' items as negatives; here the sequences are the users', and the loss and its
    negatives are what `[ranking_loss]` says.
    """

    class Config(TableConfig):
        """Options of GRU4Rec."""

        kind: Literal["gru4rec"] = "gru4rec"
        dim: Annotated[int, Range(4, 256, log=True, size=True)] = Field(
            100, ge=1, description="d, the length of item vectors"
        )
        hidden: int | None = Field(None, ge=1, description="the length of the GRU's state; dim when left out")
        layers: Annotated[int, Range(1, 2)] = Field(
            1, ge=1, description="GRUs, each reading the states of the one before"
        )
        dropout: Annotated[float, Range(0.0, 0.8)] = Field(
            0.2, ge=0, lt=1, description="share dropped in training of item vectors and states"
        )
        tied: Annotated[bool, Choice(size=True)] = Field(
            True, description="whether items are scored by the vectors that are read"
        )

    config: Config
    tables: tuple[str, ...] = ("item_vectors", "item_bias")

    def __init__(self, config: Config, catalogue: Catalogue) -> None:
        super().__init__(config, catalogue)
        dim, rows, hidden = config.dim, catalogue.num_items + 1, config.hidden or config.dim
        self.item_vectors = table_of(config, rows, dim)
        self.item_bias = nn.Parameter(torch.zeros(rows))
        if not config.tied:
            self.history_vectors = table_of(config, rows, dim, like=self.item_vectors)
            self.tables = ("history_vectors", *self.tables)
        sizes = [dim, *[hidden] * (config.layers - 1)]
        self.layers = nn.ModuleList(nn.GRU(size, hidden, batch_first=True) for size in sizes)
        self.project = nn.Identity() if hidden == dim else nn.Linear(hidden, dim, bias=False)

    def encode_sequences(self, users: Tensor, sequences: Tensor) -> Tensor:
        """Query vectors [U, S, d]."""
        read = self.item_vectors if self.config.tied else self.history_vectors
        states = self.read(read, sequences) * (sequences != PAD).unsqueeze(2)
        for layer in self.layers:
            states, _ = layer(self._dropped(states))
        queries: Tensor = self.project(self._dropped(states))
        return queries

    def _dropped(self, values: Tensor) -> Tensor:
        return dropout(values, self.config.dropout) if self.training else values

    def item_table(self) -> tuple[Vectors, Tensor]:
        """V [I + 1, d] and b [I + 1]."""
        return self.item_vectors, self.item_bias
