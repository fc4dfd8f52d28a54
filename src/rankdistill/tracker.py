"""Where a training is logged beside the run folder: one file of `tracking/` for each kind of place."""

from __future__ import annotations

import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar, ParamSpec

from rankdistill import plugins
from rankdistill.config import Section
from rankdistill.training import Callback, FitResult
from rankdistill.types import Json

logger = logging.getLogger(__name__)

P = ParamSpec("P")


class Tracker(Callback, ABC):
    """Logs one model: its settings, its epochs, and what it reaches on the test split.

    A tracker that fails (a full disk, a server that is away) says so once and is silent from then on; the training
    goes on. What is already logged is not logged again by a training that is resumed.

    Args:
        config: the options of this kind.
        folder: the model's folder.

    Raises:
        ConfigError: the package that it needs is not installed.
    """

    Config: ClassVar[type[Section]]

    def __init__(self, config: Section, folder: Path) -> None:
        self.folder, self.broken = folder.absolute(), False

    @abstractmethod
    def start(self, name: str, settings: Json, rows: Sequence[Json]) -> None:
        """See `Callback.on_start`; the rows that are done are to be logged where they are not yet."""

    @abstractmethod
    def epoch(self, row: Json) -> None:
        """See `Callback.on_epoch`."""

    @abstractmethod
    def end(self, result: FitResult | None) -> None:
        """See `Callback.on_end`."""

    @abstractmethod
    def test(self, card: Json) -> None:
        """The model was evaluated, perhaps by another process than trained it; `card` is its `model.json`."""

    def on_start(self, name: str, settings: Json, rows: Sequence[Json]) -> None:
        """See `start`."""
        self._guarded(self.start, name, settings, rows)

    def on_epoch(self, row: Json) -> None:
        """See `epoch`."""
        self._guarded(self.epoch, row)

    def on_end(self, result: FitResult | None) -> None:
        """See `end`."""
        self._guarded(self.end, result)

    def on_test(self, card: Json) -> None:
        """See `test`."""
        self._guarded(self.test, card)

    def _guarded(self, log: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        if self.broken:
            return
        try:
            log(*args, **kwargs)
        except Exception as error:
            self.broken = True
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            logger.warning("%s: %s failed (%s); it goes on untracked", self.folder, type(self).__name__, reason)


def tracker_of(config: Section | None, folder: Path) -> Tracker | None:
    """The tracker that `[tracking]` names, for the model of a folder; None where there is none."""
    if config is None:
        return None
    tracker: Tracker = plugins.behind("trackers", config)(config, folder)
    return tracker


def of_epoch(row: Json) -> dict[str, float]:
    """The numbers of an epoch's log row by name: losses, seconds, `validation/ndcg@10` ...

    >>> of_epoch({"epoch": 2, "seconds": 1.5, "ranking_loss": 0.7, "validation": {"map": 0.1}})
    {'seconds': 1.5, 'ranking_loss': 0.7, 'validation/map': 0.1}
    """
    return {name: value for name, value in _numbers(row).items() if name != "epoch"}


def of_test(card: Json) -> dict[str, float]:
    """The numbers of a model card by name: `test/ndcg@10`, `test/tail/ndcg@10`, `parameters`, `bytes` ..."""
    costs = ("parameters", "bytes", "train_seconds", "best_epoch", "latency_ms", "users_per_second")
    halves = {half: one["metrics"] for half, one in (card.get("halves") or {}).items()}
    return _numbers({name: card.get(name) for name in costs} | {"test": {**card.get("metrics", {}), **halves}})


def _numbers(values: Json) -> dict[str, float]:
    """The finite numbers of nested values; the names of nested ones joined by "/"."""
    found: dict[str, float] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            found |= {f"{name}/{inner}": number for inner, number in _numbers(value).items()}
        elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            found[name] = float(value)
    return found
