"""Raw ids and their indices, in arrays that need nothing but numpy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rankdistill.types import UNKNOWN, Ints

RawId: TypeAlias = int | str


class RawIds:
    """Ids, integers or text in UTF-8, in the order of their indices `first`, `first + 1`, ...

    >>> ids = RawIds(np.array([b"a", b"c", b"b"]), first=1)
    >>> ids.indices(["c", "z", 7]).tolist(), ids.raw(np.array([3, 1]))
    ([2, -1, -1], ['b', 'a'])
    """

    def __init__(self, values: NDArray[Any], first: int) -> None:
        self.values, self.first = values, first
        self.are_text = values.dtype.kind == "S"
        ascending = len(values) < 2 or bool((values[:-1] <= values[1:]).all())
        self._order = None if ascending else np.argsort(values, kind="stable")
        self._sorted = values if self._order is None else values[self._order]

    @property
    def are_distinct(self) -> bool:
        """Whether no id stands for two indices."""
        return not (self._sorted[:-1] == self._sorted[1:]).any()

    def __len__(self) -> int:
        return len(self.values)

    def indices(self, raw: Sequence[Any]) -> Ints:
        """The index [n] of each raw id [n]; `UNKNOWN` for one that there is not. "7" is 7 where ids are integers."""
        keys = [self._key(each) for each in raw]
        possible = [key for key in keys if key is not None]
        if not possible or not len(self.values):
            return np.full(len(raw), UNKNOWN, dtype=np.int64)
        wanted = np.array(possible, dtype=self.values.dtype)
        rows = np.minimum(self._sorted.searchsorted(wanted), len(self.values) - 1)
        hit = self._sorted.take(rows) == wanted
        rows = rows if self._order is None else self._order.take(rows)
        indices = np.where(hit, rows + self.first, UNKNOWN)
        if len(possible) == len(keys):
            return indices
        found = np.full(len(raw), UNKNOWN, dtype=np.int64)
        found[[key is not None for key in keys]] = indices
        return found

    def _key(self, raw: Any) -> int | bytes | None:
        """The id as it stands in the array; None where it cannot be there."""
        if isinstance(raw, bool) or not isinstance(raw, (int, str, np.integer)):
            return None
        if not isinstance(raw, str) and not -(1 << 63) <= raw < 1 << 64:
            return None
        if self.are_text:
            key = str(raw).encode("utf-8", "surrogatepass")
            return key if 0 < len(key) <= self.values.dtype.itemsize and not key.endswith(b"\0") else None
        try:
            number = int(raw)
        except ValueError:
            return None
        return number if -(1 << 63) <= number < 1 << 63 and str(number) == str(raw) else None

    def raw(self, indices: NDArray[Any]) -> list[RawId]:
        """The raw ids of indices [n]."""
        values = self.values.take(indices - self.first)
        return [each.decode("utf-8") for each in values.tolist()] if self.are_text else values.tolist()
