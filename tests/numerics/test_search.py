"""The exact search against a sort of exact scores, in every precision, with and without the compiled kernels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from rankdistill import native
from rankdistill.errors import TrainingError
from rankdistill.search import Asked, ItemIndex, Precision, Relevant, kernels
from rankdistill.search.values import exact_scores
from rankdistill.types import PAD

PRECISIONS: list[Precision] = ["int8", "bfloat16", "float32"]


def asked(queries: Tensor, seen: list[list[int]], own: list[list[int]]) -> Asked:
    starts = np.cumsum([0, *map(len, seen)])
    items = torch.tensor([item for each in seen for item in each], dtype=torch.int32)
    width = max((len(each) for each in own), default=0)
    padded = torch.tensor([each + [PAD] * (width - len(each)) for each in own], dtype=torch.int32)
    users = torch.arange(len(queries))
    return Asked(queries, users, torch.from_numpy(starts), items, padded.view(len(queries), width))


def relevant(lists: list[list[int]]) -> Relevant:
    starts = torch.from_numpy(np.cumsum([0, *map(len, lists)]))
    return Relevant(starts, torch.tensor([item for each in lists for item in each], dtype=torch.int32))


def naive_orders(queries: Tensor, vectors: Tensor, bias: Tensor, items: Tensor, out: list[set[int]]) -> list[list[int]]:
    """The items of each query in order, from scores of float64 that are rounded to float32."""
    exact = (queries.double() @ vectors.double().T + bias.double()).float().tolist()
    return [
        sorted((item for item in items.tolist() if item not in left_out), key=lambda item: (-row[item], item))
        for row, left_out in zip(exact, out, strict=True)
    ]


@st.composite
def tables(draw: st.DrawFn) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, vectors and biases: small whole numbers full of ties, wide scales, near ties, or all the same."""
    seed, dim = draw(st.integers(0, 1 << 16)), draw(st.sampled_from([1, 3, 8, 33, 70]))
    generator = np.random.default_rng(seed)
    queries, items = draw(st.integers(1, 19)), draw(st.integers(1, 90))
    kind = draw(st.sampled_from(["ties", "normal", "scales", "near", "same", "zero", "tiny", "subnormal"]))
    shape_q, shape_v = (queries, dim), (items + 1, dim)
    if kind == "ties":
        q, v = generator.integers(-2, 3, shape_q), generator.integers(-2, 3, shape_v)
    elif kind == "scales":
        q = generator.normal(size=shape_q) * 10.0 ** generator.integers(-18, 15, (queries, 1))
        v = generator.normal(size=shape_v) * 10.0 ** generator.integers(-18, 15, (items + 1, 1))
    elif kind == "near":
        q, v = generator.normal(size=shape_q), np.repeat(generator.normal(size=(1, dim)), items + 1, 0)
        v = v * (1 + generator.integers(-3, 4, (items + 1, 1)) * 2.0**-23)
    elif kind == "same":
        q, v = generator.normal(size=shape_q), np.repeat(generator.normal(size=(1, dim)), items + 1, 0)
    elif kind == "tiny":  # products of scales are no normal numbers
        power = 2.0 ** draw(st.sampled_from([-70, -66, -62, -58, -50]))
        q, v = (generator.integers(-2_000, 2_001, shape) * 1.50195 * power for shape in (shape_q, shape_v))
    elif kind == "subnormal":
        q, v = generator.normal(size=shape_q) * 1e17, generator.normal(size=shape_v) * 1e-39
    elif kind == "zero":
        q, v = np.zeros(shape_q), generator.normal(size=shape_v)
    else:
        q, v = generator.normal(size=shape_q), generator.normal(size=shape_v)
    bias = generator.integers(-1, 2, items + 1) * draw(st.sampled_from([0.0, 1.0, 1e-6, 1e6]))
    return tuple(torch.from_numpy(np.asarray(each, dtype=np.float32)) for each in (q, v, bias))  # type: ignore[return-value]


@pytest.mark.parametrize("precision", PRECISIONS)
@given(tables(), st.data())
def test_lists_and_ranks_are_those_of_a_sort_of_exact_scores(
    ways: str, precision: Precision, table: tuple[Tensor, Tensor, Tensor], data: st.DataObject
) -> None:
    queries, vectors, bias = table
    count = len(vectors) - 1
    some = st.lists(st.lists(st.integers(1, count), max_size=9), min_size=len(queries), max_size=len(queries))
    seen, own, wanted = data.draw(some), data.draw(some), [sorted(set(each)) for each in data.draw(some)]
    items = torch.tensor(sorted(data.draw(st.sets(st.integers(1, count), min_size=1))))
    k = data.draw(st.sampled_from([1, 2, 5, count]))
    typical = queries.mean(0) if data.draw(st.booleans()) else None
    index = ItemIndex(vectors, bias, items, precision, typical)
    question = asked(queries, seen, own)
    orders = naive_orders(queries, vectors, bias, items, [{*a, *b, PAD} for a, b in zip(seen, own, strict=True)])
    expected = [order[:k] + [PAD] * (k - len(order)) for order in orders]
    for targets in (None, relevant(wanted)):
        lists, scores, ranks = index.search(question, k, targets)
        assert lists.tolist() == expected
        found = lists > 0
        assert (scores[~found] == -torch.inf).all()
        rows = found.nonzero()[:, 0]
        exact = exact_scores(queries[rows], vectors[lists[found].long()], bias[lists[found].long()])
        assert torch.equal(scores[found], exact)
    assert ranks is not None
    assert ranks.tolist() == [
        order.index(item) + 1 if item in order else 0
        for order, each in zip(orders, wanted, strict=True)
        for item in each
    ]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_more_ties_than_candidates_can_be_held_are_ranked_in_full(ways: str, precision: Precision) -> None:
    queries, vectors = torch.randn(70, 5), torch.ones(5_000, 5)
    vectors[4_000:] = 2.0
    index = ItemIndex(vectors, torch.zeros(5_000), torch.arange(1, 5_000), precision)
    lists, _, ranks = index.search(asked(queries, [[2]] * 70, [[]] * 70), 3, relevant([[1, 4_999]] * 70))
    positive = queries.double().sum(1) > 0
    expected = torch.where(positive[:, None], torch.tensor([4_000, 4_001, 4_002]), torch.tensor([1, 3, 4]))
    assert lists.tolist() == expected.tolist()
    assert ranks is not None
    behind = torch.tensor([1, 4_998])
    assert ranks.view(70, 2).tolist() == torch.where(positive[:, None], torch.tensor([1_001, 1_000]), behind).tolist()


def test_int8_is_multiplied_as_float32_by_a_processor_that_lacks_such_products(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "has_int8_products", lambda: False)
    monkeypatch.setattr(kernels, "search_integers", lambda *_: pytest.fail("instructions that this processor lacks"))
    vectors = torch.randn(300, 8)
    index = ItemIndex(vectors, torch.zeros(300), torch.arange(1, 300), "int8")
    lists, _, _ = index.search(asked(vectors[:5], [[]] * 5, [[]] * 5), 10)
    plain = ItemIndex(vectors, torch.zeros(300), torch.arange(1, 300), "float32")
    assert torch.equal(lists, plain.search(asked(vectors[:5], [[]] * 5, [[]] * 5), 10)[0])


def test_the_precision_and_the_way_change_nothing_of_a_large_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(3)
    queries = torch.randn(130, 48, generator=generator)
    vectors, bias = torch.randn(20_001, 48, generator=generator), torch.randn(20_001, generator=generator)
    seen = [list(range(user + 1, 20_000, 97)) for user in range(130)]
    question, targets = asked(queries, seen, [[]] * 130), relevant([[user + 3, 17_000] for user in range(130)])
    found = []
    for disabled in (False, True):
        if disabled:
            monkeypatch.setattr(native, "library", lambda: None)
        for precision in PRECISIONS:
            index = ItemIndex(vectors, bias, torch.arange(1, 20_001), precision)
            found.append(index.search(question, 25, targets))
    for items, scores, ranks in found[1:]:
        assert torch.equal(items, found[0][0])
        assert torch.equal(scores, found[0][1])
        assert ranks is not None
        assert torch.equal(ranks, found[0][2])


@given(st.integers(1, 80), st.integers(0, 1 << 16))
def test_an_exact_score_is_the_product_in_float64_rounded(dim: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    query, vector = (generator.normal(size=dim).astype(np.float32) for _ in range(2))
    bias = np.float32(generator.normal())
    exact = sum(float(a) * float(b) for a, b in zip(query, vector, strict=True)) + float(bias)
    found = exact_scores(torch.from_numpy(query)[None], torch.from_numpy(vector)[None], torch.tensor([bias]))
    assert abs(float(found) - exact) <= abs(exact) * 2.0**-23 + 1e-13


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 3e38])
@pytest.mark.parametrize("where", ["queries", "vectors", "bias"])
def test_numbers_that_are_not_finite_or_far_too_large_are_refused(bad: float, where: str) -> None:
    numbers = {"queries": torch.ones(2, 3), "vectors": torch.ones(5, 3), "bias": torch.zeros(5)}
    numbers[where].view(-1)[-1] = bad
    with pytest.raises(TrainingError, match="finite"):
        ItemIndex(numbers["vectors"], numbers["bias"], torch.arange(1, 5)).search(
            asked(numbers["queries"], [[], []], [[], []]), 2
        )


def test_vectors_of_very_different_lengths_are_numbers_like_any_other() -> None:
    index = ItemIndex(torch.full((4, 2), 1e-15) * torch.arange(4)[:, None], torch.zeros(4), torch.arange(1, 4))
    assert index.search(asked(torch.full((1, 2), 1e20), [[]], [[]]), 3)[0].tolist() == [[3, 2, 1]]


def test_a_catalogue_without_items_to_rank_gives_empty_lists(ways: str) -> None:
    index = ItemIndex(torch.ones(2, 3), torch.zeros(2), torch.zeros(0, dtype=torch.int64))
    lists, scores, ranks = index.search(asked(torch.ones(2, 3), [[], []], [[], []]), 2, relevant([[1], []]))
    assert (lists.tolist(), scores.tolist()) == ([[0, 0]] * 2, [[-torch.inf] * 2] * 2)
    assert ranks is not None
    assert ranks.tolist() == [0]


def test_nothing_is_found_where_nothing_may_be_ranked(ways: str) -> None:
    index = ItemIndex(torch.ones(4, 2), torch.zeros(4), torch.arange(1, 4))
    lists, scores, _ = index.search(asked(torch.ones(2, 2), [[1, 2, 3], [1, 1, 2]], [[], []]), 3)
    assert lists.tolist() == [[0, 0, 0], [3, 0, 0]]
    assert scores[0].tolist() == [-torch.inf] * 3
