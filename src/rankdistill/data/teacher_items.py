"""From a teacher's lists to the K items a training query is distilled from, checked before anything is trained."""

from __future__ import annotations

from typing import Literal

import numpy as np

from rankdistill.data.splitting import Split
from rankdistill.data.windows import Windows
from rankdistill.errors import RankingsError
from rankdistill.rankings import Rankings, unpack
from rankdistill.types import PAD, Bools, Items

_QUERIES_A_BLOCK = 1 << 16


def teacher_items(lists: Rankings, split: Split, k: int, exclude: Literal["targets", "seen"]) -> Items:
    """The teacher's first K items [n, K] for each window of `split`, none of them labelled.

    From a list that serves all queries of a user (no position), a query's own targets are taken out first.

    Raises:
        RankingsError: made from other data; no list for a query; a list shorter than K; a list that holds what
            `exclude` keeps out.
    """
    if lists.fingerprint not in (None, split.fingerprint):
        raise RankingsError(
            f"{lists.source}: made from other data (fingerprint {lists.fingerprint}, this data has "
            f"{split.fingerprint}); label the training queries of this data again"
        )
    if k > split.num_items:
        raise RankingsError(f"k = {k} is more than the catalogue's {split.num_items:,} items; lower [distillation] k")
    windows = split.windows
    lists = lists.with_users(split.user_ids)
    lists.for_queries(windows.ids, split.user_ids)  # all there? before any work
    items = np.empty((len(windows), k), dtype=np.int32)
    known = split.train.members() if exclude == "seen" else None
    for start in range(0, len(windows), _QUERIES_A_BLOCK):
        rows = slice(start, start + _QUERIES_A_BLOCK)
        users = windows.users[rows]
        drop_targets = lists.per_user and exclude == "targets"
        found = lists.cut(k + windows.target_length if drop_targets else k).for_queries(windows.ids[rows]).items
        if known is not None:
            inside = known(users[:, None], found) & (found != PAD)
            _refuse_known(inside, lists, split, windows, start, "items that the user has already")
        else:
            inside = (found[:, :, None] == windows.targets(rows)[:, None, :]).any(axis=2)
            if drop_targets:
                found = _without(found, inside)
            else:
                _refuse_known(inside, lists, split, windows, start, "the query's own target")
        _refuse_short(found[:, :k], k, lists, split, windows, start)
        items[rows] = found[:, :k]
    return items


def _without(items: Items, inside: Bools) -> Items:
    """The lists with the marked items taken out, what follows moved up."""
    order = np.argsort(inside, axis=1, kind="stable")
    kept = np.where(inside, PAD, items)
    return np.take_along_axis(kept, order, axis=1)


def _first(split: Split, windows: Windows, row: int) -> str:
    users, positions = unpack(windows.ids[row : row + 1])
    return f"user {split.user_ids.decode(users)[0]!r}, position {int(positions[0])}"


def _refuse_known(inside: Bools, lists: Rankings, split: Split, windows: Windows, start: int, what: str) -> None:
    wrong = inside.any(axis=1)
    if wrong.any():
        raise RankingsError(
            f"{lists.source}: {int(wrong.sum()):,} lists hold {what} (first: "
            f"{_first(split, windows, start + int(wrong.argmax()))}); leave them out of the lists, or set "
            f"[distillation] exclude to what the lists leave out"
        )


def _refuse_short(items: Items, k: int, lists: Rankings, split: Split, windows: Windows, start: int) -> None:
    lengths = np.count_nonzero(items != PAD, axis=1)
    short = lengths < k
    if short.any():
        at = int(short.argmax())
        raise RankingsError(
            f"{lists.source}: {int(short.sum()):,} lists are shorter than k = {k} (first: "
            f"{_first(split, windows, start + at)} with {lengths[at]} usable items); make longer lists or lower "
            f"[distillation] k"
        )
