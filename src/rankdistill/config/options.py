"""What a section or a plug-in can be told, as rows of a table."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from rankdistill.config.toml import to_value
from rankdistill.config.tuning import declared

_WORDS: dict[object, str] = {
    int: "integer",
    float: "number",
    str: "text",
    bool: "true or false",
    Path: "path",
    type(None): "",
}
_BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}


class Option(NamedTuple):
    """One key of a section; `searched` is where `tune` looks for a better value, of a size `compress` alone."""

    key: str
    type: str
    default: str
    searched: str
    description: str


def describe(config_class: type[BaseModel]) -> list[Option]:
    """The options of a `Config`, in the order of their declaration, without `kind`."""
    fields = config_class.model_fields.items()
    return [
        Option(key, _type(field), _default(field), _searched(field), field.description or "")
        for key, field in fields
        if key != "kind"
    ]


def _searched(field: FieldInfo) -> str:
    tunable = declared(field)
    return "" if tunable is None else f"{tunable}{' (size)' if tunable.size else ''}"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default = field.get_default(call_default_factory=True, validated_data={})
    return "" if default is None else to_value(default)


def _type(field: FieldInfo) -> str:
    return _word(field.annotation) + _bounds(field.metadata)


def _bounds(metadata: object) -> str:
    found = [
        f"{words} {getattr(bound, name):g}"
        for bound in (metadata if isinstance(metadata, list | tuple) else ())
        for name, words in _BOUNDS.items()
        if getattr(bound, name, None) is not None
    ]
    return f" ({', '.join(found)})" if found else ""


def _word(annotation: object) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " | ".join(map(to_value, arguments))
    if origin is Annotated:
        inner, *metadata = arguments
        return _word(inner) + "".join(_bounds(getattr(each, "metadata", [each])) for each in metadata)
    if origin in (Union, types.UnionType):
        return " or ".join(filter(None, map(_word, arguments)))
    if origin in (tuple, list):
        return "list of " + _word(arguments[0]) + ("" if arguments[0] is str else "s")
    return _WORDS.get(annotation, getattr(annotation, "__name__", str(annotation)))
