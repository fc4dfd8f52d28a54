"""The items of a model, ready to be searched."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from rankdistill import native
from rankdistill.errors import TrainingError
from rankdistill.search import kernels, plain
from rankdistill.search.values import INTEGERS_DIM, Asked, Bounds, Relevant, Rounded

Precision: TypeAlias = Literal["int8", "bfloat16", "float32"]

_LARGEST_SCORE = 1e37
_BLOCK_QUERIES, _BLOCK_COLUMNS = 256, 8192
"""What is multiplied at once: its products, 8 MiB, are looked at while they are in the cache."""
_INTEGER_QUERIES = 2048
"""Queries that the integer kernels get at once."""
_STATE = 1 << 21
"""Candidates that are held at once, for all queries together."""


class ItemIndex:
    """The items that may be ranked, searched exactly through products of lower precision.

    Approximate scores choose candidates: an item stays one as long as its score plus the bound of its error reaches
    the k-th largest of all scores less theirs. The candidates' exact scores (see `exact_scores`) rank them. So the
    lists are those of the exact scores, whatever the precision, the processor or the size of a block; items of equal
    score stand in the order of their index.

    Args:
        vectors: [I + 1, D], float32; row 0 is padding.
        bias: [I + 1].
        items: which items there are to rank, ascending.
        precision: of the products; None takes the quickest that this machine has hardware for.
        typical: [D], a typical query: the items that it likes are looked at first, which is only quicker.

    Raises:
        TrainingError: the numbers are not finite.
    """

    def __init__(
        self,
        vectors: Tensor,
        bias: Tensor,
        items: Tensor,
        precision: Precision | None = None,
        typical: Tensor | None = None,
    ) -> None:
        self.vectors = vectors.detach().float().contiguous()
        self.bias = bias.detach().float().contiguous()
        self.items = items.to(vectors.device, torch.int32)
        self.precision = precision or quickest_precision(self.vectors)
        self._typical = typical
        self._largest_norm = _largest_norm(self.vectors)
        self._largest_bias = float(self.bias.abs().max()) if len(self.bias) else 0.0
        if not (math.isfinite(self._largest_norm) and math.isfinite(self._largest_bias)):
            raise TrainingError("the model's item table holds numbers that are not finite; train it again")

    @property
    def dim(self) -> int:
        """D."""
        return int(self.vectors.shape[1])

    @cached_property
    def in_int8(self) -> kernels.IntegerTable:
        """The items in int8, which choose the best."""
        return kernels.IntegerTable(self.vectors, self.bias, self._liked_first(), wide=False)

    @cached_property
    def in_int16(self) -> kernels.IntegerTable:
        """The items in int16, which tell ranks that are not among the best."""
        return kernels.IntegerTable(self.vectors, self.bias, self._liked_first(), wide=True)

    def _liked_first(self) -> Tensor:
        if self._typical is None:
            return self.items
        liked = self.vectors @ self._typical.detach().float() + self.bias
        return self.items[liked[self.items.long()].argsort(descending=True)].contiguous()

    @cached_property
    def blocks(self) -> Blocks:
        """The items in float32 or bfloat16."""
        return Blocks(self.vectors, self.bias, self.items, "float32" if self.precision == "int8" else self.precision)

    def search(self, asked: Asked, k: int, relevant: Relevant | None = None) -> tuple[Tensor, Tensor, Tensor | None]:
        """The best `k` items [b, k] of each query with their scores [b, k], and the ranks [n] of relevant items.

        A list that is shorter than `k` ends in PAD with minus infinity. The rank of an item that may not be ranked is
        0.

        Raises:
            TrainingError: a score is not a finite number.
        """
        asked = asked.to(self.vectors.device)
        relevant = None if relevant is None else relevant.to(self.vectors.device)
        self._check(asked.vectors)
        items = torch.zeros(len(asked), k, dtype=torch.int32, device=self.vectors.device)
        scores = torch.empty(len(asked), k, device=self.vectors.device)
        ranks = None if relevant is None else torch.zeros(len(relevant.items), dtype=torch.int64, device=items.device)
        size = self._queries_at_once(k)
        for start in range(0, len(asked), size):
            stop = min(start + size, len(asked))
            wanted = None if relevant is None else relevant.rows(start, stop)
            found = self._search(asked.rows(start, stop), items[start:stop], scores[start:stop], wanted)
            if ranks is not None and relevant is not None and found is not None:
                ranks[int(relevant.starts[start]) : int(relevant.starts[stop])] = found
        return items, scores, ranks

    @property
    def _integers(self) -> bool:
        kernels_multiply = native.has_kernels(self.vectors) and native.has_int8_products()
        return self.precision == "int8" and kernels_multiply and self.dim <= INTEGERS_DIM

    def _queries_at_once(self, k: int) -> int:
        most = _INTEGER_QUERIES if self._integers else _BLOCK_QUERIES
        return max(1, min(_STATE // kernels.capacity(k), most))

    def _search(self, asked: Asked, items: Tensor, scores: Tensor, relevant: Relevant | None) -> Tensor | None:
        if self._integers:
            table = self.in_int8 if relevant is None else self.in_int16
            return kernels.search_integers(table, asked, items, scores, relevant)
        search = kernels.search_blocks if native.has_kernels(self.vectors) else plain.search_blocks
        return search(self.blocks, asked, items, scores, relevant)

    def _check(self, queries: Tensor) -> None:
        largest = _largest_norm(queries) * self._largest_norm + self._largest_bias
        if not largest < _LARGEST_SCORE:  # nor NaN
            raise TrainingError("the model gives scores that are not finite numbers, or may; train it again")


def _largest_norm(vectors: Tensor) -> float:
    return float(torch.linalg.vector_norm(vectors, dim=1, dtype=torch.float64).max()) if len(vectors) else 0.0


class Blocks:
    """Items as columns that are multiplied some at a time, with the bounds of the products.

    Attributes:
        vectors: [I + 1, D].
        bias: [I + 1].
        items: [c], ascending.
        bounds: of the columns.
        dtype: of the products' operands.
    """

    def __init__(self, vectors: Tensor, bias: Tensor, items: Tensor, precision: Precision) -> None:
        self.vectors, self.bias, self.items = vectors, bias, items
        self.dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
        whole = len(items) == len(vectors) - 1
        chosen = vectors[1:] if whole else vectors[items.long()]
        rounded = Rounded.of(chosen, self.dtype)
        self.columns = rounded.values
        unit = 1.1 * (vectors.shape[1] + 8) * 2.0**-24 + 1e-6
        if precision == "bfloat16" or (vectors.is_cuda and torch.get_float32_matmul_precision() != "highest"):
            unit += 2.0**-8  # of what is rounded on the way
        self.bounds = Bounds.of(rounded, bias[items.long()], unit)

    @property
    def num_rows(self) -> int:
        """I + 1."""
        return len(self.vectors)

    def spans(self) -> list[tuple[int, int]]:
        """The first and the last column, plus one, of what is multiplied at once."""
        count = len(self.items)
        return [(first, min(first + _BLOCK_COLUMNS, count)) for first in range(0, count, _BLOCK_COLUMNS)]

    def products(self, queries: Tensor, first: int, last: int) -> Tensor:
        """Approximate products [b, last - first] of rounded queries [b, D] with some columns."""
        return (queries @ self.columns[first:last].T).float()


def quickest_precision(vectors: Tensor) -> Precision:
    """int8 where the kernels have hardware for it, bfloat16 where there are matrix units for it, else float32."""
    if vectors.device.type != "cpu":
        return "float32"
    if native.has_int8_products():
        return "int8"
    has_matrix_units = getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)  # not in every torch
    return "bfloat16" if has_matrix_units() else "float32"
