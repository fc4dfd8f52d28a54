"""Reading interactions in Python, in one call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rankdistill import plugins
from rankdistill.config import DataConfig
from rankdistill.data.interactions import Interactions
from rankdistill.errors import ConfigError


def read(kind: str, path: Path | str | None = None, **options: Any) -> Interactions:
    """The interactions of a file or a public set, every row of it; see `Interactions` for what comes next.

    Args:
        kind: a kind of file ("delimited", "parquet", "recbole", "presplit"), or a public set by name.
        path: the file or folder, where the kind has one.
        options: the reader's own options (`rankdistill show KIND` lists them).

    Raises:
        ConfigError: no such kind or option, or one that is a step of its own (`repeats`, `k_core`).
        DataError: the file cannot be read.
    """
    reader = plugins.find("readers", kind)
    _check_steps(kind, options)
    given = {"kind": kind, **({} if path is None else {"path": Path(path)}), **options}
    try:
        config: DataConfig = reader.Config.model_validate(given)
    except ValueError as error:
        raise ConfigError(f"read({kind!r}): {_first_mistake(error)}") from error
    return Interactions.from_events(reader(config).read())


def _check_steps(kind: str, options: dict[str, Any]) -> None:
    """Refuses the keys of `[data]` that reading has no part in."""
    users, items = (options.get(f"min_{each}_interactions", 1) for each in ("user", "item"))
    core = f".k_core(users={users!r}, items={items!r})"
    steps = {
        "repeats": f".repeats({options.get('repeats')!r})",
        "min_user_interactions": core,
        "min_item_interactions": core,
    }
    for name in (name for name in options if name in steps):
        raise ConfigError(
            f"read({kind!r}): {name} is no option of reading, which keeps every row; "
            f"call {steps[name]} on what it returns"
        )


def _first_mistake(error: ValueError) -> str:
    mistakes: list[Any] = getattr(error, "errors", list)()
    return f"{'.'.join(map(str, mistakes[0]['loc']))}: {mistakes[0]['msg']}" if mistakes else str(error)


def read_csv(path: Path | str, **options: Any) -> Interactions:
    """`read` for delimited text: csv, tsv, gzip; columns are guessed, or named with `user`, `item`, `time`."""
    return read("delimited", path, **options)


def read_parquet(path: Path | str, **options: Any) -> Interactions:
    """`read` for parquet."""
    return read("parquet", path, **options)


def read_recbole(path: Path | str, **options: Any) -> Interactions:
    """`read` for a RecBole atomic file."""
    return read("recbole", path, **options)
