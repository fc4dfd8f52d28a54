"""One trial, from the prepared data to its figures; in this process or in one of its own."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path

from rankdistill.config import Experiment
from rankdistill.console import silence
from rankdistill.data.splitting import with_windows
from rankdistill.errors import TrainingError
from rankdistill.latency import median_latency
from rankdistill.loss import DistillationConfig, RankingLossConfig
from rankdistill.model_folder import bytes_of
from rankdistill.pipeline import Settings, fit_model, measured
from rankdistill.runs import Role
from rankdistill.teaching import Distillation
from rankdistill.tuning.space import Point, at, role_config
from rankdistill.tuning.trials import Trial
from rankdistill.tuning.watching import Watch
from rankdistill.variants import Shared, opened


@dataclass(frozen=True, slots=True)
class Job:
    """A trial to be carried out.

    Attributes:
        number: of the trial.
        point: its settings.
        base: the experiment without them.
        role: whose model is trained.
        metric: what is measured.
        out: the folder of the search, with the data and, for a distilled student, what `Shared.make` has left.
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
    out: Path
    bar: tuple[float, ...] = ()
    grace: int = 0
    seconds: float | None = None
    timed: bool = False

    @property
    def experiment(self) -> Experiment:
        """The experiment at the point."""
        return at(self.base, self.point)

    @property
    def method(self) -> DistillationConfig | None:
        """How it is distilled; None where it is not."""
        method = self.experiment.distillation
        assert isinstance(method, DistillationConfig)
        return method if self.role == "distilled" else None

    @property
    def shared(self) -> Shared:
        """What all trials share, with the lists that this one learns from."""
        return opened(self.base, self.out, None if self.method is None else self.method.exclude)

    def values_of(self, number: int) -> Path:
        """Where the values of a trial's validation users are kept."""
        return self.out / "trials" / f"{number:04}.parquet"


def do(job: Job) -> Trial:
    """Trains a model and measures it on the validation users alone."""
    begin = time.perf_counter()
    experiment = job.experiment
    split = with_windows(job.shared.split, experiment.windows)
    model = role_config(experiment, job.role)
    loss = experiment.loss_of(model)
    assert isinstance(loss, RankingLossConfig)
    watch = Watch(job.metric, job.bar, job.grace, job.seconds)
    settings = Settings(
        loss,
        model.train.model_copy(update={"validation_metric": job.metric}),
        experiment.seed,
        name=f"trial {job.number}",
        exclude_seen=experiment.evaluate.exclude_seen,
        callbacks=(watch,),
    )
    try:
        with silence(but=logging.ERROR):
            ranker, result = fit_model(model.model, split, settings, _distillation(job))
    except TrainingError as error:
        seconds = round(time.perf_counter() - begin, 2)
        return Trial(job.number, job.point, "failed", seconds=seconds, note=str(error))
    queries = split.queries("validation", exclude_seen=experiment.evaluate.exclude_seen)
    evaluation = measured(ranker, queries, [job.metric])
    evaluation.write(job.values_of(job.number), split.user_ids)
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
        median_latency(ranker, queries) if job.timed else None,
    )


def _distillation(job: Job) -> Distillation | None:
    method, shared = job.method, job.shared
    if method is None:
        return None
    return Distillation(shared.lists[method.exclude], method, shared.teacher_asked_by(method, job.experiment))
