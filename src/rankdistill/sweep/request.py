"""What was asked of a sweep, and its file in the sweep's folder."""

from __future__ import annotations

import shlex
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from rankdistill.config.toml import to_value
from rankdistill.errors import ConfigError, StorageError
from rankdistill.files import write_text
from rankdistill.sweep.axes import Axis
from rankdistill.types import Json

FILE = "sweep.toml"


@dataclass(frozen=True, slots=True)
class Request:
    """The command line of a sweep.

    Attributes:
        config: the experiment file.
        axes: keys with their values.
        seeds: of every student; none is the experiment's own.
        overrides: what `--set` says.
        teacher: a model folder or lists in place of `[teacher]`.
        device: for every model.
        seed: of the experiment.
        jobs: trainings at once.
        threads: of each training; figures depend on it.
    """

    config: Path
    axes: Sequence[Axis]
    seeds: Sequence[int] = ()
    overrides: Sequence[str] = ()
    teacher: Path | None = None
    device: str | None = None
    seed: int | None = None
    jobs: int | None = None
    threads: int | None = None

    def write(self, out: Path) -> None:
        """Writes `sweep.toml`, by which the sweep goes on with `--resume`."""
        lines = [
            f"{key} = {to_value(value.absolute() if isinstance(value, Path) else value)}"
            for key, value in self._values().items()
        ]
        axes = [f"{to_value(axis.key)} = {to_value(axis.values)}" for axis in self.axes]
        text = "\n".join([f"# {self.command()}", *lines, "", "[axes]", *axes]) + "\n"
        write_text(out / FILE, text)

    def _values(self) -> Json:
        """What is not left out, but for the axes."""
        values = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "axes"}
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in values.items()
            if value not in (None, ())
        }

    @classmethod
    def read(cls, out: Path) -> Request:
        """What a sweep's folder was last asked for.

        Raises:
            ConfigError: there is no sweep in the folder.
            StorageError: its file is damaged.
        """
        path = out / FILE
        try:
            found: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
            axes = tuple(Axis(key, tuple(values)) for key, values in found.pop("axes", {}).items())
            teacher = found.pop("teacher", None)
            return cls(
                Path(found.pop("config")),
                axes,
                tuple(found.pop("seeds", ())),
                tuple(found.pop("overrides", ())),
                teacher and Path(teacher),
                **found,
            )
        except FileNotFoundError as error:
            raise ConfigError(
                f"{out}: no sweep was begun here ({FILE} is missing); name CONFIG and what varies"
            ) from error
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise StorageError(f"{path}: cannot be read ({error}); name CONFIG and what varies again") from error

    def command(self) -> str:
        """The command line that asks for it."""
        words = ["rankdistill", "sweep", _shown(self.config)]
        for axis in self.axes:
            words += [f"--{axis.key}", ",".join(_word(value) for value in axis.values)]
        words += ["--seeds", ",".join(map(str, self.seeds))] if self.seeds else []
        for text in self.overrides:
            words += ["--set", text]
        short: dict[str, object] = {"teacher": self.teacher and _shown(self.teacher)}
        short |= {name: getattr(self, name) for name in ("device", "seed", "jobs", "threads")}
        for name, value in short.items():
            words += [] if value is None else [f"--{name}", str(value)]
        return shlex.join(words)


def _shown(path: Path) -> str:
    """A path as it was probably written."""
    return str(path.relative_to(Path.cwd())) if path.is_absolute() and path.is_relative_to(Path.cwd()) else str(path)


def _word(value: object) -> str:
    """A value as it was probably written: text that is no TOML needs no quotes."""
    plain = isinstance(value, str) and value.replace("_", "").isalpha() and Axis.parse("", value).values == (value,)
    return str(value) if plain else to_value(value)
