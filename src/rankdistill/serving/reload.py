"""A model that is served, and its replacement by a newer export of it."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from rankdistill.errors import ExportError, RankDistillError
from rankdistill.serving import layout
from rankdistill.serving.catalogue import Catalogue
from rankdistill.serving.recommender import Recommender, Rules, Unknown
from rankdistill.types import Json

_log = logging.getLogger(__name__)

Role = Literal["student", "teacher"]
State: TypeAlias = tuple[str, ...]
_TRIES = 3
_CHECKS_BEFORE_A_RETRY = 20


@dataclass(frozen=True, slots=True)
class Loaded:
    """An exported model in memory; nothing of it is read from the folder any more.

    Attributes:
        recommender: answers.
        catalogue: the items' titles.
        version: what answers say about their model.
        state: of the folder when it was read.
    """

    recommender: Recommender
    catalogue: Catalogue
    version: Json
    state: State


def load(folder: Path, threads: int, unknown: Unknown = "refuse") -> Loaded:
    """Loads a folder, again if it is replaced meanwhile.

    Raises:
        ExportError: it is missing, damaged, or never the same for long enough.
        ConfigError: onnxruntime is not installed.
    """
    for attempt in range(_TRIES):
        state = state_of(folder)
        try:
            loaded = _load(folder, threads, unknown, state)
        except Exception as error:
            if state == state_of(folder) or attempt == _TRIES - 1:
                if isinstance(error, RankDistillError):
                    raise
                raise ExportError(f"{folder}: cannot be loaded ({type(error).__name__}: {error})") from error
            continue
        if state == state_of(folder):
            return loaded
    raise ExportError(f"{folder}: changes again and again while it is read; put a folder in its place by renaming it")


def _load(folder: Path, threads: int, unknown: Unknown, state: State) -> Loaded:
    model = Recommender(folder, threads, unknown)
    some = model.items.raw(np.arange(1, min(2, len(model.items)) + 1))
    model.recommend(histories=[some], k=1)  # so that graphs and arrays that do not fit are no newer export
    model.recommend(histories=[some], k=1, allow=some)
    if model.num_users and model.has_known_users:
        model.rank(model.known_indices(np.array([0])), Rules(1))
    version = {
        "kind": model.manifest["kind"],
        "fingerprint": model.manifest["fingerprint"],
        "made": model.manifest["made"],
        "version": state[0][:12],
    }
    catalogue = Catalogue(model.items, model.item_table)
    _ = catalogue.has_titles  # so that a table that cannot be read is none, either
    return Loaded(model, catalogue, version, state)


def state_of(folder: Path) -> State:
    """What is different when the folder is: the hash of its manifest, and the sizes and times of its files."""
    try:
        text = (folder / layout.MANIFEST).read_bytes()
    except OSError as error:
        return (f"{error.strerror}",)
    try:
        manifest = json.loads(text)
    except (ValueError, RecursionError):
        manifest = None
    return (hashlib.sha256(text).hexdigest(), *_stamps(folder, manifest))


def _stamps(folder: Path, manifest: object) -> State:
    """The sizes and times of the manifest and of the files that it names."""
    files = manifest.get("files") if isinstance(manifest, dict) else None
    names = sorted(files) if isinstance(files, dict) else []
    return tuple(_stamp(folder / name) for name in (layout.MANIFEST, *names))


def _stamp(path: Path) -> str:
    try:
        found = path.stat()
    except (OSError, ValueError):
        return "-"
    return f"{found.st_size} {found.st_mtime_ns} {found.st_ino}"


class Watched:
    """A folder whose newest good content is served.

    Args:
        role: what the log and `/health` call it.
        folder: what `export` wrote.
        threads: of one ranking.

    Raises:
        ExportError: the folder holds no good content to begin with.
    """

    def __init__(self, role: Role, folder: Path, threads: int) -> None:
        self.role, self.folder, self._threads = role, folder, threads
        self.error: str | None = None
        self.reloads = self.refused = 0
        self.model = self._load()
        self._seen, self._failed = self.model.state, State()
        self._checks = 0

    def _load(self) -> Loaded:
        """A teacher may lack an item that its student knows."""
        return load(self.folder, self._threads, "ignore" if self.role == "teacher" else "refuse")

    def check(self) -> None:
        """Looks at the folder once; another content that has stood for two looks takes the place of the former one.

        Whoever uses the former one still may. Where the new one is damaged the former one stays, `error` says why,
        and every now and then it is tried again.
        """
        loaded = self.model.state
        if self._seen == loaded == (loaded[0], *_stamps(self.folder, self.model.recommender.manifest)):
            return  # as it was when it was looked into, which would keep requests waiting
        state, before = state_of(self.folder), self._seen
        self._seen = state
        self._checks += 1
        if state == self.model.state:
            self.error = None
        elif state == before and (state != self._failed or self._checks >= _CHECKS_BEFORE_A_RETRY):
            self._checks = 0
            self._replace(state)

    def _replace(self, state: State) -> None:
        try:
            model = self._load()
        except RankDistillError as error:
            self._failed, line = state, " ".join(str(error).split())
            if line != self.error:
                self.refused += 1
                _log.error("%s: the former one stays: %s", self.role, line)
            self.error = line
            return
        self.model, self._seen, self._failed, self.error = model, model.state, State(), None
        self.reloads += 1
        _log.info("%s: loaded %s, made %s", self.role, self.folder, model.version["made"])

    def about(self) -> Json:
        """For `/health`."""
        return {"folder": str(self.folder), "model": self.model.version, "reloads": self.reloads, "error": self.error}
