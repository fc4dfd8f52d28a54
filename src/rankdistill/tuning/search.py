"""The loop of a search: ask for a point, train it, keep the trial, until the budget is spent."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Protocol

from rankdistill.config import Experiment, Range, Value
from rankdistill.errors import ConfigError
from rankdistill.parallel import Processors, first_done, workers
from rankdistill.tuning.proposing import proposals
from rankdistill.tuning.space import Point, Space, point_of, role_config
from rankdistill.tuning.trials import Ledger, Trial
from rankdistill.tuning.work import Job, do

logger = logging.getLogger(__name__)

_ATTEMPTS = 200
"""Proposals that may be refused one after the other before the space counts as exhausted."""


@dataclass(frozen=True, slots=True)
class Budget:
    """How long to search; whichever comes first. A search that goes on counts what it spent before.

    Attributes:
        trials: at most; None for any number.
        minutes: of trials at most; None for any time. The first trial is not cut short.
        jobs: trials at once.

    Raises:
        ConfigError: there are no minutes.
    """

    trials: int | None = None
    minutes: float | None = None
    jobs: int = 1

    def __post_init__(self) -> None:
        if self.minutes is not None and not 0 < self.minutes < float("inf"):
            raise ConfigError(f"--minutes {self.minutes:g}: is no time to search in; name a number above 0")

    def left(self, ledger: Ledger, running: int) -> bool:
        """Whether another trial may begin."""
        few = self.trials is None or len(ledger.trials) + running < self.trials
        return few and (not ledger.trials or self.seconds_left(ledger) is None or bool(self.seconds_left(ledger)))

    def seconds_left(self, ledger: Ledger) -> float | None:
        """For the next trial; None for no limit."""
        if self.minutes is None or not ledger.trials:
            return None
        return max(0.0, self.minutes * 60 - ledger.seconds / self.jobs)


class Strategy(Protocol):
    """What a search is after."""

    def first(self, tried: Sequence[Trial], running: Sequence[Point]) -> Point | None:
        """A point to be tried before others are proposed; None where proposals are to be had."""

    def refused(self, point: Point, tried: Sequence[Trial]) -> bool:
        """Whether the point is never trained: it cannot be what is sought."""

    def score(self, trial: Trial) -> float | None:
        """What is to be high."""

    def bar(self, tried: Sequence[Trial]) -> tuple[float, ...]:
        """What the validation values of the next trial must reach; see `Watch`."""


@dataclass(frozen=True, slots=True)
class Search:
    """A search: where it looks, what it is after, and what a trial is like.

    Attributes:
        space: what is searched.
        experiment: whose point is in the space.
        strategy: what is sought.
        seed: of the proposals.
        template: a trial without its number, point, bar and time.
    """

    space: Space
    experiment: Experiment
    strategy: Strategy
    seed: int
    template: Job

    def next(self, ledger: Ledger, running: Sequence[Point]) -> Point | None:
        """The next point; None where every one was tried or is refused."""
        tried = [*(trial.point for trial in ledger.trials), *running]
        first = self.strategy.first(ledger.trials, running)
        if first is not None:
            return first
        seed = [self.seed, len(tried)]
        proposed = proposals(self.space, self._whole, ledger.trials, running, self.strategy.score, seed)
        for point in itertools.islice(proposed, _ATTEMPTS):
            if point not in tried and not self.strategy.refused(point, ledger.trials):
                return point
        return None

    @property
    def _whole(self) -> frozenset[str]:
        own = point_of(self.experiment, self.space)
        return frozenset(address for address, value in own.items() if is_whole(value, self.space[address]))

    def run(self, ledger: Ledger, budget: Budget) -> None:
        """Tries points until the budget is spent; each trial is kept as it ends."""
        running: dict[Future[Trial], Job] = {}
        with _workers(budget.jobs, self.template) as pool:
            while True:
                exhausted = False  # what ended may have opened a step that was closed before
                while len(running) < budget.jobs and not exhausted and budget.left(ledger, len(running)):
                    point = self.next(ledger, [job.point for job in running.values()])
                    exhausted = point is None
                    if point is not None:
                        job = self._job(ledger, list(running.values()), point, budget)
                        running[pool.submit(do, job)] = job
                if not running:
                    break
                for future in first_done(running):
                    del running[future]
                    trial = future.result()
                    ledger.add(trial)
                    logger.info(line_of(trial, self.template.metric, ledger, self.strategy.score))
        if exhausted:
            logger.info("nothing else in the space is worth a trial")

    def _job(self, ledger: Ledger, running: Sequence[Job], point: Point, budget: Budget) -> Job:
        taken = {trial.number for trial in ledger.trials} | {job.number for job in running}
        number = next(each for each in itertools.count(1) if each not in taken)
        bar = self.strategy.bar(ledger.trials)
        return replace(self.template, number=number, point=point, bar=bar, seconds=budget.seconds_left(ledger))


def is_whole(value: Value, tunable: object) -> bool:
    """Whether an option takes integers."""
    return isinstance(tunable, Range) and isinstance(value, int) and not isinstance(value, bool)


def line_of(trial: Trial, metric: str, ledger: Ledger, score: Callable[[Trial], float | None]) -> str:
    """What is logged of a trial."""
    value = "no value" if trial.value is None else f"{metric} {trial.value:.4f}"
    best = max((each for each in ledger.trials if each.counts), key=lambda each: score(each) or 0.0, default=None)
    mark = "; the best so far" if best is trial else ""
    return f"trial {trial.number}: {value}, {trial.epochs} epochs, {trial.seconds:.1f} s, {trial.state}{mark}"


class _Here(Executor):
    """Does each task at once, in this process."""

    def submit(self, fn, /, *args, **kwargs):  # type: ignore[no-untyped-def]
        future: Future[Trial] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def _workers(jobs: int, template: Job) -> AbstractContextManager[Executor]:
    if jobs == 1:
        return nullcontext(_Here())
    train = role_config(template.base, template.role).train
    return workers(Processors.shared_out(train.device, jobs, train.threads, most=jobs))
