"""One trial, from the prepared data to its figures; in this process or in one of its own."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import torch

from rankdistill.config import Experiment, WindowsConfig
from rankdistill.console import silence
from rankdistill.data.splitting import Split, with_windows
from rankdistill.data.storage import read_split
from rankdistill.errors import TrainingError
from rankdistill.evaluation.evaluate import Evaluation, evaluate
from rankdistill.latency import measure_latency
from rankdistill.loss import DistillationConfig, RankingLossConfig
from rankdistill.model_folder import bytes_of, load_model
from rankdistill.pipeline import Settings, fit_model
from rankdistill.ranker import Ranker, rank
from rankdistill.rankings import Rankings
from rankdistill.runs import Role
from rankdistill.stages import read_lists
from rankdistill.teaching import Distillation, needs_of
from rankdistill.tuning.space import Point, at, role_config
from rankdistill.tuning.trials import Trial
from rankdistill.tuning.watching import Watch


@dataclass(frozen=True, slots=True)
class Sources:
    """Where a trial finds what all trials share.

    Attributes:
        data: the prepared data.
        lists: the teacher's lists; None where nothing is distilled.
        teacher: the teacher's folder, where it is at hand.
        on_unknown: what to do with users and items in the lists that the data does not have.
    """

    data: Path
    lists: Path | None = None
    teacher: Path | None = None
    on_unknown: Literal["error", "drop"] = "error"


@dataclass(frozen=True, slots=True)
class Job:
    """A trial to be carried out.

    Attributes:
        number: of the trial.
        point: its settings.
        base: the experiment without them.
        role: whose model is trained.
        metric: what is measured.
        sources: what all trials share.
        folder: where the values of the users are kept.
        bar: see `Watch`.
        grace: see `Watch`.
        seconds: see `Watch`.
        timed: whether the latency is measured.
    """

    number: int
    point: Point
    base: Experiment
    role: Role
    metric: str
    sources: Sources
    folder: Path
    bar: tuple[float, ...] = ()
    grace: int = 0
    seconds: float | None = None
    timed: bool = False

    @property
    def values(self) -> Path:
        """The file of the users' values."""
        return values_of(self.folder, self.number)


def values_of(folder: Path, number: int) -> Path:
    """Where the values of the validation users are kept."""
    return folder / f"{number:04}.parquet"


def do(job: Job) -> Trial:
    """Trains a model and measures it on the validation users alone."""
    begin = time.perf_counter()
    experiment = at(job.base, job.point)
    split = _split(job.sources.data, experiment.windows)
    model = role_config(experiment, job.role)
    assert isinstance(experiment.ranking_loss, RankingLossConfig)
    watch = Watch(job.metric, job.bar, job.grace, job.seconds)
    settings = Settings(
        experiment.ranking_loss,
        model.train.model_copy(update={"validation_metric": job.metric}),
        experiment.seed,
        name=f"trial {job.number}",
        exclude_seen=experiment.evaluate.exclude_seen,
        callbacks=(watch,),
    )
    if model.train.threads:
        torch.set_num_threads(model.train.threads)
    try:
        with silence(but=logging.ERROR):
            ranker, result = fit_model(model.model, split, settings, _distillation(job, experiment, split))
    except TrainingError as error:
        seconds = round(time.perf_counter() - begin, 2)
        return Trial(job.number, job.point, "failed", seconds=seconds, note=str(error))
    evaluation = validated(ranker, split, job.metric, exclude_seen=experiment.evaluate.exclude_seen)
    evaluation.write(job.values, split.user_ids)
    queries = split.queries("validation", exclude_seen=experiment.evaluate.exclude_seen)
    epochs = len(result.rows)
    return Trial(
        job.number,
        job.point,
        "pruned" if watch.behind else "stopped" if watch.late and epochs < model.train.epochs else "complete",
        evaluation.mean()[job.metric],
        tuple(round(value, 6) for value in watch.curve),
        result.best_epoch,
        epochs,
        round(time.perf_counter() - begin, 2),
        ranker.parameters_count,
        bytes_of(ranker),
        measure_latency(ranker, queries).p50 if job.timed else None,
    )


def validated(model: Ranker, split: Split, metric: str, *, exclude_seen: bool) -> Evaluation:
    """The metric of each validation user."""
    lists = rank(model, split.queries("validation", exclude_seen=exclude_seen), 10)
    assert lists.target_ranks is not None
    return evaluate(lists.target_ranks, [metric])


def _distillation(job: Job, experiment: Experiment, split: Split) -> Distillation | None:
    if job.role != "distilled":
        return None
    method, sources = experiment.distillation, job.sources
    assert isinstance(method, DistillationConfig)
    assert sources.lists is not None
    asked = needs_of(method) == "model" and sources.teacher is not None
    teacher = _teacher(sources.teacher, experiment.student.train.device) if asked and sources.teacher else None
    return Distillation(_lists(sources, split), method, teacher)


@lru_cache(maxsize=1)
def _split(folder: Path, windows: WindowsConfig) -> Split:
    return with_windows(read_split(folder), windows)


@lru_cache(maxsize=1)
def _lists(sources: Sources, split: Split) -> Rankings:
    assert sources.lists is not None
    return read_lists(sources.lists, split, sources.on_unknown)


@lru_cache(maxsize=1)
def _teacher(folder: Path, device: str) -> Ranker:
    return load_model(folder, device)[0]
