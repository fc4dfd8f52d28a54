"""The requests of a load test: users, or histories, as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from rankdistill.errors import ConfigError
from rankdistill.serving import layout
from rankdistill.serving.folder import ExportedFolder
from rankdistill.types import Items

_MOST = 20_000
"""Different requests, at most."""
_SEED = 1234


def bodies_of(path: Path, k: int) -> tuple[list[bytes], str]:
    """Requests for the users of an exported folder or of a file with an id a line, in random order; and a remark.

    Raises:
        ConfigError: there is no such file or folder, or no id in it.
        ExportError: the folder is damaged.
    """
    if (path / layout.MANIFEST).is_file():
        return _of_folder(ExportedFolder.read(path), k)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path}: neither an exported folder nor a text file of user ids ({type(error).__name__}); name one of them"
        ) from error
    ids: list[str] = [line.strip() for line in lines if line.strip()]
    if not ids:
        raise ConfigError(f"{path}: holds no user id; write one a line")
    return [_body({"user": each, "k": k}) for each in ids[:_MOST]], ""


def _of_folder(folder: ExportedFolder, k: int) -> tuple[list[bytes], str]:
    sizes = folder.manifest["catalogue"]
    if layout.USER_IDS in folder:
        users = folder.ids(layout.USER_IDS, sizes["num_users"], first=0)
        drawn = np.random.default_rng(_SEED).permutation(len(users))[:_MOST]
        return [_body({"user": user, "k": k}) for user in users.raw(drawn)], ""
    items = folder.ids(layout.ITEM_IDS, sizes["num_items"], first=1)
    bodies = [_body({"history": items.raw(history), "k": k}) for history in random_histories(len(items))]
    return bodies, f"{folder.path}: exported without users, so random histories of 5 to 50 items are sent"


def random_histories(num_items: int) -> list[Items]:
    """A thousand or so, of 5 to 50 items: what a folder that was exported without users is asked with."""
    draw = np.random.default_rng(_SEED)
    lengths = draw.integers(5, 51, size=1024)
    return [draw.integers(1, num_items + 1, size=length, dtype=np.int32) for length in lengths]


def _body(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8")
