"""Softmax over the whole catalogue: scores of all items for each query, where every pass over them counts.

Each function gives its gradient in one pass, by a compiled kernel where there is one.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from rankdistill import native

NOTHING = torch.finfo(torch.float32).min / 4
"""The logarithm of a sum over no items; finite, so that gradients are."""


def catalogue_cross_entropy(scores: Tensor, given: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """- sum_i softmax(t / tau)_i log softmax(s / tau)_i [B] of scores s and given ones t, and the entropy [B] of t.

    Scores are [B, I + 1], the padding item first, which has no part. The gradient is that of s alone,
    (softmax(s / tau) - softmax(t / tau)) / tau.
    """
    loss, entropy = _CrossEntropy.apply(scores, given, temperature)  # type: ignore[no-untyped-call]
    return loss, entropy


def known_and_others(scores: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """The scores [B, n] of known items [B, n], and log sum_j e^{s_j} [B] over the items j that are not known.

    Scores are [B, I + 1], the padding item first, which is never among the others. `NOTHING` where there are none.
    """
    found, others = _KnownAndOthers.apply(scores, known)  # type: ignore[no-untyped-call]
    return found, others


class _CrossEntropy(Function):
    @staticmethod
    def forward(ctx: Any, scores: Tensor, given: Tensor, tau: float) -> tuple[Tensor, Tensor]:
        if native.has_kernels(scores) and native.has_kernels(given):
            loss, entropy = scores.new_empty(2, len(scores)).unbind(0)
            gradient = torch.empty_like(scores, memory_format=torch.contiguous_format)
            size = (*scores.shape, torch.tensor([tau]))
            native.call(
                "catalogue_cross_entropy", scores.contiguous(), given.contiguous(), *size, loss, entropy, gradient
            )
        else:
            cooled = given[:, 1:] / tau
            ours, logs = torch.log_softmax(scores[:, 1:] / tau, dim=1), torch.log_softmax(cooled, dim=1)
            theirs = logs.exp()
            loss, entropy = -torch.linalg.vecdot(theirs, ours), -torch.linalg.vecdot(theirs, logs)
            gradient = torch.cat([torch.zeros_like(scores[:, :1]), (ours.exp() - theirs) / tau], dim=1)
        ctx.save_for_backward(gradient)
        ctx.mark_non_differentiable(entropy)
        return loss, entropy

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * gradients[0].unsqueeze(1), None, None


class _KnownAndOthers(Function):
    @staticmethod
    def forward(ctx: Any, scores: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        if native.has_kernels(scores):
            others, gradient = scores.new_empty(len(scores)), torch.empty_like(scores)
            size = (*scores.shape, known.contiguous(), known.shape[1], torch.tensor([NOTHING]))
            native.call("log_sum_of_others", scores.contiguous(), *size, others, gradient)
        else:
            gradient = scores.clone()
            gradient[:, 0] = NOTHING
            gradient.scatter_(1, known, NOTHING)
            others = torch.logsumexp(gradient, dim=1).clamp_min(NOTHING)
            gradient = torch.exp(gradient - others.unsqueeze(1)).masked_fill_(gradient == NOTHING, 0.0)
        ctx.save_for_backward(gradient, known)
        return scores.gather(1, known), others

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        gradient, known = ctx.saved_tensors
        return (gradient * gradients[1].unsqueeze(1)).scatter_add_(1, known, gradients[0]), None
