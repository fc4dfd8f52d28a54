"""What an export writes, and what it refuses."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_export import Exported

import rankdistill as rd
from rankdistill import plugins
from rankdistill.cli.export import costly_precisions
from rankdistill.errors import CheckpointError, ConfigError, ExportError
from rankdistill.exporting import graph, measure
from rankdistill.exporting.precision import lowered, quantised
from rankdistill.exporting.triton import config
from rankdistill.ranker import rank
from rankdistill.served import served
from rankdistill.serving import layout
from rankdistill.serving.recommender import Asked, Recommender, session_of


def test_the_manifest_names_every_file_with_its_hash(exported: Exported) -> None:
    found = {
        path.relative_to(exported.folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in exported.folder.rglob("*")
        if path.is_file() and path.name != layout.MANIFEST
    }
    assert {name: each["sha256"] for name, each in exported.manifest["files"].items()} == found
    assert exported.manifest["bytes"] == sum((exported.folder / name).stat().st_size for name in found)
    assert not list(exported.folder.parent.glob(".*"))


def test_every_precision_is_measured(exported: Exported) -> None:
    measured = exported.manifest["precisions"]
    assert list(measured) == ["float32", "float16", "int8"]
    sizes = [each["model_bytes"] for each in measured.values()]
    assert sizes[0] >= sizes[1] >= sizes[2]
    for each in measured.values():
        assert each["parity"]["users"] == exported.split.num_users
        assert each["parity"]["overlap"] > 0.97
        assert 0 < each["latency_ms"]["p50"] <= each["latency_ms"]["p99"]
    parity = measured["float32"]["parity"]
    assert parity["identical_lists"] == parity["same_items"] == exported.split.num_users


def test_the_quality_is_that_of_the_model(exported: Exported) -> None:
    split = exported.split
    lists = rank(exported.model, split.test_queries, 10)
    wanted = rd.evaluate(lists, split.test_queries, ["ndcg@10", "recall@10"]).mean()
    assert exported.manifest["precisions"]["float32"]["metrics"] == pytest.approx(wanted, abs=1e-9)


def test_the_product_of_query_and_item_is_the_score(exported: Exported) -> None:
    vectors = np.load(exported.folder / layout.VECTORS)
    frame = pl.read_parquet(exported.folder / layout.VECTORS_BY_ID)
    encoder = onnxruntime.InferenceSession(exported.folder / layout.ENCODER, providers=["CPUExecutionProvider"])
    history = exported.split.train.of(3).astype(np.int64)[None]
    (query,) = encoder.run(None, {layout.HISTORY: history, layout.USER: np.array([3])})
    (found,) = Recommender(exported.folder).recommend(
        users=exported.split.user_ids.decode(np.array([3])).to_list(), k=40, exclude_seen=False
    )
    by_id = dict(zip(frame["item_id"], frame["vector"].to_numpy() @ query[0], strict=True))
    np.testing.assert_allclose([by_id[item] for item in found.items], found.scores, rtol=1e-5, atol=1e-5)
    assert set(found.items) == by_id.keys()
    assert np.isneginf(vectors[0, -1])


def test_a_graph_that_is_not_the_model_is_refused(exported: Exported) -> None:
    lists = measure.Lists.of(exported.model, exported.split)
    wrong = replace(lists, scores=lists.scores + 1.0)
    with pytest.raises(ExportError, match=r"model.onnx in float32 is not the model"):
        measure.parity(wrong, Recommender(exported.folder), "float32")
    swapped = replace(lists, items=lists.items[:, ::-1])
    with pytest.raises(ExportError, match="0 of 60 lists are the same"):
        measure.parity(swapped, Recommender(exported.folder), "float32")


def test_vectors_that_are_not_the_model_are_refused(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = graph.item_vectors
    monkeypatch.setattr(graph, "item_vectors", lambda served: right(served) * np.float32(-1))
    with pytest.raises(ExportError, match=r"encoder.onnx in float32 is not the model: 0 of 60 lists"):
        rd.export(exported.model, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_strangers_who_are_answered_otherwise_are_noticed(exported: Exported) -> None:
    lists = measure.Lists.of_strangers(served(exported.model, exported.split.train), exported.split)
    found = measure.parity(lists, Recommender(exported.folder), "float32")
    assert found["identical_lists"] == found["users"] == 60
    shorter = Asked(lists.asked.users, [history[:-3] for history in lists.asked.histories])
    with pytest.raises(ExportError, match="is not the model"):
        measure.parity(replace(lists, asked=shorter), Recommender(exported.folder), "float32")


def test_what_is_no_export_is_not_replaced(exported: Exported, tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "mine.txt").write_text("keep")
    with pytest.raises(ConfigError, match="is there already and is no exported model"):
        rd.export(exported.model, tmp_path / "letters")
    with pytest.raises(ConfigError, match="precision 'int16' is none; did you mean 'int8'"):
        rd.export(exported.model, tmp_path / "new", precision="int16")  # type: ignore[arg-type]
    assert [path.name for path in tmp_path.rglob("*")] == ["letters", "mine.txt"]


def test_a_folder_that_holds_more_than_an_export_is_not_replaced(exported: Exported, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "manifest.json").write_text('{"name": "my web app"}')
    (project / "thesis.txt").write_text("keep")
    with pytest.raises(ConfigError, match="is there already and is no exported model"):
        rd.export(exported.model, project)
    rd.export(exported.model, tmp_path / "out")
    (tmp_path / "out" / "notes.txt").write_text("keep")
    with pytest.raises(ConfigError, match="which no export wrote; move it"):
        rd.export(exported.model, tmp_path / "out")
    (tmp_path / "out" / "notes.txt").unlink()
    rd.export(exported.model, tmp_path / "out")
    assert (project / "thesis.txt").read_text() == "keep"


def test_a_model_of_other_data_or_of_unknown_data_is_refused(
    exported: Exported, split: rd.Split, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match="was trained on other data"):
        rd.export(exported.model, tmp_path / "out", split)
    loose = type(exported.model)(exported.model.config, exported.model.catalogue)
    with pytest.raises(ConfigError, match="give the split that it was trained on"):
        rd.export(loose, tmp_path / "out")


@given(st.integers(1, 5), st.integers(1, 9), st.floats(1e-6, 1e6))
def test_a_quantised_table_is_right_to_half_a_step(rows: int, columns: int, scale: float) -> None:
    table = (np.random.default_rng(0).normal(size=(rows, columns)) * scale).astype(np.float32)
    integers, scales = quantised(table)
    assert integers.dtype == np.int8
    assert (np.abs(integers * scales[:, None] - table) <= scales[:, None] * 0.501).all()


def test_a_row_of_zeros_stays_one() -> None:
    integers, scales = quantised(np.zeros((2, 3), dtype=np.float32))
    assert not integers.any()
    assert np.isfinite(scales).all()


def product_graph(table: np.ndarray) -> onnx.ModelProto:  # type: ignore[type-arg]
    """queries @ table.T + bias, and rows of the table."""
    helper, types = onnx.helper, onnx.TensorProto
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["queries", "table", "bias"], ["scores"], transB=1),
            helper.make_node("Gather", ["table", "rows"], ["vectors"]),
        ],
        "product",
        [
            helper.make_tensor_value_info("queries", types.FLOAT, ["batch", table.shape[1]]),
            helper.make_tensor_value_info("rows", types.INT64, ["n"]),
        ],
        [
            helper.make_tensor_value_info("scores", types.FLOAT, ["batch", len(table)]),
            helper.make_tensor_value_info("vectors", types.FLOAT, ["n", table.shape[1]]),
        ],
        [
            onnx.numpy_helper.from_array(table, "table"),
            onnx.numpy_helper.from_array(np.linspace(-1, 1, len(table), dtype=np.float32), "bias"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


@pytest.mark.parametrize(("precision", "share"), [("float16", 2e-3), ("int8", 2e-2)])
def test_lowered_products_and_rows_are_near_and_a_query_is_the_same_in_any_batch(precision: str, share: float) -> None:
    generator = np.random.default_rng(0)
    table = generator.normal(size=(300, 20)).astype(np.float32)
    queries = (generator.normal(size=(6, 20)) * 10.0 ** np.arange(-3, 3)[:, None]).astype(np.float32)
    small = lowered(product_graph(table), precision)  # type: ignore[arg-type]
    sizes = [graph.ByteSize() for graph in (small, product_graph(table))]
    assert sizes[0] < sizes[1] * (0.6 if precision == "float16" else 0.5)
    session = session_of(small.SerializeToString(), 1)
    rows = np.array([5, 299, 0])
    scores, vectors = session.run(["scores", "vectors"], {"queries": queries, "rows": rows})
    assert np.abs(vectors - table[rows]).max() <= share * np.abs(table).max()
    wanted = queries @ table.T + np.linspace(-1, 1, 300)
    off = np.abs(scores - wanted).max(1)
    assert (off <= share * np.linalg.norm(queries, axis=1) * np.linalg.norm(table, axis=1).max()).all()
    for row in range(len(queries)):
        (alone,) = session.run(["scores"], {"queries": queries[row : row + 1], "rows": rows})
        np.testing.assert_allclose(alone[0], scores[row], rtol=1e-6, atol=1e-6)


def test_numbers_that_float16_cannot_hold_are_refused() -> None:
    with pytest.raises(ExportError, match="more than float16 can hold"):
        lowered(product_graph(np.full((300, 20), 1e5, dtype=np.float32)), "float16")


def test_tritons_configuration_names_the_graphs_inputs_and_outputs(exported: Exported) -> None:
    text = (exported.folder / layout.TRITON).read_text()
    model = onnx.load(exported.folder / layout.MODEL)
    assert text == config(model, "caser")
    names = [each.name for each in (*model.graph.input, *model.graph.output)]
    assert re.findall(r'\{ name: "(\w+)"', text) == names
    assert text.count("[") == text.count("]")
    assert '{ name: "k" data_type: TYPE_INT64 dims: [ 1 ] }' in text
    assert '{ name: "history" data_type: TYPE_INT64 dims: [ -1, -1 ] }' in text


@pytest.mark.slow
@pytest.mark.parametrize("kind", plugins.kinds("models"))
def test_every_model_is_exported_and_answers_anybody(kind: str, split: rd.Split, tmp_path: Path) -> None:
    model = rd.train(plugins.find("models", kind).Config(), split, rd.Settings(train=rd.TrainConfig(epochs=2)))
    manifest = rd.export(model, tmp_path / kind, precision="int8", users=False)
    parity = manifest["precisions"]["float32"]["parity"]
    assert parity["identical_lists"] == parity["users"] == split.num_users
    exported = Recommender(tmp_path / kind)
    known = split.item_ids.values.to_list()
    (found,) = exported.recommend(histories=[known[:6]], k=5, allow=known[3:20])
    assert len(found.items) == 5
    assert set(found.items) <= set(known[6:20])
    assert len(exported.recommend(histories=[known[:6]], exclude_seen=False, k=40)[0].items) >= 30


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("sasrec", {"heads": 2}),
        ("gru4rec", {"tied": False, "hidden": 12, "layers": 2}),
        ("caser", {"history_length": 3}),
    ],
)
def test_a_model_of_long_windows_answers_histories_of_any_length(
    kind: str, options: dict[str, Any], split: rd.Split, tmp_path: Path
) -> None:
    long = replace(split, history_length=14, min_history=1)
    model = rd.train(plugins.find("models", kind).Config(**options), long, rd.Settings(train=rd.TrainConfig(epochs=1)))
    manifest = rd.export(model, tmp_path / kind, users=False)
    parity = manifest["precisions"]["float32"]["parity"]
    assert parity["identical_lists"] == parity["users"] == split.num_users
    exported, production = Recommender(tmp_path / kind), served(model, split.train)
    known = split.item_ids.values.to_list()
    for length in (0, 1, 2, 13, 14, 15, 30):
        (found,) = exported.recommend(histories=[known[:length]], k=5)
        items, scores = production.best(split.num_users, np.arange(1, length + 1, dtype=np.int32), 5)
        assert found.items == [known[item - 1] for item in items], length
        np.testing.assert_allclose(found.scores, scores, rtol=1e-4, atol=1e-5)


def test_a_precision_that_costs_more_than_a_hundredth_of_the_quality_is_named() -> None:
    values = {"float32": 0.2, "float16": 0.1981, "int8": 0.195}
    metrics = {name: {"ndcg@10": value} for name, value in values.items()}
    changes = {name: measure.change(metrics["float32"], each) for name, each in metrics.items()}
    manifest = {"precisions": {name: {"change": each} for name, each in changes.items()}}
    assert costly_precisions(manifest) == ["int8 loses 2.5% of nDCG@10, which is more than 1%"]
