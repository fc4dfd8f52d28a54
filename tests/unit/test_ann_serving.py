"""An exported folder with an index: the same lists, and when it may be asked."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rankdistill as rd
from rankdistill.errors import ConfigError, ExportError
from rankdistill.serving import ann, layout
from rankdistill.serving.recommender import Recommender, Rules

faiss = pytest.importorskip("faiss")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


@pytest.fixture(scope="module")
def split() -> rd.Split:
    return rd.read("synthetic", users=60, items=150, length=15).split("user_fractions")


@pytest.fixture(scope="module")
def folder(split: rd.Split, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model, exported with a flat index."""
    model = rd.train(rd.Caser.Config(dim=8), split, rd.Settings(train=rd.TrainConfig(epochs=2, device="cpu")))
    out = tmp_path_factory.mktemp("indexed") / "student"
    rd.export(model, out, index="faiss-flat")
    return out


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


@pytest.fixture
def asked_the_index(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many users each search of an index was for."""
    counts: list[int] = []
    search = ann.nearest

    def spied(index: Any, queries: Any, *others: Any) -> Any:
        counts.append(len(queries))
        return search(index, queries, *others)

    monkeypatch.setattr(ann, "nearest", spied)
    return counts


def everybody(model: Recommender) -> Any:
    return model.known_indices(np.arange(model.num_users))


def test_the_manifest_says_what_the_index_is_and_what_it_finds(folder: Path) -> None:
    manifest = json.loads((folder / layout.MANIFEST).read_text())
    about = manifest["index"]
    assert (about["kind"], about["options"], about["users"]) == ("faiss-flat", {}, 60)
    assert about["recall@10"] == 1.0
    assert about["recall@100"] == 1.0
    assert about["bytes"] == (folder / layout.INDEX).stat().st_size == manifest["files"][layout.INDEX]["bytes"]
    assert about["items"] == len(ann.read((folder / layout.INDEX).read_bytes(), about, folder))
    assert set(about["latency_ms"]) == {"index", "exact"}
    assert manifest["bytes"] == sum(each["bytes"] for each in manifest["files"].values())


@pytest.mark.parametrize("rules", [Rules(10), Rules(10, exclude_seen=False), Rules(7, block=np.array([1, 5, 9]))])
def test_a_flat_index_gives_the_exact_lists(folder: Path, rules: Rules, asked_the_index: list[int]) -> None:
    found, exact = Recommender(folder), Recommender(folder, index=False)
    items, scores = found.rank(everybody(found), rules)
    assert sum(asked_the_index) == 60
    right, values = exact.rank(everybody(exact), rules)
    assert sum(asked_the_index) == 60
    assert items.tolist() == right.tolist()
    np.testing.assert_allclose(scores, values, rtol=1e-5, atol=1e-5)


def test_strangers_are_answered_by_the_index_too(folder: Path, asked_the_index: list[int]) -> None:
    found, exact = Recommender(folder, index=True), Recommender(folder, index=False)
    histories = [found.items.raw(np.array([3, 9, 27])), []]
    ours, right = (each.recommend(histories=histories, k=5) for each in (found, exact))
    assert [each.items for each in ours] == [each.items for each in right]
    assert sum(asked_the_index) == 2


def test_the_index_is_not_asked_where_a_list_may_hold_few_items_alone(folder: Path, asked_the_index: list[int]) -> None:
    model = Recommender(folder)
    model.rank(everybody(model), Rules(3, allow=np.arange(1, 20)))
    assert asked_the_index == []


def test_the_index_is_not_asked_for_more_than_it_could_save(folder: Path, asked_the_index: list[int]) -> None:
    model = Recommender(folder)
    model.rank(everybody(model), Rules(148))
    assert asked_the_index == []


def test_the_index_is_not_asked_where_what_somebody_has_is_scored_otherwise(
    folder: Path, asked_the_index: list[int]
) -> None:
    model = Recommender(folder)
    model.manifest["own_items_differ"] = True
    model.rank(everybody(model), Rules(5, exclude_seen=False))
    assert asked_the_index == []
    model.rank(everybody(model), Rules(5))
    assert sum(asked_the_index) == 60


def test_a_list_that_comes_out_short_is_made_exactly(
    folder: Path, monkeypatch: pytest.MonkeyPatch, asked_the_index: list[int]
) -> None:
    found, exact = Recommender(folder), Recommender(folder, index=False)
    assert found.index is not None
    search = ann.ItemIndex.search

    def forgetful(index: ann.ItemIndex, queries: Any, depth: int) -> Any:
        items, scores = search(index, queries, depth)
        items[::2, 4:] = 0
        return items, scores

    monkeypatch.setattr(ann.ItemIndex, "search", forgetful)
    items, _ = found.rank(everybody(found), Rules(10))
    right, _ = exact.rank(everybody(exact), Rules(10))
    assert sum(asked_the_index) == 60
    assert items.tolist() == right.tolist()


def test_lists_come_from_the_index_and_from_nothing_else(folder: Path) -> None:
    model = Recommender(folder)
    assert model.index is not None
    vectors = np.load(folder / layout.VECTORS)
    vectors[1:51, -1] = -np.inf
    model.index = replace(ann.build(vectors, "faiss-flat"), threads=1)
    items, _ = model.rank(everybody(model), Rules(5))
    assert items.min() > 50


def test_a_damaged_index_is_refused_before_faiss_reads_it(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytearray((copy / layout.INDEX).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / layout.INDEX).write_bytes(data)
    monkeypatch.setattr(faiss, "read_index", lambda path: pytest.fail("faiss has read it"))
    with pytest.raises(ExportError, match=r"index\.faiss: truncated or changed since it was exported"):
        Recommender(copy)


def test_an_index_that_the_manifest_does_not_name_is_not_read(copy: Path) -> None:
    manifest = json.loads((copy / layout.MANIFEST).read_text())
    del manifest["files"][layout.INDEX]
    (copy / layout.MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(ExportError, match=r"names no index\.faiss"):
        Recommender(copy)
    del manifest["index"]
    (copy / layout.MANIFEST).write_text(json.dumps(manifest))
    assert Recommender(copy).index is None
    with pytest.raises(ExportError, match="was exported without an index"):
        Recommender(copy, index=True)


def test_an_index_that_cannot_be_is_refused_before_anything_is_written(split: rd.Split, tmp_path: Path) -> None:
    model = rd.train(rd.Popularity.Config(), split)
    wrong: Any = "faiss-hsnw"
    with pytest.raises(ConfigError, match="index 'faiss-hsnw' is none; did you mean 'faiss-hnsw'"):
        rd.export(model, tmp_path / "out", split, index=wrong)
    knn = rd.train(rd.ItemKNN.Config(), split)
    with pytest.raises(ExportError, match="a score of ItemKNN is no product of two vectors"):
        rd.export(knn, tmp_path / "out", split, index="faiss-flat")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_folder_in_lower_precision_has_an_index_with_options(split: rd.Split, tmp_path: Path) -> None:
    model = rd.train(rd.Caser.Config(dim=8), split, rd.Settings(train=rd.TrainConfig(epochs=2, device="cpu")))
    wanted = ann.IndexOptions("faiss-hnsw", {"efSearch": 100})
    manifest = rd.export(model, tmp_path / "out", index=wanted, precision="int8")
    assert manifest["index"]["options"] == {"M": 32, "efConstruction": 200, "efSearch": 100}
    assert manifest["index"]["recall@10"] >= 0.9
