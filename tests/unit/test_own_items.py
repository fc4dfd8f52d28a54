"""What users have in training, as a model keeps it, against sets."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from rankdistill.data.sequences import Sequences
from rankdistill.seen import OwnItems

ITEMS = 10
logs = st.lists(st.lists(st.integers(1, ITEMS), max_size=12), min_size=1, max_size=6)


def sequences(lists: list[list[int]]) -> Sequences:
    users = np.repeat(np.arange(len(lists)), [len(each) for each in lists])
    return Sequences.from_pairs(users, np.array([i for each in lists for i in each], dtype=np.int32), len(lists))


def kept(lists: list[list[int]]) -> OwnItems:
    own = OwnItems(len(lists))
    own.keep(sequences(lists))
    return own


@st.composite
def asked(draw: st.DrawFn) -> tuple[list[list[int]], Tensor]:
    """A log and users of it, some of them twice, in any order, or none."""
    lists = draw(logs)
    users = draw(st.lists(st.integers(0, len(lists) - 1), max_size=8))
    return lists, torch.tensor(users, dtype=torch.int64)


@given(asked())
def test_a_user_has_each_of_her_items_once_in_ascending_order(case: tuple[list[list[int]], Tensor]) -> None:
    lists, users = case
    own = kept(lists)
    expected = [(row, item) for row, user in enumerate(users.tolist()) for item in sorted(set(lists[user]))]
    items, rows = own.of(users)
    assert list(zip(rows.tolist(), items.tolist(), strict=True)) == expected
    assert own.lengths(users).tolist() == [len(set(lists[user])) for user in users.tolist()]


@given(asked(), st.lists(st.integers(0, ITEMS + 2), max_size=7))
def test_own_items_are_found_in_a_sample_for_all_users(case: tuple[list[list[int]], Tensor], sample: list[int]) -> None:
    lists, users = case
    expected = [
        (row, column, item)
        for row, user in enumerate(users.tolist())
        for column, item in enumerate(sample)
        if item in lists[user]
    ]
    rows, columns, items = kept(lists).among(users, torch.tensor(sample, dtype=torch.int64))
    assert list(zip(rows.tolist(), columns.tolist(), items.tolist(), strict=True)) == expected


@given(asked(), st.integers(0, 5), st.integers(0, 10_000))
def test_own_items_are_found_among_items_of_each_user(
    case: tuple[list[list[int]], Tensor], width: int, seed: int
) -> None:
    lists, users = case
    given_items = torch.randint(0, ITEMS + 3, (len(users), width), generator=torch.Generator().manual_seed(seed))
    expected = [
        (row, column, item)
        for row, user in enumerate(users.tolist())
        for column, item in enumerate(given_items[row].tolist())
        if item in lists[user]
    ]
    rows, columns, items = kept(lists).among(users, given_items)
    assert list(zip(rows.tolist(), columns.tolist(), items.tolist(), strict=True)) == expected


@given(asked())
def test_in_the_whole_catalogue_a_column_is_its_item(case: tuple[list[list[int]], Tensor]) -> None:
    lists, users = case
    expected = [(row, item, item) for row, user in enumerate(users.tolist()) for item in sorted(set(lists[user]))]
    rows, columns, items = kept(lists).among(users, None)
    assert list(zip(rows.tolist(), columns.tolist(), items.tolist(), strict=True)) == expected


def test_before_anything_is_kept_nobody_has_anything() -> None:
    own, users = OwnItems(3), torch.tensor([0, 2])
    assert own.lengths(users).tolist() == [0, 0]
    assert [len(each) for each in own.among(users, torch.tensor([1, 2]))] == [0, 0, 0]


def test_keeping_again_forgets_what_was_kept() -> None:
    own = kept([[1, 2, 3], [4]])
    own.keep(sequences([[], [7, 5]]))
    items, rows = own.of(torch.tensor([0, 1]))
    assert (items.tolist(), rows.tolist()) == ([5, 7], [1, 1])
