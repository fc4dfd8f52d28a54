"""The operations of a served model, against plain loops and another solver."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from rankdistill.data.sequences import Sequences
from rankdistill.served import fold_in, last, once

histories = st.lists(st.integers(0, 6), min_size=1, max_size=9)


@given(histories)
def test_once_marks_where_an_item_occurs_last(history: list[int]) -> None:
    wanted = [item != 0 and item not in history[place + 1 :] for place, item in enumerate(history)]
    assert once(torch.tensor([history]), 6).tolist() == [wanted]


@given(histories, st.integers(1, 12))
def test_last_takes_the_end_and_pads_on_the_left(history: list[int], length: int) -> None:
    wanted = ([0] * length + history)[-length:]
    assert last(torch.tensor([history]), length).tolist() == [wanted]


def test_fold_in_is_the_least_squares_solution_of_the_mean_vectors() -> None:
    generator = np.random.default_rng(0)
    users, items, dim = 200, 30, 4
    vectors = generator.normal(size=(items + 1, dim))
    lengths = generator.integers(1, 9, users)
    owned = [generator.integers(1, items + 1, length) for length in lengths]
    train = Sequences.from_pairs(np.repeat(np.arange(users), lengths), np.concatenate(owned), users)
    wanted = generator.normal(size=(users, 3))
    means = np.array([np.mean([vectors[item] for item in row.tolist()], axis=0) for row in owned])
    given_ = np.column_stack([means, np.ones(users)])
    best = np.linalg.lstsq(given_, wanted, rcond=None)[0]
    found = fold_in(torch.from_numpy(vectors), train, torch.from_numpy(wanted)).numpy()
    np.testing.assert_allclose(found, best, rtol=0.02, atol=0.002)  # but for the ridge
    ours, least = (((given_ @ fold - wanted) ** 2).sum() for fold in (found, best))
    assert least <= ours < least * 1.0001


def test_users_without_items_have_no_part_in_it() -> None:
    vectors = torch.randn(4, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    some = Sequences.from_pairs(np.array([0, 1, 1]), np.array([1, 2, 3]), 2)
    more = Sequences.from_pairs(np.array([0, 1, 1]), np.array([1, 2, 3]), 4)
    wanted = torch.arange(8, dtype=torch.float64).view(4, 2)
    assert torch.equal(fold_in(vectors, some, wanted[:2]), fold_in(vectors, more, wanted))
    assert torch.isfinite(fold_in(torch.zeros_like(vectors), some, wanted[:2])).all()
