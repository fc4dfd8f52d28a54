"""A few users' lists, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from rankdistill.report.run import Model, Run

USERS = 6
COLUMNS = ("student", "teacher", "distilled")
"""The teacher stands in the middle, so that each student's agreements with it can be drawn."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One place of a list."""

    item_id: str
    title: str | None
    hit: bool
    """Whether the item is a test target of the user."""
    shared: bool
    """Whether the teacher's and some student's list both hold the item."""


@dataclass(frozen=True, slots=True)
class Column:
    """A model's list."""

    role: str
    entries: tuple[Entry, ...]

    @property
    def hits(self) -> int:
        """How many test targets the list holds."""
        return sum(entry.hit for entry in self.entries)


@dataclass(frozen=True, slots=True)
class Sample:
    """A user with her lists."""

    user_id: str
    interactions: int | None
    targets: tuple[str, ...]
    """Ids of the test targets, titles where there are any."""
    columns: tuple[Column, ...]

    def links(self, left: int) -> list[tuple[int, int, str]]:
        """Items that the columns `left` and `left + 1` share: (place left, place right, item), from 0."""
        right = {entry.item_id: place for place, entry in enumerate(self.columns[left + 1].entries)}
        here = enumerate(self.columns[left].entries)
        return [(place, right[entry.item_id], entry.item_id) for place, entry in here if entry.item_id in right]

    def overlap(self, role: str) -> int | None:
        """How many of the teacher's items the list of a role holds; None without both lists."""
        lists = {column.role: {entry.item_id for entry in column.entries} for column in self.columns}
        return len(lists["teacher"] & lists[role]) if "teacher" in lists and role in lists else None


def samples(run: Run, users: int = USERS) -> tuple[Sample, ...]:
    """Users spread evenly from the least to the most active, of those with a hit where there are enough.

    Nothing is drawn at random: the same run folder shows the same users.
    """
    models = [m for m in (run.model(role) for role in COLUMNS) if m and m.lists is not None and len(m.lists)]
    if not models:
        return ()
    titles = _titles(run)
    return tuple(_sample(run, models, titles, user) for user in _chosen(run, models, users))


def _chosen(run: Run, models: Sequence[Model], users: int) -> list[str]:
    lists = [model.lists for model in models if model.lists is not None]
    common = lists[0].select("user_id").unique()
    for others in lists[1:]:
        common = common.join(others.select("user_id").unique(), on="user_id", how="semi")
    if run.targets is not None:
        listed = pl.concat([others.select("user_id", "item_id") for others in lists])
        hit = common.join(listed.join(run.targets, on=["user_id", "item_id"], how="semi"), on="user_id", how="semi")
        common = hit if len(hit) >= users else common
    if run.activity is not None:
        common = common.join(run.activity.unique("user_id"), on="user_id", how="left").fill_null(0)
    order = ["interactions", "user_id"] if "interactions" in common.columns else ["user_id"]
    ids: list[str] = common.sort(order)["user_id"].to_list()
    if len(ids) <= users:
        return ids
    return [ids[(2 * place + 1) * len(ids) // (2 * users)] for place in range(users)]


def _sample(run: Run, models: Sequence[Model], titles: dict[str, str], user: str) -> Sample:
    targets = _column(run.targets, user, "item_id")
    activity = _column(run.activity, user, "interactions")
    lists = {m.role: _column(m.lists, user, "item_id", by="rank") for m in models if m.lists is not None}
    shared = {
        item for role, items in lists.items() if role != "teacher" for item in items if item in lists.get("teacher", [])
    }
    columns = tuple(
        Column(role, tuple(Entry(item, titles.get(item), item in targets, item in shared) for item in items))
        for role, items in lists.items()
    )
    return Sample(
        user_id=user,
        interactions=int(activity[0]) if activity else None,
        targets=tuple(titles.get(item, item) for item in targets),
        columns=columns,
    )


def _column(frame: pl.DataFrame | None, user: str, name: str, by: str | None = None) -> list[str]:
    """A user's values, in the file's order or by another column."""
    if frame is None:
        return []
    rows = frame.filter(pl.col("user_id") == user)
    return (rows if by is None else rows.sort(by))[name].to_list()


def _titles(run: Run) -> dict[str, str]:
    if run.items is None or "title" not in run.items.columns:
        return {}
    named = run.items.filter(pl.col("title").is_not_null())
    return dict(zip(named["item_id"].to_list(), named["title"].cast(pl.String).to_list(), strict=True))
