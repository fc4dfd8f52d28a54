"""The public data sets by name: found on the machine or fetched, and checked to be the right ones."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from rankdistill.checksums import sha256
from rankdistill.config import DataConfig
from rankdistill.data.catalogue import SETS, NamedSet
from rankdistill.data.events import Events
from rankdistill.errors import ConfigError, DataError
from rankdistill.files import replacing
from rankdistill.plugins import suggestion

_logger = logging.getLogger(__name__)


class PublicSet:
    """Reads one of the public data sets; `kind` is its name.

    It is looked for in the folder that `RANKDISTILL_DATA` names, in the user's cache, then on the network.
    """

    class Config(DataConfig):
        """The keys of `[data]`; the defaults are those of the set."""

        path: Path | None = Field(None, description="the folder that holds the files (found or fetched when left out)")

        @model_validator(mode="before")
        @classmethod
        def _defaults_of_the_set(cls, given: Any) -> Any:
            if not isinstance(given, dict) or not isinstance(given.get("kind"), str):
                return given
            known = _named(given["kind"])
            core = {"min_user_interactions": known.core, "min_item_interactions": known.core}
            return {**core, "repeats": known.repeats, **given}

        @property
        def presplit(self) -> bool:
            """Whether the set brings its own split."""
            return _named(self.kind).presplit

    @classmethod
    def names(cls) -> list[str]:
        """The names of the public data sets."""
        return list(SETS)

    def __init__(self, config: Config) -> None:
        self.config = config

    def read(self) -> Events:
        """Finds or fetches the set, checks it and reads it.

        Raises:
            DataError: it is nowhere to be had, or a file of it is missing or has another checksum.
            StorageError: what was fetched cannot be stored.
        """
        name = self.config.kind
        known = _named(name)
        folder = self.config.path
        if folder is None:
            folder = locate(name)
        else:
            check(known, folder)
        events = known.read(folder)
        notes = (f"{name}: {folder}", f"{name}: {known.terms}; cite {known.citation}", *events.notes)
        return replace(events, notes=notes, source=name)


def locate(name: str) -> Path:
    """The folder that holds the named set; where the machine has none it is fetched into the user's cache.

    Raises:
        DataError: it is nowhere to be had, or a file of it is missing or has another checksum.
        StorageError: what was fetched cannot be stored.
    """
    known = _named(name)
    tried = [] if os.environ.get("RANKDISTILL_DATA") else ["RANKDISTILL_DATA is not set"]
    for folder in _places(known):
        if folder.is_dir():
            check(known, folder)
            return folder
        tried.append(f"no folder {folder}")
    target = cache() / known.folder
    for source in known.sources:
        try:
            with replacing(target) as temporary:
                _logger.info("%s: fetching %s", name, source.name)
                source.fetch(temporary)
                check(known, temporary)
        except DataError as error:
            tried.append(str(error))
        else:
            return target
    raise DataError(
        f"{name}: not found ({'; '.join(tried)}); get {' and '.join(known.checksums)} from {known.home} "
        f"into a folder {known.folder}/ and set RANKDISTILL_DATA to the folder above it. Terms: {known.terms}"
    )


def check(known: NamedSet, folder: Path) -> None:
    """Checks that the files of a set are in `folder` and are the right ones.

    Raises:
        DataError: a file is missing, or its SHA-256 is another.
    """
    for name, expected in known.checksums.items():
        path = folder / name
        if not path.is_file():
            raise DataError(f"{path}: no such file; get it from {known.home}")
        got = sha256(path)
        if got != expected:
            raise DataError(
                f"{path}: is not the published file (SHA-256 {got[:12]}, expected {expected[:12]}); "
                f"remove it, or get it again from {known.home}"
            )


def cache() -> Path:
    """The folder for fetched data: `RANKDISTILL_CACHE`, or `rankdistill` in the user's cache folder."""
    chosen = os.environ.get("RANKDISTILL_CACHE")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rankdistill"


def _places(known: NamedSet) -> Iterator[Path]:
    chosen = os.environ.get("RANKDISTILL_DATA")
    if chosen:
        if not Path(chosen).is_dir():
            raise DataError(f"RANKDISTILL_DATA = {chosen}: no such folder; mend or unset it")
        yield Path(chosen) / known.folder
    yield cache() / known.folder


def _named(name: str) -> NamedSet:
    if name not in SETS:
        raise ConfigError(f"{name!r} is no public data set{suggestion(name, SETS)} (there are: {', '.join(SETS)})")
    return SETS[name]
