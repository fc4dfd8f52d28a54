"""Options that are keys of the experiment: `--student.dim 4,8`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperCommand

from rankdistill.errors import ConfigError

_KEY = re.compile(r"--([A-Za-z_]\w*(?:\.\w+)+|student|ranking_loss|distillation)(?:=(.*))?", re.DOTALL)
"""A key with a dot, or a section that is given as a whole."""


class DottedOptions(TyperCommand):
    """A verb that takes keys of the experiment as options; `dotted` gives them."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # a typer.Context, or of its own click
        """Takes the keys and their values out of the command line."""
        found, rest = split_dotted(args)
        ctx.obj = found
        return super().parse_args(ctx, rest)


def dotted(ctx: typer.Context) -> list[tuple[str, str]]:
    """The keys and the text of their values, in order.

    Raises:
        ConfigError: a key has no value.
    """
    found: list[tuple[str, str | None]] = ctx.obj
    for key, text in found:
        if text is None:
            raise ConfigError(f"--{key}: has no value; write values with commas between them, such as 4,8")
    return [(key, text or "") for key, text in found]


def split_dotted(args: Sequence[str]) -> tuple[list[tuple[str, str | None]], list[str]]:
    """The keys with their values, and all other words.

    >>> split_dotted(["e.toml", "--student.dim", "4,8", "--out", "x", "--train.epochs=3"])
    ([('student.dim', '4,8'), ('train.epochs', '3')], ['e.toml', '--out', 'x'])
    """
    found: list[tuple[str, str | None]] = []
    rest: list[str] = []
    words = list(args)
    while words:
        word = words.pop(0)
        match = _KEY.fullmatch(word)
        if match is None:
            rest.append(word)
        else:
            follows = match[2] is None and words and not words[0].startswith("--")
            found.append((match[1], words.pop(0) if follows else match[2]))
    return found, rest
