"""The search by the compiled kernels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from rankdistill import native
from rankdistill.search.values import Asked, Relevant, Rounded

if TYPE_CHECKING:
    from rankdistill.search.index import Blocks

_LANES = 16


class _Table(native.Structure):
    _fields_ = native.fields(
        ["columns", "dim"], ["vectors", "bias", "ids", "scale", "upper_bias", "coarse", "norm", "slack"]
    )


class _Queries(native.Structure):
    _fields_ = native.fields(
        ["count", "k", "capacity", "own_width"],
        [
            *("vectors", "scale", "norm", "error", "users", "seen_starts", "seen", "own"),
            *("bounds", "items", "upper", "counts", "thresholds"),
        ],
    )


def capacity(k: int) -> int:
    """How many candidates of a query are held; a query with more is ranked in full."""
    return max(1024, 4 * k)


class _Integers(native.Structure):
    _fields_ = native.fields(["steps"], ["columns", "queries", "offsets"])


class _Counted(native.Structure):
    _fields_ = native.fields([], ["starts", "items", "keys", "scores", "before"])


class IntegerTable:
    """Items in int8, or in int16 where `wide`, packed for the kernel; of their order only the speed depends."""

    def __init__(self, vectors: Tensor, bias: Tensor, items: Tensor, *, wide: bool) -> None:
        count, self.dim = len(items), vectors.shape[1]
        self.items, self.num_rows, self.wide = items, len(vectors), wide
        self.steps = -(-self.dim // (2 if wide else 4))
        self.levels = min(32767, math.isqrt((2**31 - 1) // self.dim)) if wide else 127
        groups = -(-count // _LANES)
        self.packed = torch.zeros(groups * self.steps * _LANES, dtype=torch.int32)
        bounds = tuple(torch.zeros(groups * _LANES) for _ in range(5))
        sizes = (count, self.dim, self.steps, self.levels)
        native.call("quantise_table", vectors, bias, items, *sizes, self.packed, *bounds)
        self.structure = _Table(count, self.dim, vectors, bias, items, *bounds)


def search_integers(
    table: IntegerTable, asked: Asked, items: Tensor, scores: Tensor, relevant: Relevant | None
) -> Tensor | None:
    """Writes the best items [b, k] and their scores; gives the ranks [n] of the relevant items."""
    count = len(asked)
    packed = torch.empty(count, table.steps, dtype=torch.int32)
    scale, norm, error = (torch.empty(count) for _ in range(3))
    offsets = torch.empty(count, dtype=torch.int32)
    sizes = (count, table.dim, table.steps, table.levels)
    native.call("quantise_queries", asked.vectors, *sizes, packed, scale, norm, error, offsets)
    queries = _queries(asked, (scale, norm, error), items.shape[1])
    integers = _Integers(table.steps, table.packed, packed, offsets)
    native.call("start_search", queries)
    ranks = None if relevant is None else _Ranks(table.structure, queries, relevant, table)
    counted = _Counted(0, 0, 0, 0, 0) if ranks is None else ranks.counted
    native.call("search_integers", table.structure, queries, integers, int(table.wide), counted)
    native.call("finish_search", table.structure, queries, items, scores)
    return None if ranks is None else ranks.finish()


def search_blocks(
    blocks: Blocks, asked: Asked, items: Tensor, scores: Tensor, relevant: Relevant | None
) -> Tensor | None:
    """Writes the best items [b, k] and their scores; gives the ranks [n] of the relevant items."""
    bounds = blocks.bounds
    table = _Table(
        len(blocks.items),
        blocks.vectors.shape[1],
        *(blocks.vectors, blocks.bias, blocks.items),
        *(bounds.scale, bounds.upper_bias, bounds.coarse, bounds.norm, bounds.slack),
    )
    rounded = Rounded.of(asked.vectors, blocks.dtype)
    queries = _queries(asked, (torch.ones(len(asked)), rounded.whole, rounded.remainder), items.shape[1])
    native.call("start_search", queries)
    ranks = None if relevant is None else _Ranks(table, queries, relevant, blocks)
    for first, last in blocks.spans():
        products = blocks.products(rounded.values, first, last)
        native.call("search_block", table, queries, products, first, last - first)
        if ranks is not None:
            native.call("count_before", table, queries, products, first, last - first, ranks.counted)
    native.call("finish_search", table, queries, items, scores)
    return None if ranks is None else ranks.finish()


class _Ranks:
    """Counts the items that stand before each relevant one."""

    def __init__(self, table: _Table, queries: _Queries, relevant: Relevant, columns: IntegerTable | Blocks) -> None:
        self.table, self.queries, self.relevant = table, queries, relevant
        self.is_column = torch.zeros(columns.num_rows, dtype=torch.uint8)
        self.is_column[columns.items.long()] = 1
        self.before = torch.empty(len(relevant.items), dtype=torch.int64)
        keys, scores = torch.empty_like(self.before), torch.empty(len(self.before))
        self.counted = _Counted(relevant.starts, relevant.items, keys, scores, self.before)
        native.call("score_relevant", table, queries, self.counted)

    def finish(self) -> Tensor:
        """The ranks [n]; 0 for an item that may not be ranked."""
        excluded = torch.zeros(len(self.before), dtype=torch.uint8)
        native.call("discount_excluded", self.table, self.queries, self.is_column, self.counted, excluded)
        ranked = self.is_column[self.relevant.items.long()].bool() & ~excluded.bool()
        return torch.where(ranked, self.before + 1, 0)


def _queries(asked: Asked, rounding: tuple[Tensor, Tensor, Tensor], k: int) -> _Queries:
    """The structure, with room for each query's running choice."""
    count, held = len(asked), capacity(k)
    return _Queries(
        *(count, k, held, asked.own.shape[1]),
        *(asked.vectors, *rounding, asked.users, asked.seen_starts, asked.seen, asked.own),
        torch.empty(count, k, dtype=torch.int64),
        torch.empty(count, held, dtype=torch.int32),
        torch.empty(count, held),
        torch.empty(count, dtype=torch.int32),
        torch.empty(count),
    )
