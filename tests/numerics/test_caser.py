"""Caser against the published code's scores and against plain convolutions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv2d, embedding, linear

from rankdistill.dropout import dropout
from rankdistill.models.caser import Caser
from rankdistill.ranker import Catalogue

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": lambda x: x,
    "relu": torch.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
}


def published(state: dict[str, Any]) -> dict[str, Tensor]:
    """The published code's state under our names."""
    old = {name: torch.tensor(value, dtype=torch.float64) for name, value in state.items()}
    ours = {
        "user_vectors": old["user_embeddings.weight"],
        "history_vectors": old["item_embeddings.weight"],
        "vertical": old["conv_v.weight"].flatten(1),
        "vertical_bias": old["conv_v.bias"],
        "combine.weight": old["fc1.weight"],
        "combine.bias": old["fc1.bias"],
        "item_vectors": old["W2.weight"],
        "item_bias": old["b2.weight"].flatten(),
    }
    for index in range(5):
        ours[f"horizontal.{index}"] = old[f"conv_h.{index}.weight"].squeeze(1)
        ours[f"horizontal_bias.{index}"] = old[f"conv_h.{index}.bias"]
    return ours


def small(**options: Any) -> Caser:
    torch.manual_seed(0)
    config = Caser.Config(**{"dim": 7, "horizontal_filters": 3, **options})
    return Caser(config, Catalogue(num_users=6, num_items=20, history_length=4)).double().eval()


def plain_encode(model: Caser, users: Tensor, history: Tensor) -> Tensor:
    """The query vectors by two-dimensional convolutions, one filter height at a time."""
    z = plain_sequences(model, history, model.history_vectors)
    return torch.cat([z, model.user_vectors[users]], 1)


def plain_sequences(model: Caser, history: Tensor, vectors: Tensor) -> Tensor:
    """The part of the query vectors that comes from the histories."""
    config, images = model.config, embedding(history, vectors).unsqueeze(1)  # [B, 1, L, d]
    vertical = conv2d(images, model.vertical[:, None, :, None], model.vertical_bias).flatten(1)
    act = ACTIVATIONS[config.convolution_activation]
    horizontal = [
        act(conv2d(images, weight.unsqueeze(1), bias)).squeeze(3).amax(2)
        for weight, bias in zip(model.horizontal, model.horizontal_bias, strict=True)
    ]
    combined = linear(torch.cat([vertical, *horizontal], 1), model.combine.weight, model.combine.bias)
    return ACTIVATIONS[config.activation](combined)


def test_scores_are_those_of_the_published_code(golden: Callable[[str], Any]) -> None:
    case = golden("caser.json")
    state = published(case["state"])
    config = Caser.Config(dim=6, horizontal_filters=3, vertical_filters=2)
    num_users, rows = len(state["user_vectors"]), len(state["item_vectors"])
    model = Caser(config, Catalogue(num_users, rows - 1, history_length=5)).double().eval()
    model.load_state_dict(state)
    queries = model.encode(torch.tensor(case["users"]), torch.tensor(case["history"]))
    np.testing.assert_allclose(model.score(queries).detach(), case["scores"], rtol=0, atol=1e-12)


@pytest.mark.parametrize("convolution_activation", ACTIVATIONS)
@pytest.mark.parametrize("activation", ["identity", "sigmoid"])
@pytest.mark.parametrize("training", [False, True])
def test_the_features_are_the_convolutions(convolution_activation: Any, activation: Any, training: bool) -> None:
    model = small(convolution_activation=convolution_activation, activation=activation, dropout=0).train(training)
    users, history = torch.tensor([0, 3, 5]), torch.tensor([[1, 2, 3, 4], [0, 0, 0, 9], [7, 7, 20, 7]])
    ours, plain = model.encode(users, history), plain_encode(model, users, history)
    torch.testing.assert_close(ours, plain, rtol=0, atol=1e-13)


def test_the_gradients_are_those_of_the_convolutions() -> None:
    model = small()
    users, history = torch.tensor([0, 3]), torch.tensor([[1, 2, 3, 4], [0, 0, 8, 9]])
    gradients = []
    for encode in (model.encode, lambda u, h: plain_encode(model, u, h)):
        model.zero_grad()
        encode(users, history).pow(2).sum().backward()
        gradients.append({name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("dim", "parameters"), [(100, 5_584_102), (50, 2_794_102)])
def test_gowalla_takes_the_published_number_of_parameters(dim: int, parameters: int) -> None:
    with torch.device("meta"):
        model = Caser(Caser.Config(dim=dim), Catalogue(13_149, 14_009, 5))
    assert model.parameters_count == parameters


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("user_vectors", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_scores_with_tied_items_and_without_users_are_those_of_the_formula(
    tied: bool, user_vectors: bool, training: bool
) -> None:
    model = small(tied=tied, user_vectors=user_vectors, dropout=0).train(training)
    torch.nn.init.normal_(model.item_bias)
    users, history = torch.tensor([0, 3, 5]), torch.tensor([[1, 2, 3, 4], [0, 0, 0, 9], [7, 7, 20, 7]])
    z = plain_sequences(model, history, model.item_vectors if tied else model.history_vectors)
    expected = torch.zeros(3, 21, dtype=torch.float64)
    for row, user in enumerate(users.tolist()):
        for item in range(21):
            outputs = model.item_vectors[item]
            expected[row, item] = outputs[:7] @ z[row] + model.item_bias[item]
            if user_vectors:
                expected[row, item] += (outputs if tied else outputs[7:]) @ model.user_vectors[user]
    torch.testing.assert_close(model.score(model.encode(users, history)), expected, rtol=0, atol=1e-13)


def test_tied_items_are_those_of_a_published_model_whose_tables_are_the_same() -> None:
    tied, untied = small(tied=True), small()
    with torch.no_grad():
        for name, parameter in tied.named_parameters():
            if name != "item_vectors":
                untied.get_parameter(name).copy_(parameter)
        untied.history_vectors.copy_(tied.item_vectors)
        untied.item_vectors.copy_(torch.cat([tied.item_vectors, tied.item_vectors], dim=1))
    users, history = torch.tensor([0, 3, 5]), torch.tensor([[1, 2, 3, 4], [0, 0, 0, 9], [7, 7, 20, 7]])
    scores, same = (model.score(model.encode(users, history)) for model in (tied, untied))
    torch.testing.assert_close(scores, same, rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    ("options", "parameters"),
    [
        ({"tied": True}, 2_794_102 - 2 * 14_010 * 50),
        ({"user_vectors": False}, 2_794_102 - 13_149 * 50 - 14_010 * 50),
        ({"tied": True, "user_vectors": False}, 2_794_102 - 13_149 * 50 - 2 * 14_010 * 50),
    ],
)
def test_gowalla_takes_fewer_parameters_tied_or_without_users(options: dict[str, bool], parameters: int) -> None:
    with torch.device("meta"):
        model = Caser(Caser.Config(dim=50, **options), Catalogue(13_149, 14_009, 5))
    assert model.parameters_count == parameters


def test_vectors_start_as_published() -> None:
    torch.manual_seed(0)
    model = Caser(Caser.Config(dim=40), Catalogue(2_000, 3_000, 5))
    for table, width in ((model.user_vectors, 40), (model.history_vectors, 40), (model.item_vectors, 80)):
        assert table.std().item() == pytest.approx(1 / width, rel=0.02)
        assert table.mean().item() == pytest.approx(0, abs=1e-3)
    assert not model.item_bias.any()


def test_dropout_works_in_training_alone_and_keeps_the_mean() -> None:
    model = small(activation="identity", dropout=0.5)
    users, history = torch.tensor([1]), torch.tensor([[1, 2, 3, 4]])
    still = model.encode(users, history)
    assert torch.equal(still, model.encode(users, history))
    model.train()
    many = model.encode(users.expand(20_000), history.expand(20_000, -1))
    assert many[:, :7].std(0).min() > 0
    torch.testing.assert_close(many.mean(0), still[0], rtol=0, atol=0.05)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_dropout_drops_its_share_and_scales_up_the_rest(share: float, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    values = dropout(torch.ones(3, 33_333, dtype=dtype), share)
    kept = values > 0
    assert kept.double().mean().item() == pytest.approx(1 - share, abs=0.005)
    assert values[kept].unique().tolist() == pytest.approx([1 / (1 - share)], rel=1e-4)


@pytest.mark.parametrize("share", [1e-6, 1 - 1e-6])
def test_a_dropout_near_its_bounds_stays_finite(share: float) -> None:
    assert torch.isfinite(dropout(torch.ones(10, 10), share)).all()


def test_dropout_decides_for_each_value_by_itself() -> None:
    torch.manual_seed(0)
    kept = (dropout(torch.ones(50_000, 8), 0.5) > 0).double()
    correlation = torch.corrcoef(kept.T) - torch.eye(8)
    assert correlation.abs().max().item() < 0.025


def test_the_gradient_is_dropped_where_the_value_was() -> None:
    values = torch.ones(7, 33, requires_grad=True)
    dropped = dropout(values, 0.4)
    (gradient,) = torch.autograd.grad(dropped.sum(), values)
    assert torch.equal(gradient, dropped.detach())


def test_the_order_of_the_history_matters() -> None:
    model = small()
    users, history = torch.tensor([1, 1]), torch.tensor([[1, 2, 3, 4], [4, 3, 2, 1]])
    first, second = model.encode(users, history)
    assert not torch.allclose(first, second)


@pytest.mark.parametrize("length", [1, 2, 5, 8, 9])
@pytest.mark.parametrize("activation", ["identity", "tanh"])
def test_the_kernels_give_the_features_and_gradients_of_convolutions(length: int, activation: str) -> None:
    torch.manual_seed(0)
    config = Caser.Config(dim=19, horizontal_filters=5, vertical_filters=3, convolution_activation=activation)
    by_kernels, plain = (Caser(config, Catalogue(6, 20, length)) for _ in range(2))
    plain.load_state_dict(by_kernels.state_dict())
    plain.double()  # the kernels know float32 alone
    history, users = torch.randint(0, 21, (33, length)), torch.randint(0, 6, (33,))
    weights = torch.randn(33, 38)
    outputs = [model.eval().encode(users, history) for model in (by_kernels, plain)]
    torch.testing.assert_close(outputs[0].double(), outputs[1], rtol=1e-4, atol=1e-6)
    for output in outputs:
        (output * weights).sum().backward()
    for name, parameter in by_kernels.named_parameters():
        gradient, expected = parameter.grad, plain.get_parameter(name).grad
        assert (gradient is None) == (expected is None), name
        if gradient is not None and expected is not None:
            torch.testing.assert_close(gradient.double(), expected, rtol=1e-4, atol=1e-5, msg=name)


def test_a_history_of_a_hundred_items_is_no_burden() -> None:
    model = Caser(Caser.Config(dim=4, horizontal_filters=2), Catalogue(2, 200, 100))
    history = torch.arange(1, 101).expand(2, -1)
    assert torch.isfinite(model.encode(torch.tensor([0, 1]), history)).all()
