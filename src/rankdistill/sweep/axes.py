"""What a sweep varies: keys of the experiment, each with several values."""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rankdistill.config.toml import to_value
from rankdistill.errors import ConfigError

SHARED = ("data", "split", "windows", "teacher", "evaluate", "tracking")
"""Sections that all students of a sweep have in common."""


@dataclass(frozen=True, slots=True)
class Axis:
    """A key of the experiment, such as `student.dim`, and the values that are tried."""

    key: str
    values: tuple[Any, ...]

    @classmethod
    def parse(cls, key: str, text: str) -> Axis:
        """From the command line: values in TOML's notation with commas between them; what is no TOML is text.

        >>> Axis.parse("student.kind", "caser, fossil").values, Axis.parse("split.fractions", "[0.8, 0, 0.2]").values
        (('caser', 'fossil'), ([0.8, 0, 0.2],))

        Raises:
            ConfigError: a value is missing or given twice, or this key has to be the same for all students.
        """
        parts = [part.strip() for part in _parts(text)]
        if not all(parts):
            raise ConfigError(
                f"--{key} {text!r}: a value is missing; write values with commas between them, such as 4,8"
            )
        values = [_value(part) for part in parts]
        for place, value in enumerate(values):
            if value in values[:place]:
                raise ConfigError(f"--{key} {text!r}: {to_value(value)} is given twice; drop one of the two")
        section = key.partition(".")[0]
        if len(values) > 1 and section in SHARED:
            raise ConfigError(
                f"--{key} {text!r}: [{section}] is the same for all students of a sweep; give one value here, or sweep "
                f"once for each"
            )
        return cls(key, tuple(values))

    @property
    def varies(self) -> bool:
        """Whether there is more than one value."""
        return len(self.values) > 1

    def overrides(self) -> list[str]:
        """Each value as `load` takes it."""
        return [override(self.key, value) for value in self.values]


def override(key: str, value: object) -> str:
    """A key of the command line with one of its values, as `load` takes it.

    >>> override("student.kind", "caser")
    '--student.kind="caser"'
    """
    return f"--{key}={to_value(value)}"


def parse_all(options: Iterable[tuple[str, str]]) -> list[Axis]:
    """The axes of a command line, whole sections before their keys.

    Raises:
        ConfigError: see `Axis.parse`; or a key is given twice.
    """
    axes: dict[str, Axis] = {}
    for key, text in options:
        if key in axes:
            raise ConfigError(f"--{key}: is given twice; write its values with commas between them, such as 4,8")
        axes[key] = Axis.parse(key, text)
    return sorted(axes.values(), key=lambda axis: axis.key.count("."))


def product(axes: Sequence[Axis]) -> list[Mapping[str, Any]]:
    """Every combination of the values, by key; the last axis changes first.

    >>> product([Axis("student.dim", (4, 8)), Axis("train.epochs", (1,))])
    [{'student.dim': 4, 'train.epochs': 1}, {'student.dim': 8, 'train.epochs': 1}]
    """
    keys = [axis.key for axis in axes]
    return [dict(zip(keys, values, strict=True)) for values in itertools.product(*(axis.values for axis in axes))]


def _parts(text: str) -> list[str]:
    """The text between the commas, but for those inside of quotes and brackets.

    >>> _parts('4, [1, 2], "a,b"')
    ['4', ' [1, 2]', ' "a,b"']
    """
    parts, depth, quote = [""], 0, ""
    for sign in text:
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "\"'":
            quote = sign
        else:
            depth += (sign in "[{") - (sign in "]}")
        if sign == "," and not quote and depth == 0:
            parts.append("")
        else:
            parts[-1] += sign
    return parts


def _value(text: str) -> Any:
    try:
        values = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return values["value"] if len(values) == 1 else text
