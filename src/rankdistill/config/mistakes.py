"""What is wrong with a value, in the words of the experiment file's author."""

from __future__ import annotations

import re
from typing import Any

from pydantic_core import ErrorDetails

from rankdistill.plugins import suggestion

_REASONS = {
    "int_type": "{value} is not an integer",
    "int_from_float": "{value} is not an integer",
    "float_type": "{value} is not a number",
    "finite_number": "{value} is not a finite number",
    "bool_type": "{value} is not true or false",
    "string_type": "{value} is not text (write it in quotes)",
    "is_instance_of": "{value} is not a path (write it in quotes)",
    "path_type": "{value} is not a path (write it in quotes)",
    "tuple_type": "{value} is not a list (write it in brackets)",
    "list_type": "{value} is not a list (write it in brackets)",
    "dict_type": "{value} is not a table",
    "model_type": "{value} is not a table",
    "greater_than_equal": "{value} is out of range (at least {ge})",
    "greater_than": "{value} is out of range (above {gt})",
    "less_than_equal": "{value} is out of range (at most {le})",
    "less_than": "{value} is out of range (below {lt})",
    "too_short": "has {actual_length} values, needs at least {min_length}",
    "too_long": "has {actual_length} values, takes at most {max_length}",
}


def reason(error: ErrorDetails) -> str:
    """One line that says what is wrong with the value of a key, of a mistake that pydantic found."""
    kind, context = error["type"], error.get("ctx", {})
    if kind in _REASONS:
        bounds = {name: f"{bound:g}" for name, bound in context.items() if isinstance(bound, float)}
        return _REASONS[kind].format(**{**context, **bounds, "value": shown(error["input"])})
    if kind == "missing":
        return "is missing" if len(error["loc"]) == 1 else f"{shown(error['input'])} has too few values"
    if kind == "literal_error":
        return _choice(error["input"], str(context["expected"]))
    if kind == "value_error":
        return str(context["error"])
    return f"{shown(error['input'])}: {error['msg'][:1].lower()}{error['msg'][1:]}"


def mistaken_key(error: ErrorDetails) -> str:
    """The key that a mistake of pydantic is about: `fractions`, or `fractions[1]` for one value of a list."""
    name, *inner = error["loc"] or ("",)
    places = [f"[{each}]" for each in inner if isinstance(each, int) and error["type"] != "missing"]
    return str(name) + "".join(places)


def shown(value: Any) -> str:
    """A value as the author wrote it, more or less, and never longer than a line can bear."""
    if isinstance(value, bool):
        return str(value).lower()
    text = repr(list(value) if isinstance(value, tuple) else value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _choice(value: Any, expected: str) -> str:
    near = suggestion(value, re.findall(r"'([^']*)'", expected)) if isinstance(value, str) else ""
    return f"{shown(value)} is not {expected}{near}"
