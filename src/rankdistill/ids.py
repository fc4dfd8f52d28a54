"""Raw ids, of any type, and the dense integers that the models work with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from rankdistill.errors import DataError
from rankdistill.files import replacing
from rankdistill.lookup import numbered
from rankdistill.types import UNKNOWN, Ints, Items

_ROWS_A_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True, eq=False)
class IdMap:
    """A one-to-one map between raw ids and dense indices `first`, `first + 1`, ...

    Users count from 0; items count from 1, because 0 is the padding item.

    >>> items = IdMap(pl.Series("item", ["a", "b"]), first=1)
    >>> items.encode(["b", "z"]).tolist()
    [2, -1]
    >>> items.decode(np.array([2, 1])).to_list()
    ['b', 'a']
    """

    values: pl.Series
    first: int

    @classmethod
    def of(cls, raw: pl.Series, first: int) -> IdMap:
        """The map over the distinct values of `raw`, in ascending order."""
        return cls(raw.unique().sort(), first)

    @classmethod
    def encoding(cls, raw: pl.Series, first: int) -> tuple[IdMap, Items]:
        """The map over the distinct values of `raw` [n], and their dense indices [n]: `of` and `encode` at once.

        >>> ids, dense = IdMap.encoding(pl.Series(["b", "a", "b"]), first=1)
        >>> ids.values.to_list(), dense.tolist()
        (['a', 'b'], [2, 1, 2])
        """
        if raw.is_empty() or raw.null_count() or raw.dtype not in (pl.Int64, pl.String):
            ids = cls.of(raw, first)
            return ids, ids.encode(raw).astype(np.int32)
        if raw.dtype == pl.Int64:
            distinct, numbers = _numbered_integers(raw.to_numpy())
        else:
            distinct, numbers = _numbered_text(raw)
        order = distinct.arg_sort()
        dense = np.empty(len(order), dtype=np.int32)
        dense[order.to_numpy()] = np.arange(first, first + len(order), dtype=np.int32)
        return cls(distinct.gather(order), first), dense[numbers]

    def __len__(self) -> int:
        return len(self.values)

    def encode(self, raw: pl.Series | Sequence[Any]) -> Ints:
        """Dense indices [n] of raw ids [n]; `UNKNOWN` where an id is not in the map.

        Ids of another type are compared after a lossless cast to the map's own type, so that the text "7" of a
        foreign file finds the integer 7.
        """
        series = raw if isinstance(raw, pl.Series) else pl.Series(raw, strict=False)
        keys = _cast(series, self.values.dtype)
        table = pl.DataFrame({"id": self.values, "dense": np.arange(len(self), dtype=np.int64) + self.first})
        found = pl.DataFrame({"id": keys}).join(table, on="id", how="left", maintain_order="left")["dense"]
        return found.fill_null(UNKNOWN).to_numpy().astype(np.int64)

    def decode(self, dense: Ints) -> pl.Series:
        """Raw ids [n] of dense indices [n]."""
        return self.values.gather(np.asarray(dense, dtype=np.int64) - self.first)

    def keep(self, dense: Ints) -> IdMap:
        """The map of the given dense indices alone, renumbered in their order."""
        return IdMap(self.decode(dense), self.first)

    def write(self, path: Path) -> None:
        """Writes the raw ids as a one-column parquet file, row i being dense index `first + i`."""
        with replacing(path) as temporary:
            pl.DataFrame({"id": self.values}).write_parquet(temporary)

    @classmethod
    def read(cls, path: Path, first: int) -> IdMap:
        """Reads what `write` wrote.

        Raises:
            DataError: the file is missing or damaged.
        """
        try:
            return cls(pl.read_parquet(path, glob=False)["id"], first)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise DataError(f"{path}: the ids cannot be read ({str(error).splitlines()[0]})") from error


def _numbered_integers(raw: Ints) -> tuple[pl.Series, Items]:
    """The distinct integers [m] of `raw` [n], and which of them each is [n]."""
    low, high = int(raw.min()), int(raw.max())
    if high - low < len(raw):  # a table of the whole range is small, then
        there = np.zeros(high - low + 1, dtype=np.bool_)
        there[raw - low] = True
        numbers = np.cumsum(there, dtype=np.int32) - 1
        return pl.Series(np.flatnonzero(there) + low), numbers[raw - low]
    found, rows = numbered(raw.view(np.uint64))
    return pl.Series(raw[rows]), found


def _numbered_text(raw: pl.Series) -> tuple[pl.Series, Items]:
    """The distinct texts [m] of `raw` [n], and which of them each is [n]."""
    numbers, rows = numbered(raw.hash().to_numpy())
    distinct = raw.gather(rows)
    for start in range(0, len(raw), _ROWS_A_BLOCK):  # two texts may have one hash
        block = slice(start, start + _ROWS_A_BLOCK)
        if not distinct.gather(numbers[block]).equals(raw[block]):
            distinct = raw.unique()
            return distinct, IdMap(distinct, 0).encode(raw).astype(np.int32)
    return distinct, numbers


def _cast(series: pl.Series, dtype: pl.DataType) -> pl.Series:
    if series.dtype == dtype:
        return series
    cast = series.cast(dtype, strict=False)
    if dtype.is_integer() and (series.dtype.is_float() or series.dtype == pl.String):  # nor may 7.5 or "07" find 7
        return pl.select(pl.when(cast.cast(series.dtype) == series).then(cast)).to_series()
    return cast
