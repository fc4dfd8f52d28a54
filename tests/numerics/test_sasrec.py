"""SASRec against an independent loop in numpy, one history, one head and one place at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from rankdistill.models.sasrec import SASRec
from rankdistill.plugins import find
from rankdistill.ranker import Catalogue

Array = NDArray[np.float64]
LENGTH = 6
HISTORIES = [[3, 9, 9, 1, 20, 7], [0, 0, 0, 4, 4, 5], [0, 0, 0, 0, 0, 2]]


def small(**options: Any) -> SASRec:
    torch.manual_seed(0)
    config = SASRec.Config(**{"dim": 6, "blocks": 2, "heads": 1, "dropout": 0.5, **options})
    model = SASRec(config, Catalogue(num_users=3, num_items=20, history_length=LENGTH)).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():  # layer norms and biases start at their neutral values
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model


def layer_norm(row: Array, weights: Array, bias: Array) -> Array:
    return (row - row.mean()) / np.sqrt(row.var() + 1e-8) * weights + bias


def naive(model: SASRec, history: list[int]) -> Array:
    """The query vector after the items of a history: the equations of the paper, in the order of its code."""
    state = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    dim, heads = model.config.dim, model.config.heads
    width = dim // heads
    items = [item for item in history if item]
    rows = [dim**0.5 * state["item_vectors"][item] + state["positions"][place] for place, item in enumerate(items)]

    def affine(name: str, row: Array) -> Array:
        result: Array = state[f"{name}.weight"] @ row + state[f"{name}.bias"]
        return result

    for block in range(model.config.blocks):
        at = f"blocks.{block}."
        normed = [layer_norm(row, state[f"{at}norm.weight"], state[f"{at}norm.bias"]) for row in rows]
        queries = [affine(f"{at}query", row) for row in normed]
        keys, values = (
            [affine(f"{at}key_value", row)[part] for row in rows] for part in (slice(dim), slice(dim, None))
        )
        after = []
        for place in range(len(rows)):
            taken = np.zeros(dim)
            for head in range(heads):
                part = slice(head * width, (head + 1) * width)
                logits = np.array([queries[place][part] @ keys[other][part] for other in range(place + 1)])
                weights = np.exp(logits / width**0.5)
                weights /= weights.sum()
                taken[part] = sum(weight * values[other][part] for other, weight in enumerate(weights))
            attended = layer_norm(
                normed[place] + taken, state[f"{at}forward_norm.weight"], state[f"{at}forward_norm.bias"]
            )
            after.append(attended + affine(f"{at}second", np.maximum(affine(f"{at}first", attended), 0)))
        rows = after
    return layer_norm(rows[-1], state["norm.weight"], state["norm.bias"])


@pytest.mark.parametrize("options", [{}, {"heads": 3}, {"blocks": 1, "heads": 2}])
def test_its_vectors_and_scores_are_those_of_a_loop(options: dict[str, Any]) -> None:
    model = small(**options)
    with torch.no_grad():
        ours = model.encode(torch.zeros(3, dtype=torch.int64), torch.tensor(HISTORIES))
        scores = model.score(ours)
    expected = np.stack([naive(model, history) for history in HISTORIES])
    np.testing.assert_allclose(ours.numpy(), expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(scores.numpy(), expected @ model.item_vectors.detach().numpy().T, rtol=1e-9, atol=1e-12)


def test_no_user_and_no_padding_has_a_part_in_it() -> None:
    model = small()
    history = torch.tensor(HISTORIES)
    with torch.no_grad():
        before = model.encode(torch.tensor([0, 1, 2]), history)
        model.item_vectors[0] = 1e3
        after = model.encode(torch.tensor([2, 0, 1]), history)
    assert torch.equal(before, after)


def test_an_empty_history_gives_the_same_finite_vector_to_everybody() -> None:
    with torch.no_grad():
        vectors = small().encode(torch.tensor([0, 1]), torch.zeros(2, LENGTH, dtype=torch.int64))
    assert torch.isfinite(vectors).all()
    assert torch.equal(vectors[0], vectors[1])


def test_dropout_is_for_training_alone() -> None:
    model, users, history = small(), torch.zeros(3, dtype=torch.int64), torch.tensor(HISTORIES)
    with torch.no_grad():
        assert torch.equal(model.encode(users, history), model.encode(users, history))
        model.train()
        assert not torch.equal(model.encode(users, history), model.encode(users, history))


def test_it_has_as_many_parameters_as_the_published_model() -> None:
    model = small(dim=6, blocks=2)
    block = 2 * 2 * 6 + 5 * (6 * 6 + 6)  # two layer norms; query, key, value and the two feed-forward layers
    assert model.parameters_count == (20 + 1) * 6 + LENGTH * 6 + 2 * block + 2 * 6


def test_heads_that_do_not_divide_the_vectors_are_refused() -> None:
    with pytest.raises(ValueError, match="heads: 4 does not divide dim = 6"):
        find("models", "sasrec").Config(dim=6, heads=4)
