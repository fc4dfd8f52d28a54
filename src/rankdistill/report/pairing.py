"""Comparisons for folders that bring none: paired over the users of their `evaluation.parquet`."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import polars as pl

from rankdistill.errors import EvaluationError
from rankdistill.evaluation import Comparison as Paired
from rankdistill.evaluation import Evaluation, compare
from rankdistill.evaluation.compare import compare_all
from rankdistill.evaluation.halves import beside, compare_halves
from rankdistill.ids import IdMap
from rankdistill.report.run import PAIRS, Comparison, Model, finite
from rankdistill.runs import EVALUATION

logger = logging.getLogger(__name__)


def paired(models: Sequence[Model]) -> tuple[Comparison, ...]:
    """The comparisons of `PAIRS` in all metrics that two evaluations share.

    A role that several models play is left out, for it would not be clear which of them is meant. What cannot
    be paired (other users, a metric that is undefined for some) is left out with a warning.
    """
    evaluated = {model.role: model for model in models if model.users and _alone(model, models)}
    if len(evaluated) < 2:
        return ()
    files = {role: model.folder / EVALUATION for role, model in evaluated.items()}
    frames = [pl.read_parquet(file, columns=["user_id"], glob=False) for file in files.values()]
    users = pl.concat([frame["user_id"].cast(pl.String) for frame in frames])
    user_ids = IdMap.of(users, first=0)
    read = {role: Evaluation.read(file, user_ids) for role, file in files.items()}
    parts = {role: Evaluation.read(beside(file), user_ids) for role, file in files.items() if beside(file).is_file()}
    whole = [made for a, b in PAIRS if a in read and b in read for made in _pair(a, b, read)]
    return (*whole, *(made for a, b in PAIRS if a in parts and b in parts for made in _halves(a, b, parts)))


def _alone(model: Model, models: Sequence[Model]) -> bool:
    return sum(other.role == model.role for other in models) == 1


def _pair(a: str, b: str, read: dict[str, Evaluation]) -> list[Comparison]:
    """The comparisons of two roles in the metrics that both have."""
    metrics = [metric for metric in read[a].values if metric in read[b].values]
    try:
        results = compare_all(read[a], read[b], metrics)
    except EvaluationError:  # some cannot be paired, and the others still can
        results = [result for metric in metrics if (result := _compare(a, b, metric, read)) is not None]
    return [_comparison(a, b, made) for made in results]


def _halves(a: str, b: str, parts: dict[str, Evaluation]) -> list[Comparison]:
    try:
        return [_comparison(a, b, made) for made in compare_halves(parts[a], parts[b])]
    except EvaluationError as error:
        logger.warning("%s against %s: popular and unpopular items not compared, %s", a, b, error)
        return []


def _comparison(a: str, b: str, made: Paired) -> Comparison:
    numbers = {name: finite(getattr(made, name)) for name in ("difference", "low", "high", "p_value")}
    return Comparison(a=a, b=b, metric=made.metric, **numbers)


def _compare(a: str, b: str, metric: str, read: dict[str, Evaluation]) -> Paired | None:
    try:
        return compare(read[a], read[b], metric)
    except EvaluationError as error:
        logger.warning("%s against %s: not compared, %s", a, b, error)
        return None
