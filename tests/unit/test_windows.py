import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rankdistill as rd
from rankdistill.data.sequences import Sequences
from rankdistill.data.windows import Windows
from rankdistill.rankings import unpack

lists = st.lists(st.lists(st.integers(1, 99), max_size=12), min_size=1, max_size=6)


def windows_of(lists: list[list[int]], history_length: int, target_length: int, least: int | None = None) -> Windows:
    users = np.repeat(np.arange(len(lists)), [len(each) for each in lists])
    items = np.array([item for each in lists for item in each], dtype=np.int32)
    return Windows.of(Sequences.from_pairs(users, items, len(lists)), history_length, target_length, least)


def naive(items: list[int], length: int, target: int, least: int) -> list[tuple[int, list[int], list[int]]]:
    """(position, history, targets) of one user, by sliding along her items."""
    if len(items) < target:
        return []
    last = len(items) - target
    padded = [0] * length + items
    return [(end, padded[end : end + length], items[end : end + target]) for end in range(min(least, last), last + 1)]


@given(lists, st.integers(1, 6), st.integers(1, 4), st.sampled_from([None, 1, 2, 9]))
def test_windows_are_those_of_a_loop(lists: list[list[int]], length: int, target: int, least: int | None) -> None:
    windows = windows_of(lists, length, target, least)
    shortest = length if least is None else least
    expected = [
        (user, *window) for user, items in enumerate(lists) for window in naive(items, length, target, shortest)
    ]
    users, positions = unpack(windows.ids)
    ours = zip(users.tolist(), positions.tolist(), windows.history().tolist(), windows.targets().tolist(), strict=True)
    assert list(ours) == expected
    assert windows.full == sum(0 not in history for _, _, history, _ in expected)


@given(lists)
def test_every_window_has_a_key_of_its_own_in_ascending_order(lists: list[list[int]]) -> None:
    ids = windows_of(lists, 3, 1).ids
    assert (np.diff(ids) > 0).all()


def test_a_user_shorter_than_the_history_has_one_padded_window() -> None:
    windows = windows_of([[7], [8, 9]], 5, 1)
    assert windows.history().tolist() == [[0, 0, 0, 0, 0], [0, 0, 0, 0, 8]]
    assert windows.targets().tolist() == [[7], [9]]
    assert windows.full == 0


def test_rows_pick_windows_in_any_order() -> None:
    windows = windows_of([[1, 2, 3, 4], [5, 6, 7]], 2, 1)
    rows = np.array([2, 0])
    assert windows.history(rows).tolist() == [[5, 6], [1, 2]]
    assert windows.targets(rows).tolist() == [[7], [3]]


def test_a_teacher_is_asked_without_the_targets_or_without_all_that_is_seen(split: rd.Split) -> None:
    windows, rows = split.windows, slice(3, 9)
    never = np.array([4], dtype=np.int32)
    targets, seen = (windows.queries(exclude, rows, never) for exclude in ("targets", "seen"))
    assert targets.ids.tolist() == seen.ids.tolist() == windows.ids[rows].tolist()
    assert targets.history.tolist() == windows.history(rows).tolist()
    assert targets.exclude.seen is None
    assert targets.exclude.per_query is not None
    assert targets.exclude.per_query.tolist() == windows.targets(rows).tolist()
    assert (seen.exclude.seen is split.train, seen.exclude.per_query) == (True, None)
    assert targets.exclude.never is seen.exclude.never is never


def rows_of(windows: Windows) -> set[tuple[int, int]]:
    return set(zip(windows.users.tolist(), windows.positions.tolist(), strict=True))


@given(lists, st.integers(1, 100), st.integers(1, 100))
def test_a_share_of_the_windows_is_rounded_up_in_order_and_within_every_larger_one(
    lists: list[list[int]], percent: int, other: int
) -> None:
    windows = windows_of(lists, 2, 1)
    small, large = (windows.part(each / 100) for each in sorted((percent, other)))
    assert len(small) == math.ceil(Fraction(min(percent, other), 100) * len(windows))
    assert rows_of(small) <= rows_of(large) <= rows_of(windows)
    assert (np.diff(small.ids) > 0).all()
    assert small.ids.tolist() == windows.part(min(percent, other) / 100).ids.tolist()


def test_a_share_keeps_each_windows_history_and_targets() -> None:
    windows = windows_of([list(range(1, 30)), list(range(30, 50))], 3, 2)
    part = windows.part(0.3)
    rows = np.flatnonzero(np.isin(windows.ids, part.ids))
    assert 0 < len(rows) < len(windows)
    assert part.history().tolist() == windows.history(rows).tolist()
    assert part.targets().tolist() == windows.targets(rows).tolist()


@pytest.mark.parametrize(("share", "count"), [(0.07, 7), (0.071, 8), (1e-9, 1), (1.0, 100)])
def test_a_share_of_a_hundred_windows_is_that_many_of_them(share: float, count: int) -> None:
    windows = windows_of([list(range(1, 102))], 1, 1)
    assert (len(windows), len(windows.part(share))) == (100, count)


def test_the_windows_of_a_share_come_from_anywhere() -> None:
    windows = windows_of([list(range(1, 12))] * 200, 1, 1)
    part = windows.part(0.2)
    assert part.users.mean() == pytest.approx(windows.users.mean(), rel=0.1)
    assert part.positions.mean() == pytest.approx(windows.positions.mean(), rel=0.1)


def test_no_window_has_no_part() -> None:
    assert len(windows_of([[]], 2, 1).part(0.5)) == 0


def test_the_windows_of_a_split_are_those_asked_for() -> None:
    log = rd.read("synthetic", users=60, items=40, length=15)
    split = log.split("leave_last_out", history_length=6, target_length=2, min_history=1)
    assert (split.history_length, split.target_length, split.min_history) == (6, 2, 1)
    assert int(split.windows.positions.min()) == 1
    assert len(split.windows) > len(log.split("leave_last_out", history_length=6, target_length=2).windows)
