"""Several teachers' lists as one, against plain Python."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rankdistill import plugins
from rankdistill.errors import RankingsError
from rankdistill.ids import IdMap
from rankdistill.rankings import ANY_POSITION, Rankings, fusion, pack
from rankdistill.rankings.fusion import fuse
from rankdistill.stages import digest_of

USERS, ITEMS = 6, 30


def lists_of(seed: int, k: int, *, per_user: bool = False, ragged: bool = True) -> Rankings:
    draw = np.random.default_rng(seed)
    positions: Any = [ANY_POSITION] if per_user else [4, 5, 6]
    ids = pack(np.repeat(np.arange(USERS), len(positions)), np.tile(positions, USERS))
    items = np.stack([1 + draw.permutation(ITEMS)[:k] for _ in ids]).astype(np.int32)
    scores = -np.sort(-draw.normal(size=items.shape).astype(np.float32), axis=1)
    if ragged:
        items[::4, k // 2 + 1 :], scores[::4, k // 2 + 1 :] = 0, -np.inf
    return Rankings(np.sort(ids), items, scores, source=f"teacher {seed}")


def plainly(teachers: list[Rankings], weights: list[float], by: str, query: int) -> dict[int, float]:
    """The score of each item of one query, by loops."""
    totals: dict[int, float] = defaultdict(float)
    for teacher, weight in zip(teachers, (each / sum(weights) for each in weights), strict=True):
        key = pack(np.array([query >> 32]), ANY_POSITION)[0] if teacher.per_user else query
        row = teacher.query_ids.tolist().index(key)
        assert teacher.scores is not None
        listed = [
            (int(item), float(score))
            for item, score in zip(teacher.items[row], teacher.scores[row], strict=True)
            if item
        ]
        low, high = min(score for _, score in listed), max(score for _, score in listed)
        for rank, (item, score) in enumerate(listed, start=1):
            stretched = (score - low) / (high - low) if high > low else 1.0
            totals[item] += weight * (1 / (60 + rank) if by == "ranks" else stretched)
    return totals


@given(st.integers(0, 1000), st.sampled_from(["ranks", "scores"]), st.booleans(), st.integers(1, 25))
def test_it_is_the_weighted_sum_over_the_teachers(seed: int, by: Any, per_user: bool, k: int) -> None:
    teachers = [lists_of(seed, 7), lists_of(seed + 1, 10, per_user=per_user), lists_of(seed + 2, 9)]
    weights = [1.0, 2.5, 0.5]
    found = fuse(teachers, weights=weights, by=by, k=k, least_shared=0)
    assert found.query_ids.tolist() == teachers[0].query_ids.tolist()
    for row, (query, items) in enumerate(zip(found.query_ids.tolist(), found.items.tolist(), strict=True)):
        wanted = plainly(teachers, weights, by, query)
        kept = [item for item in items if item]
        assert len(kept) == min(k, len(wanted)) == len(set(kept))
        worth = [wanted[item] for item in kept]
        assert worth == pytest.approx(sorted(wanted.values(), reverse=True)[: len(kept)], rel=1e-5)
        assert not any(items[len(kept) :])
        if found.scores is not None:
            assert worth == pytest.approx(found.scores[row, : len(kept)].tolist(), rel=1e-5)


def test_a_sum_of_reciprocal_ranks_is_no_score() -> None:
    teachers = [lists_of(1, 8), lists_of(2, 8)]
    assert fuse(teachers, by="ranks").scores is None
    assert fuse(teachers, by="scores").scores is not None


def test_items_of_equal_worth_stand_in_the_order_of_their_index() -> None:
    items = np.stack([1 + np.random.default_rng(seed).permutation(20) for seed in range(200)]).astype(np.int32)
    ids = pack(np.arange(200), ANY_POSITION)
    found = fuse([Rankings(ids, items), Rankings(ids, items[:, ::-1].copy())])
    ranks = np.argsort(items, axis=1)
    for row, places in zip(found.items.tolist(), ranks.tolist(), strict=True):
        pair_of = {item: min(places[item - 1], 19 - places[item - 1]) for item in row}
        assert row == sorted(row, key=lambda item: (pair_of[item], item))


@pytest.mark.parametrize("per_user", [False, True])
def test_lists_that_are_short_together_are_as_deep_as_when_they_are_read_back(tmp_path: Path, per_user: bool) -> None:
    teachers = [lists_of(seed, 6, per_user=per_user) for seed in (1, 2)]
    made = fuse(teachers, k=50, least_shared=0)
    users, items = IdMap.of(pl.Series(range(USERS)), first=0), IdMap.of(pl.Series(range(1, ITEMS + 1)), first=1)
    made.write(tmp_path / "lists.parquet", users, items, positions=not per_user)
    read = Rankings.read(tmp_path / "lists.parquet", items, users)
    assert made.depth == read.depth == made.lengths.max() < 50
    for kind in ("rrd", "cd"):  # by their items, and by their scores, too
        method = plugins.find("distillation", kind).Config()
        assert digest_of(made, method) == digest_of(read, method)


def test_lists_of_any_length_need_as_much_memory_as_there_is_in_them() -> None:
    teachers = [lists_of(0, 7), lists_of(1, 9)]
    longest, asked = fuse(teachers, k=16), fuse(teachers, k=10**12)
    np.testing.assert_array_equal(asked.items, longest.items)


def test_one_teacher_keeps_its_lists_and_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    teacher, other = lists_of(3, 8, ragged=False), lists_of(4, 8)
    assert fuse([teacher]).items.tolist() == teacher.items.tolist()
    whole = fuse([teacher, other])
    monkeypatch.setattr(fusion, "_QUERIES_A_BLOCK", 4)
    assert fuse([teacher, other]).items.tolist() == whole.items.tolist()


def test_lists_a_user_alone_stay_lists_a_user() -> None:
    found = fuse([lists_of(1, 8, per_user=True), lists_of(2, 8, per_user=True)])
    assert found.per_user
    assert len(found) == USERS


def test_queries_that_one_teacher_lacks_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    teacher, other = lists_of(1, 20), lists_of(2, 20)
    fewer = replace(other, query_ids=other.query_ids[2:], items=other.items[2:], scores=None)
    with caplog.at_level("INFO", "rankdistill"):
        assert fuse([teacher, fewer]).query_ids.tolist() == teacher.query_ids[2:].tolist()
    assert "16 of 18 queries are known to all teachers (teacher 1 18, teacher 2 16); the others" in caplog.text


def test_items_that_one_teacher_never_names_are_told_and_stay(caplog: pytest.LogCaptureFixture) -> None:
    teacher, other = lists_of(1, 20, ragged=False), lists_of(2, 20, ragged=False)
    more = replace(other, items=np.where(other.items == other.items.max(), 1000, other.items), scores=None)
    named, also = (set(each.items[each.items != 0].tolist()) for each in (teacher, more))
    with caplog.at_level("INFO", "rankdistill"):
        assert 1000 in fuse([teacher, more], k=40).items
    assert (
        f"{len(named & also)} of {len(named | also)} items are in the lists of all teachers (teacher 1 {len(named)}, "
        f"teacher 2 {len(also)}); the others stay"
    ) in caplog.text


@pytest.mark.parametrize("by", ["ranks", "scores"])
@pytest.mark.parametrize("size", [1e308, 3.0, 1e-46, 5e-324])
def test_only_what_the_weights_are_to_each_other_counts(by: Any, size: float) -> None:
    teachers = [lists_of(1, 8), lists_of(2, 8)]
    wanted, found = fuse(teachers, by=by), fuse(teachers, weights=[size, size], by=by)
    np.testing.assert_array_equal(found.items, wanted.items)
    assert (found.scores is None) == (by == "ranks")
    if found.scores is not None and wanted.scores is not None:
        np.testing.assert_array_equal(found.scores, wanted.scores)


def test_a_teacher_of_weight_0_takes_no_part(caplog: pytest.LogCaptureFixture) -> None:
    teacher, other, stranger = lists_of(1, 5), lists_of(2, 8), replace(lists_of(3, 9), scores=None, fingerprint="b")
    stranger = replace(stranger, query_ids=stranger.query_ids + (100 << 32))
    with caplog.at_level("INFO", "rankdistill"):
        found = fuse([teacher, stranger, other], weights=[1.0, 0.0, 2.0], by="scores")
    assert "left out for a weight of 0: teacher 3" in caplog.text
    wanted = fuse([teacher, other], weights=[1.0, 2.0], by="scores")
    np.testing.assert_array_equal(found.items, wanted.items)
    assert fuse([teacher, other], weights=[1.0, 0.0]).items.tolist() == teacher.items.tolist()


def test_what_cannot_be_fused_is_refused() -> None:
    teacher, other = lists_of(1, 20), lists_of(2, 20)
    with pytest.raises(RankingsError, match="no lists to fuse"):
        fuse([])
    empty = replace(other, query_ids=other.query_ids[:0], items=other.items[:0], source="empty.parquet")
    with pytest.raises(RankingsError, match=r"empty.parquet: holds no list; leave it out"):
        fuse([teacher, empty], least_shared=0)
    with pytest.raises(RankingsError, match="teacher 2: has no column 'score'; add the scores, or fuse by ranks"):
        fuse([teacher, replace(other, scores=None)], by="scores")
    for weights in ([1.0], [1.0, -1.0], [0.0, 0.0], [1.0, float("nan")]):
        with pytest.raises(RankingsError, match="give one number from 0 on for each of the 2 teachers"):
            fuse([teacher, other], weights=weights)
    with pytest.raises(RankingsError, match=r"lists of different data: teacher 1 \(a\), teacher 2 \(b\)"):
        fuse([replace(teacher, fingerprint="a"), replace(other, fingerprint="b")])
    foreign = replace(other, items=np.where(other.items > 0, other.items + 20, 0).astype(np.int32))
    with pytest.raises(
        RankingsError,
        match=r"10 items are in the lists of all teachers \(teacher 1 30, teacher 2 30\), and a share of 0.5",
    ):
        fuse([teacher, foreign])
    assert len(fuse([teacher, foreign], least_shared=0)) == 18
    strangers = replace(other, query_ids=other.query_ids + (100 << 32))
    with pytest.raises(RankingsError, match="0 of 12 users are known to all"):
        fuse([teacher, strangers], least_shared=0)
