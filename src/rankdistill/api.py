"""Reading interactions in Python, in one call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from rankdistill import plugins
from rankdistill.config import DataConfig
from rankdistill.config.mistakes import mistaken_key, reason
from rankdistill.data.interactions import Interactions
from rankdistill.errors import ConfigError

_STEPS = ("repeats", "min_user_interactions", "min_item_interactions")
"""The keys of `[data]` that reading has no part in."""


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
    except ValidationError as error:
        raise ConfigError(f"read({kind!r}): {_first_mistake(error, list(reader.Config.model_fields))}") from error
    return Interactions.from_events(reader(config).read())


def _check_steps(kind: str, options: dict[str, Any]) -> None:
    """Refuses the keys of `[data]` that reading has no part in."""
    users, items = (options.get(f"min_{each}_interactions", 1) for each in ("user", "item"))
    core = f".k_core(users={users!r}, items={items!r})"
    calls = dict(zip(_STEPS, (f".repeats({options.get('repeats')!r})", core, core), strict=True))
    for name in (name for name in options if name in calls):
        raise ConfigError(
            f"read({kind!r}): {name} is no option of reading, which keeps every row; "
            f"call {calls[name]} on what it returns"
        )


def _first_mistake(error: ValidationError, keys: list[str]) -> str:
    unknown = [each for each in error.errors() if each["type"] == "extra_forbidden"]
    first = (unknown or error.errors())[0]
    name = mistaken_key(first)
    if not unknown:
        return f"{name}: {reason(first)}"
    known = [key for key in keys if key != "kind" and key not in _STEPS]
    return f"there is no option {name!r}{plugins.suggestion(name, known)} (there are: {', '.join(known)})"


def read_csv(path: Path | str, **options: Any) -> Interactions:
    """`read` for delimited text: csv, tsv, gzip; columns are guessed, or named with `user`, `item`, `time`."""
    return read("delimited", path, **options)


def read_parquet(path: Path | str, **options: Any) -> Interactions:
    """`read` for parquet."""
    return read("parquet", path, **options)


def read_recbole(path: Path | str, **options: Any) -> Interactions:
    """`read` for a RecBole atomic file."""
    return read("recbole", path, **options)
