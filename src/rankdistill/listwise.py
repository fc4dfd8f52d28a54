"""Losses of ranked lists, and the places of items in them: what several distillation methods are made of."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from rankdistill import native

_APART = 1300.0
"""How far scores may lie apart before the lower ones count for nothing: what 64 bits hold."""


def is_in(items: Tensor, others: Tensor) -> Tensor:
    """Whether each of items [B, n] is among others [B, m]: [B, n]."""
    if native.has_kernels(items) and items.numel() and others.numel():
        return places_in(items, others, int(torch.maximum(items.max(), others.max()))) <= others.shape[1]
    return (items.unsqueeze(2) == others.unsqueeze(1)).any(2)


def places_in(items: Tensor, lists: Tensor, num_items: int) -> Tensor:
    """The places [B, n] of items [B, n] in lists [B, m], from 1; m + 1 where an item is not in its list."""
    if native.has_kernels(items):
        found = torch.empty_like(items, memory_format=torch.contiguous_format)
        size = (*items.shape, lists.contiguous(), lists.shape[1], num_items)
        native.call("places_in_lists", items.contiguous(), *size, found)
        return found
    places = torch.full((len(lists), num_items + 1), lists.shape[1] + 1, dtype=torch.int64, device=lists.device)
    ranks = torch.arange(1, lists.shape[1] + 1, device=lists.device)
    return places.scatter_(1, lists, ranks.expand_as(lists)).gather(1, items)


def best_columns(scores: Tensor, size: int, left_out: Tensor) -> Tensor:
    """The columns [B, n] of the best scores of each row [B, m], best first, those left out [B, l] after all others.

    Raises:
        ValueError: a row has fewer.
    """
    if size > scores.shape[1]:
        raise ValueError(f"the best {size} of {scores.shape[1]} scores")
    if not native.has_kernels(scores):
        return torch.topk(scores.scatter(1, left_out, -torch.inf), size, dim=1).indices
    found = torch.empty(len(scores), size, dtype=torch.int64)
    last = (left_out.contiguous(), left_out.shape[1])
    native.call("best_columns", scores.contiguous(), *scores.shape, *last, size, found)
    return found


def masked(scores: Tensor, hidden: Tensor) -> Tensor:
    """Scores of which the hidden ones have no part in a sum of exponentials; finite, so that gradients are."""
    return scores.masked_fill(hidden, torch.finfo(scores.dtype).min / 4)


def relaxed_ranking_loss(head: Tensor, tail: Tensor, hidden: Tensor | None = None) -> Tensor:
    """- log of the probability [B, ...] that the head [B, ..., K] comes in its order and before the tail [B, L].

    Hidden items of the head have no part in it.

    - sum_k [ s_k - log( sum_{i >= k} e^{s_i} + sum_j e^{t_j} ) ]: Plackett-Luce with a tail without order (RRD, Eq. 5).
    """
    nothing = tail.new_full((len(tail), 1), torch.finfo(tail.dtype).min / 4)
    if hidden is not None:
        head = masked(head, hidden)
    rest = torch.logsumexp(torch.cat([nothing, tail], dim=1), dim=1)
    rest = rest.reshape(-1, *[1] * (head.dim() - 2)).expand(head.shape[:-1])
    sums: Tensor = _SumsFromHere.apply(head, rest)  # type: ignore[no-untyped-call]
    terms = sums - head
    return (terms if hidden is None else terms.masked_fill(hidden, 0.0)).sum(-1)


class _SumsFromHere(Function):
    """log( sum_{i >= k} e^{s_i} + e^r ) of scores s [..., K] and r [...]: [..., K].

    Added up in 64 bits and not in logarithms, which is quicker.
    """

    @staticmethod
    def forward(ctx: Any, scores: Tensor, rest: Tensor) -> Tensor:
        rest = rest.unsqueeze(-1)
        shift = torch.maximum(scores.amax(-1, keepdim=True), rest).double() - _APART / 2
        parts, last = torch.exp(scores - shift), torch.exp(rest - shift)
        sums = (parts.flip(-1).cumsum(-1).flip(-1) + last).clamp_min(math.exp(-_APART / 2))
        ctx.save_for_backward(parts, last, sums)
        return (sums.log() + shift).to(scores.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        (parts, last, sums), (each,) = ctx.saved_tensors, gradients
        reached = (each / sums).cumsum(-1)  # of an item by the sums that it is in
        return (parts * reached).to(each.dtype), (last * reached[..., -1:]).squeeze(-1).to(each.dtype)


def listed_cross_entropy(scores: Tensor, teacher_scores: Tensor, hidden: Tensor | None = None) -> Tensor:
    """- sum_i softmax(t)_i log softmax(s)_i [B] over lists of scores s and t [B, n], hidden items left out."""
    if hidden is not None:
        scores, teacher_scores = masked(scores, hidden), masked(teacher_scores, hidden)
    terms = torch.softmax(teacher_scores, dim=1) * torch.log_softmax(scores, dim=1)
    return -(terms if hidden is None else terms.masked_fill(hidden, 0.0)).sum(1)
