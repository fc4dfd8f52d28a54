"""What trained models and anybody's lists are worth: measured on the test users, timed, compared, written down."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Literal

from rankdistill.config import EvaluateConfig
from rankdistill.data.popularity import popular_items
from rankdistill.data.queries import Queries
from rankdistill.data.splitting import Part, Split
from rankdistill.errors import EvaluationError, RankingsError
from rankdistill.evaluation import halves
from rankdistill.evaluation.compare import compare_all
from rankdistill.evaluation.evaluate import Evaluation
from rankdistill.evaluation.evaluate import evaluate as evaluate_ranks
from rankdistill.evaluation.metrics import Metric
from rankdistill.files import write_json
from rankdistill.ids import IdMap
from rankdistill.latency import measure_latency
from rankdistill.model_folder import CARD, load_card
from rankdistill.pipeline import check_fits, evaluate, evaluate_halves, measured, ranks_in_lists
from rankdistill.ranker import Ranker, rank
from rankdistill.rankings import Rankings
from rankdistill.runs import EVALUATION, RANKINGS, Role
from rankdistill.stages import read_lists
from rankdistill.types import Json

logger = logging.getLogger(__name__)


def evaluate_model(
    folder: Path, model: Ranker, split: Split, config: EvaluateConfig, *, timed: bool = True
) -> Evaluation:
    """Ranks the test users; writes `rankings.parquet`, `evaluation.parquet` and the figures of `model.json`.

    Not `timed`, the latency is left out: it says nothing while other models are being trained.
    """
    check_fits(model, split)
    queries = split.queries("test", exclude_seen=config.exclude_seen)
    lists = replace(rank(model, queries, config.depth), fingerprint=split.fingerprint)
    assert lists.target_ranks is not None
    evaluation = evaluate(lists, split.test, config.metrics, split.num_items)
    lists.write(folder / RANKINGS, split.user_ids, split.item_ids)
    parts = evaluate_halves(lists, split)
    write_evaluation(evaluation, parts, folder / EVALUATION, split.user_ids)
    figures: Json = {"metrics": evaluation.mean(), "totals": evaluation.totals, "halves": halves.means_of(parts)}
    if timed:
        figures |= _speed(model, queries)
    write_json(folder / CARD, {**load_card(folder), **figures})
    return evaluation


def measured_files(folder: Path) -> tuple[Path, ...]:
    """What `evaluate_model` writes into a model's folder, beside the figures of the card."""
    return folder / EVALUATION, halves.beside(folder / EVALUATION), folder / RANKINGS


def write_evaluation(evaluation: Evaluation, parts: Evaluation, path: Path, user_ids: IdMap) -> None:
    """Writes an evaluation, and beside it that of its popular and unpopular halves."""
    evaluation.write(path, user_ids)
    parts.write(halves.beside(path), user_ids)


def validate_model(model: Ranker, split: Split, config: EvaluateConfig) -> dict[str, float] | None:
    """The metrics of `[evaluate]` on the validation part, by which settings are chosen; None where there is none."""
    if split.validation is None:
        return None
    queries = split.queries("validation", exclude_seen=config.exclude_seen)
    return measured(model, queries, config.metrics, config.depth, split.num_items).mean()


def time_model(folder: Path, model: Ranker, split: Split, config: EvaluateConfig, call: str | None = None) -> None:
    """Writes the latency of a model into its `model.json`; to be called with nothing else running.

    A `call` is noted with it: what tells the models that are timed one after another from those of another time.
    """
    speed = _speed(model, split.queries("test", exclude_seen=config.exclude_seen))
    if call is not None:
        speed["latency_ms"]["call"] = call
    write_json(folder / CARD, {**load_card(folder), **speed})


def _speed(model: Ranker, queries: Queries) -> Json:
    latency = measure_latency(model, queries)
    return {"latency_ms": {"p50": latency.p50, "p99": latency.p99}, "users_per_second": latency.users_per_second}


def evaluate_lists(
    path: Path,
    split: Split,
    config: EvaluateConfig,
    *,
    exactly: bool = False,
    on_unknown: Literal["error", "drop"] = "error",
    part: Part = "test",
) -> tuple[Evaluation, Evaluation, Rankings]:
    """Evaluates somebody's recommendations for the test users; returns the values, those of the halves, and the lists.

    Args:
        path: parquet with `user_id, rank, item_id[, score]`.
        split: the data.
        config: the metrics.
        exactly: refuse a metric that the lists are not deep enough for, instead of leaving it out with a warning.
        on_unknown: what to do with users and items that the data does not have.
        part: whether for the test users, or for those of the validation part.

    Raises:
        RankingsError: the file does not fit the data, or a user has no list.
        EvaluationError: a metric needs deeper lists.
    """
    return measure_lists(read_lists(path, split, on_unknown), split, config, exactly=exactly, part=part)


def measure_lists(
    lists: Rankings,
    split: Split,
    config: EvaluateConfig,
    *,
    exactly: bool = False,
    part: Part = "test",
) -> tuple[Evaluation, Evaluation, Rankings]:
    """Evaluates lists for the users of a part; returns what `evaluate_lists` does."""
    queries = split.queries(part, exclude_seen=config.exclude_seen)
    lists = lists_of_users(lists, queries, split, part)
    ranks = ranks_in_lists(lists, queries.by_user())
    metrics = config.metrics if exactly else _within(config.metrics, lists.depth, lists.source)
    evaluation = evaluate_ranks(ranks, metrics, lists=lists, num_items=split.num_items)
    return evaluation, halves.evaluate_halves(ranks, popular_items(split.train, split.num_items)), lists


def lists_of_users(lists: Rankings, queries: Queries, split: Split, part: Part) -> Rankings:
    """The lists of the users of a part.

    Raises:
        RankingsError: a user has none: means over different users say nothing of who is better.
    """
    try:
        return lists.for_queries(queries.ids, split.user_ids)
    except RankingsError as error:
        raise RankingsError(
            f"{error} If not, give the others lists, too, for instance of popular items: all {part} users are "
            f"measured, whatever on_missing says; or leave out [teacher] {part}_rankings, where it names this file"
        ) from error


def _within(metrics: Sequence[str], depth: int, name: str) -> list[str]:
    """The metrics that lists of this depth allow; the others are named in a warning."""
    parsed = {name: Metric.parse(name).k for name in metrics}
    deep = [name for name, k in parsed.items() if k is None or k > depth]
    if deep:
        logger.warning("%s: lists of %d do not reach for %s; left out", name, depth, ", ".join(deep))
    if len(deep) == len(metrics):
        raise EvaluationError(f"{name}: lists of {depth} reach for none of {', '.join(deep)}; ask for ...@{depth}")
    return [name for name in metrics if name not in deep]


def compare_models(folders: dict[Role, Path], split: Split, samples: int) -> list[Json]:
    """Paired comparisons of the models that were evaluated: distilled and student, and each with the teacher."""
    files = {role: folder / EVALUATION for role, folder in folders.items()}
    whole, parts = (
        {role: Evaluation.read(file, split.user_ids) for role, file in found.items() if file.exists()}
        for found in (files, {role: halves.beside(file) for role, file in files.items()})
    )
    rows: list[Json] = []
    for a, b in _PAIRS:
        made = []
        if a in whole and b in whole:
            shared = [name for name in whole[a].values if name in whole[b].values]
            made += compare_all(whole[a], whole[b], shared, samples=samples)
        if a in parts and b in parts:
            made += halves.compare_halves(parts[a], parts[b], samples=samples)
        rows += [{"a": a, "b": b, **asdict(result)} for result in made]
    return rows


_PAIRS: tuple[tuple[Role, Role], ...] = (("distilled", "student"), ("distilled", "teacher"), ("student", "teacher"))
