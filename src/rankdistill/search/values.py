"""What is searched for, how scores are bounded, and what an exact score is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

_SUMS = 32
INTEGERS_DIM = 1 << 15
"""The longest vectors whose int8 products are summed in 32 bits, with room to spare."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Queries and what may not be in their lists.

    Attributes:
        vectors: [b, D].
        users: [b], the row of `seen_starts`.
        seen_starts: [U + 1]; the items `seen[seen_starts[u]:seen_starts[u + 1]]` of its user are in no list of a query.
        seen: [n], int32.
        own: [b, w], int32, items that are left out for the query alone.
    """

    vectors: Tensor
    users: Tensor
    seen_starts: Tensor
    seen: Tensor
    own: Tensor

    def __len__(self) -> int:
        return len(self.vectors)

    def rows(self, start: int, stop: int) -> Asked:
        """Some of the queries."""
        span = slice(start, stop)
        return Asked(self.vectors[span], self.users[span], self.seen_starts, self.seen, self.own[span])

    def to(self, device: torch.device) -> Asked:
        """The same on a device, as the kernels want it."""
        return Asked(
            self.vectors.detach().to(device, torch.float32).contiguous(),
            self.users.to(device).contiguous(),
            self.seen_starts.to(device).contiguous(),
            self.seen.to(device, torch.int32).contiguous(),
            self.own.to(device, torch.int32).contiguous(),
        )

    def excluded(self) -> tuple[Tensor, Tensor]:
        """Rows [m] of queries and the items [m] that they leave out, repeats and all."""
        first, lengths = self.seen_starts[self.users], self.seen_starts[self.users + 1] - self.seen_starts[self.users]
        rows = torch.repeat_interleave(lengths)
        within = torch.arange(len(rows), device=rows.device) - (lengths.cumsum(0) - lengths)[rows]
        own = torch.arange(len(self.own), device=rows.device).repeat_interleave(self.own.shape[1])
        items = torch.cat([self.seen[first[rows] + within], self.own.flatten()])
        return torch.cat([rows, own]), items.long()


@dataclass(frozen=True, slots=True)
class Relevant:
    """Items whose ranks are wanted: those of query q are `items[starts[q]:starts[q + 1]]`."""

    starts: Tensor
    items: Tensor

    def rows(self, start: int, stop: int) -> Relevant:
        """Those of some of the queries."""
        first, last = int(self.starts[start]), int(self.starts[stop])
        return Relevant(self.starts[start : stop + 1] - first, self.items[first:last])

    def to(self, device: torch.device) -> Relevant:
        """The same on a device."""
        return Relevant(self.starts.to(device).contiguous(), self.items.to(device, torch.int32).contiguous())

    @property
    def queries(self) -> Tensor:
        """The query [n] of each item."""
        return torch.repeat_interleave(self.starts.diff())


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far approximate scores of columns are from exact ones.

    |exact - (product * scale * query scale + bias)| <= |q| coarse + |q - rounded q| norm + slack

    for a query q, where the product is of rounded vectors. By Cauchy and Schwarz: the exact score less the product of
    the rounded vectors is q (v - v~) + (q - q~) v~. What the arithmetic itself rounds is in `coarse` and `slack`.

    Attributes:
        scale: [c], of the rounded values of a column.
        upper_bias: [c], bias + slack.
        coarse: [c].
        norm: [c], of the rounded vector.
        slack: [c].
    """

    scale: Tensor
    upper_bias: Tensor
    coarse: Tensor
    norm: Tensor
    slack: Tensor

    @classmethod
    def of(cls, rounded: Rounded, bias: Tensor, unit: float) -> Bounds:
        """The bounds of columns with `bias` [c], for products whose arithmetic errs by `unit` times the norms."""
        slack = 1e-6 * bias.abs() + 1e-28
        norm = rounded.norm
        coarse = (rounded.remainder + unit * (norm + rounded.remainder)) * (1 + 1e-5)
        return cls(torch.ones_like(norm), bias + slack, coarse, norm, slack)


@dataclass(frozen=True, slots=True)
class Rounded:
    """Vectors [n, D] in a lower precision, and the norms [n] of the vectors, of the rounded ones and of the rest."""

    values: Tensor
    whole: Tensor
    norm: Tensor
    remainder: Tensor

    @classmethod
    def of(cls, vectors: Tensor, dtype: torch.dtype) -> Rounded:
        """The nearest values of a type."""
        values = vectors.to(dtype)
        whole = _norms(vectors)
        lost = _norms(vectors - values.to(vectors.dtype)) if dtype != vectors.dtype else torch.zeros_like(whole)
        # operands that are no normal numbers may count as zero
        flushed = math.sqrt(vectors.shape[1]) * torch.finfo(torch.float32).tiny
        return cls(values, whole, _norms(values), lost + flushed)


def _norms(vectors: Tensor) -> Tensor:
    norms: Tensor = torch.linalg.vector_norm(vectors, dim=1, dtype=torch.float64)
    return norms.float() * (1 + 1e-6)


def exact_scores(queries: Tensor, vectors: Tensor, bias: Tensor) -> Tensor:
    """Scores [n] of vectors [n, D] with biases [n] for as many queries [n, D], the same on every machine.

    Products of float32 numbers are exact in float64. They are summed in 32 interleaved sums which are folded in halves,
    the bias is added, and the whole is rounded to float32: what `exact_score` of the kernels does.
    """
    products = queries.double() * vectors.double()
    groups = -(-products.shape[1] // _SUMS)
    products = torch.nn.functional.pad(products, (0, groups * _SUMS - products.shape[1]))
    products = products.view(len(products), groups, _SUMS)
    sums = torch.zeros_like(products[:, 0])
    for group in range(groups):
        sums += products[:, group]
    while sums.shape[1] > 1:
        first, second = sums.chunk(2, dim=1)
        sums = first + second
    return (sums[:, 0] + bias.double()).float() + 0.0  # no negative zero
