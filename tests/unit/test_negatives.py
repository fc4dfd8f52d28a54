import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from rankdistill.data.negatives import NegativeSampler
from rankdistill.data.sequences import Sequences


def sampler_of(lists: list[list[int]], num_items: int) -> NegativeSampler:
    users = np.repeat(np.arange(len(lists)), [len(each) for each in lists])
    items = np.array([item for each in lists for item in each], dtype=np.int32)
    return NegativeSampler.of(Sequences.from_pairs(users, items, len(lists)), num_items)


@given(st.integers(1, 12), st.integers(0, 9), st.data())
def test_negatives_are_real_items_that_the_user_does_not_have(
    num_items: int, per_row: int, data: st.DataObject
) -> None:
    items = st.integers(1, num_items)
    lists = data.draw(st.lists(st.lists(items, max_size=15), min_size=1, max_size=5))
    users = np.array(data.draw(st.lists(st.integers(0, len(lists) - 1), max_size=9)), dtype=np.int64)
    drawn = sampler_of(lists, num_items).draw(users, per_row, np.random.default_rng(0))
    assert (drawn.shape, drawn.dtype) == ((len(users), per_row), np.int32)
    for user, row in zip(users, drawn, strict=True):
        rest = set(range(1, num_items + 1)) - set(lists[user])
        assert set(row.tolist()) <= (rest or {0})


@pytest.mark.parametrize(("num_items", "known"), [(20, [3, 7, 11]), (200, list(range(1, 196)))])
def test_negatives_are_uniform_over_the_rest_however_little_is_left(num_items: int, known: list[int]) -> None:
    users = np.zeros(4_000, dtype=np.int64)
    drawn = sampler_of([known], num_items).draw(users, 5, np.random.default_rng(1))
    rest = sorted(set(range(1, num_items + 1)) - set(known))
    counts = np.bincount(drawn.ravel(), minlength=num_items + 1)[rest]
    assert counts.sum() == drawn.size
    assert chisquare(counts).pvalue > 0.01


def test_a_user_who_has_everything_gets_padding_and_others_do_not() -> None:
    drawn = sampler_of([[1, 2, 3], [1]], 3).draw(np.array([0, 1]), 4, np.random.default_rng(0))
    assert not drawn[0].any()
    assert set(drawn[1].tolist()) <= {2, 3}


def test_the_same_generator_draws_the_same_and_goes_on_to_others() -> None:
    sampler, users = sampler_of([[1, 2]], 1_000), np.zeros(50, dtype=np.int64)
    first, again = (sampler.draw(users, 3, np.random.default_rng(5)) for _ in range(2))
    generator = np.random.default_rng(5)
    sampler.draw(users, 3, generator)
    np.testing.assert_array_equal(first, again)
    assert (sampler.draw(users, 3, generator) != first).any()


def test_the_size_of_a_block_does_not_change_what_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    sampler, users = sampler_of([[1, 2, 3, 4], [5], list(range(1, 10))], 10), np.array([0, 1, 2] * 20)
    whole = sampler.draw(users, 7, np.random.default_rng(2))
    monkeypatch.setattr("rankdistill.data.negatives._CHECKS_A_BLOCK", 16)
    np.testing.assert_array_equal(sampler.draw(users, 7, np.random.default_rng(2)), whole)


@given(st.integers(1, 40), st.lists(st.lists(st.integers(1, 30), max_size=20), min_size=1, max_size=6))
def test_a_table_and_a_search_know_the_same(seed: int, lists: list[list[int]]) -> None:
    generator = np.random.default_rng(seed)
    users, items = generator.integers(len(lists), size=200), generator.integers(1, 31, size=200, dtype=np.int32)
    sampler = sampler_of(lists, 30)
    own = [item in lists[user] for user, item in zip(users, items, strict=True)]
    np.testing.assert_array_equal(sampler._has(users, items), own)
    np.testing.assert_array_equal(sampler.has(users, items), own)


def test_many_negatives_need_little_memory_beside_themselves() -> None:
    sampler, users = sampler_of([[item] for item in range(1, 101)], 1_000), np.repeat(np.arange(100), 200)
    tracemalloc.start()
    drawn = sampler.draw(users, 100, np.random.default_rng(0))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert drawn.shape == (20_000, 100)
    assert peak - drawn.nbytes < 16e6  # looked up all at once: 70 MB
