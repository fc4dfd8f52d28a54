"""What is told of a training while it goes on: trackers, pruners, whatever somebody likes to hang on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rankdistill.types import Json


class StopTraining(Exception):  # noqa: N818 - a request, and no error
    """Raised by `Callback.on_epoch`: the training ends as if this epoch were its last, with its best numbers."""


@dataclass(frozen=True, slots=True)
class FitResult:
    """How a training went.

    Attributes:
        rows: one log row an epoch: `epoch`, `seconds` of training alone, the loss terms, `validation` metrics.
        best_epoch: the epoch whose numbers the model has.
        seconds: of training alone, summed; of a model that learns nothing by gradient, of building it.
        warnings: what speaks against what it learned from, a sentence each.
    """

    rows: list[Json]
    best_epoch: int
    seconds: float
    warnings: tuple[str, ...] = ()


class Callback:
    """Told of one training at a time; each method does nothing unless it is overridden.

    An exception that `on_epoch` raises, other than `StopTraining`, ends the training and reaches the caller. The epoch
    is in the log by then, and in the checkpoint where one was due.
    """

    def on_start(self, name: str, settings: Json, rows: Sequence[Json]) -> None:
        """Before the first epoch.

        Args:
            name: what the model is called in the log: "teacher", "student" or "distilled" in a run.
            settings: all that the training depends on, flat: `{"model.dim": 50, "train.epochs": 20, ...}`.
            rows: the log rows of the epochs that were done before a training that is resumed now.
        """

    def on_epoch(self, row: Json) -> None:
        """After each epoch.

        Args:
            row: its log row; see `FitResult`.

        Raises:
            StopTraining: to end the training here.
        """

    def on_end(self, result: FitResult | None) -> None:
        """After the last epoch; `result` is None where the training was broken off by an exception."""
