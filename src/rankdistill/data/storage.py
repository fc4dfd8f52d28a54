"""Prepared data on disk: a folder with the split as integer arrays and the raw ids beside them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from rankdistill.data.sequences import Sequences
from rankdistill.data.splitting import Split
from rankdistill.errors import DataError, StorageError
from rankdistill.files import replacing, write_json
from rankdistill.ids import IdMap
from rankdistill.types import Ints, Items, Json

_ARRAYS, _ABOUT, _USERS, _ITEMS = "split.safetensors", "split.json", "activity.parquet", "items.parquet"


def write_split(split: Split, folder: Path, settings: Json | None = None) -> None:
    """Writes `split` as a folder, whole or not at all.

    `activity.parquet` has the users and `items.parquet` the items by raw id, in the order of their dense index, with
    their training interactions (and titles, where the data has them).

    Raises:
        StorageError: `folder` is no folder or holds other files, or the write failed.
    """
    with replacing(folder) as temporary:
        _check_replaceable(folder)
        temporary.mkdir()
        arrays: dict[str, Ints | Items] = {}
        for name in ("train", "validation", "test"):
            part = getattr(split, name)
            if part is not None:
                arrays |= {f"{name}/starts": part.starts, f"{name}/items": part.items}
        save_file(arrays, temporary / _ARRAYS)
        counts = np.bincount(split.train.items, minlength=split.num_items + 1)[1:]
        users = pl.DataFrame({"user_id": split.user_ids.values, "interactions": split.train.lengths})
        users.write_parquet(temporary / _USERS)
        titles = [] if split.titles is None else [split.titles.alias("title")]
        items = pl.DataFrame([split.item_ids.values.alias("item_id"), pl.Series("interactions", counts), *titles])
        items.write_parquet(temporary / _ITEMS)
        write_json(
            temporary / _ABOUT,
            {
                "fingerprint": split.fingerprint,
                "content": split.content,
                "source": split.source,
                "description": split.description,
                "dropped": split.dropped,
                "history_length": split.history_length,
                "target_length": split.target_length,
                "query_share": split.query_share,
                "min_history": split.min_history,
                "settings": settings or {},
            },
        )


def _check_replaceable(folder: Path) -> None:
    """Checks that replacing `folder` loses nothing but earlier prepared data."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise StorageError(f"{folder}: is a file; prepare writes a folder, name a new or empty one")
    others = sorted({path.name for path in folder.iterdir()} - {_ARRAYS, _ABOUT, _USERS, _ITEMS})
    if others:
        more = f" and {len(others) - 1:,} more" if len(others) > 1 else ""
        raise StorageError(
            f"{folder}: holds other files ({others[0]}{more}); prepare replaces the whole folder, "
            f"name a new or empty one"
        )


def settings_of(folder: Path) -> Json:
    """The settings that prepared data was written with, flat; empty where they were not kept."""
    try:
        settings = json.loads((folder / _ABOUT).read_text(encoding="utf-8")).get("settings", {})
    except FileNotFoundError as error:
        raise DataError(
            f"{folder}: no prepared data here ({_ABOUT} is missing); `rankdistill prepare` makes it"
        ) from error
    except (OSError, ValueError, AttributeError) as error:
        raise DataError(f"{folder}: no prepared data here ({_ABOUT} cannot be read); prepare it again") from error
    return settings if isinstance(settings, dict) else {}


def read_split(folder: Path) -> Split:
    """Reads what `write_split` wrote.

    Raises:
        DataError: the folder is missing, incomplete or damaged.
    """
    if not (folder / _ABOUT).exists():
        raise DataError(f"{folder}: no prepared data here ({_ABOUT} is missing); `rankdistill prepare` makes it")
    try:
        about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
        arrays = load_file(folder / _ARRAYS)
        users, items = (pl.read_parquet(folder / name, glob=False) for name in (_USERS, _ITEMS))
        parts = {
            name: Sequences(arrays[f"{name}/starts"], arrays[f"{name}/items"]) if f"{name}/starts" in arrays else None
            for name in ("train", "validation", "test")
        }
        train, test = parts["train"], parts["test"]
        if train is None or test is None:
            raise KeyError("train or test")
        split = Split(
            train=train,
            validation=parts["validation"],
            test=test,
            user_ids=IdMap(users["user_id"], 0),
            item_ids=IdMap(items["item_id"], 1),
            titles=items["title"] if "title" in items.columns else None,
            source=about["source"],
            description=about["description"],
            history_length=about["history_length"],
            target_length=about["target_length"],
            query_share=about.get("query_share", 1.0),
            min_history=about.get("min_history"),
            dropped=tuple(about.get("dropped", ())),
        )
    except (OSError, ValueError, KeyError, TypeError, SafetensorError, pl.exceptions.PolarsError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{folder}: prepared data is damaged ({reason}); prepare it again") from error
    if (split.fingerprint, split.content) != (about["fingerprint"], about.get("content")):
        raise DataError(f"{folder}: prepared data was changed since it was written; prepare it again")
    return split
