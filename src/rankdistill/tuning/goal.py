"""What a student is to be: nearly as good as its teacher, small, quick; and whether that can be asked."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rankdistill.errors import ConfigError
from rankdistill.types import Json

MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class Goal:
    """What is asked of a student.

    Attributes:
        within: the share of the teacher's metric that may be lost; None asks for the best student that fits.
        under_mb: the most that its weights' file may take, in million bytes.
        under_ms: the most that a query may take, median.
        metric: by which quality is measured.
    """

    within: float | None = None
    under_mb: float | None = None
    under_ms: float | None = None
    metric: str = "ndcg@10"

    @classmethod
    def read(cls, within: str | None, under_mb: float | None, under_ms: float | None, metric: str) -> Goal:
        """The goal as it is written: `1%`, `1.1`, `0.2`.

        Raises:
            ConfigError: none is named, or one that nothing can meet.
        """
        if within is None and under_mb is None and under_ms is None:
            raise ConfigError("no goal: name one or more of --within 1%, --under-mb 1.1 and --under-ms 0.2")
        for name, limit, unit in (("--under-mb", under_mb, "MB"), ("--under-ms", under_ms, "ms")):
            if limit is not None and not 0 < limit < float("inf"):
                raise ConfigError(f"{name} {limit:g}: no student takes {limit:g} {unit}; name a number above 0")
        return cls(None if within is None else _share(within), under_mb, under_ms, metric)

    @property
    def most_bytes(self) -> float:
        """The largest file that is allowed."""
        return float("inf") if self.under_mb is None else self.under_mb * MEGABYTE

    @property
    def about_size(self) -> bool:
        """Whether a student has to be smaller than its teacher; where time alone is limited, it may be larger."""
        return self.under_mb is not None or self.under_ms is None

    def below(self, teacher: float) -> float:
        """What the bytes of a student have to be under, for those of its teacher; any number where it may be larger."""
        return teacher if self.about_size else math.inf

    def fits(self, size: int, latency_ms: float | None) -> bool:
        """Whether a student is as small and as quick as asked."""
        slow = self.under_ms is not None and latency_ms is not None and latency_ms > self.under_ms
        return size <= self.most_bytes and not slow

    def missed(self, size: int, latency_ms: float | None, lacking: float = 0.0) -> dict[str, float]:
        """By how much a student misses each part of the goal that it does not meet, as a share of what is asked.

        Args:
            size: of its weights' file, in bytes.
            latency_ms: that a query takes it; None where that does not matter.
            lacking: the share that it lacks of what its metric must reach.

        >>> Goal(within=0.01, under_mb=2, under_ms=0.5).missed(3_000_000, 0.625)
        {'--under-mb': 0.5, '--under-ms': 0.25}
        """
        slow = 0.0 if self.under_ms is None or latency_ms is None else latency_ms / self.under_ms - 1
        shares = {"--within": lacking, "--under-mb": size / self.most_bytes - 1, "--under-ms": slow}
        return {option: share for option, share in shares.items() if share > 0}

    def bar(self, teacher: float | None) -> float | None:
        """What the student's metric must reach, for that of its teacher; None where any will do."""
        return None if self.within is None or teacher is None else (1 - self.within) * teacher

    def __str__(self) -> str:
        parts = [
            "" if self.within is None else f"--within {100 * self.within:.4g}%",
            "" if self.under_mb is None else f"--under-mb {self.under_mb:g}",
            "" if self.under_ms is None else f"--under-ms {self.under_ms:g}",
        ]
        return " ".join(part for part in parts if part)

    def as_json(self) -> Json:
        """The goal by its options' names."""
        return {
            "within": self.within,
            "under_mb": self.under_mb,
            "under_ms": self.under_ms,
            "metric": self.metric,
        }


def _share(written: str) -> float:
    match = re.fullmatch(r"\s*(-?\d+(?:\.\d+)?)\s*%\s*", written)
    if match is None:
        raise ConfigError(f"--within {written}: write a percentage of the teacher's metric, such as 1%")
    share = float(match[1]) / 100
    if share <= 0:
        raise ConfigError(
            f"--within {written}: asks a student to be as good as its teacher or better, which none can promise; name "
            f"a loss above 0%"
        )
    if share >= 1:
        raise ConfigError(f"--within {written}: any student is within that; name a loss below 100%")
    return share


@dataclass(frozen=True, slots=True)
class Model:
    """A model in words, how large it is and, where that matters, how long a query takes it."""

    name: str
    bytes: int
    latency_ms: float | None = None


def check(goal: Goal, least: Iterable[Model], given: Model, teacher: Model | None) -> None:
    """Refuses a goal that contradicts itself or the experiment, before anything is trained.

    Args:
        goal: what is asked.
        least: students, of which one is the smallest and one the quickest that is searched; they are looked at until
            one fits and, where it has to be, is smaller than the teacher.
        given: the student of the experiment, which is looked at first.
        teacher: None where its lists alone are known.

    Raises:
        ConfigError: it does.
    """
    below = math.inf if teacher is None else goal.below(teacher.bytes)
    looked_at: list[Model] = []
    for model in itertools.chain((given,), least):
        looked_at.append(model)
        if goal.fits(model.bytes, model.latency_ms) and model.bytes < below:
            break
    else:
        _refuse_tight(goal, looked_at, teacher)
    if teacher is None:
        return
    if goal.under_mb is not None and goal.most_bytes >= teacher.bytes:
        raise ConfigError(
            f"--under-mb {goal.under_mb:g}: the teacher itself, {teacher.name}, has {_mb(teacher.bytes)} MB; ask for "
            f"less"
        )
    if goal.under_ms is not None and teacher.latency_ms is not None and goal.under_ms >= teacher.latency_ms:
        raise ConfigError(
            f"--under-ms {goal.under_ms:g}: the teacher itself, {teacher.name}, takes {teacher.latency_ms:.3f} ms a "
            f"query here; ask for less"
        )


def _refuse_tight(goal: Goal, least: Sequence[Model], teacher: Model | None) -> None:
    """Says by which cost none of the least students fits, or that none is smaller than the teacher."""
    smallest = min(least, key=lambda model: model.bytes)
    if teacher is not None and smallest.bytes >= goal.below(teacher.bytes):
        raise ConfigError(
            f"the smallest student that is searched, {smallest.name}, has {_mb(smallest.bytes)} MB and the teacher "
            f"{teacher.name} {_mb(teacher.bytes)} MB: there is nothing to compress; name a smaller student, or widen "
            f"the sizes with --key student.dim=1..64:log"
        )
    if smallest.bytes > goal.most_bytes:
        raise ConfigError(
            f"--under-mb {goal.under_mb:g}: the smallest student that is searched, {smallest.name}, has "
            f"{_mb(smallest.bytes)} MB; ask for more, or widen the sizes with --key student.dim=1..64:log"
        )
    small = [model for model in least if model.bytes <= goal.most_bytes]
    quickest = min(small, key=lambda model: model.latency_ms or 0.0)
    among = "" if goal.under_mb is None else f" with --under-mb {goal.under_mb:g}"
    raise ConfigError(
        f"--under-ms {goal.under_ms:g}: the quickest student that is searched{among}, {quickest.name}, takes "
        f"{quickest.latency_ms:.3f} ms a query here; ask for more"
    )


def check_alone(goal: Goal, jobs: int) -> None:
    """Refuses to time students while others train.

    Raises:
        ConfigError: it is asked for.
    """
    if goal.under_ms is not None and jobs > 1:
        raise ConfigError(
            f"--under-ms {goal.under_ms:g}: --jobs {jobs} trains students while others are timed, which makes these "
            f"slow; leave out --jobs"
        )


def check_teacher(goal: Goal, quality: float | None) -> None:
    """Refuses a share of nothing, which any student has.

    Args:
        goal: what is asked.
        quality: the teacher's metric on the validation users; None where it is not known.

    Raises:
        ConfigError: the teacher ranks nothing right.
    """
    if goal.within is not None and quality is not None and not quality > 0:
        raise ConfigError(
            f"{goal}: the teacher's {goal.metric} on the validation users is {quality:g}, and any student is within "
            f"that; do its lists leave out what it learned from, and that was the validation part, too? make them "
            f"with --set split.train_on_validation=false"
        )


def _mb(size: int) -> str:
    return f"{size / MEGABYTE:.3g}"
