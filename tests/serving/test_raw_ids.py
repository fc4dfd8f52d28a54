"""Raw ids in plain arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rankdistill.serving.raw_ids import RawIds

printable = st.text(min_size=1, max_size=6).filter(str.isprintable)
texts = st.lists(printable, unique=True)
numbers = st.lists(st.integers(-(1 << 62), 1 << 62), unique=True)


def of_text(values: list[str], first: int = 1) -> RawIds:
    encoded = [value.encode() for value in values]
    return RawIds(np.array(encoded, dtype=f"S{max(map(len, encoded), default=1)}"), first)


@given(texts)
def test_text_is_found_whatever_its_order(values: list[str]) -> None:
    ids = of_text(values)
    assert ids.indices(values).tolist() == list(range(1, len(values) + 1))
    assert ids.raw(np.arange(1, len(values) + 1)) == values
    assert ids.indices(["no such id at all"]).tolist() == [-1]


@given(numbers)
def test_integers_are_found_and_so_is_their_text(values: list[int]) -> None:
    ids = RawIds(np.array(values, dtype=np.int64), first=0)
    assert (
        ids.indices(values).tolist() == ids.indices([str(value) for value in values]).tolist() == [*range(len(values))]
    )
    assert ids.raw(np.arange(len(values))) == values


@pytest.mark.parametrize("value", [True, None, 7.0, "07", " 7", "seven", [7], "", 1 << 70, b"7"])
def test_what_only_looks_like_an_integer_is_none(value: Any) -> None:
    assert RawIds(np.array([7, 1, 0]), first=0).indices([value, 7]).tolist() == [-1, 0]


def test_a_longer_text_does_not_match_by_its_beginning() -> None:
    assert of_text(["ab", "abc"]).indices(["abcd", "abc", "a", "ab\0"]).tolist() == [-1, 2, -1, -1]
