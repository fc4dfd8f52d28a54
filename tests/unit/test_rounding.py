"""What is kept of a model's numbers, and that nothing is lost but what was meant to be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import rankdistill as rd
from rankdistill.config import Precision
from rankdistill.errors import TrainingError
from rankdistill.ids import IdMap
from rankdistill.model_folder import load_model, save_model
from rankdistill.pipeline import build
from rankdistill.ranker import Catalogue, model_state
from rankdistill.rounding import SMALLEST, packed, quantised, unpacked

LOWER: tuple[Precision, ...] = ("float16", "int8")
each_lower = pytest.mark.parametrize("precision", LOWER)


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(
        each.dtype == other[name].dtype and torch.equal(each, other[name]) for name, each in one.items()
    )


@given(st.integers(0, 1 << 32), st.integers(1, 40), st.floats(-34, 30))
def test_a_rounded_table_is_rounded_no_further(seed: int, width: int, exponent: float) -> None:
    generator = np.random.default_rng(seed)
    sizes = 10 ** (exponent + generator.uniform(-4, 4, (50, 1)))
    table = (generator.standard_normal((50, width)) * sizes).astype(np.float32)
    table[3] = 0
    integers, scales = quantised(table)
    rounded = integers * scales[:, None]
    assert rounded.dtype == np.float32
    again, scales_again = quantised(rounded)
    np.testing.assert_array_equal(again * scales_again[:, None], rounded)
    worst = np.abs(rounded.astype(np.float64) - table).max(1)
    assert (worst <= np.maximum(0.5001 * scales.astype(np.float64), 1e-30)).all()
    kept = np.abs(table).max(1) >= 1e-30
    assert (np.abs(integers[kept]).max(1, initial=127) == 127).all()
    np.testing.assert_allclose(scales[kept], np.abs(table[kept]).max(1) / 127, rtol=2**-15)


@each_lower
def test_large_tensors_are_kept_in_fewer_bytes_and_small_ones_and_integers_as_they_are(precision: Precision) -> None:
    torch.manual_seed(0)
    state = {
        "table": torch.randn(200, 30),
        "narrow": torch.randn(2000, 3),
        "bias": torch.randn(SMALLEST),
        "filters": torch.randn(16, 10, 50),
        "small": torch.randn(SMALLEST - 1),
        "codes": torch.arange(5000, dtype=torch.uint8),
        "counts": torch.arange(5000),
    }
    kept = packed(state, precision)
    dtypes = {name: tensor.dtype for name, tensor in kept.items()}
    halves = {"narrow", "bias", "filters", *(["table"] if precision == "float16" else [])}
    assert {name for name, dtype in dtypes.items() if dtype == torch.float16} == halves
    assert {name for name, dtype in dtypes.items() if dtype == torch.int8} == {"table"} - halves
    assert all(torch.equal(kept[name], state[name]) for name in ("small", "codes", "counts"))
    back = unpacked(kept, precision)
    assert back.keys() == state.keys()
    for name, tensor in back.items():
        assert tensor.dtype == state[name].dtype
        torch.testing.assert_close(tensor, state[name], rtol=2**-11, atol=0.02 if name == "table" else 1e-7)
    assert equal(packed(back, precision), kept)
    assert equal(unpacked(packed(back, precision), precision), back)


def test_float32_is_left_alone() -> None:
    state = {"table": torch.randn(200, 30)}
    assert packed(state, "float32")["table"] is state["table"]
    assert unpacked(state, "float32")["table"] is state["table"]


@each_lower
def test_a_number_that_float16_cannot_hold_is_refused(precision: Precision) -> None:
    state = {"item_bias": torch.full((SMALLEST,), 1e6)}
    with pytest.raises(TrainingError) as caught:
        packed(state, precision)
    words = "item_bias holds 1e+06, more than float16 can hold; keep it with precision = 'float32'"
    assert str(caught.value) == words


@pytest.mark.parametrize("model", [rd.Caser.Config, rd.Fossil.Config, rd.MatrixFactorization.Config])
@each_lower
def test_what_training_gives_is_what_its_folder_gives_back(
    model: Any, precision: Precision, split: rd.Split, tmp_path: Path
) -> None:
    settings = rd.Settings(train=rd.TrainConfig(epochs=1, device="cpu"))
    exact, rounded = (rd.train(model(dim=110, precision=each), split, settings) for each in ("float32", precision))
    off = (exact.get_parameter("item_vectors") - rounded.get_parameter("item_vectors")).abs().max()
    largest = exact.get_parameter("item_vectors").abs().max()
    assert 0 < off < largest / (2048 if precision == "float16" else 200)
    for name, each in (("exact", exact), ("rounded", rounded)):
        save_model(tmp_path / name, each, split.user_ids, split.item_ids, {})
    again, card = load_model(tmp_path / "rounded")
    assert equal(model_state(again), model_state(rounded))
    lists, lists_again = (rd.recommend(each, split.test_queries, k=10) for each in (rounded, again))
    np.testing.assert_array_equal(lists.items, lists_again.items)
    np.testing.assert_array_equal(lists.scores, lists_again.scores)
    assert card["config"]["precision"] == precision
    assert card["parameters"] == exact.parameters_count
    size = (tmp_path / "rounded" / "model.safetensors").stat().st_size
    assert card["bytes"] == size < (0.6 if precision == "float16" else 0.5) * sizes_of(tmp_path / "exact")


def sizes_of(folder: Path) -> int:
    return int(json.loads((folder / "model.json").read_text())["bytes"])


def test_int8_takes_a_quarter_of_the_bytes_of_gowallas_caser(tmp_path: Path) -> None:
    torch.manual_seed(0)
    users, items = IdMap.of(pl.Series(range(13_149)), 0), IdMap.of(pl.Series(range(14_009)), 1)
    sizes: dict[str, int] = {}
    for precision in ("float32", *LOWER):
        config = rd.Caser.Config(dim=50, precision=precision)
        model = rd.Caser(config, Catalogue(13_149, 14_009, 5))
        save_model(tmp_path, model, users, items, {})
        sizes[precision] = sizes_of(tmp_path)
    assert sizes["float16"] == pytest.approx(sizes["float32"] / 2, rel=0.02)
    assert sizes["int8"] < 0.285 * sizes["float32"]


def test_cards_and_stamps_of_models_without_the_later_options_are_those_of_before(split: rd.Split) -> None:
    assert rd.MatrixFactorization.Config().model_dump() == {"kind": "matrix_factorization", "dim": 50}
    plain = {"kind", "dim", "horizontal_filters", "vertical_filters", "dropout", "convolution_activation", "activation"}
    assert rd.Caser.Config().model_dump(mode="json").keys() == plain
    assert rd.Caser.Config(tied=True, precision="int8").model_dump().keys() == plain | {"tied", "precision"}
    assert build(rd.Caser.Config(), split, 0).precision == "float32"
