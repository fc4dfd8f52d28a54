"""Where the students' lists hold the teacher's items: overlap by user activity and by item popularity."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from rankdistill.ids import IdMap
from rankdistill.rankings import pack
from rankdistill.report.numerals import whole
from rankdistill.report.run import Model, Run
from rankdistill.types import Ints

GROUPS = 5


@dataclass(frozen=True, slots=True)
class Group:
    """Users or items of like activity, and the share of the teacher's items that the students' lists hold."""

    label: str
    """The range of training interactions."""
    count: int
    """Users, or the teacher's recommendations, in the group."""
    shares: dict[str, float]
    """By role, in 0..1."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How much of the teacher's top ten the students return."""

    overall: dict[str, float]
    by_activity: tuple[Group, ...]
    by_popularity: tuple[Group, ...]


def agreement(run: Run) -> Agreement | None:
    """The overlap of the teacher's lists with each student's; None where there is nothing to compare."""
    teacher = run.model("teacher")
    students = [model for model in (run.model("student"), run.model("distilled")) if model and _has_lists(model)]
    if teacher is None or teacher.lists is None or teacher.lists.is_empty() or not students:
        return None
    found = _found(teacher.lists, students)
    roles = [model.role for model in students]
    if found.is_empty():
        return None
    return Agreement(
        overall=_shares(found, roles),
        by_activity=_groups(found, run.activity, "user_id", roles),
        by_popularity=_groups(found, run.items, "item_id", roles),
    )


def _has_lists(model: Model) -> bool:
    return model.lists is not None and not model.lists.is_empty()


def _found(teacher: pl.DataFrame, students: Sequence[Model]) -> pl.DataFrame:
    """The teacher's recommendations, a column a role telling whether that student's list holds them."""
    user_ids, item_ids = IdMap.of(teacher["user_id"], first=0), IdMap.of(teacher["item_id"], first=1)

    def keys(lists: pl.DataFrame) -> pl.Series:  # one number a row: joining two columns of text takes much longer
        return pl.Series(pack(user_ids.encode(lists["user_id"]), item_ids.encode(lists["item_id"])))

    wanted = keys(teacher)
    held, compared = [], pl.repeat(value=True, n=len(teacher), eager=True)
    for model in students:
        if model.lists is not None:
            held.append(wanted.is_in(keys(model.lists).implode()).alias(model.role))
            compared &= teacher["user_id"].is_in(model.lists["user_id"].unique().implode())
    return teacher.select("user_id", "item_id").with_columns(held).filter(compared)


def _shares(found: pl.DataFrame, roles: Sequence[str]) -> dict[str, float]:
    means = found.select(pl.col(roles).cast(pl.Float64).mean()).row(0, named=True)
    return {role: float(means[role]) for role in roles}


def _groups(
    found: pl.DataFrame, interactions: pl.DataFrame | None, key: str, roles: Sequence[str]
) -> tuple[Group, ...]:
    """Groups of about equally many users (`user_id`) or recommendations (`item_id`), by interactions."""
    if interactions is None or key not in interactions.columns:
        return ()
    known = interactions.select(key, pl.col("interactions").cast(pl.Int64)).unique(key)
    rows = found.join(known, on=key, how="left").with_columns(pl.col("interactions").fill_null(0))
    counted = rows.unique("user_id") if key == "user_id" else rows
    edges = _edges(counted["interactions"].to_numpy())
    groups = []
    for low, high in itertools.pairwise(edges):
        inside = rows.filter(pl.col("interactions").is_between(int(low) + 1, int(high)))
        if inside.is_empty():
            continue
        size = inside["user_id"].n_unique() if key == "user_id" else len(inside)
        groups.append(Group(_range(inside["interactions"]), size, _shares(inside, roles)))
    return tuple(groups)


def _edges(values: Ints) -> Ints:
    """Upper bounds of the groups, the first one below all values; fewer than asked for where values tie."""
    upper = np.quantile(values, np.linspace(0, 1, GROUPS + 1)[1:], method="higher").astype(np.int64)
    return np.unique(np.concatenate([[values.min() - 1], upper]))


def _range(values: pl.Series) -> str:
    numbers = values.to_numpy()
    low, high = int(numbers.min()), int(numbers.max())
    return whole(low) if low == high else f"{whole(low)}–{whole(high)}"
