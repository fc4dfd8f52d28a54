"""Dropout, several times quicker than by a Bernoulli variable for each value."""

from __future__ import annotations

import torch
from torch import Tensor

from rankdistill import native
from rankdistill.native import caser as kernels


def dropout(values: Tensor, share: float) -> Tensor:
    """`values` with a random `share` of them zero and the rest scaled up to keep the mean.

    Four decisions are taken from each 64-bit draw, which is several times quicker than drawing a Bernoulli variable
    for each value; `share` is rounded to 1/65536.
    """
    kept = max(1, round((1 - share) * 65536))
    if kept == 65536:
        return values
    if native.has_kernels(values):
        return kernels.dropout(values, kept)
    words = torch.empty((values.numel() + 3) // 4, dtype=torch.int64, device=values.device)
    bits = words.random_(-(1 << 63), None).view(torch.int16)[: values.numel()].view(values.shape)
    return values * ((bits < kept - 32768) * (65536 / kept))
