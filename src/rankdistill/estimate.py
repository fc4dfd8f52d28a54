"""How long trainings will take: a few steps of each kind are timed."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from rankdistill import plugins
from rankdistill.config import Experiment
from rankdistill.console import silence
from rankdistill.data.splitting import Split, some_users, with_windows
from rankdistill.loss import DistillationConfig, RankingLossConfig
from rankdistill.pipeline import Settings, build, fit_model, label
from rankdistill.ranker import rank
from rankdistill.teaching import Distillation

_STEPS = 12
_QUERIES = 4096
_START_SECONDS = 3.0
"""A process that imports torch and reads the data."""


@dataclass(frozen=True, slots=True)
class Training:
    """The training of an experiment's student.

    Attributes:
        experiment: all settings.
        split: the data.
        distilled: whether it learns from a teacher, too.
        labels: whether the teacher's lists are made for it.
    """

    experiment: Experiment
    split: Split
    distilled: bool
    labels: bool

    @property
    def kind(self) -> str:
        """What the cost of a step depends on."""
        experiment, method = self.experiment, self.method
        how = method.model_dump(exclude={"alpha", "warmup_epochs"}) if self.distilled else None
        student = experiment.student
        return f"{student.model!r} {experiment.loss_of(student)!r} {student.train.batch_size} {how}"

    @property
    def method(self) -> DistillationConfig:
        """How it is distilled, where it is."""
        method = self.experiment.distillation
        assert isinstance(method, DistillationConfig)
        return method


def seconds_of(trainings: Mapping[str, Training], threads: int) -> dict[str, float]:
    """About how long each of the trainings will take, by name; kinds of trainings are timed once each.

    A model that learns nothing by gradient is not timed, for that would be to solve it: 0. What is said of the others
    is what a training takes alone: beside more, which want the same memory, it takes somewhat longer.
    """
    known: dict[str, tuple[float, float]] = {}
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with silence(but=logging.ERROR):
            return {name: _seconds(training, known) for name, training in trainings.items()}
    finally:
        torch.set_num_threads(before)


def _seconds(training: Training, known: dict[str, tuple[float, float]]) -> float:
    if not plugins.behind("models", training.experiment.student.model).learns:
        return 0.0
    split, train = with_windows(training.split, training.experiment.windows), training.experiment.student.train
    if training.kind not in known:
        known[training.kind] = _timed(training, split)
    a_step, a_list = known[training.kind]
    windows = len(split.windows)
    steps = train.epochs * math.ceil(windows / train.batch_size)
    measured = 1 if split.validation is None else train.epochs // train.validate_every
    lists = measured * split.num_users + (windows if training.labels else 0)
    return _START_SECONDS + steps * a_step + lists * a_list


def _timed(training: Training, split: Split) -> tuple[float, float]:
    """Seconds of a step behind the warm-up, and of a list; a teacher that has learnt nothing costs the same."""
    experiment, method = training.experiment, training.method
    train = experiment.student.train.model_copy(update={"epochs": 1})
    split = some_users(replace(split, validation=None), _STEPS * train.batch_size)
    loss = experiment.loss_of(experiment.student)
    assert isinstance(loss, RankingLossConfig)
    model, distillation = build(experiment.student.model, split, 0), None
    begin = time.perf_counter()
    if training.distilled:
        lists = label(model, split, k=method.k, exclude=method.exclude)
        lists = replace(lists, easier=(lists,))
        distillation = Distillation(lists, _settled(method), model)
    else:
        lists = rank(model, split.test_queries.rows(0, _QUERIES), 10)
    a_list = (time.perf_counter() - begin) / len(lists)
    settings = Settings(loss, train, experiment.seed)
    _, result = fit_model(experiment.student.model, split, settings, distillation)
    return result.seconds / max(1, math.ceil(len(split.windows) / train.batch_size)), a_list


def _settled(method: DistillationConfig) -> DistillationConfig:
    """The method as it is behind its warm-up, where it has one."""
    return method.model_copy(update={"warmup_epochs": 0}) if "warmup_epochs" in type(method).model_fields else method
