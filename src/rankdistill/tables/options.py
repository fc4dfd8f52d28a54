"""The options of a model that has a table of items."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from rankdistill.config import LATER, Choice, ModelConfig, Range, Tunable
from rankdistill.config.sections import Count

_KEYS: dict[str, tuple[str, ...]] = {
    "full": (),
    "low_rank": ("rank",),
    "hashed": ("buckets", "hashes"),
    "product_quantised": ("parts",),
}
_RANKS, _PART, _ITEMS_A_BUCKET, _HASHES = 5, 8, 10, 2


class TableConfig(ModelConfig):
    """Base of the `Config` of a model whose items have vectors; what is left out of a table's keys follows `dim`."""

    dim: Count = Field(description="d, the length of item vectors")
    item_table: Annotated[Literal["full", "low_rank", "hashed", "product_quantised"], Choice(size=True)] = Field(
        default="full", description="what the items' vectors are made from", json_schema_extra=LATER
    )
    rank: Count | None = Field(
        default=None, description="of low_rank: numbers an item; a fifth of dim when left out", json_schema_extra=LATER
    )
    buckets: Count | None = Field(
        default=None,
        description="of hashed: vectors that all items share; a tenth of the items when left out",
        json_schema_extra=LATER,
    )
    hashes: Count | None = Field(
        default=None, description="of hashed: vectors that are an item's, 2 when left out", json_schema_extra=LATER
    )
    parts: Count | None = Field(
        default=None,
        description="of product_quantised: bytes an item; they divide dim, by at least 8 where left out",
        json_schema_extra=LATER,
    )

    @field_validator("rank", "buckets", "hashes", "parts")
    @classmethod
    def _is_of_the_table(cls, value: int | None, info: ValidationInfo) -> int | None:
        key, table, dim = str(info.field_name), info.data.get("item_table"), info.data.get("dim")
        if value is None or table is None or dim is None:
            return value
        if key not in _KEYS[table]:
            (owner,) = (kind for kind, keys in _KEYS.items() if key in keys)
            raise ValueError(
                f"{value} is for item_table = {owner!r}, which is {table!r}; drop {key}, or change the table"
            )
        if key == "parts" and dim % value:
            raise ValueError(f"{value} does not divide dim = {dim}")
        if key == "rank" and value >= dim:
            raise ValueError(f"{value} is not below dim = {dim}")
        return value

    def search_space(self) -> dict[str, Tunable]:
        """See `Section`; a table whose keys are given is kept, and `dim` stays what they go with."""
        space = super().search_space()
        if any(getattr(self, key) is not None for keys in _KEYS.values() for key in keys):
            del space["item_table"]
        dim = space.get("dim")
        if self.parts is not None:
            space.pop("dim", None)
        elif self.rank is not None and isinstance(dim, Range):
            space["dim"] = Range(max(dim.low, self.rank + 1), dim.high, dim.log, dim.size)
        return space

    def rank_or_default(self) -> int:
        """The numbers an item of low_rank."""
        return self.rank or max(1, self.dim // _RANKS)

    def buckets_or_default(self, items: int) -> int:
        """The vectors that so many items share."""
        return self.buckets or max(1, items // _ITEMS_A_BUCKET)

    def hashes_or_default(self) -> int:
        """How many of them are an item's."""
        return self.hashes or _HASHES

    def parts_or_default(self) -> int:
        """The largest number of parts of at least 8 numbers each, of those that divide `dim`; 1 where there is none."""
        return self.parts or next(n for n in range(max(1, self.dim // _PART), 0, -1) if self.dim % n == 0)
