"""The same search by torch alone: on other devices, and where the kernels were not built."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from rankdistill.search.values import Asked, Relevant, Rounded, exact_scores
from rankdistill.types import PAD

if TYPE_CHECKING:
    from rankdistill.search.index import Blocks

_CANDIDATES = 4096
"""Candidates of a query in one block; a query with more is ranked in full."""
_SCORES_AT_ONCE = 1 << 23
"""Products of float64 that are held at once, and comparisons."""


def search_blocks(
    blocks: Blocks, asked: Asked, items: Tensor, scores: Tensor, relevant: Relevant | None
) -> Tensor | None:
    """Writes the best items [b, k] and their scores; gives the ranks [n] of the relevant items."""
    k = items.shape[1]
    queries = Rounded.of(asked.vectors, blocks.dtype)
    columns = torch.full((len(blocks.vectors),), -1, dtype=torch.int64, device=items.device)
    columns[blocks.items.long()] = torch.arange(len(blocks.items), device=items.device)
    out_rows, out_items = asked.excluded()
    out_columns = columns[out_items]
    ranks = None if relevant is None else _Ranks(blocks, asked.vectors, relevant)
    best = torch.full((len(asked), k), -torch.inf, device=items.device)
    crowded = torch.zeros(len(asked), dtype=torch.bool, device=items.device)
    found = [torch.zeros(3, 0, dtype=torch.int64, device=items.device)]
    for first, last in blocks.spans():
        upper, lower = _bounds(blocks, queries, first, last)
        here = (out_columns >= first) & (out_columns < last)
        upper[out_rows[here], out_columns[here] - first] = -torch.inf
        lower[out_rows[here], out_columns[here] - first] = -torch.inf
        best = torch.cat([best, lower], dim=1).topk(k, dim=1).values
        is_near = (upper >= best[:, -1:]) & (upper > -torch.inf)
        crowded |= is_near.sum(1) > max(_CANDIDATES, 4 * k)
        near = torch.nonzero(is_near & ~crowded[:, None])
        bounds = upper[near[:, 0], near[:, 1]]
        found.append(torch.stack([near[:, 0], near[:, 1] + first, bounds.view(torch.int32).long()]))
        if ranks is not None:
            ranks.count(upper, lower, first)
    rows, near_columns, bits = torch.cat(found, dim=1)
    kept = (bits.int().view(torch.float32) >= best[rows, -1]) & ~crowded[rows]
    _rank_candidates(blocks, asked.vectors, rows[kept], blocks.items[near_columns[kept]].long(), (items, scores))
    for row in crowded.nonzero().flatten().tolist():
        _rank_in_full(blocks, asked.vectors, row, out_columns[out_rows == row], (items, scores))
    if ranks is None or relevant is None:
        return None
    excluded = _pairs_among(relevant.queries, relevant.items.long(), out_rows, out_items, len(blocks.vectors))
    return torch.where((columns[relevant.items.long()] >= 0) & ~excluded, ranks.before + 1, 0)


def _bounds(blocks: Blocks, queries: Rounded, first: int, last: int) -> tuple[Tensor, Tensor]:
    """The upper and lower bounds [b, last - first] of the scores of some columns."""
    bounds, span = blocks.bounds, slice(first, last)
    error = queries.whole[:, None] * bounds.coarse[span] + queries.remainder[:, None] * bounds.norm[span]
    upper = blocks.products(queries.values, first, last) + bounds.upper_bias[span] + error
    return upper, upper - 2 * (error + bounds.slack[span])


def _rank_candidates(blocks: Blocks, vectors: Tensor, rows: Tensor, found: Tensor, out: tuple[Tensor, Tensor]) -> None:
    """Writes the best of the candidates: items [m] of the queries `rows` [m]."""
    items, scores = out
    k = items.shape[1]
    exact = _scores(blocks, vectors, rows, found)
    order = found.argsort()
    order = order[exact[order].argsort(descending=True, stable=True)]
    order = order[rows[order].argsort(stable=True)]
    counts = torch.bincount(rows, minlength=len(items))
    place = torch.arange(len(order), device=items.device) - (counts.cumsum(0) - counts)[rows[order]]
    order, place = order[place < k], place[place < k]
    items.fill_(PAD)
    scores.fill_(-torch.inf)
    items[rows[order], place] = found[order].int()
    scores[rows[order], place] = exact[order]


def _rank_in_full(blocks: Blocks, vectors: Tensor, row: int, out: Tensor, lists: tuple[Tensor, Tensor]) -> None:
    """Writes the best of all columns but `out` for one query, from exact scores of some columns at a time."""
    items, scores = lists
    k = items.shape[1]
    ranked = torch.ones(len(blocks.items), dtype=torch.bool, device=items.device)
    ranked[out[out >= 0]] = False
    best = torch.zeros(0, dtype=torch.int64, device=items.device)
    size = max(1, _SCORES_AT_ONCE // vectors.shape[1])
    for columns in torch.split(ranked.nonzero().flatten(), size):
        found = torch.cat([best, blocks.items[columns].long()]).sort().values
        exact = _scores(blocks, vectors, torch.full_like(found, row), found)
        best = found[exact.argsort(descending=True, stable=True)[:k]]
    items[row, : len(best)] = best.int()
    scores[row, : len(best)] = _scores(blocks, vectors, torch.full_like(best, row), best)


def _scores(blocks: Blocks, vectors: Tensor, rows: Tensor, items: Tensor) -> Tensor:
    """Exact scores [m] of items [m] for the queries `rows` [m], in bounded memory."""
    size = max(1, _SCORES_AT_ONCE // vectors.shape[1])
    parts = [
        exact_scores(vectors[row], blocks.vectors[item], blocks.bias[item])
        for row, item in zip(torch.split(rows, size), torch.split(items, size), strict=True)
    ]
    return torch.cat(parts) if parts else torch.zeros(0, device=vectors.device)


class _Ranks:
    """Counts the items that stand before each relevant one."""

    def __init__(self, blocks: Blocks, vectors: Tensor, relevant: Relevant) -> None:
        self.blocks, self.vectors = blocks, vectors
        self.rows, self.items = relevant.queries, relevant.items.long()
        self.scores = _scores(blocks, vectors, self.rows, self.items)
        self.before = torch.zeros_like(self.rows)

    def count(self, upper: Tensor, lower: Tensor, first: int) -> None:
        """Counts among the columns from `first` on, whose scores are bounded."""
        size = max(1, _SCORES_AT_ONCE // upper.shape[1])
        for start in range(0, len(self.rows), size):
            span = slice(start, start + size)
            rows, score = self.rows[span], self.scores[span, None]
            surely = lower[rows] > score
            self.before[span] += surely.sum(1)
            places, columns = torch.nonzero((upper[rows] >= score) & ~surely, as_tuple=True)
            items = self.blocks.items[columns + first].long()
            exact = _scores(self.blocks, self.vectors, rows[places], items)
            wanted, target = self.scores[span][places], self.items[span][places]
            stands_before = (exact > wanted) | ((exact == wanted) & (items < target))
            self.before[span] += torch.bincount(places[stands_before], minlength=len(rows))


def _pairs_among(rows: Tensor, items: Tensor, other_rows: Tensor, other_items: Tensor, stride: int) -> Tensor:
    """Whether each pair [n] of row and item is among the others [m]."""
    return torch.isin(rows * stride + items, other_rows * stride + other_items)
