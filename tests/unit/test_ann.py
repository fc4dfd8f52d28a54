"""Indexes of item vectors against brute force."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rankdistill.errors import ConfigError, ExportError
from rankdistill.serving import ann
from rankdistill.types import Floats, Ints

pytest.importorskip("faiss")
ITEMS, WIDTH, QUERIES = 3_000, 17, 60


@pytest.fixture(scope="module")
def vectors() -> Floats:
    """Rows around 30 centres with a bias behind them; PAD and every 50th item may not be ranked."""
    draw = np.random.default_rng(3)
    rows = draw.normal(size=(30, WIDTH))[draw.integers(0, 30, ITEMS + 1)] + draw.normal(size=(ITEMS + 1, WIDTH)) * 0.7
    rows[:, -1] = draw.normal(size=ITEMS + 1) * 0.3
    rows[::50, -1] = -np.inf
    return rows.astype(np.float32)


@pytest.fixture(scope="module")
def queries() -> Floats:
    rows = np.random.default_rng(4).normal(size=(QUERIES, WIDTH)).astype(np.float32)
    rows[:, -1] = 1
    return rows


@pytest.fixture(scope="module")
def left_out() -> Ints:
    """Of each query up to 40 items, PAD behind them."""
    draw = np.random.default_rng(5)
    rows = np.zeros((QUERIES, 40), dtype=np.int64)
    for row in rows:
        own = draw.permutation(ITEMS)[: draw.integers(0, 41)] + 1
        row[: len(own)] = own
    return rows


def exact(vectors: Floats, queries: Floats, left_out: Ints, k: int) -> Ints:
    """Lists by a plain sort of all scores."""
    lists = []
    for query, out in zip(queries, left_out, strict=True):
        scores = vectors.astype(np.float64) @ query.astype(np.float64)
        scores[out] = -np.inf
        order = sorted(range(len(scores)), key=lambda item: (-scores[item], item))
        lists.append([item for item in order if np.isfinite(scores[item])][:k])
    return np.array(lists)


def recall(found: Ints, right: Ints) -> float:
    return float(np.mean([len(set(a) & set(b)) / len(b) for a, b in zip(found.tolist(), right.tolist(), strict=True)]))


@pytest.mark.parametrize("k", [1, 10, 100])
def test_the_flat_index_gives_the_exact_lists(k: int, vectors: Floats, queries: Floats, left_out: Ints) -> None:
    index = ann.build(vectors, "faiss-flat")
    items, scores = ann.nearest(index, queries, vectors, left_out, k)
    assert len(index) == np.isfinite(vectors[:, -1]).sum()
    assert items.tolist() == exact(vectors, queries, left_out, k).tolist()
    np.testing.assert_allclose(scores, (vectors[items] * queries[:, None]).sum(2), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["faiss-hnsw", "faiss-ivfpq"])
def test_an_approximate_index_finds_nearly_all_with_right_scores(
    kind: ann.IndexKind, vectors: Floats, queries: Floats, left_out: Ints
) -> None:
    items, scores = ann.nearest(ann.build(vectors, kind), queries, vectors, left_out, 10)
    assert recall(items, exact(vectors, queries, left_out, 10)) >= 0.95
    np.testing.assert_allclose(scores, (vectors[items] * queries[:, None]).sum(2), rtol=1e-4, atol=1e-4)
    assert (np.diff(scores, axis=1) <= 0).all()
    assert not (items[:, :, None] == left_out[:, None]).any()
    assert np.isfinite(vectors[items, -1]).all()


@pytest.mark.parametrize(
    ("kind", "options"), [("faiss-hnsw", {"M": 2, "efConstruction": 1, "efSearch": 1}), ("faiss-ivfpq", {"nprobe": 1})]
)
def test_a_poor_search_finds_less(
    kind: ann.IndexKind, options: dict[str, int], vectors: Floats, queries: Floats, left_out: Ints
) -> None:
    right = exact(vectors, queries, left_out, 10)
    poor, usual = (
        ann.nearest(ann.build(vectors, kind, each), queries, vectors, left_out, 10)[0] for each in (options, {})
    )
    assert recall(poor, right) < recall(usual, right)


def test_refining_replaces_the_scores_that_codes_only_estimate(
    vectors: Floats, queries: Floats, left_out: Ints
) -> None:
    right = exact(vectors, queries, left_out, 10)
    found = [
        recall(
            ann.nearest(ann.build(vectors, "faiss-ivfpq", {"m": 2, "refine": each}), queries, vectors, left_out, 10)[0],
            right,
        )
        for each in (1, 30)
    ]
    assert found[1] > found[0] + 0.1


def test_items_of_equal_score_stand_in_the_order_of_their_index() -> None:
    vectors = np.array([[0, -np.inf], [1, 0], [2, 0], [1, 0], [1, 0], [0, 1]], dtype=np.float32)
    index = ann.build(vectors, "faiss-flat")
    items, _ = ann.nearest(index, np.array([[1, 1]], dtype=np.float32), vectors, np.zeros((1, 0), dtype=np.int64), 5)
    assert items.tolist() == [[2, 1, 3, 4, 5]]


def test_a_list_that_loses_more_than_there_is_ends_in_padding() -> None:
    vectors = np.array([[0, -np.inf], [1, 0], [2, 0], [3, 0]], dtype=np.float32)
    index = ann.build(vectors, "faiss-flat")
    out = np.array([[2, 3, 0]])
    items, scores = ann.nearest(index, np.array([[1, 1]], dtype=np.float32), vectors, out, 2)
    assert items.tolist() == [[1, 0]]
    assert scores.tolist() == [[1, -np.inf]]
    assert ann.depth_of(index, out, 2) >= len(index)


@pytest.mark.parametrize("kind", ann.KINDS)
def test_the_same_vectors_give_the_same_file(kind: ann.IndexKind, vectors: Floats, tmp_path: Path) -> None:
    few = vectors[:600]
    for name in ("a", "b"):
        ann.write(ann.build(few, kind), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("kind", ann.KINDS)
def test_a_file_gives_the_same_lists_and_is_no_pickle(
    kind: ann.IndexKind, vectors: Floats, queries: Floats, left_out: Ints, tmp_path: Path
) -> None:
    built = ann.build(vectors, kind)
    ann.write(built, tmp_path / "index")
    about = {"kind": kind, "options": built.options, "items": len(built)}
    read = ann.read((tmp_path / "index").read_bytes(), about, tmp_path)
    before, after = (ann.nearest(each, queries, vectors, left_out, 10) for each in (built, read))
    assert before[0].tolist() == after[0].tolist()
    assert before[1].tolist() == after[1].tolist()
    with (tmp_path / "index").open("rb") as file, pytest.raises((pickle.UnpicklingError, ValueError)):
        pickle.load(file)


def test_vectors_in_half_precision_are_taken(vectors: Floats, queries: Floats, left_out: Ints) -> None:
    half = vectors.astype(np.float16)
    for kind in ann.KINDS:
        items, scores = ann.nearest(ann.build(half, kind), queries, half, left_out, 10)
        assert scores.dtype == np.float32
        assert recall(items, exact(half, queries, left_out, 10)) >= 0.95


@pytest.mark.parametrize(
    ("kind", "options", "line"),
    [
        ("faiss-hsnw", {}, "index 'faiss-hsnw' is none (there are: faiss-flat, faiss-hnsw, faiss-ivfpq)"),
        ("faiss-flat", {"M": 3}, "index faiss-flat: 'M' is no option of it; it has no options"),
        (
            "faiss-hnsw",
            {"ef": 3},
            "index faiss-hnsw: 'ef' is no option of it; its options are M, efConstruction, efSearch",
        ),
        ("faiss-hnsw", {"efSearch": 0}, "index faiss-hnsw: efSearch = 0; give a whole number from 1 to 10,000"),
        ("faiss-hnsw", {"M": 16.5}, "index faiss-hnsw: M = 16.5; give a whole number from 2 to 512"),
        ("faiss-hnsw", {"M": True}, "index faiss-hnsw: M = True; give a whole number from 2 to 512"),
        ("faiss-ivfpq", {"nlist": 5000}, "index faiss-ivfpq: nlist = 5000; give a whole number from 1 to 2,940"),
        ("faiss-ivfpq", {"m": 99}, "index faiss-ivfpq: m = 99; give a whole number from 1 to 17"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(kind: Any, options: Any, line: str, vectors: Floats) -> None:
    with pytest.raises(ConfigError) as refused:
        ann.build(vectors, kind, options)
    assert str(refused.value) == line


def test_codes_are_not_learned_from_a_handful_of_items(vectors: Floats) -> None:
    with pytest.raises(ConfigError, match="at least 256 items and there are 98; use faiss-flat"):
        ann.build(vectors[:100], "faiss-ivfpq")


@pytest.mark.parametrize("num_items", [256, 5_000, 1_000_000])
@pytest.mark.parametrize("kind", ann.KINDS)
def test_the_defaults_are_options_that_are_taken(kind: ann.IndexKind, num_items: int) -> None:
    chosen = ann.defaults(kind, num_items, 51)
    assert ann.checked(kind, chosen, num_items, 51) == chosen
    assert chosen.get("nprobe", 0) <= chosen.get("nlist", 0)


@pytest.mark.parametrize(
    ("about", "reason"),
    [
        ({"kind": "faiss-ivfpq"}, "no index of the kind 'faiss-ivfpq'"),
        ({"kind": "annoy"}, "no index of the kind 'annoy'"),
        ({"kind": "faiss-flat"}, "no faiss-flat, which the manifest names"),
        ({"items": 7}, "holds 2,940 items and the manifest says 7"),
    ],
)
def test_a_file_of_something_else_is_refused(about: Any, reason: str, vectors: Floats, tmp_path: Path) -> None:
    ann.write(ann.build(vectors, "faiss-hnsw", {"efConstruction": 8}), tmp_path / "index")
    asked = {"kind": "faiss-hnsw", "options": {}, "items": 2_940, **about}
    with pytest.raises(ExportError, match=reason):
        ann.read((tmp_path / "index").read_bytes(), asked, tmp_path)


def test_a_file_that_ends_early_is_refused(vectors: Floats, tmp_path: Path) -> None:
    path = tmp_path / "index"
    ann.write(ann.build(vectors, "faiss-flat"), path)
    with pytest.raises(ExportError, match="faiss cannot read it"):
        ann.read(path.read_bytes()[:5000], {"kind": "faiss-flat", "options": {}, "items": 2_940}, path)


def test_without_faiss_the_line_that_installs_it_is_given(vectors: Floats, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ConfigError, match=r"faiss is not installed; pip install 'rankdistill\[ann\]'"):
        ann.build(vectors, "faiss-flat")
