"""Which point to try next: Optuna's tree-structured Parzen estimator, asked anew for each one."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterator, Sequence, Set
from typing import Any

import numpy as np

from rankdistill.config import Range, Tunable, Value
from rankdistill.extras import extra
from rankdistill.tuning.space import Point, Space
from rankdistill.tuning.trials import Trial

_DIGITS = 3
_AT_RANDOM = 8
"""The first trials, which are drawn without looking at the others."""


def proposals(
    space: Space,
    whole: Set[str],
    trials: Sequence[Trial],
    running: Sequence[Point],
    score: Callable[[Trial], float | None],
    seed: Sequence[int],
) -> Iterator[Point]:
    """Points to try next, each as good as the others, without end.

    They follow from the arguments alone: a search that was killed goes on as it would have.

    Args:
        space: what is searched.
        whole: the addresses whose values are integers.
        trials: what was tried.
        running: what is being tried.
        score: what is to be high; None for a trial that says nothing but that it is bad.
        seed: of these proposals.

    Raises:
        ConfigError: Optuna is not installed.
    """
    optuna = extra("optuna", "tune")
    optuna.logging.set_verbosity(logging.WARNING)
    distributions = {address: _distribution(optuna, each, address in whole) for address, each in space.items()}
    study = _study(optuna, distributions, trials, score)
    for attempt in itertools.count():
        own = int(np.random.SeedSequence([*seed, attempt]).generate_state(1)[0])
        study.sampler = optuna.samplers.TPESampler(seed=own, n_startup_trials=_AT_RANDOM)
        for point in running:
            study.enqueue_trial(point)
        asked = [study.ask(distributions) for _ in range(len(running) + 1)]
        proposed = asked[-1].params
        for each in asked:
            study.tell(each, state=optuna.trial.TrialState.FAIL)  # of which the next proposal takes no notice
        yield {address: _rounded(proposed[address], tunable) for address, tunable in space.items()}


def _study(
    optuna: Any, distributions: dict[str, Any], trials: Sequence[Trial], score: Callable[[Trial], float | None]
) -> Any:
    """Optuna's record of the trials; to make it takes as long as to ask it once."""
    study = optuna.create_study(direction="maximize")
    states = optuna.trial.TrialState
    for trial in trials:
        value = score(trial)
        state = states.PRUNED if value is None else states.COMPLETE
        study.add_trial(
            optuna.trial.create_trial(params=trial.point, distributions=distributions, value=value, state=state)
        )
    return study


def _rounded(value: Value, tunable: Tunable) -> Value:
    """The value with as many digits as a person would write."""
    if not isinstance(value, float) or not isinstance(tunable, Range):
        return value
    return min(max(float(f"{value:.{_DIGITS}g}"), tunable.low), tunable.high)


def _distribution(optuna: Any, tunable: Tunable, whole: bool) -> Any:
    distributions = optuna.distributions
    if not isinstance(tunable, Range):
        return distributions.CategoricalDistribution(tunable.values)
    if whole:
        return distributions.IntDistribution(int(tunable.low), int(tunable.high), log=tunable.log)
    return distributions.FloatDistribution(tunable.low, tunable.high, log=tunable.log)
