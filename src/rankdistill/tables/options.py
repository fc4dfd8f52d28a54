"""The options of a model that has a table of items."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from rankdistill.config import LATER, ModelConfig
from rankdistill.config.sections import Count

_KEYS = {
    "full": (),
    "low_rank": ("rank",),
    "hashed": ("buckets", "hashes"),
    "product_quantised": ("parts",),
}
_HASHES = 2


class TableConfig(ModelConfig):
    """Base of the `Config` of a model whose items have vectors; a subclass declares `dim`."""

    item_table: Literal["full", "low_rank", "hashed", "product_quantised"] = Field(
        default="full", description="what the items' vectors are made from", json_schema_extra=LATER
    )
    rank: Count | None = Field(
        default=None, description="r of low_rank: numbers an item, before a matrix [r, D]", json_schema_extra=LATER
    )
    buckets: Count | None = Field(
        default=None, description="of hashed: vectors that all items share", json_schema_extra=LATER
    )
    hashes: Count | None = Field(
        default=None, description="of hashed: vectors that are an item's, 2 when left out", json_schema_extra=LATER
    )
    parts: Count | None = Field(
        default=None, description="of product_quantised: bytes an item; they divide dim", json_schema_extra=LATER
    )

    @property
    def hashes_an_item(self) -> int:
        """How many of the buckets are an item's."""
        return self.hashes or _HASHES

    @model_validator(mode="after")
    def _keys_of_the_table(self) -> TableConfig:
        own = _KEYS[self.item_table]
        for kind, keys in _KEYS.items():
            for key in keys:
                value = getattr(self, key)
                if value is not None and key not in own:
                    raise ValueError(
                        f"{key} = {value} belongs to item_table = {kind!r}, which is {self.item_table!r}; drop one"
                    )
                if value is None and key in own and key != "hashes":
                    raise ValueError(f"item_table = {kind!r} needs {key}")
        self._check_dim()
        return self

    def _check_dim(self) -> None:
        """Whether the table can have vectors of `dim`, and is smaller for it."""
        dim: int | None = getattr(self, "dim", None)
        if dim is None:
            return
        if self.parts is not None and dim % self.parts:
            raise ValueError(f"parts = {self.parts} does not divide dim = {dim}")
        if self.rank is not None and self.rank >= dim:
            raise ValueError(f"rank = {self.rank} has to be below dim = {dim}")
