"""TensorBoard: event files beside the model, or in a folder of their own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from rankdistill.config import Section
from rankdistill.extras import extra
from rankdistill.tracker import Tracker, of_epoch, of_test
from rankdistill.training import FitResult
from rankdistill.types import Json

_TRAINING, _TEST = ".rankdistill-training", ".rankdistill-test"
"""The ends of the names of our event files; others in the folder are left alone."""


class TensorBoard(Tracker):
    """Writes event files that `tensorboard --logdir RUN_FOLDER` shows, each model as a run.

    They go to `tensorboard/` in the model's folder; with a `path`, to a folder there that is called like the model's
    (`PATH/RUN/student`). A training that starts or goes on writes them anew from its log, so that no epoch is twice.
    """

    class Config(Section):
        """Options of TensorBoard."""

        kind: Literal["tensorboard"] = "tensorboard"
        path: Path | None = Field(None, description="where to write; the model's folder when left out")

    def __init__(self, config: Config, folder: Path) -> None:
        super().__init__(config, folder)
        extra("tensorboard", "tensorboard")
        path = config.path
        self.path = self.folder / "tensorboard" if path is None else path.joinpath(*self.folder.parts[-2:])
        self._writer: Any = None

    def start(self, name: str, settings: Json, rows: Sequence[Json]) -> None:
        """See `Tracker.start`."""
        for suffix in (_TRAINING, _TEST):
            self._remove(suffix)
        self._writer = self._open(_TRAINING)
        lines = [f"    {key} = {json.dumps(value, ensure_ascii=False)}" for key, value in settings.items()]
        self._writer.add_text("settings", "\n".join(lines), 0)
        for row in rows:
            self._write(row)
        self._writer.flush()

    def epoch(self, row: Json) -> None:
        """See `Tracker.epoch`."""
        self._write(row)
        self._writer.flush()

    def end(self, result: FitResult | None) -> None:
        """See `Tracker.end`."""
        if self._writer is not None:
            self._writer.close()

    def test(self, card: Json) -> None:
        """See `Tracker.test`; the numbers stand at the best epoch."""
        self._remove(_TEST)
        with self._open(_TEST) as writer:
            for name, value in of_test(card).items():
                writer.add_scalar(name, value, int(card.get("best_epoch") or 0), new_style=True)

    def _write(self, row: Json) -> None:
        for name, value in of_epoch(row).items():
            self._writer.add_scalar(name, value, row["epoch"], new_style=True)

    def _open(self, suffix: str) -> Any:
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(str(self.path), filename_suffix=suffix)

    def _remove(self, suffix: str) -> None:
        for file in self.path.glob(f"events.out.tfevents.*{suffix}"):
            file.unlink()
