"""Several teachers' lists as one: what more of them put further up stands further up."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from functools import reduce
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rankdistill.errors import RankingsError
from rankdistill.rankings.lists import ANY_POSITION, Rankings, pack, unpack
from rankdistill.shares import shares_of
from rankdistill.types import PAD, Bools, Doubles, Floats, Ints, Items

logger = logging.getLogger(__name__)

By: TypeAlias = Literal["ranks", "scores"]
_CONSTANT = 60
"""Of reciprocal rank fusion; how much less rank 2 is worth than rank 1."""
_QUERIES_A_BLOCK = 1 << 14


def fuse(
    teachers: Sequence[Rankings],
    *,
    weights: Sequence[float] | None = None,
    by: By = "ranks",
    k: int | None = None,
    least_shared: float = 0.5,
) -> Rankings:
    """One list for each query for which every teacher has one.

    By `ranks`, an item is worth sum_t w_t / (60 + rank_t), reciprocal rank fusion (Cormack, Clarke and Buettcher,
    SIGIR 2009); that sum says where an item stands and is no score of a teacher, so that these lists have none. By
    `scores`, it is worth sum_t w_t s_t with each list's scores stretched to 0 ... 1 (CombSUM, Fox and Shaw, TREC 1994),
    which is its score. The weights w_t have the sum 1; a teacher of weight 0 takes no part. A teacher without an item
    in its list gives it nothing. Items of equal worth stand in the order of their index.

    Args:
        teachers: their lists; a list a user serves all of her queries where another teacher has one for each.
        weights: one a teacher; equal when left out.
        by: what is added up.
        k: the length of the lists, or what the longest of them comes to together where that is less; the longest of
            the teachers' when left out.
        least_shared: the share of all users and queries that all teachers must know, and of the items in the lists of
            the one that names the fewest.

    Raises:
        RankingsError: the lists are of different data, lack scores, or share too little; or there is no such weight.
    """
    teachers, shares = _taking_part(teachers, [1.0] * len(teachers) if weights is None else weights)
    check(teachers, by)
    k = max(each.depth for each in teachers) if k is None else k
    if k < 1:
        raise RankingsError(f"k = {k} is no length of a list; ask for at least 1")
    k = min(k, sum(each.depth for each in teachers))
    _check_items(teachers, least_shared)
    queries = _shared_queries(teachers, least_shared)
    aligned = [each.for_queries(queries) for each in teachers]
    items = np.full((len(queries), k), PAD, dtype=np.int32)
    scores = np.full(items.shape, -np.inf, dtype=np.float32)
    for start in range(0, len(queries), _QUERIES_A_BLOCK):
        rows = slice(start, start + _QUERIES_A_BLOCK)
        found = np.concatenate([each.items[rows] for each in aligned], axis=1)
        values = [share * _worth(each, rows, by) for each, share in zip(aligned, shares, strict=True)]
        best, totals = _summed(found, np.concatenate(values, axis=1), k)
        items[rows, : best.shape[1]], scores[rows, : best.shape[1]] = best, totals
    name = f"{len(teachers)} teachers by their {by}"
    own = scores if by == "scores" else None
    fused = Rankings(queries, items, own, fingerprint=_fingerprint(teachers), source=name, score_scale="relative")
    return fused.cut(int(fused.lengths.max()))  # as a file of them is read back


def _taking_part(teachers: Sequence[Rankings], weights: Sequence[float]) -> tuple[list[Rankings], list[float]]:
    """The teachers that count for anything, and how much each does, with the sum 1."""
    if not teachers:
        raise RankingsError("no lists to fuse; give those of one teacher or more")
    given = [float(each) for each in weights]
    if len(given) != len(teachers) or not all(0 <= each < math.inf for each in given) or not any(given):
        raise RankingsError(f"weights {given}: give one number from 0 on for each of the {len(teachers)} teachers")
    parts = [(each, share) for each, share in zip(teachers, shares_of(given), strict=True) if share]
    if len(parts) < len(teachers):
        out = ", ".join(each.source for each, share in zip(teachers, shares_of(given), strict=True) if not share)
        logger.info("left out for a weight of 0: %s", out)
    return [each for each, _ in parts], [share for _, share in parts]


def check(teachers: Sequence[Rankings], by: By) -> None:
    """Refuses what each teacher's lists lack for being added up, whatever the others are.

    Raises:
        RankingsError: a teacher has no lists, or no scores where these are added up.
    """
    for each in teachers:
        each.check_users()
        if not len(each):
            raise RankingsError(f"{each.source}: holds no list; leave it out, or name a file that has some")
        if by == "scores" and each.scores is None:
            raise RankingsError(f"{each.source}: has no column 'score'; add the scores, or fuse by ranks")


def _fingerprint(teachers: Sequence[Rankings]) -> str | None:
    found = {each.fingerprint for each in teachers} - {None}
    if len(found) > 1:
        names = ", ".join(f"{each.source} ({each.fingerprint})" for each in teachers)
        raise RankingsError(f"lists of different data: {names}; make them from the same")
    return found.pop() if found else None


def _check_items(teachers: Sequence[Rankings], least: float) -> None:
    """Lists name a part of a catalogue alone, so that the shortest of these parts is what has to be shared."""
    known = [np.unique(each.items[each.items != PAD]) for each in teachers]
    smallest, shared, every = min(map(len, known)), len(reduce(np.intersect1d, known)), len(reduce(np.union1d, known))
    counts = _counts(teachers, known)
    if shared < every:
        logger.info(
            "%s of %s items are in the lists of all teachers (%s); the others stay, and gain nothing from a teacher in "
            "whose lists they are not",
            *(f"{shared:,}", f"{every:,}", counts),
        )
    if least > 0 and (not shared or shared < least * smallest):
        raise RankingsError(
            f"{shared:,} items are in the lists of all teachers ({counts}), and a share of {least:g} of the fewest is "
            f"the least; are they of the same catalogue? If they are, lower that share (--least-shared, or [ensemble] "
            f"least_shared; 0 asks for nothing)"
        )


def _counts(teachers: Sequence[Rankings], known: Sequence[NDArray[Any]]) -> str:
    """How many users, queries or items each teacher knows."""
    return ", ".join(f"{each.source} {len(ids):,}" for each, ids in zip(teachers, known, strict=True))


def _shared(what: str, teachers: Sequence[Rankings], known: Sequence[Ints], least: float) -> Ints:
    """What all know, ascending."""
    shared, every = reduce(np.intersect1d, known), reduce(np.union1d, known)
    counts = _counts(teachers, known)
    line = f"{len(shared):,} of {len(every):,} {what} are known to all teachers ({counts})"
    if len(shared) < least * len(every) or not len(shared):
        raise RankingsError(f"{line}, and a share of {least:g} is the least; are they of the same data?")
    if len(shared) < len(every):
        logger.info(
            "%s; the others are left out, and students of them have to skip these ([teacher] on_missing = 'skip')", line
        )
    return shared


def _shared_queries(teachers: Sequence[Rankings], least: float) -> Ints:
    """The queries for which all have a list, ascending; those of a user where nobody has more than one for her."""
    users = _shared("users", teachers, [np.unique(unpack(each.query_ids)[0]) for each in teachers], least)
    singly = [each for each in teachers if not each.per_user]
    if not singly:
        return pack(users, ANY_POSITION)
    queries = _shared("queries", singly, [np.sort(each.query_ids) for each in singly], least)
    return queries[np.isin(unpack(queries)[0], users)]


def _worth(lists: Rankings, rows: slice, by: By) -> Doubles:
    """What a list's places [b, K] are worth."""
    items = lists.items[rows]
    if by == "ranks":
        return np.broadcast_to(1 / (_CONSTANT + np.arange(1.0, items.shape[1] + 1)), items.shape)
    assert lists.scores is not None
    scores = np.where(items == PAD, np.nan, lists.scores[rows].astype(np.float64))
    low, high = np.nanmin(scores, axis=1, keepdims=True), np.nanmax(scores, axis=1, keepdims=True)
    spread = high - low
    stretched: Doubles = np.where(spread > 0, (scores - low) / np.where(spread > 0, spread, 1), 1.0)
    return stretched


def _summed(items: Items, values: Doubles, k: int) -> tuple[Items, Floats]:
    """The best k of items [b, n], whose values add up where an item comes more than once, and the sums."""
    order = np.argsort(items, axis=1, kind="stable")
    items, values = np.take_along_axis(items, order, 1), np.take_along_axis(values, order, 1)
    values = np.where(items == PAD, 0.0, values)
    first: Bools = np.ones(items.shape, dtype=np.bool_)
    first[:, 1:] = items[:, 1:] != items[:, :-1]
    totals = np.full(items.shape, -np.inf, dtype=np.float32)  # equal sums are equal in it, whatever their order
    totals[first] = np.add.reduceat(values.ravel(), np.flatnonzero(first))
    totals[items == PAD] = -np.inf
    best = np.argsort(-totals, axis=1, kind="stable")[:, :k]
    sums = np.take_along_axis(totals, best, 1)
    return np.where(np.isneginf(sums), PAD, np.take_along_axis(items, best, 1)), sums
