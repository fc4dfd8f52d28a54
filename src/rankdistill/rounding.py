"""The numbers of a trained model in fewer bytes: as float16, or as int8 with a scale a row.

What is kept is what is measured: a model is rounded when its training ends, and its file gives the rounded numbers back
to the bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rankdistill.config import Precision
from rankdistill.errors import TrainingError
from rankdistill.types import Floats

SMALLEST = 4096
"""Numbers that a tensor has to have, for its bytes to matter; a smaller one stays float32."""
_SCALE = ".scale"
_SCALE_BYTES = 4
_NOTHING = 1e-30
"""The largest number of a row that is kept as zeros."""
_DROPPED_BITS = 0xFF
"""The last bits of a scale's 24: without them, its products with 127 and less are exact."""


def packed(state: Mapping[str, Tensor], precision: Precision) -> dict[str, Tensor]:
    """The numbers of a model as they are kept.

    Tensors of at least 4,096 numbers become float16. With "int8", those of two dimensions become int8 instead, with
    a float32 scale a row `<name>.scale` [n], where that takes fewer bytes. Packing what was unpacked changes nothing.

    Raises:
        TrainingError: a number is larger than float16 can hold.
    """
    kept = dict[str, Tensor]()
    for name, tensor in state.items():
        if precision == "float32" or not tensor.is_floating_point() or tensor.numel() < SMALLEST:
            kept[name] = tensor
        elif precision == "int8" and tensor.dim() == 2 and tensor.shape[1] > _SCALE_BYTES:
            integers, scales = quantised(tensor.float().numpy())
            kept |= {name: torch.from_numpy(integers), name + _SCALE: torch.from_numpy(scales)}
        else:
            kept[name] = _halved(name, tensor)
    return kept


def _halved(name: str, tensor: Tensor) -> Tensor:
    largest, most = float(tensor.abs().max()), torch.finfo(torch.float16).max
    if largest > most:
        raise TrainingError(f"{name} holds {largest:g}, more than float16 can hold; keep it with precision = 'float32'")
    return tensor.half()


def unpacked(kept: Mapping[str, Tensor], precision: Precision) -> dict[str, Tensor]:
    """The numbers [...] that were kept so, as float32."""
    if precision == "float32":
        return dict(kept)
    state = dict[str, Tensor]()
    for name, tensor in kept.items():
        scales = kept.get(name + _SCALE)
        if tensor.dtype == torch.int8 and scales is not None:
            state[name] = tensor.float() * scales.unsqueeze(1)
        elif kept.get(name.removesuffix(_SCALE), tensor).dtype != torch.int8:
            state[name] = tensor.float() if tensor.dtype == torch.float16 else tensor
    return state


def quantised(table: Floats) -> tuple[NDArray[np.int8], Floats]:
    """int8 [n, D] and the scale [n] of each row of a table [n, D], whose product is the table but for rounding.

    A row's largest number becomes 127 or -127. Scales have 16 significant bits, rounded up, so that the products are
    exact in float32 and give the same integers and scales again.
    """
    largest: NDArray[Any] = np.abs(table, dtype=np.float32).max(axis=1)
    bits = (largest / np.float32(127)).view(np.int32)
    scales: Floats = ((bits + _DROPPED_BITS) & ~_DROPPED_BITS).view(np.float32)
    scales[largest < _NOTHING] = 1
    return np.rint(table / scales[:, None]).astype(np.int8), scales
