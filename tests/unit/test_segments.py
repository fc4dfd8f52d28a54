"""Whole users for causal models: every window once, in one segment, whose end is its own history."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import rankdistill as rd
from rankdistill.data.negatives import NegativeSampler
from rankdistill.data.segments import Segments
from rankdistill.data.sequences import Sequences
from rankdistill.data.windows import Windows
from rankdistill.training import TrainingData

lists = st.lists(st.lists(st.integers(1, 99), max_size=25), min_size=1, max_size=6).filter(lambda each: any(each))


def windows_of(lists: list[list[int]], length: int, target: int, least: int | None, share: float) -> Windows:
    users = np.repeat(np.arange(len(lists)), [len(each) for each in lists])
    items = np.array([item for each in lists for item in each], dtype=np.int32)
    return Windows.of(Sequences.from_pairs(users, items, len(lists)), length, target, least).part(share)


def shown(part: Segments) -> list[tuple[int, list[int]]]:
    """What each window sees of its history: the items of its segment up to its place."""
    items, (segments, columns) = part.items(), part.places()
    return [
        (row, [item for item in items[segment, : column + 1].tolist() if item])
        for row, segment, column in zip(part.rows.tolist(), segments.tolist(), columns.tolist(), strict=True)
    ]


@given(
    lists,
    st.integers(1, 7),
    st.integers(1, 3),
    st.sampled_from([None, 1, 2]),
    st.sampled_from([1.0, 0.4]),
    st.integers(1, 30),
)
def test_every_window_sees_the_end_of_its_history_once_and_at_least_half_of_it(
    lists: list[list[int]], length: int, target: int, least: int | None, share: float, size: int
) -> None:
    windows = windows_of(lists, length, target, least, share)
    if not len(windows):
        return
    generator = np.random.default_rng(0)
    batches = Segments.of(windows, generator).batches(size, generator)
    seen = [each for part in batches for each in shown(part)]
    assert sorted(row for row, _ in seen) == list(range(len(windows)))
    histories = windows.history().tolist()
    for row, items in seen:
        history = [item for item in histories[row] if item]
        assert items == history[len(history) - len(items) :]
        position = int(windows.positions[row])
        assert len(items) == len(history) if position <= length else 2 * len(items) >= length
    assert all(part.items().shape[1] <= length for part in batches)


def test_a_batch_has_about_as_many_windows_as_asked_for(split: rd.Split) -> None:
    windows = replace(split, history_length=4, min_history=1).windows
    generator = np.random.default_rng(0)
    counts = [len(part.rows) for part in Segments.of(windows, generator).batches(64, generator)]
    assert sum(counts) == len(windows)
    assert all(64 - 5 <= count <= 64 + 5 for count in counts[:-1])


def test_long_sequences_are_cut_elsewhere_in_another_epoch() -> None:
    windows = windows_of([list(range(1, 60))], 8, 1, 1, 1.0)
    one, other, again = (Segments.of(windows, np.random.default_rng(seed)) for seed in (0, 1, 0))
    assert one.starts.tolist() == again.starts.tolist() != other.starts.tolist()


@pytest.mark.parametrize("target_length", [1, 2])
def test_a_causal_batch_has_the_same_rows_as_any_other(split: rd.Split, target_length: int) -> None:
    windows = replace(split, history_length=4, min_history=1, target_length=target_length).windows
    data = TrainingData(windows, NegativeSampler.of(split.train, split.num_items), 3)
    cpu = torch.device("cpu")
    plain, causal = (
        sorted(
            (user, history, targets)
            for batch in data.batches(50, np.random.default_rng(0), cpu, causal)
            for user, history, targets in zip(
                batch.users.tolist(), batch.history.tolist(), batch.targets.tolist(), strict=True
            )
        )
        for causal in (False, True)
    )
    assert plain == causal
    for batch in data.batches(50, np.random.default_rng(0), cpu, True):
        assert batch.shared is not None
        assert torch.equal(batch.shared.users[batch.shared.rows], batch.users)
        ends = batch.shared.sequences[batch.shared.rows, batch.shared.columns]
        assert torch.equal(ends, batch.history[:, -1])
        known = split.train.members()(batch.users[:, None].numpy(), batch.negatives.numpy())
        assert not known.any()
