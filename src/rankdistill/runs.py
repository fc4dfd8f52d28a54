"""The run folder: where each stage keeps its results, and which of them are still up to date."""

from __future__ import annotations

import glob
import hashlib
import json
import logging
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from rankdistill.checksums import sha256
from rankdistill.files import read_object, write_json
from rankdistill.types import Json

logger = logging.getLogger(__name__)

Role: TypeAlias = Literal["teacher", "student", "distilled"]
ROLES: tuple[Role, ...] = ("teacher", "student", "distilled")
EVALUATION, RANKINGS = "evaluation.parquet", "rankings.parquet"
"""In a model's folder: the metrics of each test user, and her list."""
_CARD = "model.json"
_OF_A_MODEL = ("kind", "config", "fingerprint", "settings", "seed", "sha256")
"""Keys of a card that tell which model it is; the others are figures, which are written later, too."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The paths of a run folder, and the stamps of its finished stages.

    A stage's stamp is a hash of all that its result depends on. A stage whose stamp has not changed and whose files
    are as it left them is skipped.
    """

    path: Path

    @property
    def config(self) -> Path:
        """The resolved experiment file."""
        return self.path / "config.toml"

    @property
    def data(self) -> Path:
        """The prepared data."""
        return self.path / "data"

    @property
    def labels(self) -> Path:
        """The teacher's lists for the training queries."""
        return self.path / "labels.parquet"

    def model(self, role: Role) -> Path:
        """The model folder of a role."""
        return self.path / role

    def is_done(self, stage: str, stamp: str, *files: Path) -> bool:
        """Whether a stage was finished with this stamp, and its files are there and as it left them."""
        known = self._stamps().get(stage)
        # an earlier version noted the stamp alone
        kept: Json = known if isinstance(known, dict) else {"stamp": known}
        if kept.get("stamp") != stamp or not all(file.exists() for file in files):
            return False
        return are_as_left(stage, self.path, kept.get("files", {}))

    def done(self, stage: str, stamp: str, *files: Path) -> None:
        """Notes that a stage is finished, and in which state its files are, or those in its folders; see `is_done`."""
        every = (inside for file in files for inside in ([file] if file.is_file() else sorted(file.rglob("*"))))
        states = noted(self.path, (file for file in every if file.is_file()))
        write_json(self.path / "stages.json", {**self._stamps(), stage: {"stamp": stamp, "files": states}})

    def forget(self, stage: str) -> None:
        """Notes that a stage's results are about to change."""
        stamps = self._stamps()
        if stamps.pop(stage, None) is not None:
            write_json(self.path / "stages.json", stamps)

    @property
    def state(self) -> str:
        """A hash that is another one as soon as a stage was done anew with other inputs."""
        return stamp_of(stages=self._stamps())

    def _stamps(self) -> Json:
        return read_object(self.path / "stages.json")


def noted(folder: Path, files: Iterable[Path]) -> Json:
    """The size, time of change and content of files of a folder, by their names in it; see `are_as_left`."""
    return {file.relative_to(folder).as_posix(): [*_seen(file), _content(file)] for file in files}


def are_as_left(what: str, folder: Path, states: Json) -> bool:
    """Whether the files of a folder have the content that was noted; of the first that has not, a warning says so."""
    other = next((name for name, state in states.items() if not _is_as_left(folder / name, state)), None)
    if other is not None:
        logger.warning("%s: made again: %s is gone or no longer what was written there", what, folder / other)
    return other is None


def _is_as_left(file: Path, state: list[Any]) -> bool:
    """Whether a file has the content that it had; read only where its size or time is another, as those of a copy."""
    return file.is_file() and (_seen(file) == state[:2] or _content(file) == state[2])


def _seen(file: Path) -> list[int]:
    found = file.stat()
    return [found.st_size, found.st_mtime_ns]


def _content(file: Path) -> str:
    """A hash of what is in a file; of a model's card, of what tells which model it is."""
    if file.name != _CARD:
        return sha256(file)
    card = read_object(file)
    return stamp_of(**{key: card.get(key) for key in _OF_A_MODEL})


def peak_memory_bytes() -> int | None:
    """The most memory that this process has held; None where the system does not say."""
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def stamp_of(**inputs: Any) -> str:
    """A short hash of what a stage depends on."""
    text = json.dumps(inputs, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def state_of(path: Path | None) -> list[list[Any]]:
    """Names, sizes and times of change of a file or of the files of a folder or pattern: enough to see a change."""
    if path is None:
        return []
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
    else:  # a file with what lies beside it under the same name (titles), or a pattern
        files = sorted({*path.parent.glob(f"{glob.escape(path.stem)}.*"), *path.parent.glob(path.name)})
    return [[str(file), file.stat().st_size, file.stat().st_mtime_ns] for file in files]
