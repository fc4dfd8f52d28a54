"""Product-quantised vectors (RecJPQ; Petrov & Macdonald, WSDM 2024): a byte for each part of a row's vector."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor, nn

from rankdistill.data.sequences import Sequences
from rankdistill.rows import RowUpdates, read_rows
from rankdistill.tables.options import TableConfig
from rankdistill.tables.table import Table
from rankdistill.types import Doubles

CENTROIDS = 256


class ProductQuantised(Table):
    """E_i = [C_1[c_i1] ; ... ; C_m[c_im]], each C_j [256, D / m] learned: 256 D numbers and n m bytes.

    The codes c [n, m] are given before training (`codes_of`), and the same for all tables of the same items: they
    are indices, counted in bytes and not in parameters.
    """

    by_row = ("centroids",)

    def __init__(self, options: TableConfig, rows: int, dim: int, like: Table | None) -> None:
        super().__init__(options, rows, dim, like)
        self.parts = options.parts_or_default()
        self.centroids = nn.Parameter(torch.randn(self.parts * CENTROIDS, dim // self.parts) / dim)
        self._like = () if like is None else (like,)  # no part of this module: what it holds is saved once
        if like is None:
            self.register_buffer("codes", torch.zeros(rows, self.parts, dtype=torch.uint8))

    def prepare(self, train: Sequences) -> None:
        """Gives the codes."""
        if not self._like:
            codes = codes_of(train, self.rows, self.parts)
            self.register_buffer("codes", torch.from_numpy(codes).to(self.centroids.device))

    def read(self, rows: Tensor, updates: RowUpdates | None = None) -> Tensor:
        """See `Table`."""
        (home,) = self._like or (self,)
        first = torch.arange(0, len(self.centroids), CENTROIDS, device=rows.device)
        codes = home.get_buffer("codes")[rows.long()].long() + first
        return read_rows(self.centroids, codes, updates).flatten(-2)


def codes_of(train: Sequences, rows: int, parts: int) -> NDArray[np.uint8]:
    """Codes [n, m]: which of 256 equally large groups a row is in, by each component of the truncated SVD.

    The matrix has a row a user and a 1 where she has the item in training. Rows of equal value, as those are that
    nobody has, stand in the order of their index.
    """
    components = _right_singular_vectors(train, rows, parts)
    places = components.argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
    return (places * CENTROIDS // rows).T.astype(np.uint8)


def _right_singular_vectors(train: Sequences, rows: int, parts: int) -> Doubles:
    """Those of the largest singular values [m, n], the largest number of each 1; equal to nine digits is equal."""
    own = train.distinct()
    matrix = sparse.csr_array((np.ones(len(own.items)), (own.users, own.items)), shape=(len(train), rows))
    found = np.zeros((parts, rows))
    if parts < min(matrix.shape):
        from scipy.sparse.linalg import svds  # a quarter of a second, which all other models do without

        _, values, vectors = svds(matrix, k=parts, v0=np.ones(min(matrix.shape)))
    else:
        _, values, vectors = np.linalg.svd(matrix.toarray(), full_matrices=False)
    kept = np.argsort(-values, kind="stable")[:parts]
    largest = np.take_along_axis(vectors[kept], np.abs(vectors[kept]).argmax(axis=1)[:, None], axis=1)
    found[: len(kept)] = np.round(vectors[kept] / largest, 9)
    return found
