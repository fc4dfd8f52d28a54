"""How small does a Caser get by each option that makes it smaller?

    python benchmarks/sizes.py

builds models for the users and items of Gowalla, as small options make them, and counts the numbers that each has and
the bytes of its `model.safetensors`. Nothing is trained: sizes do not depend on it.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
from measure import finish

import rankdistill as rd
from rankdistill.ids import IdMap
from rankdistill.model_folder import load_card, save_model
from rankdistill.ranker import Catalogue

GOWALLA = Catalogue(num_users=13_149, num_items=14_009, history_length=5)
TIED: dict[str, Any] = {"tied": True, "user_vectors": False}
OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"tied": True},
    {"user_vectors": False},
    TIED,
    {**TIED, "precision": "float16"},
    {**TIED, "precision": "int8"},
    {**TIED, "item_table": "low_rank", "rank": 10},
    {**TIED, "item_table": "hashed", "buckets": 1000},
    {**TIED, "item_table": "product_quantised", "parts": 5},
    {**TIED, "item_table": "low_rank", "rank": 10, "precision": "int8"},
    {**TIED, "item_table": "hashed", "buckets": 1000, "precision": "int8"},
    {**TIED, "item_table": "product_quantised", "parts": 5, "precision": "int8"},
)


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dim", type=int, default=50)
    asked = parser.parse_args()
    rows = sizes(asked.dim)
    finish("sizes", {"dim": asked.dim, "users": GOWALLA.num_users, "items": GOWALLA.num_items}, rows)


def sizes(dim: int) -> list[dict[str, Any]]:
    """Parameters and bytes of every combination, and the share of bytes of the first one."""
    users, items = (IdMap.of(pl.Series(range(n)), first) for n, first in ((13_149, 0), (14_009, 1)))
    rows: list[dict[str, Any]] = []
    for options in OPTIONS:
        model = rd.Caser(rd.Caser.Config(dim=dim, **options), GOWALLA)
        with TemporaryDirectory() as folder:
            save_model(Path(folder), model, users, items, {})
            card = load_card(Path(folder))
        share = card["bytes"] / (rows[0]["bytes"] if rows else card["bytes"])
        row = {"options": words(options), "parameters": card["parameters"], "bytes": card["bytes"]}
        rows.append({**row, "share": round(share, 3)})
    return rows


def words(options: dict[str, Any]) -> str:
    """Options as an experiment file has them."""
    return ", ".join(f"{key} = {str(value).lower()}" for key, value in options.items()) or "plain"


if __name__ == "__main__":
    main()
