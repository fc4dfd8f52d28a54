"""Titles of items, and the search for them."""

from __future__ import annotations

import io
from functools import cached_property

import numpy as np
import polars as pl

from rankdistill.serving.raw_ids import RawIds
from rankdistill.types import Ints, Items, Json


class Catalogue:
    """The items of an exported folder, read when they are first asked for.

    Args:
        items: their raw ids.
        content: of `items.parquet`.
    """

    def __init__(self, items: RawIds, content: bytes) -> None:
        self._items, self._content = items, content

    @cached_property
    def _table(self) -> pl.DataFrame:
        return pl.read_parquet(io.BytesIO(self._content)).sort("index")

    @cached_property
    def _titles(self) -> list[str | None] | None:
        if "title" not in self._table.columns:
            return None
        titles: list[str | None] = self._table["title"].cast(pl.String).to_list()
        return titles

    @cached_property
    def _searched(self) -> pl.DataFrame:
        """Index and the text to search, the most frequent item first."""
        text = pl.col("item_id").cast(pl.String)
        if self._titles is not None:
            text = text + "\n" + pl.col("title").cast(pl.String).fill_null("")
        searched = pl.col("index"), text.str.to_lowercase().alias("text")
        return self._table.sort("count", descending=True, maintain_order=True).select(searched)

    @property
    def has_titles(self) -> bool:
        """Whether the export names titles."""
        return self._titles is not None

    def title(self, index: int) -> str | None:
        """The title of an item; None where there is none."""
        return None if self._titles is None else self._titles[index - 1]

    def named(self, indices: Items | Ints) -> list[Json]:
        """Items by index as `item`, the raw id, and `title`."""
        raw = self._items.raw(indices)
        return [{"item": item, "title": self.title(row)} for item, row in zip(raw, indices.tolist(), strict=True)]

    def search(self, query: str, limit: int) -> list[Json]:
        """Items whose id or title holds `query`, the one that has it as its id first, then the most frequent ones."""
        found = self._searched.lazy().filter(pl.col("text").str.contains(query.lower(), literal=True)).head(limit)
        exact = [index for index in self._items.indices([query]).tolist() if index > 0]
        others = [index for index in found.collect()["index"].to_list() if index not in exact]
        return self.named(np.array([*exact, *others][:limit], dtype=np.int64))
