from random import Random
from typing import Literal
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rankdistill.data.sequences import Sequences
from rankdistill.data.splitting import _relevant

Lists = list[list[int]]
users = st.integers(1, 6).flatmap(
    lambda count: st.lists(st.lists(st.integers(1, 5), max_size=8), min_size=count, max_size=count)
)
pairs = st.integers(1, 6).flatmap(
    lambda count: st.tuples(*[st.lists(st.lists(st.integers(1, 5), max_size=6), min_size=count, max_size=count)] * 2)
)
small_blocks = patch("rankdistill.data.sequences._ROWS_A_BLOCK", 4)


def of(lists: Lists) -> Sequences:
    users = np.repeat(np.arange(len(lists)), [len(items) for items in lists])
    return Sequences.from_pairs(
        users, np.array([item for items in lists for item in items], dtype=np.int32), len(lists)
    )


def back(sequences: Sequences) -> Lists:
    return [sequences.of(user).tolist() for user in range(len(sequences))]


@given(users, st.sampled_from(["first", "last"]))
def test_the_first_or_last_time_of_an_item_is_that_of_a_loop(lists: Lists, which: Literal["first", "last"]) -> None:
    expected = []
    for items in lists:
        for place, item in enumerate(items):
            expected.append(item not in (items[:place] if which == "first" else items[place + 1 :]))
    with small_blocks:
        assert of(lists).once(which).tolist() == expected


@given(users)
def test_distinct_items_stay_where_they_first_occur(lists: Lists) -> None:
    with small_blocks:
        assert back(of(lists).distinct()) == [list(dict.fromkeys(items)) for items in lists]


@given(pairs)
def test_what_comes_later_stands_behind_what_a_user_has(lists: tuple[Lists, Lists]) -> None:
    earlier, later = map(of, lists)
    both = earlier.then(later)
    assert back(both) == [a + b for a, b in zip(*lists, strict=True)]
    assert both.items[earlier.rows_after(later)].tolist() == later.items.tolist()


@given(users, st.randoms(use_true_random=False))
def test_marked_items_are_kept(lists: Lists, random: Random) -> None:
    marks = [[random.random() < 0.5 for _ in items] for items in lists]
    kept = of(lists).where(np.array([mark for each in marks for mark in each], dtype=np.bool_))
    assert back(kept) == [
        [item for item, mark in zip(items, each, strict=True) if mark] for items, each in zip(lists, marks, strict=True)
    ]


@given(users)
def test_a_lookup_knows_who_has_what(lists: Lists) -> None:
    with small_blocks:
        has = of(lists).members()
    asked = np.arange(7)
    for user, items in enumerate(lists):
        assert has(np.array([user]), asked).tolist() == [item in items for item in asked.tolist()]


@given(pairs, st.booleans())
def test_targets_are_those_of_a_loop(lists: tuple[Lists, Lists], exclude_seen: bool) -> None:
    known, later = lists
    with small_blocks:
        found = back(_relevant(of(known), of(later), exclude_seen))
    assert found == [
        [item for item in dict.fromkeys(new) if not (exclude_seen and item in old)]
        for old, new in zip(known, later, strict=True)
    ]


@pytest.mark.parametrize("size", [1, 3, 100])
def test_blocks_hold_every_user_once_and_few_rows(size: int) -> None:
    sequences = of([[1, 2], [], [3] * 9, [], [4], [5, 6]])
    with patch("rankdistill.data.sequences._ROWS_A_BLOCK", size):
        blocks = list(sequences.blocks())
    assert [user for first, last in blocks for user in range(first, last)] == list(range(6))
    rows = [int(sequences.starts[last] - sequences.starts[first]) for first, last in blocks]
    assert all(count <= size or last == first + 1 for count, (first, last) in zip(rows, blocks, strict=True))
