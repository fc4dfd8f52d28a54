"""From the ranks of the targets to one value per user and metric, and their file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from rankdistill.errors import EvaluationError
from rankdistill.evaluation.metrics import Metric, SortedRanks, coverage
from rankdistill.files import replacing
from rankdistill.ids import IdMap
from rankdistill.rankings import ANY_POSITION, Rankings, TargetRanks, pack, unpack
from rankdistill.types import UNKNOWN, Doubles, Ints


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """The value of every metric for every test query (one query a user)."""

    query_ids: Ints  # [Q] ascending; see `rankings.pack`
    values: dict[str, Doubles]  # metric -> [Q]; NaN where undefined
    totals: dict[str, float]  # metrics without a value per query (coverage)

    @property
    def users(self) -> Ints:
        """The dense user index of each query, [Q]."""
        return unpack(self.query_ids)[0]

    def mean(self) -> dict[str, float]:
        """Each metric's mean over the queries for which it is defined (NaN without any), then the totals."""
        defined = {name: values[~np.isnan(values)] for name, values in self.values.items()}
        means = {name: float(values.mean()) if len(values) else float("nan") for name, values in defined.items()}
        return means | self.totals

    def write(self, path: Path, user_ids: IdMap) -> None:
        """Writes a parquet file with a row a user: the raw `user_id` and one column a metric.

        The totals are no property of a user and are left out.
        """
        frame = pl.DataFrame({"user_id": user_ids.decode(self.users), **self.values})
        with replacing(path) as temporary:
            frame.write_parquet(temporary)

    @classmethod
    def read(cls, path: Path, user_ids: IdMap) -> Evaluation:
        """Reads what `write` wrote, without totals and without the queries' positions.

        Raises:
            EvaluationError: the file is missing, damaged or no evaluation, or `user_ids` lacks its users.
        """
        frame = _read_frame(path)
        users = user_ids.encode(frame["user_id"])
        if (unknown := users == UNKNOWN).any():
            first = frame["user_id"].gather(np.flatnonzero(unknown)[:1])[0]
            raise EvaluationError(
                f"{path}: {unknown.sum():,} of {len(users):,} users are not in the data (first: {first!r}); "
                "made from another data set?"
            )
        order = np.argsort(users, kind="stable")
        values = {
            name: frame[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()[order]
            for name in frame.columns
            if name != "user_id"
        }
        return cls(pack(users[order], ANY_POSITION), values, {})


def averaged(evaluations: Sequence[Evaluation]) -> Evaluation:
    """Each user's mean over evaluations of the same users, such as those of several seeds; metrics that all have."""
    first = evaluations[0]
    values = {
        name: np.mean([each.values[name] for each in evaluations], axis=0)
        for name in first.values
        if all(name in each.values for each in evaluations)
    }
    return Evaluation(first.query_ids, values, {})


def _read_frame(path: Path) -> pl.DataFrame:
    try:
        frame = pl.read_parquet(path, glob=False)
    except FileNotFoundError as error:
        raise EvaluationError(f"{path}: no such file; `rankdistill evaluate` writes it") from error
    except (OSError, pl.exceptions.PolarsError) as error:
        raise EvaluationError(f"{path}: not a whole parquet file ({str(error).splitlines()[0]})") from error
    wrong = [] if "user_id" in frame.columns else ["it has no column 'user_id'"]
    wrong += [
        f"column {name!r} is not numeric"
        for name in frame.columns
        if name != "user_id" and not frame[name].dtype.is_numeric()
    ]
    if wrong:
        raise EvaluationError(f"{path}: no evaluation, {wrong[0]}; its columns are {', '.join(frame.columns)}")
    return frame


def evaluate(
    ranks: TargetRanks,
    metrics: Sequence[str],
    *,
    lists: Rankings | None = None,
    num_items: int | None = None,
) -> Evaluation:
    """The metrics of a ranker, from the ranks of its test users' targets.

    Args:
        ranks: One row per (query, target).
        metrics: Names such as `ndcg@10`; see `rankdistill.evaluation.metrics.NAMES`.
        lists: The ranked lists, which only `coverage@k` needs.
        num_items: Items of the catalogue, which only `coverage@k` needs.

    Raises:
        EvaluationError: an unknown metric, one that needs deeper lists than the ranks were taken from, or a
            coverage without lists.
    """
    wanted = [Metric.parse(name) for name in metrics]
    targets = SortedRanks.of(ranks.query_ids, ranks.ranks)
    values: dict[str, Doubles] = {}
    totals: dict[str, float] = {}
    for metric in wanted:
        if metric.name == "coverage":
            totals[str(metric)] = _coverage(metric, lists, num_items)
        else:
            _check_depth(metric, ranks.depth)
            values[str(metric)] = metric.per_query(targets)
    return Evaluation(targets.query_ids, values, totals)


def _check_depth(metric: Metric, depth: int | None) -> None:
    if depth is None:
        return
    offer = f"ask for '{metric.name}@{depth}' or make deeper lists"
    if metric.k is None:
        raise EvaluationError(
            f"metric '{metric}' needs every target's rank in the whole catalogue, "
            f"and these lists are {depth:,} deep: {offer}"
        )
    if metric.k > depth:
        raise EvaluationError(
            f"metric '{metric}' needs lists at least {metric.k:,} deep, and these are {depth:,} deep: {offer}"
        )


def _coverage(metric: Metric, lists: Rankings | None, num_items: int | None) -> float:
    if lists is None or num_items is None or metric.k is None:
        raise EvaluationError(
            f"metric '{metric}' needs the ranked lists and the number of items (`lists=`, `num_items=`), "
            "and only the ranks of the targets are known: give both or leave it out"
        )
    if len(lists) and lists.depth < num_items:  # lists of the whole catalogue are as deep as lists can be
        _check_depth(metric, lists.depth)
    return coverage(lists.items, metric.k, num_items)
