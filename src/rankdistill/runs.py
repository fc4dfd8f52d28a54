"""The run folder: where each stage keeps its results, and which of them are still up to date."""

from __future__ import annotations

import glob
import hashlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from rankdistill.files import read_object, write_json
from rankdistill.types import Json

Role: TypeAlias = Literal["teacher", "student", "distilled"]
ROLES: tuple[Role, ...] = ("teacher", "student", "distilled")
EVALUATION, RANKINGS = "evaluation.parquet", "rankings.parquet"
"""In a model's folder: the metrics of each test user, and her list."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The paths of a run folder, and the stamps of its finished stages.

    A stage's stamp is a hash of all that its result depends on. A stage whose stamp has not changed and whose files
    are there is skipped.
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
        """Whether a stage was finished with this stamp and its files are there."""
        return self._stamps().get(stage) == stamp and all(file.exists() for file in files)

    def done(self, stage: str, stamp: str) -> None:
        """Notes that a stage is finished."""
        write_json(self.path / "stages.json", {**self._stamps(), stage: stamp})

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
