"""Names shared by every module: the padding item and the array aliases."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

PAD = 0
"""The item index that means "no item": real items are 1..num_items."""

UNKNOWN = -1
"""The dense index of a raw id that is not in an `IdMap`."""

NEVER = 0
"""The rank of an item that a ranker never returns (ranks count from 1)."""

Ints: TypeAlias = NDArray[np.int64]
Items: TypeAlias = NDArray[np.int32]
Floats: TypeAlias = NDArray[np.float32]
Doubles: TypeAlias = NDArray[np.float64]
Bools: TypeAlias = NDArray[np.bool_]
Json: TypeAlias = dict[str, Any]
