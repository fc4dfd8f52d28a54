import hashlib
from collections import Counter
from typing import Any
from unittest.mock import patch

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rankdistill.data.events import Events
from rankdistill.data.interactions import Interactions
from rankdistill.errors import DataError

Row = tuple[int, int, int]
rows = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(0, 3)), min_size=1, max_size=60)


def log(rows: list[Any], titles: pl.DataFrame | None = None, columns: str = "user item time") -> Interactions:
    frame = pl.DataFrame(rows, schema=columns.split(), orient="row")
    return Interactions.from_events(Events(frame, titles, (), "events.csv"))


def raw(data: Interactions) -> list[Row]:
    users, items = data.user_ids.decode(data.users), data.item_ids.decode(data.items.astype(np.int64))
    assert data.timestamps is not None
    return list(zip(users, items, data.timestamps.tolist(), strict=True))


def naive_core(rows: list[Row], users: int, items: int) -> list[Row]:
    while True:
        by_user, by_item = Counter(row[0] for row in rows), Counter(row[1] for row in rows)
        kept = [row for row in rows if by_user[row[0]] >= users and by_item[row[1]] >= items]
        if kept == rows:
            return rows
        rows = kept


@given(rows)
def test_rows_are_sorted_by_user_and_time_and_stay_in_file_order_where_times_tie(rows: list[Row]) -> None:
    assert raw(log(rows)) == sorted(rows, key=lambda row: (row[0], row[2]))


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(-2, 2), st.integers(0, 2)), min_size=1),
    st.sampled_from([1, 2**50, 2**61]),
    st.sampled_from(["user item", "user item time", "user item part", "user item time part"]),
)
def test_parts_come_before_times_however_far_these_are_apart(
    rows: list[tuple[int, int, int, int]], scale: int, columns: str
) -> None:
    table = pl.DataFrame(rows, schema=["user", "item", "time", "part"], orient="row")
    frame = table.with_columns(pl.col("time") * scale, pl.col("part").cast(pl.Int8)).select(columns.split())
    keys = [key for key in ("user", "part", "time") if key in frame.columns]
    with patch("rankdistill.data.sequences._ROWS_A_BLOCK", 8):
        data = Interactions.from_events(Events(frame, None, (), "events.csv"))
    expected = frame.sort(keys, maintain_order=True)
    assert data.user_ids.decode(data.users).to_list() == expected["user"].to_list()
    assert data.item_ids.decode(data.items.astype(np.int64)).to_list() == expected["item"].to_list()
    for found, name in ((data.timestamps, "time"), (data.parts, "part")):
        assert (found is None) == (name not in frame.columns)
        assert found is None or found.tolist() == expected[name].to_list()


def test_events_are_as_they_were_when_the_log_is_made() -> None:
    events = Events(pl.DataFrame({"user": [2, 1], "item": [4, 3], "time": [5, 6]}), None, (), "events.csv")
    Interactions.from_events(events)
    assert events.frame.rows() == [(2, 4, 5), (1, 3, 6)]


@given(rows)
def test_dense_ids_are_used_without_a_gap(rows: list[Row]) -> None:
    data = log(rows)
    assert set(data.users.tolist()) == set(range(len(data.user_ids)))
    assert set(data.items.tolist()) == set(range(1, len(data.item_ids) + 1))


def test_without_times_the_order_of_the_file_is_the_order_of_time() -> None:
    data = log([("b", 3), ("a", 9), ("b", 1)], columns="user item")
    assert data.timestamps is None
    assert data.item_ids.decode(data.items.astype(np.int64)).to_list() == [9, 3, 1]


def test_a_log_without_a_row_is_refused_by_name() -> None:
    with pytest.raises(DataError, match=r"events.csv: no interactions"):
        log([])


@given(rows, st.sampled_from(["all", "first", "last"]))
def test_repeats_keep_what_a_loop_keeps(rows: list[Row], keep: Any) -> None:
    ordered = raw(log(rows))
    expected = []
    for number, row in enumerate(ordered):
        other = ordered[:number] if keep == "first" else ordered[number + 1 :]
        if keep == "all" or not any(row[:2] == again[:2] for again in other):
            expected.append(row)
    assert raw(log(rows).repeats(keep)) == expected


@given(rows, st.integers(1, 4), st.integers(1, 4))
def test_the_core_is_that_of_a_loop_over_rows(rows: list[Row], users: int, items: int) -> None:
    data = log(rows)
    expected = naive_core(raw(data), users, items)
    if expected:
        assert raw(data.k_core(users=users, items=items)) == expected
    else:
        with pytest.raises(DataError, match=rf"events.csv: nothing is left of {len(rows)} interactions"):
            data.k_core(users=users, items=items)


def test_titles_follow_their_items_through_the_core() -> None:
    titles = pl.DataFrame({"item": [12, 10, 99], "title": ["twelve", "ten", "never seen"]})
    data = log([(1, 10, 0), (1, 11, 1), (2, 12, 0), (2, 11, 1), (3, 12, 1), (3, 11, 0)], titles)
    core = data.k_core(users=1, items=2)
    assert core.titles is not None
    assert dict(zip(core.item_ids.values, core.titles, strict=True)) == {11: None, 12: "twelve"}


def test_the_fingerprint_is_of_the_content_and_not_of_the_order_in_the_file() -> None:
    rows = [(1, 10, 0), (1, 11, 1), (2, 10, 5)]
    same = log(rows[::-1])
    others = [log(rows[:2]), log([(1, 11, 0), (1, 10, 1), (2, 10, 5)]), log([(u, i + 1, t) for u, i, t in rows])]
    assert log(rows).fingerprint == same.fingerprint
    assert len({log(rows).fingerprint, *(other.fingerprint for other in others)}) == 4


@pytest.mark.parametrize("block", [1, 2, 3, 100])
def test_the_fingerprint_does_not_depend_on_how_many_ids_are_hashed_at_once(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = log([("ä", 10, 0), ("b", 11, 1), ("c d", 12, 5)])
    text = "b\x1fc d\x1fä".encode() + b"10\x1f11\x1f12"
    expected = hashlib.sha256(text + data.users.tobytes() + data.items.tobytes()).hexdigest()
    monkeypatch.setattr("rankdistill.data.fingerprint._IDS_A_BLOCK", block)
    assert data.fingerprint == expected[:16]


def test_a_log_shows_its_sizes_in_one_line() -> None:
    assert repr(log([(1, 2, 3), (1, 4, 5)])) == "<Interactions of events.csv: 2 rows, 1 users, 2 items, with times>"
    parted = log([(1, 2, 0), (1, 4, 2)], columns="user item part")
    assert repr(parted).endswith("2 items, no times, split already>")


def test_what_was_left_out_of_a_log_is_told_and_goes_with_the_split() -> None:
    rows = [("a", "x", 1), ("a", "x", 2), ("a", "y", 3), ("b", "x", 4), ("b", "y", 5), ("c", "x", 6)]
    data = log(rows).repeats("last").k_core(users=2, items=2)
    assert data.dropped == (
        "1 of 6 rows as repeat visits (repeats = 'last')",
        "1 of 5 rows in the k-core: users with fewer than 2 (1) and items with fewer than 2 (0)",
    )
    assert data.split("leave_last_out").dropped == data.dropped
    assert log(rows[2:5]).repeats("last").k_core(users=1, items=1).dropped == ()
