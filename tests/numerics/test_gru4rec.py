"""GRU4Rec against the gates written out, one history and one item at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from rankdistill.models.gru4rec import GRU4Rec
from rankdistill.ranker import Catalogue

Array = NDArray[np.float64]
HISTORIES = [[3, 9, 9, 1, 20], [0, 0, 4, 4, 5], [0, 0, 0, 0, 2]]
PARTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
FORMS: list[dict[str, Any]] = [{}, {"tied": False, "hidden": 6}, {"layers": 2, "hidden": 3}]


def small(**options: Any) -> GRU4Rec:
    torch.manual_seed(0)
    config = GRU4Rec.Config(**{"dim": 5, "dropout": 0.5, **options})
    return GRU4Rec(config, Catalogue(num_users=3, num_items=20, history_length=5)).double().eval()


def sigmoid(values: Array) -> Array:
    result: Array = 1 / (1 + np.exp(-values))
    return result


def naive(model: GRU4Rec, history: list[int]) -> Array:
    """The query vector after the items of a history, the gates in the order and the form that torch gives them."""
    state = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    inputs = [state["item_vectors" if model.config.tied else "history_vectors"][item] for item in history if item]
    for layer in range(model.config.layers):
        weights = {part: state[f"layers.{layer}.{part}_l0"] for part in PARTS}
        size = weights["weight_hh"].shape[1]
        hidden, states = np.zeros(size), []
        for given in inputs:
            from_input = np.split(weights["weight_ih"] @ given + weights["bias_ih"], 3)
            from_hidden = np.split(weights["weight_hh"] @ hidden + weights["bias_hh"], 3)
            reset, update = (sigmoid(from_input[gate] + from_hidden[gate]) for gate in (0, 1))
            candidate = np.tanh(from_input[2] + reset * from_hidden[2])
            hidden = (1 - update) * candidate + update * hidden
            states.append(hidden)
        inputs = states
    last: Array = inputs[-1]
    return state["project.weight"] @ last if "project.weight" in state else last


@pytest.mark.parametrize("options", FORMS)
def test_its_vectors_and_scores_are_those_of_a_loop(options: dict[str, Any]) -> None:
    model = small(**options)
    with torch.no_grad():
        model.item_bias.normal_()
        ours = model.encode(torch.zeros(3, dtype=torch.int64), torch.tensor(HISTORIES))
        scores = model.score(ours).numpy()
    expected = np.stack([naive(model, history) for history in HISTORIES])
    np.testing.assert_allclose(ours.numpy(), expected, rtol=1e-9, atol=1e-12)
    wanted = expected @ model.item_vectors.detach().numpy().T + model.item_bias.detach().numpy()
    np.testing.assert_allclose(scores, wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("options", FORMS)
def test_every_table_that_there_is_learns_by_row(options: dict[str, Any]) -> None:
    model = small(**options)
    assert set(model.tables) == {name for name, each in model.named_parameters() if len(each) == 21}
    assert ("history_vectors" in model.tables) == (options.get("tied") is False)


def test_no_padding_has_a_part_in_it() -> None:
    model, users, history = small(), torch.zeros(3, dtype=torch.int64), torch.tensor(HISTORIES)
    with torch.no_grad():
        before = model.encode(users, history)
        model.item_vectors[0] = 1e3
        assert torch.equal(model.encode(users, history), before)
        assert torch.isfinite(model.encode(users, torch.zeros_like(history))).all()
