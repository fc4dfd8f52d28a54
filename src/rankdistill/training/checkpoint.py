"""An unfinished training on disk: its log, and one safetensors file that is replaced as a whole."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass, field
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from rankdistill.errors import CheckpointError
from rankdistill.files import replacing, write_text
from rankdistill.ranker import Ranker
from rankdistill.training.optimizers import Adam
from rankdistill.types import Json

logger = logging.getLogger(__name__)

_SHARE_OF_TIME = 0.05


@dataclass(slots=True)
class Progress:
    """How far a training has come.

    Attributes:
        rows: one log row an epoch.
        best_epoch: the epoch with the best validation metric; 0 before there is one.
        best_value: that metric.
        best_state: the model's numbers then.
    """

    rows: list[Json] = field(default_factory=list)
    best_epoch: int = 0
    best_value: float = -float("inf")
    best_state: dict[str, Tensor] = field(default_factory=dict)

    @property
    def epoch(self) -> int:
        """The last epoch that is done."""
        return len(self.rows)


class Checkpoint:
    """Where a training is kept between epochs, and what it was started with.

    All randomness of an epoch is derived from the seed and the epoch's number, so the weights, the optimiser and
    the number of epochs done are the whole state: a resumed run ends in the same bits as one that was never stopped.

    Args:
        folder: where `checkpoint.safetensors` and the log `metrics.jsonl` are kept.
        settings: what the training depends on, flat; a resumed run must have the same.
        resume: whether to go on from what is there.
    """

    def __init__(self, folder: Path, settings: Json, *, resume: bool) -> None:
        self.path, self.log = folder / "checkpoint.safetensors", folder / "metrics.jsonl"
        self.settings, self.resume = settings, resume
        self._written_at = -float("inf")
        self._cost = 0.0

    @property
    def goes_on(self) -> bool:
        """Whether a training goes on from what is there, and does not begin."""
        return self.resume and self.path.exists()

    def load(self, model: Ranker, optimizer: Adam) -> Progress:
        """Takes up an unfinished training, or starts a new one.

        Raises:
            CheckpointError: the file is damaged, or was started with other settings.
        """
        if not self.goes_on:
            if self.path.exists():
                logger.warning("%s: an unfinished training is started over; --resume would go on with it", self.path)
            return Progress()
        tensors, settings, progress = _read(self.path)
        self._refuse_other_settings(settings)
        groups: dict[str, dict[str, Tensor]] = {"model": {}, "best": {}, "optimizer": {}}
        for name, tensor in tensors.items():
            group, _, rest = name.partition("/")
            groups[group][rest] = tensor
        model.load_state_dict(groups["model"])
        try:
            optimizer.load(groups["optimizer"])
        except (KeyError, RuntimeError) as error:
            raise CheckpointError(
                f"{self.path}: the optimiser's state is of another version of rankdistill ({error}); "
                f"start over without --resume"
            ) from error
        return Progress(progress["rows"], progress["best_epoch"], progress["best_value"], groups["best"])

    def _refuse_other_settings(self, earlier: Json) -> None:
        for key in sorted({*earlier, *self.settings}):
            if earlier.get(key) != self.settings.get(key):
                then = f"with {key} = {earlier[key]!r}" if key in earlier else f"without {key}"
                now = f"with {self.settings[key]!r}" if key in self.settings else "without it"
                raise CheckpointError(
                    f"{self.path}: this training was started {then} and cannot go on {now}; put that back, or start "
                    f"over without --resume"
                )

    def save(self, model: Ranker, optimizer: Adam, progress: Progress) -> None:
        """Writes the log after each epoch, and the state as often as costs at most a twentieth of the time."""
        self._write_log(progress.rows)
        now = time.monotonic()
        if now - self._written_at < self._cost / _SHARE_OF_TIME:
            return
        kept = optimizer.state()  # first: it brings the model's rows up to date
        tensors = {f"model/{name}": tensor for name, tensor in model.state_dict().items()}
        tensors |= {f"best/{name}": tensor for name, tensor in progress.best_state.items()}
        tensors |= {f"optimizer/{name}": tensor for name, tensor in kept.items()}
        metadata = {
            "settings": json.dumps(self.settings),
            "progress": json.dumps(
                {"rows": progress.rows, "best_epoch": progress.best_epoch, "best_value": progress.best_value}
            ),
        }
        with replacing(self.path) as temporary:
            whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
            save_file(whole, temporary, metadata)
        self._written_at = time.monotonic()
        self._cost = self._written_at - now

    def finish(self, rows: list[Json]) -> None:
        """Writes the whole log and removes the state, when the model is written."""
        self._write_log(rows)
        self.path.unlink(missing_ok=True)

    def _write_log(self, rows: list[Json]) -> None:
        write_text(self.log, "".join(json.dumps(row) + "\n" for row in rows))


def _read(path: Path) -> tuple[dict[str, Tensor], Json, Json]:
    """Tensors, settings and progress of a checkpoint."""
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = file.metadata()
        return tensors, json.loads(metadata["settings"]), json.loads(metadata["progress"])
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path}: not a whole checkpoint ({error}); remove it to start over") from error
