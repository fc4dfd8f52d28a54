"""`rankdistill show`."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from rankdistill.cli.options import Output
from rankdistill.errors import ConfigError

if TYPE_CHECKING:
    from pydantic import BaseModel

    from rankdistill.types import Json


_NEEDS = (
    "needs, of the teacher: lists; several: easier lists besides, of earlier epochs, other teachers or files; scores: "
    "lists with a column 'score'; model: its model folder"
)


def show(
    output: Output,
    kind: Annotated[
        str | None,
        typer.Argument(metavar="[KIND]", help="A kind, a group of kinds, or a section such as train."),
    ] = None,
) -> None:
    """What kinds there are, and their options."""
    from rankdistill.plugins import Group

    groups = get_args(Group)
    if kind is None or kind in groups:
        found = [row for group in groups if kind in (None, group) for row in _kinds(group)]
        columns = ["group", "kind", *(["needs"] if kind == "distillation" else []), "description"]
        notes = [_NEEDS] if kind == "distillation" else []
        output.show(found, columns, [tuple(row[column] for column in columns) for row in found], *notes)
    else:
        description, config = _described(kind)
        _print_options(kind, description, config, output)


def _kinds(group: Any) -> list[Json]:
    from rankdistill import plugins

    return [
        {"group": group, "kind": kind, **_needs(group, kind), "description": _about(group, kind)}
        for kind in plugins.kinds(group)
    ]


def _needs(group: Any, kind: str) -> Json:
    """What a distillation method has to have of the teacher."""
    from rankdistill import plugins

    return {"needs": plugins.find(group, kind).needs} if group == "distillation" else {}


def _about(group: Any, kind: str) -> str:
    """What a kind is: the first line of its file's docstring, or of its class's where it is not one of ours."""
    from rankdistill import plugins
    from rankdistill.data.catalogue import SETS

    if group == "readers" and kind in SETS:
        return f"public data set: {SETS[kind].citation}"
    plugin = plugins.find(group, kind)
    ours = plugin.__module__.startswith("rankdistill.")
    return _first_line(inspect.getmodule(plugin) if ours else plugin)


def _first_line(documented: object) -> str:
    return (inspect.getdoc(documented) or "").partition("\n")[0]


def _described(kind: str) -> tuple[str, type[BaseModel]]:
    """The description of a kind or section and the class that declares its options.

    Raises:
        ConfigError: there is neither; the nearest name is offered.
    """
    from rankdistill import config, plugins
    from rankdistill.plugins import Group

    sections: dict[str, type[BaseModel]] = {
        "split": config.SplitConfig,
        "windows": config.WindowsConfig,
        "train": config.TrainConfig,
        "evaluate": config.EvaluateConfig,
    }
    if kind in sections:
        return _first_line(sections[kind]), sections[kind]
    groups = get_args(Group)
    for group in groups:
        if kind in plugins.kinds(group):
            return _about(group, kind), plugins.find(group, kind).Config
    known = [*groups, *sections, *(each for group in groups for each in plugins.kinds(group))]
    raise ConfigError(
        f"{kind!r} is no kind, group or section{plugins.suggestion(kind, known)} (see `rankdistill show`)"
    )


def _print_options(kind: str, description: str, config: type[BaseModel], output: Output) -> None:
    from rankdistill.config import describe

    options = describe(config)
    value = {"kind": kind, "description": description, "options": [option._asdict() for option in options]}
    if not output.as_json:
        typer.echo(f"{kind}: {description}")
    output.show(value, ("key", "type", "default", "searched", "description"), options)
