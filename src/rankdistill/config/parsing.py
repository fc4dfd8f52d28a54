"""The text of an experiment file, and the overrides of the command line."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rankdistill import plugins
from rankdistill.config.checking import SET, Address, Checker
from rankdistill.config.sections import Experiment
from rankdistill.config.toml import to_value
from rankdistill.errors import ConfigError
from rankdistill.types import Json


def load(path: Path, overrides: Sequence[str] = ()) -> Experiment:
    """Reads an experiment file; each override is `section.key=value` with a value in TOML's notation.

    A value that is no TOML is taken as text, so `student.kind=caser` needs no quotes. An override that begins with `--`
    was an option of its own, which error messages name in the place of `--set`. A relative path in the
    file is looked up beside the file, then in the working directory; one in an override the other way round.

    Raises:
        ConfigError: there is no such file, it is not TOML, or a key or value is wrong.
    """
    mapping = _read(path)
    changed = {address: option for text in overrides for address, option in _override(mapping, text).items()}
    return Checker(mapping, str(path), folder=path.absolute().parent, overridden=changed).experiment()


def parse(mapping: Mapping[str, Any], source: str, overrides: Sequence[str] = ()) -> Experiment:
    """The same from nested dicts; `source` stands in the error messages where a file's name would.

    Raises:
        ConfigError: a key or value is wrong.
    """
    given = copy.deepcopy(dict(mapping))
    changed = {address: option for text in overrides for address, option in _override(given, text).items()}
    return Checker(given, source, folder=Path.cwd(), overridden=changed).experiment()


def in_place_of_teacher(path: Path) -> list[str]:
    """The overrides that put a model folder or a file of lists in the place of whatever the experiment's teacher is."""
    return [f"teacher={{rankings = {to_value(path.absolute())}}}", "ensemble={}"]


def _read(path: Path) -> Json:
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except FileNotFoundError as error:
        there = [other.name for other in sorted(path.parent.glob("*.toml"))]
        raise ConfigError(f"{path}: there is no such file{plugins.suggestion(path.name, there)}") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror or error})") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text (at byte {error.start}); is it an experiment file?") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: is not valid TOML: {error}") from error


def _override(mapping: Json, text: str) -> dict[Address, str]:
    """Puts one `a.b=value` into `mapping` and gives the addresses of what it made or changed, with its option."""
    name, equals, written = (part.strip() for part in text.partition("="))
    option, given = (name, text) if name.startswith("--") else (SET, f"{SET} {text!r}")
    *tables, key = address = tuple(part.strip() for part in name.removeprefix("--").split("."))
    if not equals or not written or not all(address):
        raise ConfigError(f"{given}: write it as section.key=value, for example student.dim=20")
    table: Any = mapping
    changed = [address]
    for depth, each in enumerate(tables, start=1):
        if isinstance(table, list):
            name = ".".join(tables[: depth - 1])
            if not each.isdecimal() or not 1 <= int(each) <= len(table):
                raise ConfigError(f"{given}: {_several(name, len(table), key)}")
            table = table[int(each) - 1]
            continue
        if each not in table:
            changed.append(address[:depth])
        table = table.setdefault(each, {})
        if not isinstance(table, dict | list):
            raise ConfigError(f"{given}: {'.'.join(tables[:depth])} is a value, not a section")
    if isinstance(table, list):
        raise ConfigError(f"{given}: {_several('.'.join(tables), len(table), key)}")
    try:
        values = tomllib.loads(f"value = {written}")
        table[key] = values["value"] if len(values) == 1 else written
    except tomllib.TOMLDecodeError:
        table[key] = written
    return dict.fromkeys(changed, option)


def _several(name: str, count: int, key: str) -> str:
    return f"there are {count} [[{name}]]; write {name}.1.{key} for the first of them"
