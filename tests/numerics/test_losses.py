"""The ranking losses against the published code's outputs and against loops in float64."""

from __future__ import annotations

from statistics import mean
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from rankdistill.losses.gbce import gbce_loss, sampling_share
from rankdistill.losses.pairwise import pairwise_loss
from rankdistill.losses.pointwise import pointwise_loss
from rankdistill.losses.softmax import full_softmax_loss, softmax_loss
from rankdistill.testing import oracles

LOSSES = {
    "pointwise": (pointwise_loss, oracles.pointwise),
    "pairwise": (pairwise_loss, oracles.pairwise),
    "softmax": (softmax_loss, oracles.softmax),
}
every_loss = pytest.mark.parametrize("name", LOSSES)


@st.composite
def batches(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Target scores [B, T] and negative scores [B, N], from tame to extreme."""
    rows, targets, negatives = (draw(st.integers(1, 4)) for _ in range(3))
    scale = draw(st.sampled_from([0.1, 1.0, 30.0, 1e4]))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 1000)))
    scores = scale * torch.randn(rows, targets + negatives, generator=generator, dtype=torch.float64)
    return scores[:, :targets], scores[:, targets:]


def test_the_pointwise_loss_is_that_of_the_published_code(golden_case: dict[str, Any]) -> None:
    positive, negative = (torch.tensor(golden_case[key], dtype=torch.float64) for key in ("positive", "negative"))
    assert pointwise_loss(positive, negative).item() == pytest.approx(golden_case["plain"], rel=0, abs=1e-12)


@every_loss
@given(batch=batches())
def test_a_loss_agrees_with_a_loop_over_instances(name: str, batch: tuple[Tensor, Tensor]) -> None:
    fast, slow = LOSSES[name]
    expected = mean(slow(*pair) for pair in zip(batch[0].tolist(), batch[1].tolist(), strict=True))
    # torch's softplus(x) is x itself above 20, which is exp(-20) = 2e-9 off
    assert fast(*batch).item() == pytest.approx(expected, rel=1e-9, abs=1e-12)


@every_loss
def test_a_loss_passes_gradcheck(name: str) -> None:
    torch.manual_seed(0)
    scores = [torch.randn(3, n, dtype=torch.float64, requires_grad=True) for n in (2, 4)]
    negatives = torch.tensor([[1, 2, 3, 4], [5, 0, 6, 0], [0, 0, 0, 7]])
    assert torch.autograd.gradcheck(lambda t, n: LOSSES[name][0](t, n, negatives), scores)


@every_loss
def test_padded_negatives_count_as_little_as_absent_ones(name: str) -> None:
    targets, negatives = torch.tensor([[0.3]]), torch.tensor([[0.5, 9.0, -0.2, -9.0]])
    loss = LOSSES[name][0]
    padded = loss(targets, negatives, torch.tensor([[4, 0, 6, 0]]))
    assert padded.item() == pytest.approx(loss(targets, negatives[:, [0, 2]]).item())


@every_loss
def test_a_user_without_any_negative_gives_a_finite_gradient(name: str) -> None:
    scores = [torch.tensor([[0.3]], requires_grad=True), torch.tensor([[0.5, 9.0]], requires_grad=True)]
    loss = LOSSES[name][0](*scores, torch.tensor([[0, 0]]))
    gradients = torch.autograd.grad(loss, scores)
    assert torch.isfinite(loss)
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    assert gradients[1].abs().sum() == 0


@given(st.integers(2, 12), st.integers(0, 1000))
def test_the_full_softmax_is_the_sampled_one_against_every_other_item(num_items: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    scores = torch.from_numpy(generator.normal(scale=5, size=(3, num_items + 1)))
    scores[:, 0] = 1e6  # the padding item competes with nobody
    targets = torch.from_numpy(generator.integers(1, num_items + 1, size=(3, 2)))
    expected = mean(
        sum(
            oracles.softmax([row[target]], [row[i] for i in range(1, num_items + 1) if i != target])
            for target in chosen
        )
        for row, chosen in zip(scores.tolist(), targets.tolist(), strict=True)
    )
    assert full_softmax_loss(scores, targets).item() == pytest.approx(expected, rel=1e-12)


def test_the_full_softmax_passes_gradcheck() -> None:
    torch.manual_seed(0)
    scores = torch.randn(3, 6, dtype=torch.float64, requires_grad=True)
    targets = torch.tensor([[1, 2], [3, 3], [5, 1]])
    assert torch.autograd.gradcheck(lambda s: full_softmax_loss(s, targets), (scores,))


def test_a_loss_falls_when_a_target_rises_and_when_a_negative_falls() -> None:
    for loss, _ in LOSSES.values():
        scores = [torch.zeros(1, n, requires_grad=True) for n in (2, 3)]
        rising, falling = torch.autograd.grad(loss(*scores), scores)
        assert (rising < 0).all()
        assert (falling > 0).all()


class TestGBCE:
    """The exponent of its targets; the whole loss is under the contract of losses."""

    targets = torch.tensor([[0.3, -1.2], [2.0, 0.1]], dtype=torch.float64)
    negatives = torch.tensor([[0.5, -0.4, 1.0, 0.0], [-3.0, 0.7, 0.2, 4.0]], dtype=torch.float64)

    def test_an_exponent_of_one_is_the_pointwise_loss(self) -> None:
        expected = pointwise_loss(self.targets, self.negatives)
        assert torch.equal(gbce_loss(self.targets, self.negatives, 1.0), expected)

    @pytest.mark.parametrize(("calibration", "beta"), [(0.0, 1.0), (1.0, 2 / 9), (0.75, 0.75 * (2 / 9 - 1) + 1)])
    def test_it_is_the_papers_formula_at_any_calibration(self, calibration: float, beta: float) -> None:
        pairs = zip(self.targets.tolist(), self.negatives.tolist(), strict=True)
        expected = mean(oracles.gbce(*pair, num_items=10, calibration=calibration) for pair in pairs)
        assert gbce_loss(self.targets, self.negatives, beta).item() == pytest.approx(expected, rel=1e-9)

    @pytest.mark.parametrize("calibration", [0.0, 1.0])
    def test_the_most_likely_probability_is_the_true_one_with_full_calibration_and_too_high_without(
        self, calibration: float
    ) -> None:
        true, share = 0.2, 0.1  # an item is the target with `true`, else one of the negatives with `share`
        scores, nothing = torch.linspace(-6, 6, 4001, dtype=torch.float64), torch.zeros(1, 0, dtype=torch.float64)
        beta = calibration * (share - 1) + 1
        losses = [
            true * gbce_loss(score.view(1, 1), nothing, beta)
            + (1 - true) * share * gbce_loss(nothing, score.view(1, 1), beta)
            for score in scores
        ]
        learned = torch.sigmoid(scores[torch.stack(losses).argmin()]).item()
        expected = true if calibration else true / (true + (1 - true) * share)
        assert learned == pytest.approx(expected, abs=2e-3)
        assert (learned > 3 * true) == (calibration == 0)

    def test_the_share_counts_what_was_drawn_for_each_target(self) -> None:
        negatives = torch.tensor([[1, 2, 3, 4, 5, 6], [1, 2, 0, 0, 0, 0]])
        assert sampling_share(negatives, 2, 31).flatten().tolist() == pytest.approx([0.1, 1 / 30])
        assert sampling_share(negatives, 1, 3).flatten().tolist() == [1, 1]  # there are no more than all
