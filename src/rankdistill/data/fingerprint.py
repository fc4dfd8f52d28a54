"""A short hash of data, stored beside all that is made from it."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from rankdistill.ids import IdMap

_IDS_A_BLOCK = 1 << 16


def fingerprint_of(user_ids: IdMap, item_ids: IdMap, *arrays: NDArray[Any] | None) -> str:
    """The first 16 hexadecimal digits of the SHA-256 over the raw ids and the arrays."""
    digest = hashlib.sha256()
    for ids in (user_ids, item_ids):
        for start in range(0, len(ids), _IDS_A_BLOCK):
            block = ids.values[start : start + _IDS_A_BLOCK].cast(pl.String)
            digest.update(("\x1f" * (start > 0) + block.str.join("\x1f").item()).encode())
    for array in arrays:
        if array is not None:
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:16]
