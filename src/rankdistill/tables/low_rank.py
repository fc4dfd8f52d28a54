"""Vectors of low rank: a few numbers a row, and one matrix for all."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from rankdistill.rows import RowUpdates, read_rows, score_items
from rankdistill.tables.options import TableConfig
from rankdistill.tables.table import Table


class LowRank(Table):
    """E = A M, with factors A [n, r] and a matrix M [r, D]: n r + r D numbers.

    A query [D] is scored as M q [r] against the factors: fewer multiplications, too.
    """

    by_row = ("factors",)

    def __init__(self, options: TableConfig, rows: int, dim: int, like: Table | None) -> None:
        super().__init__(options, rows, dim, like)
        rank = options.rank_or_default()
        self.factors = nn.Parameter(torch.randn(rows, rank) / dim)
        self.matrix = nn.Parameter(torch.randn(rank, dim) / math.sqrt(rank))

    def read(self, rows: Tensor, updates: RowUpdates | None = None) -> Tensor:
        """See `Table`."""
        return read_rows(self.factors, rows, updates) @ self.matrix

    def score(self, queries: Tensor, bias: Tensor, items: Tensor | None, updates: RowUpdates | None) -> Tensor:
        """See `Table`."""
        return score_items(queries @ self.matrix.T, self.factors, bias, items, updates)
