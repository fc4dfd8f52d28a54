"""Reading and scoring rows of large tables, so that the cost of a training step does not grow with the tables.

A gradient of a whole table that is zero outside a few rows costs as much as the table is large. While a model is in
training, the rows that it reads are therefore written down, and their gradients go to the optimiser by row.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn.functional import embedding

from rankdistill import native

_MANY_QUERIES, _LARGE = 128, 1 << 20
"""From how many queries, and above how many scores, blocks pay off."""
_VECTORS_A_BLOCK = 512


class RowUpdates(Protocol):
    """What an optimiser that works row by row does for the tables that it has."""

    def holds(self, table: Tensor) -> bool:
        """Whether it works on this table by row."""

    def bring_up(self, table: Tensor, rows: Tensor | None) -> None:
        """Brings rows that are about to be read up to date; None means all of them."""

    def collect(self, table: Tensor, rows: Tensor, vectors: Tensor, scales: Tensor | None = None) -> None:
        """Takes gradients of rows [n]: `vectors` [n, D], or vectors [n / w, D] each times `w` of the `scales` [n]."""


def read_rows(table: Tensor, rows: Tensor, updates: RowUpdates | None) -> Tensor:
    """The rows [..., D] of a table [n, D], or the numbers [...] of a table [n], with the given indices [...].

    Raises:
        IndexError: there is no such row.
    """
    rows = _indices(rows, table)
    if updates is None or not updates.holds(table):
        return embedding(rows, table) if table.dim() == 2 else table[rows]
    updates.bring_up(table, rows)
    read: Tensor = _Read.apply(table, rows, updates)  # type: ignore[no-untyped-call]
    return read


def score_rows(queries: Tensor, vectors: Tensor, bias: Tensor, rows: Tensor, updates: RowUpdates | None) -> Tensor:
    """Scores [B, n] of rows [B, n] of `vectors` [I, D] and `bias` [I] for queries [B, D].

    A bias that is not learned need not be the optimiser's.

    Raises:
        IndexError: there is no such row.
    """
    rows = _indices(rows, vectors)
    if updates is None or not updates.holds(vectors) or (bias.requires_grad and not updates.holds(bias)):
        return (
            _by_torch(queries, vectors, bias, rows)
            if torch.is_grad_enabled()
            else _scored(queries, vectors, bias, rows)
        )
    updates.bring_up(vectors, rows)
    if bias.requires_grad:
        updates.bring_up(bias, rows)
    scores: Tensor = _Score.apply(queries, vectors, bias, rows, updates)  # type: ignore[no-untyped-call]
    return scores


def score_items(
    queries: Tensor, vectors: Tensor, bias: Tensor, items: Tensor | None, updates: RowUpdates | None
) -> Tensor:
    """Scores [B, n] of rows [B, n], or of one sample [n] for all queries, or [B, I] of all, for queries [B, D].

    Raises:
        IndexError: there is no such row.
    """
    if items is not None and items.dim() == 2:
        return score_rows(queries, vectors, bias, items, updates)
    for table in (vectors, bias):
        if updates is not None and updates.holds(table):
            updates.bring_up(table, items)
    return products(queries, vectors, bias) if items is None else products(queries, vectors[items], bias[items])


def products(queries: Tensor, vectors: Tensor, bias: Tensor) -> Tensor:
    """The scores [B, n] of vectors [n, D] and biases [n] for queries [B, D].

    On the processor a large one is made block by block of the vectors: the bias that is laid down first is still in the
    cache when the products are added.
    """
    eager = queries.device.type == "cpu" and not torch.compiler.is_compiling()  # an exported model asks no sizes
    if eager and len(queries) >= _MANY_QUERIES and len(queries) * len(vectors) > _LARGE:
        scores: Tensor = _Products.apply(queries, vectors, bias)  # type: ignore[no-untyped-call]
        return scores
    return torch.addmm(bias, queries, vectors.T)


def _indices(rows: Tensor, table: Tensor) -> Tensor:
    """The indices as int64; on the processor, where nothing else does so, they are checked."""
    rows = rows.long()
    if rows.device.type == "cpu" and not torch.compiler.is_compiling() and rows.numel():
        least, most = (int(each) for each in torch.aminmax(rows))
        if least < 0 or most >= len(table):
            raise IndexError(f"row {least if least < 0 else most} of a table of {len(table):,} rows")
    return rows


class _Read(Function):
    """The gradient of the table does not exist: it goes to the optimiser, by row."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, rows: Tensor, updates: RowUpdates) -> Tensor:
        ctx.table, ctx.rows, ctx.updates = table.detach(), rows, updates
        return _gathered(ctx.table, rows)

    @staticmethod
    def backward(ctx: FunctionCtx, *gradients: Tensor) -> tuple[None, None, None]:
        table, rows, updates = ctx.table, ctx.rows, ctx.updates  # type: ignore[attr-defined]
        updates.collect(table, rows.flatten(), gradients[0].reshape(rows.numel(), -1))
        return None, None, None


class _Score(Function):
    @staticmethod
    def forward(ctx: Any, queries: Tensor, vectors: Tensor, bias: Tensor, rows: Tensor, updates: RowUpdates) -> Tensor:
        ctx.vectors, ctx.bias, ctx.rows, ctx.updates = vectors.detach(), bias.detach(), rows, updates
        ctx.learns_bias = bias.requires_grad
        ctx.save_for_backward(queries)
        return _scored(queries.detach(), ctx.vectors, ctx.bias, rows)

    @staticmethod
    def backward(ctx: FunctionCtx, *gradients: Tensor) -> tuple[Tensor, None, None, None, None]:
        vectors, bias, rows, updates = ctx.vectors, ctx.bias, ctx.rows, ctx.updates  # type: ignore[attr-defined]
        learns_bias = ctx.learns_bias  # type: ignore[attr-defined]
        (queries,) = ctx.saved_tensors  # type: ignore[attr-defined]
        by_row = gradients[0].contiguous()
        updates.collect(vectors, rows.flatten(), queries.detach(), by_row.flatten())
        if learns_bias:
            updates.collect(bias, rows.flatten(), by_row.view(-1, 1))
        if not native.has_kernels(queries):
            return (embedding(rows, vectors) * by_row.unsqueeze(2)).sum(1), None, None, None, None
        out = torch.empty_like(queries)
        native.call("score_rows_backward", by_row, vectors, vectors.shape[1], rows.contiguous(), *rows.shape, out)
        return out, None, None, None, None


class _Products(Function):
    @staticmethod
    def forward(ctx: Any, queries: Tensor, vectors: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(queries, vectors)
        scores = queries.new_empty(len(queries), len(vectors))
        blocks = (torch.split(each, _VECTORS_A_BLOCK) for each in (scores.T, vectors, bias))
        for block, some, biases in zip(*blocks, strict=True):
            torch.addmm(biases, queries, some.T, out=block.T)
        return scores

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (queries, vectors), (each,) = ctx.saved_tensors, gradients
        of_queries, of_vectors, of_bias = ctx.needs_input_grad
        return (
            each @ vectors if of_queries else None,
            each.T @ queries if of_vectors else None,
            each.sum(0) if of_bias else None,
        )


def _by_torch(queries: Tensor, vectors: Tensor, bias: Tensor, rows: Tensor) -> Tensor:
    """The scores [B, n]; quicker so than as a batch of tiny matrix products."""
    return (embedding(rows, vectors) * queries.unsqueeze(1)).sum(2) + bias[rows]


def _scored(queries: Tensor, vectors: Tensor, bias: Tensor, rows: Tensor) -> Tensor:
    """The scores [B, n], without gradient."""
    given = (queries, vectors, bias)
    if not all(native.has_kernels(each) for each in given):
        return _by_torch(queries, vectors, bias, rows)
    queries, vectors, bias, rows = (each.contiguous() for each in (*given, rows))
    scores = torch.empty(rows.shape)
    native.call("score_rows", queries, vectors, bias, vectors.shape[1], rows, *rows.shape, scores)
    return scores


def _gathered(table: Tensor, rows: Tensor) -> Tensor:
    """The rows [..., D], or numbers [...], without gradient."""
    if not native.has_kernels(table) or table.dim() == 1:
        return embedding(rows, table) if table.dim() == 2 else table[rows]
    out = torch.empty(*rows.shape, table.shape[1])
    native.call("gather_rows", table, table.shape[1], rows.contiguous(), rows.numel(), out)
    return out
