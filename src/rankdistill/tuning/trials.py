"""What was tried: the trials of a search, in a file that grows by whole trials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from rankdistill.errors import StorageError
from rankdistill.files import read_kept, write_json
from rankdistill.stages import FREE
from rankdistill.tuning.space import Point
from rankdistill.types import Json

State: TypeAlias = Literal["complete", "stopped", "pruned", "failed"]
"""Trained to its end, or to that of the budget; left behind by the others; its loss was no number."""

SEARCHED = "search in "
"""What a key of `Ledger.begun_with` begins with that says where an option is searched."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One point, and how a model with these settings did on the validation users.

    Attributes:
        number: from 1, in the order in which points were taken up.
        point: the settings.
        state: how it ended.
        value: of the metric; None where nothing was measured.
        curve: the metric behind each epoch that was validated.
        best_epoch: the epoch whose numbers were measured.
        epochs: how many were trained.
        seconds: that it took in all.
        parameters: of the model.
        bytes: of its weights' file.
        latency_ms: the median of a query, where it matters.
        note: why it was not trained to its end.
    """

    number: int
    point: Point
    state: State
    value: float | None = None
    curve: tuple[float, ...] = ()
    best_epoch: int = 0
    epochs: int = 0
    seconds: float = 0.0
    parameters: int | None = None
    bytes: int | None = None
    latency_ms: float | None = None
    note: str = ""

    @property
    def counts(self) -> bool:
        """Whether it can be the best: it was trained as long as it was to be, or as the budget let it."""
        return self.state in ("complete", "stopped")


@dataclass(slots=True)
class Ledger:
    """The trials of a search so far; each is on disk when `add` returns.

    Attributes:
        path: `trials.json`.
        begun_with: the settings that the outcome of a trial depends on; a search goes on with the same alone.
        trials: by number.
        made_from: fingerprints of the data and of the teacher's files; a search goes on with the same alone.
    """

    path: Path
    begun_with: Json
    trials: list[Trial] = field(default_factory=list)
    made_from: Json = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path, begun_with: Json) -> Ledger:
        """What is in the file, or an empty ledger.

        Raises:
            StorageError: the file cannot be read, or is of a search with other settings.
        """
        found = read_kept(path)
        if not found:
            return cls(path, begun_with)
        _refuse_others(path, by_address(found.get("begun_with", {})), begun_with)
        try:
            trials = [_trial(each) for each in found["trials"]]
        except (KeyError, TypeError) as error:
            raise StorageError(
                f"{path}: holds no trials of this version ({error}); put back a copy of it, or name another --out"
            ) from error
        return cls(path, begun_with, trials, found.get("made_from", {}))

    def hold_to(self, fingerprints: Json) -> None:
        """Says what the trials learn from; to be called before the next one.

        Raises:
            StorageError: those that are there learned from something else.
        """
        if self.trials:
            _refuse_others(self.path, self.made_from, fingerprints)
        self.made_from = fingerprints

    def add(self, trial: Trial) -> None:
        """Keeps a trial."""
        self.trials = sorted([*self.trials, trial], key=lambda each: each.number)
        trials = [asdict(each) for each in self.trials]
        write_json(self.path, {"begun_with": self.begun_with, "made_from": self.made_from, "trials": trials})

    @property
    def seconds(self) -> float:
        """Spent on all trials."""
        return sum(trial.seconds for trial in self.trials)


def by_address(settings: Mapping[str, Any]) -> Json:
    """The settings of nested tables, those of several tables numbered from 1, but for the processors, which are free.

    >>> by_address({"seed": 1, "teacher": [{"kind": "caser", "train": {"threads": 2, "epochs": 3}}]})
    {'seed': 1, 'teacher.1.kind': 'caser', 'teacher.1.train.epochs': 3}
    """
    found: Json = {}
    for key, value in settings.items():
        several = isinstance(value, list) and value and all(isinstance(each, Mapping) for each in value)
        table = {str(number): each for number, each in enumerate(value, start=1)} if several else value
        if isinstance(table, Mapping):
            found |= {f"{key}.{inner}": each for inner, each in by_address(table).items()}
        elif key.rpartition(".")[2] not in FREE:
            found[key] = value
    return found


def _refuse_others(path: Path, earlier: Json, now: Json) -> None:
    differing = [key for key in {*earlier, *now} if earlier.get(key) != now.get(key)]
    if not differing:
        return
    key = min(differing, key=_most_telling)
    if key.startswith(SEARCHED):
        then, here = _searched(earlier.get(key)), _searched(now.get(key))
        change = f"with {key.removeprefix(SEARCHED)} {then} and cannot go on with it {here}"
    else:
        then = f"without {key}" if earlier.get(key) is None else f"with {key} = {earlier[key]!r}"
        here = "without it" if now.get(key) is None else f"with {now[key]!r}"
        change = f"{then} and cannot go on {here}"
    raise StorageError(f"{path}: this search was begun {change}; put that back, or name another --out")


def _searched(space: str | None) -> str:
    return "not searched" if space is None else f"searched ({space})"


def _most_telling(key: str) -> tuple[bool, bool, bool, str]:
    """Settings come before what is searched, which follows from them, and what a thing is before its options."""
    last = key.rpartition(".")[2]
    return key.startswith(SEARCHED), last != "rankings", last != "kind", key


def _trial(kept: Mapping[str, Any]) -> Trial:
    return Trial(**{**kept, "curve": tuple(kept["curve"])})
