from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rankdistill.errors import DataError
from rankdistill.ids import IdMap


@given(st.lists(st.integers(-(2**62), 2**62) | st.none(), max_size=20), st.integers(0, 1))
def test_ids_come_back_from_their_dense_indices(raw: list[int | None], first: int) -> None:
    known = [value for value in raw if value is not None]
    ids = IdMap.of(pl.Series(known, dtype=pl.Int64), first)
    dense = ids.encode(pl.Series(raw, dtype=pl.Int64))
    assert [value is None for value in raw] == (dense == -1).tolist()
    assert ids.decode(dense[dense >= 0]).to_list() == known
    assert sorted(set(dense[dense >= 0].tolist())) == list(range(first, first + len(ids)))


@pytest.mark.parametrize("values", [["b", "a", "ä b"], [30, 10, 20], [date(2020, 1, 2), date(2019, 1, 1)]])
def test_ids_of_any_type_count_up_in_their_own_order(values: list[Any]) -> None:
    ids = IdMap.of(pl.Series(values), first=1)
    assert ids.encode(sorted(values)).tolist() == list(range(1, len(values) + 1))


@pytest.mark.parametrize(
    ("foreign", "dense"),
    [
        (pl.Series(["7", "9", "x"]), [1, 2, -1]),
        (pl.Series(["007", "+7", " 7", "7.0", None]), [-1, -1, -1, -1, -1]),
        (pl.Series([7, 9], dtype=pl.Int32), [1, 2]),
        (pl.Series([9.0, 7.5]), [2, -1]),
        (pl.Series([2**63], dtype=pl.UInt64), [-1]),
        ([], []),
    ],
)
def test_ids_of_another_type_are_found_where_they_say_the_same(foreign: Any, dense: list[int]) -> None:
    assert IdMap(pl.Series([7, 9]), first=1).encode(foreign).tolist() == dense


def test_integers_are_found_among_texts() -> None:
    assert IdMap(pl.Series(["7", "07"]), first=0).encode([7, 8]).tolist() == [0, -1]


def test_keeping_some_ids_renumbers_them() -> None:
    kept = IdMap(pl.Series(["a", "b", "c"]), first=1).keep(np.array([1, 3]))
    assert (kept.values.to_list(), kept.encode(["c"]).tolist()) == (["a", "c"], [2])


@pytest.mark.parametrize("values", [["b", "a"], [30, 10]])
def test_ids_come_back_from_a_file_in_their_order_and_type(tmp_path: Path, values: list[Any]) -> None:
    IdMap(pl.Series(values), first=1).write(tmp_path / "ids.parquet")
    again = IdMap.read(tmp_path / "ids.parquet", first=1)
    assert again.values.to_list() == values
    assert again.values.dtype == pl.Series(values).dtype


def test_a_damaged_or_missing_file_of_ids_is_refused_by_name(tmp_path: Path) -> None:
    IdMap(pl.Series(range(1000)), first=1).write(tmp_path / "ids.parquet")
    whole = (tmp_path / "ids.parquet").read_bytes()
    for name, content in (("cut", whole[:-50]), ("empty", b"")):
        (tmp_path / name).write_bytes(content)
    for name in ("cut", "empty", "missing"):
        with pytest.raises(DataError, match=rf"{name}: the ids cannot be read"):
            IdMap.read(tmp_path / name, first=1)


@given(
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=30)
    | st.lists(st.integers(-9, 9), min_size=1, max_size=30)
    | st.lists(st.text(max_size=3), min_size=1, max_size=30)
    | st.lists(st.dates(), min_size=1, max_size=30),
    st.integers(0, 1),
)
def test_encoding_a_column_is_making_its_map_and_asking_it(values: list[Any], first: int) -> None:
    raw = pl.Series(values)
    ids, dense = IdMap.encoding(raw, first)
    order = sorted(set(values))
    assert ids.values.to_list() == order
    assert ids.values.dtype == raw.dtype
    assert dense.tolist() == [order.index(value) + first for value in values]
    assert dense.dtype == np.int32


@pytest.mark.parametrize("text", [False, True])
def test_many_ids_far_apart_are_encoded_as_a_search_finds_them(text: bool) -> None:
    values = np.random.default_rng(5).integers(-(2**63), 2**63 - 1, 30_000).repeat(2)
    raw = pl.Series(np.random.default_rng(6).permutation(values)).cast(pl.String if text else pl.Int64)
    ids, dense = IdMap.encoding(raw, 1)
    assert ids.values.equals(raw.unique().sort())
    assert dense.tolist() == (ids.values.search_sorted(raw) + 1).to_list()


def test_two_texts_of_one_hash_stay_two_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    collided = np.array([0, 0, 0], dtype=np.int32), np.array([1])
    monkeypatch.setattr("rankdistill.ids.numbered", lambda keys: collided)
    ids, dense = IdMap.encoding(pl.Series(["b", "a", "b"]), 1)
    assert (ids.values.to_list(), dense.tolist()) == (["a", "b"], [2, 1, 2])
