"""From a function with option groups to a verb of the command line."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from functools import wraps
from typing import Any, get_type_hints

from rankdistill.cli.failures import failures
from rankdistill.cli.options import Output


def verb(function: Callable[..., None]) -> Callable[..., None]:
    """The verb that calls `function`; an argument whose type is a dataclass stands for an option a field.

    One of these arguments is an `Output`, which says how much to log and whether failures show their traceback.
    """
    signature = inspect.signature(function, eval_str=True)
    groups: dict[str, type[Any]] = {
        name: each.annotation
        for name, each in signature.parameters.items()
        if isinstance(each.annotation, type) and is_dataclass(each.annotation)
    }
    parameters: list[inspect.Parameter] = []
    for name, each in signature.parameters.items():
        parameters.extend(_options_of(groups[name]) if name in groups else [each.replace(kind=each.KEYWORD_ONLY)])

    @wraps(function)
    def call(**given: Any) -> None:
        from rankdistill.console import setup_logging

        bundles = {
            name: group(**{field.name: given.pop(field.name) for field in fields(group)})
            for name, group in groups.items()
        }
        output = next(bundle for bundle in bundles.values() if isinstance(bundle, Output))
        setup_logging(output.debug)
        with failures(debug=output.debug):
            function(**given, **bundles)

    call.__dict__["__signature__"] = signature.replace(parameters=parameters)
    call.__annotations__ = {each.name: each.annotation for each in parameters}
    return call


def _options_of(group: type[Any]) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in fields(group)
    ]
