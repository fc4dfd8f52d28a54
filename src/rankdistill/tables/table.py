"""What every kind of table is."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from rankdistill.data.sequences import Sequences
from rankdistill.rows import RowUpdates, products, read_rows
from rankdistill.tables.options import TableConfig


class Table(nn.Module):
    """Vectors [n, D] that are made from fewer numbers than n D.

    A kind gives `read`, and what else it can do quicker than by reading. Reading some rows costs what they cost,
    whatever n is.
    """

    by_row: ClassVar[tuple[str, ...]] = ()
    """Parameters that `read_rows` and `score_items` alone read."""

    def __init__(self, options: TableConfig, rows: int, dim: int, like: Table | None) -> None:
        super().__init__()
        self.rows = rows

    def prepare(self, train: Sequences) -> None:
        """Sees the training sequences once, before the first epoch."""

    def read(self, rows: Tensor, updates: RowUpdates | None = None) -> Tensor:
        """The vectors [..., D] of rows [...]."""
        raise NotImplementedError

    def whole(self, updates: RowUpdates | None = None) -> Tensor:
        """All vectors [n, D]."""
        return self.read(torch.arange(self.rows, device=next(self.parameters()).device), updates)

    def score(self, queries: Tensor, bias: Tensor, items: Tensor | None, updates: RowUpdates | None) -> Tensor:
        """Scores [B, n] of rows [B, n] or [n] for queries [B, D]; see `score_items`."""
        if items is None:
            if updates is not None and updates.holds(bias):
                updates.bring_up(bias, None)
            return products(queries, self.whole(updates), bias)
        vectors, biases = self.read(items, updates), read_rows(bias, items, updates)
        if items.dim() == 1:
            return products(queries, vectors, biases)
        return (vectors * queries.unsqueeze(1)).sum(2) + biases
