"""From a `kind` in the experiment file to the class that does it: a plug-in is a file.

`kind = "caser"` under `[student]` is the class `Caser` of `models/caser.py`. Other packages add kinds through
entry points (group `rankdistill.models`, ...) or are named in full: `kind = "package.module:Class"`. A class
may also stand for several kinds at once (the public data sets): it is then listed in `_CATALOGUES`.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
import sys
from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Literal, TypeAlias

from rankdistill.errors import ConfigError

Group: TypeAlias = Literal["readers", "models", "losses", "distillation", "trackers"]

_PACKAGES: dict[Group, str] = {
    "readers": "data.readers",
    "models": "models",
    "losses": "losses",
    "distillation": "distillation",
    "trackers": "tracking",
}
_NOUNS: dict[Group, str] = {
    "readers": "kind of data",
    "models": "model",
    "losses": "ranking loss",
    "distillation": "distillation method",
    "trackers": "tracker",
}
_CATALOGUES: dict[Group, tuple[str, ...]] = {"readers": ("rankdistill.data.datasets:PublicSet",)}
"""Classes whose `names()` are kinds too; imported only when no file has the name."""


def kinds(group: Group) -> list[str]:
    """The names that `kind` can take in one group, in alphabetical order; no plug-in file is imported."""
    listed = [name for catalogue in _catalogues(group) for name in catalogue.names()]
    return sorted({*_files(group), *_entry_points(group), *listed})


def find(group: Group, kind: str, *, may_import: bool = True) -> type[Any]:
    """The class behind a kind; it has a nested `Config` that declares its options.

    Args:
        group: the group to which it belongs.
        kind: its name, or "package.module:Class".
        may_import: whether a module that is named in full is imported for it; else it must be imported already.

    Raises:
        ConfigError: there is no such kind, module or class, or its module is not imported and may not be.
    """
    module = kind.partition(":")[0]
    if ":" in kind and not may_import and module not in sys.modules:
        raise ConfigError(f"{kind!r}: {module!r} is not imported; import it first if you trust it")
    plugin = _load(group, kind)
    if not isinstance(getattr(plugin, "Config", None), type):
        raise ConfigError(f"{kind!r}: {plugin.__name__} has no nested class Config that declares its options")
    return plugin


def _load(group: Group, kind: str) -> type[Any]:
    if ":" in kind:
        return _by_path(kind)
    if kind in _files(group):
        return _by_file(group, kind)
    for catalogue in _catalogues(group):
        if kind in catalogue.names():
            return catalogue
    if kind in (outside := _entry_points(group)):  # last, since it reads a file of every package that is installed
        return _checked(outside[kind].load(), kind)
    known = kinds(group)
    raise ConfigError(f"{kind!r} is no {_NOUNS[group]}{suggestion(kind, known)} (there are: {', '.join(known)})")


def behind(group: Group, config: object) -> type[Any]:
    """The class whose nested `Config` made `config`."""
    return find(group, kind_of(config))


def kind_of(config: object) -> str:
    """The kind of a plug-in's `Config`: its `kind` where it has one, else its class's name.

    This is the way back from `Caser.Config(dim=100)` to "caser".
    """
    declared = getattr(config, "kind", None)
    if isinstance(declared, str):
        return declared
    module, plugin = type(config).__module__, type(config).__qualname__.removesuffix(".Config")
    package, _, name = module.rpartition(".")
    ours = {f"rankdistill.{where}" for where in _PACKAGES.values()}
    return name if package in ours else f"{module}:{plugin}"


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The one of `names` that looks most like `name`, or None where nothing does."""
    by_lowered = {other.lower(): other for other in names}
    found = difflib.get_close_matches(name.lower(), by_lowered, n=1)
    return by_lowered[found[0]] if found else None


def suggestion(name: str, names: Iterable[str]) -> str:
    """The end of an error message that offers the nearest name; empty where nothing is near.

    >>> suggestion("dimm", ["dim", "dropout"])
    "; did you mean 'dim'?"
    """
    near = nearest(name, names)
    return f"; did you mean {near!r}?" if near else ""


def _files(group: Group) -> list[str]:
    folder = Path(__file__).parent.joinpath(*_PACKAGES[group].split("."))
    return [module.name for module in pkgutil.iter_modules([str(folder)]) if not module.name.startswith("_")]


def _entry_points(group: Group) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=f"rankdistill.{group}")}


def _catalogues(group: Group) -> list[type[Any]]:
    return [_by_path(path) for path in _CATALOGUES.get(group, ())]


def _by_file(group: Group, kind: str) -> type[Any]:
    module = importlib.import_module(f"rankdistill.{_PACKAGES[group]}.{kind}")
    wanted = kind.replace("_", "").lower()
    for name, value in vars(module).items():
        if isinstance(value, type) and name.lower() == wanted:
            return value
    raise ConfigError(f"{kind!r}: {module.__name__} has no class of that name (in capitals, without '_')")


def _by_path(path: str) -> type[Any]:
    module_name, _, class_name = path.partition(":")
    try:
        value: Any = importlib.import_module(module_name)
    except (ModuleNotFoundError, ValueError, TypeError) as error:
        if isinstance(error, ModuleNotFoundError) and not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the module is there, something that it imports is not
        raise ConfigError(f"{path!r}: there is no module {module_name!r}; is its package installed?") from error
    for part in class_name.split("."):
        names = vars(value)
        if part not in names:
            raise ConfigError(f"{path!r}: {module_name} has no class {class_name!r}{suggestion(part, names)}")
        value = names[part]
    return _checked(value, path)


def _checked(value: object, kind: str) -> type[Any]:
    if not isinstance(value, type):
        raise ConfigError(f"{kind!r} is a {type(value).__name__}, not a class")
    return value
