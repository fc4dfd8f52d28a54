import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import rankdistill as rd
from rankdistill.data.events import Events
from rankdistill.data.interactions import Interactions
from rankdistill.data.sequences import Sequences
from rankdistill.data.splitting import some_users
from rankdistill.errors import ConfigError, DataError
from rankdistill.rankings import unpack


def log(sequences: Sequence[Sequence[int]], times: Sequence[Sequence[int]] | None = None) -> Interactions:
    """Users 0, 1, ... with their raw items in order."""
    rows = [(user, item) for user, items in enumerate(sequences) for item in items]
    frame = pl.DataFrame(rows, schema=["user", "item"], orient="row")
    if times is not None:
        frame = frame.with_columns(time=pl.Series([time for each in times for time in each]))
    return Interactions.from_events(Events(frame, None, (), "events.csv"))


def raw(part: Sequences | None, split: rd.Split) -> list[list[int]]:
    assert part is not None
    return [split.item_ids.decode(part.of(user).astype(np.int64)).to_list() for user in range(len(part))]


def parts(split: rd.Split) -> list[list[list[int]]]:
    return [raw(part, split) for part in (split.train, split.validation, split.test)]


@given(
    st.lists(st.integers(1, 40), min_size=2, max_size=8),
    st.sampled_from([("0.7", "0.1"), ("0.8", "0.1"), ("0.6", "0.2"), ("0.5", "0.25"), ("0.1", "0.2")]),
    st.data(),
)
def test_user_fractions_cut_where_exact_arithmetic_cuts(
    lengths: list[int], shares: tuple[str, str], data: st.DataObject
) -> None:
    sequences = [data.draw(st.permutations(range(40)))[:n] for n in lengths]
    first, second = (Fraction(share) for share in shares)
    cuts = [(math.ceil(first * n), math.ceil((first + second) * n)) for n in lengths]
    expected = [
        [items[start(cut, n) : stop(cut, n)] for items, cut, n in zip(sequences, cuts, lengths, strict=True)]
        for start, stop in (
            (lambda cut, n: 0, lambda cut, n: cut[0]),
            (lambda cut, n: cut[0], lambda cut, n: cut[1]),
            (lambda cut, n: cut[1], lambda cut, n: n),
        )
    ]
    assume(any(expected[1]) and any(expected[2]))
    fractions = (float(first), float(second), float(1 - first - second))
    split = log(sequences).split("user_fractions", fractions, train_on_validation=False)
    assert parts(split) == expected


def test_seven_tenths_and_one_tenth_of_ten_are_eight() -> None:
    assert 0.7 + 0.1 < 0.8  # the trap: ceil(0.7999... x 10) is 8, but ceil of 0.1 + 0.2 = 0.3000...4 is one too many
    for fractions, cuts in (((0.7, 0.1, 0.2), (7, 8)), ((0.1, 0.2, 0.7), (1, 3))):
        split = log([range(10), range(10)]).split("user_fractions", fractions, train_on_validation=False)
        assert parts(split)[0][0] == list(range(cuts[0]))
        assert parts(split)[2][0] == list(range(cuts[1], 10))


def test_rows_of_equal_time_are_split_in_file_order() -> None:
    split = log([[5, 3, 9, 1], [1, 3, 5, 9]], times=[[7] * 4, [7] * 4]).split("leave_last_out")
    assert raw(split.test, split) == [[1], [9]]


def test_leave_last_out_tests_the_last_and_validates_on_the_one_before() -> None:
    split = log([[1, 2, 3, 4], [1, 2, 3], [2, 1], [4]]).split("leave_last_out", train_on_validation=False)
    assert parts(split) == [[[1, 2], [1], [2], [4]], [[3], [2], [], []], [[4], [3], [1], []]]


def test_a_split_by_time_cuts_all_users_at_the_same_moment() -> None:
    times = [[0, 1, 2, 3, 4], [1, 2, 8, 9, 9]]
    split = log([[1, 2, 3, 4, 5], [1, 2, 3, 4, 5]], times).split("time", (0.5, 0.2, 0.3), train_on_validation=False)
    # sorted: 0 1 1 2 2 3 4 8 9 9; the cuts stand before rows 5 and 7
    assert parts(split) == [[[1, 2, 3], [1, 2]], [[4, 5], []], [[], [3, 4, 5]]]


def test_rows_of_the_time_of_the_cut_fall_on_the_same_side() -> None:
    split = log([[1, 2, 3, 4], [1, 2, 3, 4]], [[1, 5, 5, 5], [1, 5, 5, 9]]).split("time", (0.5, 0.0, 0.5))
    assert parts_of_test(split) == [[2, 3, 4], [2, 3, 4]]


def parts_of_test(split: rd.Split) -> list[list[int]]:
    return raw(split.test, split)


def test_data_that_brings_its_own_split_keeps_it() -> None:
    frame = pl.DataFrame({"user": [1, 2, 1, 1, 2], "item": [5, 6, 7, 8, 5], "part": [0, 0, 1, 2, 2]})
    events = Events(frame.with_columns(pl.col("part").cast(pl.Int8)), None, (), "gowalla")
    split = Interactions.from_events(events).split("presplit", train_on_validation=False)
    assert parts(split) == [[[5], [6]], [[7], []], [[8], [5]]]


def test_models_learn_from_validation_too_unless_it_is_kept_apart() -> None:
    data = log([range(10), range(10)])
    apart = data.split("user_fractions", train_on_validation=False)
    together = data.split("user_fractions")
    assert together.validation is None
    assert apart.validation is not None
    assert raw(together.train, together) == raw(apart.train.then(apart.validation), apart)
    assert together.fingerprint != apart.fingerprint


@pytest.mark.parametrize(
    ("data", "kind", "message"),
    [
        (log([[1, 2, 3]]), "user_fractions", r"1 user\(s\) and 3 item\(s\) are left"),
        (log([[1], [1], [1]]), "user_fractions", r"3 user\(s\) and 1 item\(s\) are left"),
        (log([[1], [2], [3]]), "leave_last_out", "leaves no test rows of 3"),
        (log([[1, 2], [2, 3]]), "time", "needs a time column"),
        (log([[1, 2], [2, 3]], [[4, 4], [4, 4]]), "time", "the same time"),
        (log([[1, 2], [2, 3]]), "presplit", "brings no split of its own"),
    ],
)
def test_a_split_that_cannot_be_made_is_refused_by_name(data: Interactions, kind: Any, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        data.split(kind)
    assert str(caught.value).startswith("events.csv: ")


def test_a_misspelt_kind_of_split_is_refused_with_the_kinds_there_are() -> None:
    with pytest.raises(rd.RankDistillError, match=r"leave_last_one.*leave_last_out"):
        log([[1, 2], [2, 3]]).split("leave_last_one")  # type: ignore[arg-type]


class TestQueries:
    split = log([[1, 2, 3, 4, 9], [4, 3, 2, 1], [1, 2, 1]]).split("leave_last_out", history_length=3)

    def test_a_test_user_is_asked_once_after_all_that_came_before(self) -> None:
        queries = self.split.test_queries
        users, positions = unpack(queries.ids)
        assert (users.tolist(), positions.tolist()) == ([0, 1], [4, 3])
        assert queries.history.tolist() == [[2, 3, 4], [4, 3, 2]]

    def test_a_target_that_the_user_has_already_is_none_unless_seen_items_count(self) -> None:
        assert self.split.queries("test").users.tolist() == [0, 1]
        assert self.split.queries("test", exclude_seen=False).users.tolist() == [0, 1, 2]

    def test_a_target_that_never_occurs_in_training_stays_one_that_no_list_holds(self) -> None:
        queries = self.split.test_queries
        assert self.split.untrained_items.tolist() == [5]
        assert queries.exclude.never.tolist() == [5]
        assert queries.relevant is not None
        assert queries.relevant.of(0).tolist() == [5]

    def test_a_target_counts_once_however_often_it_is_visited(self) -> None:
        split = log([[1, 2, 3, 4, 5, 6, 7, 8, 8, 8], [9] * 10]).split("user_fractions", (0.7, 0.0, 0.3))
        queries = split.queries("test", exclude_seen=False)
        assert queries.relevant is not None
        assert queries.relevant.of(0).tolist() == [8]

    def test_a_short_history_is_padded_on_the_left(self) -> None:
        split = log([[1, 2], [2, 1]]).split("leave_last_out", history_length=3)
        assert split.test_queries.history.tolist() == [[0, 0, 1], [0, 0, 2]]

    def test_validation_users_are_asked_after_training_alone(self, validated: rd.Split) -> None:
        queries, train = validated.queries("validation"), validated.train
        users, positions = unpack(queries.ids)
        assert positions.tolist() == train.lengths[users].tolist()
        assert queries.history.tolist() == [train.of(user)[-5:].tolist() for user in users]

    def test_a_test_user_knows_her_validation_items(self, validated: rd.Split) -> None:
        assert validated.validation is not None
        seen = validated.test_queries.exclude.seen
        assert seen is not None
        for user in range(5):
            known = [*validated.train.of(user), *validated.validation.of(user)]
            assert seen.of(user).tolist() == known
            assert validated.test_queries.history[user].tolist() == known[-5:]

    def test_there_are_no_validation_queries_where_models_learn_from_them(self) -> None:
        with pytest.raises(DataError, match="there is no validation data"):
            self.split.queries("validation")


sequences = st.lists(st.lists(st.integers(1, 9), max_size=6), min_size=1, max_size=6)


def flat(lists: list[list[int]]) -> Sequences:
    users = np.repeat(np.arange(len(lists)), [len(each) for each in lists])
    return Sequences.from_pairs(users, np.array([i for each in lists for i in each], dtype=np.int32), len(lists))


def nested(flat: Sequences) -> list[list[int]]:
    return [flat.of(user).tolist() for user in range(len(flat))]


class TestSequences:
    @given(sequences, st.data())
    def test_taking_users_takes_their_items_in_that_order(self, lists: list[list[int]], data: st.DataObject) -> None:
        users = data.draw(st.lists(st.integers(0, len(lists) - 1), max_size=8))
        taken = flat(lists).take(np.array(users, dtype=np.int64))
        assert nested(taken) == [lists[user] for user in users]

    @given(sequences)
    def test_later_items_follow_the_earlier_ones_of_their_user(self, lists: list[list[int]]) -> None:
        later = lists[::-1]
        joined = flat(lists).then(flat(later))
        assert nested(joined) == [one + other for one, other in zip(lists, later, strict=True)]

    @given(sequences)
    def test_membership_is_that_of_sets(self, lists: list[list[int]]) -> None:
        items = np.arange(0, 13)
        found = flat(lists).members()(np.arange(len(lists))[:, None], items)
        assert found.tolist() == [[item in each for item in items] for each in lists]


@pytest.mark.parametrize("kind", ["user_fractions", "time"])
@pytest.mark.parametrize("fractions", [(0.5, 0.5), (0.7, 0.1, 0.1), (0.0, 0.5, 0.5), (0.8, 0.2, 0.0), ("a", 0, 1)])
def test_fractions_that_are_not_three_with_the_sum_1_are_refused(kind: Any, fractions: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        log([range(10), range(10)], [range(10), range(10)]).split(kind, fractions)
    assert str(caught.value) == (
        f"fractions {fractions}: give three, the shares of training, validation and test, such as (0.7, 0.1, 0.2), "
        f"with the sum 1; training and test above 0"
    )


def test_fractions_do_not_matter_to_a_split_without_them() -> None:
    assert log([range(10), range(10)]).split("leave_last_out", (0.5, 0.5)).test.lengths.tolist() == [1, 1]


def test_a_split_shows_its_sizes_in_one_line() -> None:
    split = log([range(10), range(10)]).split("user_fractions", train_on_validation=False)
    assert repr(split) == (
        "<Split of events.csv: 2 users, 10 items, rows: 14 train, 2 validation, 4 test (user_fractions 0.7/0.1/0.2)>"
    )


def test_some_users_keep_all_of_their_items_and_the_tables_keep_their_size(split: rd.Split) -> None:
    part = some_users(split, 100)
    assert (part.num_users, part.num_items) == (split.num_users, split.num_items)
    counts, whole = (np.bincount(each.windows.users, minlength=split.num_users) for each in (part, split))
    assert 100 <= counts.sum() < 100 + whole.max()
    assert set(counts[counts > 0] - whole[counts > 0]) == {0}
    assert len(some_users(split, 10**9).windows) == len(split.windows)
