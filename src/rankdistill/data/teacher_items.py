"""From a teacher's lists to the K items a training query is distilled from, checked before anything is trained."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np

from rankdistill.data.splitting import Split
from rankdistill.errors import RankingsError
from rankdistill.rankings import Rankings, unpack
from rankdistill.types import PAD, UNKNOWN, Bools, Floats, Items

Note: TypeAlias = tuple[int, str]

_QUERIES_A_BLOCK = 1 << 16


@dataclass(frozen=True, slots=True, eq=False)
class TeacherItems:
    """What each window is distilled from.

    Attributes:
        items: [n, K], the teacher's, best first.
        scores: [n, K], the teacher's own, where its lists have them.
        easier: [n, K] each, from lists that are easier to learn, the easiest first.
        listed: [n], whether there is a list for it; None where there is one for all.
        notes: what there is to say of it, each with its level of logging.
    """

    items: Items
    scores: Floats | None = None
    easier: tuple[Items, ...] = ()
    listed: Bools | None = None
    notes: tuple[Note, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """The notes that are warnings."""
        return tuple(line for level, line in self.notes if level >= logging.WARNING)


def teacher_items(lists: Rankings, split: Split, k: int, exclude: Literal["targets", "seen"]) -> TeacherItems:
    """The teacher's first K items for each window of `split`, none of them labelled.

    From a list that serves all queries of a user (no position), a query's own targets are taken out first. A window
    without a list, where `lists.on_missing` allows for it, has no items.

    Raises:
        RankingsError: made from other data; no list for a query; a list shorter than K; a list that holds what
            `exclude` keeps out.
    """
    if k > split.num_items:
        raise RankingsError(f"k = {k} is more than the catalogue's {split.num_items:,} items; lower [distillation] k")
    found = _unlabelled(lists, split, k, exclude)
    _refuse_short(found, lists, split)
    return found


def lists_for_windows(lists: Rankings, split: Split, exclude: Literal["targets", "seen"]) -> Rankings:
    """The lists for each window of `split`, none of whose items is labelled; as long as they are.

    A window without a list, where `lists.on_missing` allows for it, is left out.

    Raises:
        RankingsError: as `teacher_items` does, but for the length.
    """
    found = _unlabelled(lists, split, lists.depth, exclude)
    rows = slice(None) if found.listed is None else found.listed
    scores = None if found.scores is None else found.scores[rows]
    return replace(lists, query_ids=split.windows.ids[rows], items=found.items[rows], scores=scores, user_ids=None)


def targets_within(lists: Rankings, split: Split, exclude: Literal["targets", "seen"]) -> int:
    """How many items of a list a query may lose: its own targets, where the list serves all queries of a user."""
    return split.target_length if lists.per_user and exclude == "targets" else 0


def to_be_added_up(
    teachers: Sequence[Rankings], split: Split, exclude: Literal["targets", "seen"] = "targets"
) -> list[Rankings]:
    """The lists of several teachers without targets, as far as these can be known, before they are added up.

    Beside lists for single queries, a list a user becomes one for each window; where all are lists a user, so is what
    is made of them, and `teacher_items` takes the targets out of that.

    Raises:
        RankingsError: see `lists_for_windows`.
    """
    if all(each.per_user for each in teachers):
        return list(teachers)
    return [lists_for_windows(each, split, exclude) if each.per_user else each for each in teachers]


def _unlabelled(lists: Rankings, split: Split, k: int, exclude: Literal["targets", "seen"]) -> TeacherItems:
    """The teacher's first K items for each window, or as many as there are, without its targets."""
    if lists.fingerprint not in (None, split.fingerprint):
        raise RankingsError(
            f"{lists.source}: made from other data (fingerprint {lists.fingerprint}, this data has "
            f"{split.fingerprint}); make the lists again from this data, or name theirs"
        )
    windows = split.windows
    lists = lists.with_users(split.user_ids)
    places = lists.rows_of(windows.ids)
    listed = places != UNKNOWN
    targets = targets_within(lists, split, exclude)
    notes = _notes(~listed, len(lists) - len(np.unique(places[listed])), lists, split)
    width = k + targets
    items = np.full((len(windows), k), PAD, dtype=np.int32)
    scores = None if lists.scores is None else np.full(items.shape, -np.inf, dtype=np.float32)
    labelled = np.zeros(len(windows), dtype=np.bool_)
    known = split.train.members() if exclude == "seen" else None
    for start in range(0, len(windows), _QUERIES_A_BLOCK):
        rows = slice(start, start + _QUERIES_A_BLOCK)
        users = windows.users[rows]
        found = np.where(listed[rows, None], lists.items[places[rows], :width], PAD)
        values = None if lists.scores is None else lists.scores[places[rows], :width]
        if known is not None:
            labelled[rows] = (known(users[:, None], found) & (found != PAD)).any(axis=1)
        else:
            inside = (found[:, :, None] == windows.targets(rows)[:, None, :]).any(axis=2)
            if targets:  # what follows them moves up
                order = np.argsort(inside, axis=1, kind="stable")
                found = np.take_along_axis(np.where(inside, PAD, found), order, axis=1)
                values = None if values is None else np.take_along_axis(values, order, axis=1)
            else:
                labelled[rows] = inside.any(axis=1)
        items[rows, : min(k, found.shape[1])] = found[:, :k]
        if scores is not None and values is not None:
            scores[rows, : min(k, values.shape[1])] = values[:, :k]
    _refuse_labelled(labelled, lists, split, exclude)
    return TeacherItems(items, scores, listed=None if listed.all() else listed, notes=notes)


def _first(split: Split, wrong: Bools) -> tuple[int, str]:
    """The first window that `wrong` [n] marks, and its name."""
    row = int(wrong.argmax())
    users, positions = unpack(split.windows.ids[row : row + 1])
    return row, f"user {split.user_ids.decode(users)[0]!r}, position {int(positions[0])}"


def _notes(missing: Bools, unused: int, lists: Rankings, split: Split) -> tuple[Note, ...]:
    """What is to be said of lists and queries that have nothing to do with each other, where that is allowed."""
    notes: list[Note] = []
    if line := _missing(missing, lists, split):
        notes.append((logging.INFO, line))
    if unused:
        line = f"{lists.source}: {unused:,} lists are of no training query and are not used"
        notes.append((logging.WARNING, line))
    return tuple(notes)


def _missing(missing: Bools, lists: Rankings, split: Split) -> str | None:
    if not missing.any():
        return None
    users = len(np.unique(split.windows.users[missing]))
    line = (
        f"{lists.source}: no list for {int(missing.sum()):,} of {len(missing):,} training queries, of {users:,} of "
        f"{split.num_users:,} users (first: {_first(split, missing)[1]})"
    )
    if missing.all():
        raise RankingsError(f"{line}; made from another split?")
    if lists.on_missing == "error":
        raise RankingsError(
            f"{line}; made from another split? If it is not, on_missing = 'skip' (--set teacher.on_missing=skip) has "
            f"them learn from the data alone"
        )
    return f"{line}; they learn from the data alone"


def _refuse_labelled(labelled: Bools, lists: Rankings, split: Split, exclude: str) -> None:
    if labelled.any():
        what = "items that the user has already" if exclude == "seen" else "the query's own target"
        fused = "" if exclude == "seen" else "; where lists a user were fused, `fuse --data DIR` does"
        raise RankingsError(
            f"{lists.source}: {int(labelled.sum()):,} lists hold {what} (first: {_first(split, labelled)[1]}); leave "
            f"them out of the lists{fused}"
        )


def _refuse_short(found: TeacherItems, lists: Rankings, split: Split) -> None:
    items = found.items
    lengths = np.count_nonzero(items != PAD, axis=1)
    short = lengths < items.shape[1]
    if found.listed is not None:
        short &= found.listed
    if short.any():
        row, name = _first(split, short)
        raise RankingsError(
            f"{lists.source}: {int(short.sum()):,} lists are shorter than k = {items.shape[1]} (first: {name} with "
            f"{lengths[row]} usable items); make longer lists or lower [distillation] k"
        )
