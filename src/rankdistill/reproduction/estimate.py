"""How long the trainings of a plan will take: a few steps of each kind are timed."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import replace

import torch

from rankdistill.data.splitting import Split, with_windows
from rankdistill.loss import DistillationConfig, RankingLossConfig
from rankdistill.pipeline import Distillation, Settings, build, fit_model, label
from rankdistill.ranker import Ranker
from rankdistill.reproduction.cells import Cell
from rankdistill.reproduction.execution import Workshop

_STEPS = 12
logger = logging.getLogger(__name__)


def seconds_of(workshop: Workshop, cells: Sequence[Cell], threads: int) -> dict[str, float]:
    """About how long each of the given cells will take, by name; kinds of trainings are timed once each."""
    known: dict[str, float] = {}
    before, level = torch.get_num_threads(), logging.getLogger("rankdistill").level
    torch.set_num_threads(threads)
    logging.getLogger("rankdistill").setLevel(logging.ERROR)
    try:
        seconds = {}
        for cell in cells:
            kind = _kind(cell)
            if kind not in known:
                known[kind] = _seconds_a_step(cell, workshop.splits[cell.part])
            windows = len(with_windows(workshop.splits[cell.part], cell.experiment.windows).windows)
            steps = math.ceil(windows / cell.model.train.batch_size)
            seconds[cell.name] = known[kind] * steps * cell.model.train.epochs
        return seconds
    finally:
        torch.set_num_threads(before)
        logging.getLogger("rankdistill").setLevel(level)


def _kind(cell: Cell) -> str:
    """What a step's cost depends on."""
    method = cell.experiment.distillation
    assert isinstance(method, DistillationConfig)
    batch = cell.model.train.batch_size
    return f"{cell.model.model!r} {cell.experiment.ranking_loss!r} {batch} {cell.teacher and method.k}"


def _seconds_a_step(cell: Cell, split: Split) -> float:
    """Of a short training; a teacher that has learnt nothing gives lists that cost the same to learn from."""
    split = with_windows(split, cell.experiment.windows)
    share = min(1.0, (_STEPS * cell.model.train.batch_size) / len(split.windows))
    split = replace(split, query_share=share, validation=None)
    train = cell.model.train.model_copy(update={"epochs": 1})
    loss, method = cell.experiment.ranking_loss, cell.experiment.distillation
    assert isinstance(loss, RankingLossConfig)
    assert isinstance(method, DistillationConfig)
    distillation = None
    if cell.teacher is not None:
        teacher: Ranker = build(cell.model.model, split, 0)
        distillation = Distillation(label(teacher, split, k=method.k, exclude=method.exclude), method)
    _, result = fit_model(cell.model.model, split, Settings(loss, train, cell.seed), distillation)
    return result.seconds / max(1, math.ceil(len(split.windows) / train.batch_size))
