"""Tables of vectors, one file a kind: as large as it is (`full`), or made from fewer numbers."""

from __future__ import annotations

from typing import TypeAlias

import torch
from torch import Tensor, nn

from rankdistill.tables.hashed import Hashed
from rankdistill.tables.low_rank import LowRank
from rankdistill.tables.options import TableConfig
from rankdistill.tables.product_quantised import ProductQuantised
from rankdistill.tables.table import Table

__all__ = ["Table", "TableConfig", "Vectors", "table_of", "whole"]

Vectors: TypeAlias = Tensor | Table
"""Vectors [n, D]: a parameter, or what they are made from."""
_KINDS: dict[str, type[Table]] = {"low_rank": LowRank, "hashed": Hashed, "product_quantised": ProductQuantised}


def table_of(options: TableConfig, rows: int, dim: int, like: Vectors | None = None) -> nn.Parameter | Table:
    """An untrained table [rows, dim] of the kind `item_table`, its numbers about 1 / dim large.

    Args:
        options: the kind and its keys.
        rows: n, the padding item among them.
        dim: D.
        like: another table of the same items; what does not depend on D is kept there for both.
    """
    if options.item_table == "full":
        return nn.Parameter(torch.randn(rows, dim) / dim)
    return _KINDS[options.item_table](options, rows, dim, like if isinstance(like, Table) else None)


def whole(vectors: Vectors) -> Tensor:
    """All vectors [n, D]."""
    return vectors.whole() if isinstance(vectors, Table) else vectors
