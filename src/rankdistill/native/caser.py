"""Caser's convolutions and its dropout by the compiled kernels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from rankdistill import native

LONGEST_HISTORY = 8
"""The history up to which all filters at all offsets are one matrix product; its size grows with L^3."""


class _Caser(native.Structure):
    _fields_ = native.fields(
        ["batch", "length", "dim", "vertical", "horizontal"],
        ["histories", "vertical_filters", "vertical_bias", "horizontal_filters", "horizontal_bias"],
    )


class _Features(Function):
    @staticmethod
    def forward(
        ctx: Any,
        histories: Tensor,
        vertical: Tensor,
        vertical_bias: Tensor,
        horizontal: Tensor,
        horizontal_bias: Tensor,
    ) -> Tensor:
        batch, length, dim = histories.shape
        filters = horizontal_bias.shape[1]
        given = (histories, vertical, vertical_bias, horizontal, horizontal_bias)
        parts = [each.detach().contiguous() for each in given]
        spread = torch.zeros(length * (length + 1) // 2 * filters, length * dim)
        native.call("spread_filters", parts[3], length, dim, filters, spread)
        sums = parts[0].view(batch, -1) @ spread.T
        features = torch.empty(batch, len(vertical) * dim + length * filters)
        offsets = torch.empty(batch, length * filters, dtype=torch.uint8)
        structure = _Caser(batch, length, dim, len(vertical), filters, *parts)
        native.call("caser_features", structure, sums, features, offsets)
        ctx.structure, ctx.offsets, ctx.parts = structure, offsets, parts
        return features

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        threads = torch.get_num_threads()
        histories, *others = ctx.parts
        out = torch.empty_like(histories)
        by_thread = [torch.zeros(threads, *each.shape) for each in others]
        native.call("caser_backward", ctx.structure, gradients[0].contiguous(), ctx.offsets, out, *by_thread)
        return (out, *(each.sum(0) for each in by_thread))


def features(
    histories: Tensor, vertical: Tensor, vertical_bias: Tensor, horizontal: list[Tensor], horizontal_bias: Tensor
) -> Tensor:
    """Vertical sums and horizontal maxima [B, V d + L F] of histories [B, L, d].

    Args:
        histories: the vectors of the last items.
        vertical: [V, L].
        vertical_bias: [V].
        horizontal: the filters [F, h, d] of each height h = 1 .. L.
        horizontal_bias: [L, F].
    """
    flat = torch.cat([each.flatten() for each in horizontal])
    found: Tensor = _Features.apply(  # type: ignore[no-untyped-call]
        histories, vertical, vertical_bias, flat, horizontal_bias
    )
    return found


class _Dropout(Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, kept: int) -> Tensor:
        ctx.seed, ctx.kept = int(torch.randint(-(1 << 63), (1 << 63) - 1, ())), kept
        return _drop(values, ctx.seed, kept)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return _drop(gradients[0], ctx.seed, ctx.kept), None


def _drop(values: Tensor, seed: int, kept: int) -> Tensor:
    count = values.numel()
    padded = values.contiguous() if count % 4 == 0 else torch.nn.functional.pad(values.flatten(), (0, -count % 4))
    out = torch.empty_like(padded)
    native.call("drop_values", padded, out, padded.numel(), seed, kept)
    return out if count % 4 == 0 else out[:count].view(values.shape)


def dropout(values: Tensor, kept: int) -> Tensor:
    """`values`, of which kept / 65536 are kept and scaled up to keep the mean, and the rest zero."""
    dropped: Tensor = _Dropout.apply(values, kept)  # type: ignore[no-untyped-call]
    return dropped
