"""Vectors that rows share, chosen by hashing (Weinberger et al., ICML 2009; Svenstrup et al., NIPS 2017)."""

from __future__ import annotations

import hashlib
import math

import torch
from torch import Tensor, nn

from rankdistill.rows import RowUpdates, read_rows
from rankdistill.tables.options import TableConfig
from rankdistill.tables.table import Table

_PRIME = (1 << 31) - 1


class Hashed(Table):
    """E_i = sum_{j=1..h} w_ij V[h_j(i)], a hash embedding: B D + n h numbers.

    The shared vectors V [B, D] and the importance w [n, h] are learned: rows whose vectors are all the same still
    differ by their weights. h_j(i) = ((a_j i + b_j) mod (2^31 - 1)) mod B (Carter and Wegman, 1979), with constants
    a_j and b_j that are the same in every model, so that nothing has to be kept of it.
    """

    by_row = ("vectors", "importance")

    def __init__(self, options: TableConfig, rows: int, dim: int, like: Table | None) -> None:
        super().__init__(options, rows, dim, like)
        self.buckets, self.hashes = options.buckets_or_default(rows), options.hashes_or_default()
        self.vectors = nn.Parameter(torch.randn(self.buckets, dim) / dim)
        self.importance = nn.Parameter(torch.full((rows, self.hashes), 1 / math.sqrt(self.hashes)))

    def read(self, rows: Tensor, updates: RowUpdates | None = None) -> Tensor:
        """See `Table`."""
        chosen = torch.stack([bucket(rows, number, self.buckets) for number in range(self.hashes)], dim=-1)
        importance = read_rows(self.importance, rows, updates)
        return (importance.unsqueeze(-1) * read_rows(self.vectors, chosen, updates)).sum(-2)


def bucket(rows: Tensor, number: int, buckets: int) -> Tensor:
    """The bucket [...] of rows [...] by the hash function of that number."""
    digest = hashlib.sha256(f"hash {number}".encode()).digest()
    factor, summand = (int.from_bytes(digest[part : part + 8], "big") % (_PRIME - 1) for part in (0, 8))
    return (rows.long() * (factor + 1) + summand) % _PRIME % buckets
