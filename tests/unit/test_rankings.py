import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rankdistill.errors import RankingsError
from rankdistill.ids import IdMap
from rankdistill.rankings import ANY_POSITION, Rankings, pack, unpack

USERS = IdMap(pl.Series(["ann", "bob", "cyd"]), first=0)
ITEMS = IdMap(pl.Series([10, 20, 30, 40]), first=1)


def matrix(rows: list[list[int]]) -> np.ndarray:
    return np.array(rows, dtype=np.int32)


def rows_of(**columns: list[Any]) -> pl.DataFrame:
    """Two lists a user of two items each, with the given columns changed."""
    whole: dict[str, list[Any]] = {
        "user_id": ["ann", "ann", "bob", "bob"],
        "position": [5, 5, 7, 7],
        "rank": [1, 2, 1, 2],
        "item_id": [10, 20, 30, 40],
        "score": [0.9, 0.1, 0.5, 0.5],
    }
    return pl.DataFrame({**whole, **columns})


def written(path: Path, frame: pl.DataFrame) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.write_parquet(path)
    return path


def refused(path: Path, **options: Any) -> str:
    with pytest.raises(RankingsError) as caught:
        Rankings.read(path, ITEMS, USERS, **options)
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)
    return str(caught.value)


@given(st.lists(st.tuples(st.integers(0, 2**30), st.integers(0, 2**31 - 2)), max_size=20))
def test_a_key_gives_back_its_user_and_position_and_sorts_by_them(pairs: list[tuple[int, int]]) -> None:
    table = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    keys = pack(table[:, 0], table[:, 1])
    np.testing.assert_array_equal(np.stack(unpack(keys), axis=1), table)
    assert [pairs[row] for row in np.argsort(keys, kind="stable")] == sorted(pairs)


@st.composite
def some_lists(draw: st.DrawFn) -> tuple[Rankings, IdMap, IdMap]:
    """Lists of uneven length with raw ids of either type."""
    num_users, num_items = draw(st.integers(1, 4)), draw(st.integers(1, 8))
    name = draw(st.sampled_from([lambda n: n * 7, lambda n: f"id {n}"]))
    users = IdMap(pl.Series([name(n) for n in range(num_users)]), first=0)
    items = IdMap(pl.Series([name(n) for n in range(num_items)]), first=1)
    queries = st.tuples(st.integers(0, num_users - 1), st.integers(0, 9))
    keys = sorted(draw(st.sets(queries, min_size=1, max_size=8)))
    lists = [draw(st.permutations(range(1, num_items + 1)))[: draw(st.integers(1, num_items))] for _ in keys]
    depth = max(map(len, lists))
    table = matrix([[*each, *[0] * (depth - len(each))] for each in lists])
    scores = -np.sort(np.random.default_rng(0).normal(size=table.shape)).astype(np.float32)
    ids = pack(*np.array(keys, dtype=np.int64).T)
    return Rankings(ids, table, scores if draw(st.booleans()) else None, fingerprint="abc"), users, items


@given(some_lists(), st.integers(0, 9))
def test_lists_come_back_from_a_file_whatever_the_order_of_its_rows(
    tmp_path_factory: pytest.TempPathFactory, case: tuple[Rankings, IdMap, IdMap], seed: int
) -> None:
    lists, users, items = case
    folder = tmp_path_factory.mktemp("lists")
    lists.write(folder / "whole.parquet", users, items, positions=True)
    shuffled = pl.read_parquet(folder / "whole.parquet").sample(fraction=1, shuffle=True, seed=seed)
    shuffled.write_parquet(folder / "shuffled.parquet")
    for name, fingerprint in (("whole", "abc"), ("shuffled", None)):
        again = Rankings.read(folder / f"{name}.parquet", items, users)
        np.testing.assert_array_equal(again.query_ids, lists.query_ids)
        np.testing.assert_array_equal(again.items, lists.items)
        assert again.fingerprint == fingerprint
        assert (again.scores is None) == (lists.scores is None)
        if again.scores is not None and lists.scores is not None:
            real = lists.items > 0
            np.testing.assert_array_equal(again.scores[real], lists.scores[real])


def test_a_file_has_raw_ids_ranks_from_one_and_positions_only_when_asked(tmp_path: Path) -> None:
    lists = Rankings(pack(np.array([0, 2]), np.array([5, 3])), matrix([[4, 1], [2, 0]]))
    lists.write(tmp_path / "a.parquet", USERS, ITEMS)
    lists.write(tmp_path / "b.parquet", USERS, ITEMS, positions=True)
    bare, keyed = (pl.read_parquet(tmp_path / name) for name in ("a.parquet", "b.parquet"))
    assert bare.columns == ["user_id", "rank", "item_id"]
    assert bare.rows() == [("ann", 1, 40), ("ann", 2, 10), ("cyd", 1, 20)]
    assert keyed["position"].to_list() == [5, 5, 3]


def test_a_file_without_positions_gives_one_list_for_every_query_of_a_user(tmp_path: Path) -> None:
    path = written(tmp_path / "a.parquet", rows_of().drop("position", "score"))
    lists = Rankings.read(path, ITEMS, USERS)
    assert lists.per_user
    assert unpack(lists.query_ids)[1].tolist() == [ANY_POSITION] * 2
    asked = pack(np.array([1, 0, 1]), np.array([9, 2, 3]))
    found = lists.for_queries(asked)
    np.testing.assert_array_equal(found.query_ids, asked)
    assert found.items.tolist() == [[3, 4], [1, 2], [3, 4]]


def test_queries_get_their_lists_in_any_order_and_more_than_once() -> None:
    lists = Rankings(pack(np.array([0, 0, 1]), np.array([5, 6, 5])), matrix([[1], [2], [3]]))
    found = lists.for_queries(lists.query_ids[[2, 0, 2]])
    assert found.items.tolist() == [[3], [1], [3]]


def test_missing_queries_are_counted_and_the_first_is_named() -> None:
    lists = Rankings(pack(np.array([0]), np.array([5])), matrix([[1]]), source="teacher.parquet")
    asked = pack(np.array([0, 2, 1]), np.array([5, 7, 5]))
    with pytest.raises(RankingsError) as caught:
        lists.for_queries(asked, USERS)
    assert str(caught.value) == (
        "teacher.parquet: no list for 2 of 3 queries (first: user 'cyd', position 7); made from another split?"
    )


def test_lists_read_without_a_map_find_their_users_later(tmp_path: Path) -> None:
    path = written(tmp_path / "a.parquet", rows_of(user_id=["cyd", "cyd", "ann", "ann"]))
    lists = Rankings.read(path, ITEMS)
    found = lists.for_queries(pack(np.array([0, 2]), np.array([7, 5])), USERS)
    assert found.items.tolist() == [[3, 4], [1, 2]]


def test_ids_of_another_type_are_understood(tmp_path: Path) -> None:
    path = written(tmp_path / "a.parquet", rows_of(item_id=["10", "20", "30", "40"]))
    assert Rankings.read(path, ITEMS, USERS).items.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("name", ["parts", "parts/*.parquet"])
def test_a_folder_or_a_glob_of_files_is_one_set_of_lists(tmp_path: Path, name: str) -> None:
    for part, user in enumerate(["bob", "ann"]):
        written(tmp_path / "parts" / f"{part}.parquet", rows_of().filter(pl.col("user_id") == user))
    assert Rankings.read(tmp_path / name, ITEMS, USERS).items.tolist() == [[1, 2], [3, 4]]


def test_a_name_with_brackets_is_a_name_and_no_pattern(tmp_path: Path) -> None:
    path = written(tmp_path / "teacher[1].parquet", rows_of())
    assert len(Rankings.read(path, ITEMS, USERS)) == 2


class TestForeignFiles:
    def test_a_missing_file_is_refused(self, tmp_path: Path) -> None:
        assert "no such file" in refused(tmp_path / "teacher.parquet")

    @pytest.mark.parametrize("content", [b"", b"user,item\n1,2\n", None])
    def test_a_truncated_file_and_one_of_another_kind_are_refused(self, tmp_path: Path, content: bytes | None) -> None:
        path = written(tmp_path / "teacher.parquet", rows_of())
        path.write_bytes(path.read_bytes()[:-40] if content is None else content)
        assert "not a whole parquet file" in refused(path)
        assert refused(path).endswith("lists are parquet files with user_id, rank, item_id (docs/formats.md)")

    def test_prepared_data_are_no_lists(self, tmp_path: Path) -> None:
        path = written(tmp_path / "activity.parquet", pl.DataFrame({"user_id": [1], "interactions": [7]}))
        assert refused(path).endswith(
            "no column 'rank' among user_id, interactions; lists are parquet files with user_id, rank, item_id "
            "(docs/formats.md)"
        )

    def test_a_missing_column_is_named_with_the_nearest_there_is(self, tmp_path: Path) -> None:
        path = written(tmp_path / "a.parquet", rows_of().rename({"item_id": "itemid"}))
        assert "no column 'item_id' among" in refused(path)
        assert "is it 'itemid'?" in refused(path)

    def test_a_column_that_is_one_of_a_list_is_not_taken_for_another(self, tmp_path: Path) -> None:
        path = written(tmp_path / "a.parquet", rows_of().rename({"item_id": "thing"}))
        assert refused(path).endswith("; lists are parquet files with user_id, rank, item_id (docs/formats.md)")

    def test_an_empty_cell_is_refused_with_its_row(self, tmp_path: Path) -> None:
        path = written(tmp_path / "a.parquet", rows_of(item_id=[10, 20, None, 40]))
        assert "row 3 has no item_id" in refused(path)

    @pytest.mark.parametrize("column", ["rank", "position"])
    def test_a_rank_or_position_that_is_no_whole_number_is_refused(self, tmp_path: Path, column: str) -> None:
        path = written(tmp_path / "a.parquet", rows_of(**{column: [1.0, 2.0, 1.0, 2.0]}))
        assert f"column '{column}' holds Float64" in refused(path)

    def test_a_score_that_is_no_number_is_refused_by_its_column(self, tmp_path: Path) -> None:
        path = written(tmp_path / "a.parquet", rows_of(score=["a", "b", "c", "d"]))
        assert "score" in refused(path)

    @pytest.mark.parametrize("position", [-1, 2**31, 2**40])
    def test_a_position_that_cannot_be_is_refused(self, tmp_path: Path, position: int) -> None:
        path = written(tmp_path / "a.parquet", rows_of(position=[5, 5, position, position]))
        assert f"position {position}" in refused(path)

    def test_unknown_items_are_counted_and_the_first_is_named(self, tmp_path: Path) -> None:
        path = written(tmp_path / "a.parquet", rows_of(item_id=[10, 99, 98, 99]))
        assert "2 of 3 items are not in the data (first: 99)" in refused(path)

    def test_unknown_users_are_counted_and_the_first_is_named(self, tmp_path: Path) -> None:
        path = written(tmp_path / "a.parquet", rows_of(user_id=["eve", "eve", "dan", "dan"]))
        assert "2 of 2 users are not in the data (first: 'eve')" in refused(path)

    def test_unknown_items_are_left_out_on_demand_and_what_follows_moves_up(self, tmp_path: Path) -> None:
        path = written(tmp_path / "a.parquet", rows_of(item_id=[99, 20, 30, 40]))
        lists = Rankings.read(path, ITEMS, USERS, on_unknown="drop")
        assert lists.items.tolist() == [[2, 0], [3, 4]]

    def test_several_unknown_users_are_left_out_on_demand(self, tmp_path: Path) -> None:
        known = rows_of().filter(pl.col("user_id") == "bob")
        frames = [rows_of(user_id=[name] * 2 + ["bob"] * 2).head(2) for name in ("eve", "dan")]
        path = written(tmp_path / "a.parquet", pl.concat([*frames, known]))
        lists = Rankings.read(path, ITEMS, USERS, on_unknown="drop")
        assert (lists.query_ids.tolist(), lists.items.tolist()) == (pack(np.array([1]), 7).tolist(), [[3, 4]])

    @pytest.mark.parametrize("ranks", [[0, 1], [1, 3], [1, 1], [2, 3]])
    def test_ranks_that_do_not_count_up_from_one_are_refused_with_the_query(
        self, tmp_path: Path, ranks: list[int]
    ) -> None:
        path = written(tmp_path / "a.parquet", rows_of(rank=[1, 2, *ranks]))
        assert "ranks out of order in 1 lists (first: user 'bob', position 7:" in refused(path)

    def test_an_item_that_stands_twice_in_a_list_is_refused(self, tmp_path: Path) -> None:
        path = written(tmp_path / "a.parquet", rows_of(item_id=[10, 20, 30, 30]))
        assert "1 lists name an item twice (first: user 'bob', position 7)" in refused(path)

    def test_scores_that_rise_down_a_list_are_refused(self, tmp_path: Path) -> None:
        path = written(tmp_path / "a.parquet", rows_of(score=[0.9, 0.1, 0.1, 0.2]))
        assert "scores rise down the list in 1 lists (first: user 'bob', position 7)" in refused(path)

    @pytest.mark.parametrize(
        ("score", "named"), [(float("nan"), "nan"), (float("inf"), "inf"), (-float("inf"), "-inf"), (1e300, "inf")]
    )
    def test_scores_that_are_not_finite_are_refused_with_their_row(
        self, tmp_path: Path, score: float, named: str
    ) -> None:
        path = written(tmp_path / "a.parquet", rows_of(score=[0.9, 0.1, score, score]))
        assert refused(path).endswith(
            f"a.parquet: scores that are no finite 32-bit numbers in 1 lists (first: user 'bob', position 7, rank 1: "
            f"{named}); write such numbers, or leave the column 'score' out"
        )

    def test_lists_of_other_data_are_refused_as_such_before_their_ids_are_looked_up(self, tmp_path: Path) -> None:
        lists = Rankings(pack(np.array([0]), 1), matrix([[1]]), fingerprint="abc")
        lists.write(tmp_path / "a.parquet", IdMap.of(pl.Series(["zoe"]), first=0), ITEMS, positions=True)
        with pytest.raises(RankingsError, match=r"made from other data \(fingerprint abc, this data has def\)"):
            Rankings.read(tmp_path / "a.parquet", ITEMS, USERS, fingerprint="def")

    def test_files_of_different_data_are_not_read_together(self, tmp_path: Path) -> None:
        for user, fingerprint in enumerate(["abc", "def"]):
            lists = Rankings(pack(np.array([user]), 1), matrix([[1]]), fingerprint=fingerprint)
            lists.write(tmp_path / "parts" / f"{user}.parquet", USERS, ITEMS, positions=True)
        assert "the 2 files were made from different data sets" in refused(tmp_path / "parts")

    def test_files_with_different_columns_are_not_read_together(self, tmp_path: Path) -> None:
        written(tmp_path / "parts" / "0.parquet", rows_of().head(2))
        written(tmp_path / "parts" / "1.parquet", rows_of().tail(2).drop("score"))
        assert "score" in refused(tmp_path / "parts")


def test_the_rank_of_an_item_counts_from_one_and_is_zero_where_it_is_not_listed() -> None:
    lists = Rankings(np.array([0, 1]), matrix([[3, 1, 2], [2, 0, 0]]))
    ranks = lists.ranks_of(np.array([0, 0, 1, 1]), np.array([1, 4, 2, 3], dtype=np.int32))
    assert ranks.tolist() == [2, 0, 1, 0]


def test_cutting_lists_keeps_their_first_places() -> None:
    lists = Rankings(np.array([0]), matrix([[3, 1, 2]]), np.array([[3.0, 2.0, 1.0]], dtype=np.float32))
    cut = lists.cut(2)
    assert cut.scores is not None
    assert (cut.items.tolist(), cut.scores.tolist(), cut.depth) == ([[3, 1]], [[3.0, 2.0]], 2)
    assert Rankings(np.array([0]), matrix([[3, 1, 0]])).lengths.tolist() == [2]


@pytest.mark.parametrize("rank", [2**31, 2**40])
def test_a_rank_beyond_all_lists_is_named_as_it_is(tmp_path: Path, rank: int) -> None:
    path = written(tmp_path / "a.parquet", rows_of(rank=[1, rank, 1, 2]))
    assert f"rank {rank} where 2 is due" in refused(path)


def test_unknown_items_are_counted_over_all_files_of_a_folder(tmp_path: Path) -> None:
    for part, user in enumerate(["ann", "bob"]):
        frame = rows_of(item_id=["10", "98", "99", "98"]).filter(pl.col("user_id") == user)
        written(tmp_path / "parts" / f"{part}.parquet", frame.cast({"item_id": pl.String if part else pl.Int64}))
    assert "2 of 3 items are not in the data (first: '98')" in refused(tmp_path / "parts")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not tell a process's memory")
def test_reading_lists_needs_little_memory_beside_them(tmp_path: Path) -> None:
    users, depth = 10_000, 100
    items = np.tile(np.arange(1, depth + 1, dtype=np.int32), (users, 1))
    lists = Rankings(pack(np.arange(users), np.arange(users)), items, -items.astype(np.float32))
    maps = IdMap(pl.Series(np.arange(users)), 0), IdMap(pl.Series(np.arange(depth)), 1)
    lists.write(tmp_path / "large.parquet", *maps, positions=True)
    replace(lists, query_ids=lists.query_ids[:9], items=items[:9], scores=None).write(tmp_path / "small.parquet", *maps)
    done = subprocess.run(
        [sys.executable, "-c", READ, str(tmp_path), str(users), str(depth)], capture_output=True, text=True, check=True
    )
    assert 8 < float(done.stdout) < 110  # bytes a row, 8 of them the lists'; all columns at once took 200


READ = """
import sys
from pathlib import Path
import numpy as np
import polars as pl
from rankdistill.ids import IdMap
from rankdistill.rankings import Rankings

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))

folder, users, depth = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
maps = IdMap(pl.Series(np.arange(depth)), 1), IdMap(pl.Series(np.arange(users)), 0)
Rankings.read(folder / "small.parquet", *maps)
before = peak()
lists = Rankings.read(folder / "large.parquet", *maps)
print((peak() - before) / lists.items.size)
"""


def test_lists_show_their_sizes_in_one_line() -> None:
    lists = Rankings(pack(np.array([0, 1]), 5), matrix([[1, 2, 3], [3, 2, 1]]), source="caser")
    assert repr(lists) == "<Rankings of caser: 2 lists, 3 deep>"
    scored = replace(lists, scores=np.zeros((2, 3), dtype=np.float32))
    assert repr(scored) == "<Rankings of caser: 2 lists, 3 deep, with scores>"
