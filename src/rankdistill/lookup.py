"""Numbers the distinct values of a long column, in bounded memory beside the result.

`numpy.unique` sorts the column and a join builds a table of it; both cost several times this at 20 million rows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rankdistill.types import Ints

_ROWS_A_BLOCK = 1 << 18  # what a block needs stays in the cache
_EMPTY = -1
_SPREAD = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / the golden ratio (Knuth): neighbours land far from each other


def numbered(keys: NDArray[np.uint64]) -> tuple[NDArray[np.int32], Ints]:
    """Equal keys [n] get equal numbers [n], from 0; and a row [m] that holds each of the m distinct keys.

    >>> numbers, rows = numbered(np.array([7, 5, 7], dtype=np.uint64))
    >>> bool(numbers[0] == numbers[2] != numbers[1]), len(rows)
    (True, 2)
    """
    table = _Table(1 << 12)
    numbers = np.empty(len(keys), dtype=np.int32)
    for start in range(0, len(keys), _ROWS_A_BLOCK):
        block = slice(start, start + _ROWS_A_BLOCK)
        numbers[block] = table.numbers_of(keys[block], start)
    return numbers, table.rows[: table.count]


class _Table:
    """A hash table with open addressing that is asked for many keys at once.

    All keys that look at the same empty place write to it, one of them wins, and the others look at the next place.
    """

    def __init__(self, size: int) -> None:
        self.count = 0
        self.rows = np.zeros(0, dtype=np.int64)
        self._distinct = np.zeros(0, dtype=np.uint64)
        self._resize(size)

    def numbers_of(self, keys: NDArray[np.uint64], first_row: int) -> NDArray[np.int32]:
        """The numbers [n] of keys [n]; those that are new are taken up."""
        if 2 * (self.count + len(keys)) > len(self._numbers):  # a table that is half empty is quick
            self._make_room(len(keys))
        places = self._find(keys, np.arange(first_row, first_row + len(keys)))
        return self._numbers[places]

    def _make_room(self, wanted: int) -> None:
        size = len(self._numbers)
        while 2 * (self.count + wanted) > size:
            size *= 2
        self._resize(size)

    def _resize(self, size: int) -> None:
        self._shift = np.uint64(64 - (size.bit_length() - 1))
        self._numbers = np.full(size, _EMPTY, dtype=np.int32)
        self._keys = np.zeros(size, dtype=np.uint64)
        distinct, rows, count = self._distinct[: self.count], self.rows[: self.count], self.count
        self._distinct, self.rows = np.empty(size // 2, dtype=np.uint64), np.empty(size // 2, dtype=np.int64)
        self.count = 0
        places = self._find(distinct, rows)
        self._numbers[places] = np.arange(count)  # each keeps its number
        self._distinct[:count], self.rows[:count] = distinct, rows

    def _find(self, keys: NDArray[np.uint64], rows: Ints) -> Ints:
        places = ((keys * _SPREAD) >> self._shift).astype(np.int64)
        left = np.arange(len(keys))
        while len(left):
            at = places[left]
            new = left[self._numbers[at] == _EMPTY]
            self._take_up(places[new], keys[new], rows[new])
            left = left[self._keys[at] != keys[left]]
            places[left] = (places[left] + 1) & (len(self._keys) - 1)
        return places

    def _take_up(self, places: Ints, keys: NDArray[np.uint64], rows: Ints) -> None:
        """Writes keys [m] to empty places [m]; where several want one place, the last of them has it."""
        winners = np.arange(len(places))
        self._numbers[places] = winners
        winners = winners[self._numbers[places] == winners]
        numbers = np.arange(self.count, self.count + len(winners))
        self._numbers[places[winners]], self._keys[places[winners]] = numbers, keys[winners]
        self._distinct[numbers], self.rows[numbers] = keys[winners], rows[winners]
        self.count += len(winners)
