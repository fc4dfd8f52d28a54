"""How long the trainings of a plan will take: a few steps of each kind are timed."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import replace

import torch

from rankdistill.data.splitting import Split, with_windows
from rankdistill.loss import DistillationConfig, RankingLossConfig
from rankdistill.pipeline import Settings, build, fit_model, label
from rankdistill.ranker import rank
from rankdistill.reproduction.cells import Cell
from rankdistill.reproduction.execution import Workshop, silence
from rankdistill.teaching import Distillation

_STEPS = 12
_QUERIES = 4096
_START_SECONDS = 3.0
"""A process that imports torch and reads the data."""


def seconds_of(workshop: Workshop, cells: Sequence[Cell], threads: int) -> dict[str, float]:
    """About how long each of the given cells will take, by name; kinds of trainings are timed once each.

    That is what a cell takes alone: beside others, which want the same memory, it takes somewhat longer.
    """
    known: dict[str, tuple[float, float]] = {}
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with silence(but=logging.ERROR):
            return {cell.name: _seconds(workshop, cell, known) for cell in cells}
    finally:
        torch.set_num_threads(before)


def _seconds(workshop: Workshop, cell: Cell, known: dict[str, tuple[float, float]]) -> float:
    split = with_windows(workshop.splits[cell.part], cell.experiment.windows)
    kind, train = _kind(cell), cell.model.train
    if kind not in known:
        known[kind] = _timed(cell, split)
    a_step, a_list = known[kind]
    windows = len(split.windows)
    steps = train.epochs * math.ceil(windows / train.batch_size)
    measured = 1 if split.validation is None else train.epochs // train.validate_every
    lists = measured * split.num_users + (windows if cell.teacher else 0)
    return _START_SECONDS + steps * a_step + lists * a_list


def _kind(cell: Cell) -> str:
    """What the cost depends on."""
    method = cell.experiment.distillation
    assert isinstance(method, DistillationConfig)
    how = (method.k, method.exclude, getattr(method, "weighting", "")) if cell.teacher else ()
    return f"{cell.model.model!r} {cell.experiment.ranking_loss!r} {cell.model.train.batch_size} {how}"


def _timed(cell: Cell, split: Split) -> tuple[float, float]:
    """Seconds of a step behind the warm-up, and of a list; a teacher that has learnt nothing costs the same."""
    share = min(1.0, (_STEPS * cell.model.train.batch_size) / len(split.windows))
    split = replace(split, query_share=share, validation=None)
    train = cell.model.train.model_copy(update={"epochs": 1})
    loss, method = cell.experiment.ranking_loss, cell.experiment.distillation
    assert isinstance(loss, RankingLossConfig)
    assert isinstance(method, DistillationConfig)
    model, distillation = build(cell.model.model, split, 0), None
    begin = time.perf_counter()
    if cell.teacher is None:
        lists = rank(model, split.test_queries.rows(0, _QUERIES), 10)
    else:
        lists = label(model, split, k=method.k, exclude=method.exclude)
        distillation = Distillation(lists, _settled(method))
    a_list = (time.perf_counter() - begin) / len(lists)
    _, result = fit_model(cell.model.model, split, Settings(loss, train, cell.seed), distillation)
    return result.seconds / max(1, math.ceil(len(split.windows) / train.batch_size)), a_list


def _settled(method: DistillationConfig) -> DistillationConfig:
    """The method as it is behind its warm-up, where it has one."""
    return method.model_copy(update={"warmup_epochs": 0}) if "warmup_epochs" in type(method).model_fields else method
