"""Packages that not every user needs, imported where they are used."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType
from typing import Any

from rankdistill.errors import ConfigError


def extra(name: str, group: str) -> Any:
    """The module called `name`, which an optional group of dependencies brings.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        module: ModuleType = importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise ConfigError(f"{package} is not installed; pip install 'rankdistill[{group}]'") from error
    return module


def is_installed(name: str) -> bool:
    """Whether there is a module called `name`; it is not imported."""
    return importlib.util.find_spec(name) is not None
