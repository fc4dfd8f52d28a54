"""Compact models in production: the same lists, and bytes that are really saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import rankdistill as rd
from rankdistill.config import Section
from rankdistill.exporting import graph
from rankdistill.exporting.precision import lowered
from rankdistill.served import served

TABLES: dict[str, dict[str, Any]] = {
    "low_rank": {"rank": 4},
    "hashed": {"buckets": 20},
    "product_quantised": {"parts": 4},
}


def trained(config: Section, split: rd.Split) -> rd.Ranker:
    return rd.train(config, split, rd.Settings(train=rd.TrainConfig(epochs=1, device="cpu"))).eval()


def check(model: rd.Ranker, folder: Path) -> dict[str, Any]:
    """Exports a model and compares its lists; returns the manifest."""
    manifest = rd.export(model, folder)
    parity = manifest["precisions"]["float32"]["parity"]
    assert parity["same_items"] > 0.9 * parity["users"]  # hashed items may have the same score
    return manifest


def test_an_export_of_a_compact_model_gives_its_lists_and_is_as_precise(split: rd.Split, tmp_path: Path) -> None:
    config = rd.Caser.Config(
        dim=16, tied=True, user_vectors=False, item_table="product_quantised", parts=4, precision="int8"
    )
    manifest = check(trained(config, split), tmp_path / "out")
    parity = manifest["precisions"]["float32"]["parity"]
    assert parity["identical_lists"] == parity["users"]
    assert manifest["precision"] == "int8"
    assert not manifest["has_users"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", TABLES)
@pytest.mark.parametrize("model", [rd.Caser.Config, rd.Fossil.Config, rd.SASRec.Config, rd.GRU4Rec.Config])
def test_an_export_of_every_table_gives_the_models_lists(
    model: Any, kind: str, split: rd.Split, tmp_path: Path
) -> None:
    found = check(trained(model(dim=16, item_table=kind, **TABLES[kind]), split), tmp_path / "out")
    assert found["precision"] == "float32"


def test_a_model_of_int8_is_lowered_to_the_same_integers(split: rd.Split) -> None:
    model = trained(rd.Caser.Config(dim=110, tied=True, precision="int8"), split)
    production = served(model, split.train)
    encoder = lowered(graph.graphs_of(production).ranking, "int8")
    tables = {each.name: onnx.numpy_helper.to_array(each) for each in encoder.graph.initializer}
    kept = model.get_parameter("item_vectors").detach().numpy()
    found = [
        table * tables[f"{name}.scale"]
        for name, table in tables.items()
        if table.dtype == np.int8 and table.shape == kept.shape
    ]
    assert found
    for table in found:
        np.testing.assert_array_equal(table, kept)


@pytest.mark.parametrize("kind", TABLES)
def test_the_graph_is_no_larger_than_the_numbers_that_the_model_has(kind: str, tmp_path: Path) -> None:
    options = {"buckets": 200} if kind == "hashed" else TABLES[kind]  # the exporter computes small constants itself
    split = rd.read("synthetic", users=60, items=3000, length=120).split("user_fractions")
    sizes = {
        name: len(graph.graphs_of(served(trained(config, split), split.train)).ranking.SerializeToString())
        for name, config in (
            ("full", rd.MatrixFactorization.Config(dim=64)),
            ("compact", rd.MatrixFactorization.Config(dim=64, item_table=kind, **options)),
        )
    }
    saved = 4 * (split.num_items * (64 - 8) - 256 * 64)  # eight numbers an item at most, and the centroids
    assert sizes["full"] - sizes["compact"] > 0.9 * saved
