from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import rankdistill as rd
from rankdistill.data.teacher_items import teacher_items
from rankdistill.errors import RankingsError
from rankdistill.rankings import ANY_POSITION, Rankings, pack


@pytest.fixture(scope="module")
def teacher(split: rd.Split) -> rd.Ranker:
    return rd.train(rd.Popularity.Config(), split)


def refused(lists: Rankings, split: rd.Split, k: int = 5, exclude: Any = "targets") -> str:
    with pytest.raises(RankingsError) as caught:
        teacher_items(lists, split, k, exclude)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def changed(lists: Rankings, row: int, place: int, item: int) -> Rankings:
    items = lists.items.copy()
    items[row, place] = item
    return replace(lists, items=items)


@pytest.mark.parametrize("exclude", ["targets", "seen"])
def test_our_own_teachers_lists_are_taken_as_they_are(split: rd.Split, teacher: rd.Ranker, exclude: Any) -> None:
    lists = rd.label(teacher, split, k=7, exclude=exclude)
    np.testing.assert_array_equal(teacher_items(lists, split, 7, exclude).items, lists.items)
    np.testing.assert_array_equal(teacher_items(lists, split, 3, exclude).items, lists.items[:, :3])


def test_from_one_list_a_user_the_targets_of_each_query_are_taken_out(split: rd.Split) -> None:
    everything = np.tile(np.arange(1, split.num_items + 1, dtype=np.int32), (split.num_users, 1))
    lists = Rankings(pack(np.arange(split.num_users), ANY_POSITION), everything)
    ours = teacher_items(lists, split, 6, "targets").items
    for row, (target,) in zip(ours.tolist(), split.windows.targets().tolist(), strict=True):
        assert row == [item for item in range(1, 8) if item != target][:6]


def test_lists_of_other_data_are_refused_by_their_fingerprint(split: rd.Split, teacher: rd.Ranker) -> None:
    lists = replace(rd.label(teacher, split, k=5), fingerprint="0123456789abcdef", source="teacher.parquet")
    message = refused(lists, split)
    assert message.startswith("teacher.parquet: made from other data (fingerprint 0123456789abcdef")
    assert split.fingerprint in message


def test_missing_queries_are_counted_and_the_first_is_named(split: rd.Split, teacher: rd.Ranker) -> None:
    lists = rd.label(teacher, split, k=5)
    fewer = replace(lists, query_ids=lists.query_ids[2:], items=lists.items[2:])
    total, name = len(split.windows), split.user_ids.values[0]
    assert refused(replace(fewer, source="a.parquet"), split) == (
        f"a.parquet: no list for 2 of {total} training queries, of 1 of {split.num_users} users (first: user {name!r}, "
        f"position 5); made from another split? If it is not, on_missing = 'skip' (--set teacher.on_missing=skip) has "
        f"them learn from the data alone"
    )


@pytest.mark.parametrize("per_user", [False, True])
def test_queries_without_a_list_are_marked_where_they_may_be_skipped(
    split: rd.Split, teacher: rd.Ranker, per_user: bool
) -> None:
    lists = rd.label(teacher, split, k=5, exclude="seen")
    known = np.isin(split.windows.users, [1, 4, 5])
    if per_user:
        users, rows = np.unique(split.windows.users, return_index=True)
        rows = rows[np.isin(users, [1, 4, 5])]
        part = replace(lists, query_ids=pack(np.array([1, 4, 5]), ANY_POSITION), items=lists.items[rows])
    else:
        part = replace(lists, query_ids=lists.query_ids[known], items=lists.items[known])
    found = teacher_items(replace(part, scores=None, on_missing="skip"), split, 5, "seen")
    assert found.listed is not None
    np.testing.assert_array_equal(found.listed, known)
    assert not found.items[~known].any()
    if not per_user:
        np.testing.assert_array_equal(found.items[known], lists.items[known])
    assert teacher_items(replace(lists, on_missing="skip"), split, 5, "seen").listed is None
    nobody = replace(lists, query_ids=lists.query_ids + (999 << 32), on_missing="skip")
    assert refused(nobody, split, exclude="seen").endswith("made from another split?")


def test_a_short_list_is_refused_with_the_first_query_named(split: rd.Split, teacher: rd.Ranker) -> None:
    lists = rd.label(teacher, split, k=5)
    assert f"{len(split.windows)} lists are shorter than k = 6" in refused(lists, split, k=6)
    ragged = changed(lists, 1, 4, 0)
    assert "1 lists are shorter than k = 5" in refused(ragged, split)
    assert "position 6 with 4 usable items" in refused(ragged, split)


def test_a_k_beyond_the_catalogue_is_refused_with_both_numbers(split: rd.Split, teacher: rd.Ranker) -> None:
    assert "k = 41 is more than the catalogue's 40 items" in refused(rd.label(teacher, split, k=5), split, k=41)


def test_a_list_that_holds_the_querys_own_target_is_refused(split: rd.Split, teacher: rd.Ranker) -> None:
    lists = changed(rd.label(teacher, split, k=5), 1, 2, int(split.windows.targets()[1, 0]))
    message = refused(lists, split)
    assert "1 lists hold the query's own target" in message
    assert "position 6" in message


@pytest.mark.parametrize("per_user", [False, True])
def test_a_list_that_holds_a_known_item_is_refused_where_these_are_kept_out(
    split: rd.Split, teacher: rd.Ranker, per_user: bool
) -> None:
    lists = changed(rd.label(teacher, split, k=5, exclude="seen"), 0, 4, int(split.train.of(0)[0]))
    if per_user:
        users, rows = np.unique(split.windows.users, return_index=True)
        lists = Rankings(pack(users, ANY_POSITION), lists.items[rows])
    affected = int((split.windows.users == 0).sum()) if per_user else 1
    assert f"{affected} lists hold items that the user has already" in refused(lists, split, exclude="seen")


def test_counts_are_those_of_all_queries_however_many_blocks_they_fill(
    split: rd.Split, teacher: rd.Ranker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rankdistill.data.teacher_items._QUERIES_A_BLOCK", 50)
    lists = rd.label(teacher, split, k=5)
    np.testing.assert_array_equal(teacher_items(lists, split, 5, "targets").items, lists.items)
    assert f"{len(split.windows)} lists are shorter than k = 6" in refused(lists, split, k=6)


def test_the_lists_of_all_windows_are_searched_once(
    split: rd.Split, teacher: rd.Ranker, monkeypatch: pytest.MonkeyPatch
) -> None:
    lists, searches = rd.label(teacher, split, k=5), []
    search = Rankings.rows_of

    def counted(self: Rankings, *given: Any) -> Any:
        searches.append(len(given[0]))
        return search(self, *given)

    monkeypatch.setattr("rankdistill.data.teacher_items._QUERIES_A_BLOCK", 50)
    monkeypatch.setattr(Rankings, "rows_of", counted)
    teacher_items(lists, split, 5, "targets")
    assert searches == [len(split.windows)]
