"""Settings as nested mappings: put together, and named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rankdistill.types import Json


def merged(*mappings: Mapping[str, Any]) -> Json:
    """Nested mappings as one; what comes later counts."""
    whole: Json = {}
    for mapping in mappings:
        for key, value in mapping.items():
            known = whole.get(key)
            whole[key] = merged(known, value) if isinstance(known, dict) and isinstance(value, Mapping) else value
    return whole


def slug(method: Json) -> str:
    """Settings as a part of a folder's name.

    >>> slug({"weighting": "position", "alpha": 3.0}), slug({})
    ('-position-alpha-3', '')
    """
    plain = ("weighting", "preset", "kind")
    return "".join(f"-{value}" if key in plain else f"-{key}-{_shown(value)}" for key, value in method.items())


def words(method: Json) -> str:
    """Settings in words.

    >>> words({"weighting": "position", "alpha": 2.0})
    'weighting = position, alpha = 2'
    """
    return ", ".join(_shown(value) if key == "kind" else f"{key} = {_shown(value)}" for key, value in method.items())


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
