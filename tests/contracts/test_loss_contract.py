"""What every ranking loss keeps to: a file in `losses/` is under this contract by being there."""

from __future__ import annotations

from functools import partial
from inspect import signature
from statistics import mean
from typing import Any

import pytest
import torch
from given_scores import batch_of, step_of, twice
from pydantic import ValidationError
from torch import Tensor

from rankdistill import plugins
from rankdistill.loss import Loss, RankingLossConfig, Step
from rankdistill.testing import oracles

pytestmark = pytest.mark.parametrize("kind", plugins.kinds("losses"))

BATCH = batch_of([[1, 2], [3, 4], [5, 6]], [[3, 4, 5, 6], [5, 6, 7, 8], [7, 8, 9, 10]], [])


def loss_of(kind: str, **options: Any) -> Loss:
    plugin = plugins.find("losses", kind)
    loss: Loss = plugin(plugin.Config(**options))
    return loss


def scores_of(scale: float, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return (scale * torch.randn(3, 11, generator=generator, dtype=torch.float64)).to(dtype).requires_grad_()


def value(kind: str, step: Step) -> Tensor:
    result: Tensor = loss_of(kind)(step)
    return result


def test_its_config_says_what_it_is_and_describes_every_option(kind: str) -> None:
    config = plugins.find("losses", kind).Config()
    assert isinstance(config, RankingLossConfig)
    assert (config.kind, plugins.kind_of(config)) == (kind, kind)
    undescribed = [name for name, field in type(config).model_fields.items() if not field.description]
    assert set(undescribed) <= {"kind"}
    with pytest.raises(ValidationError):
        type(config)(no_such_option=1)


def test_it_agrees_with_its_oracle(kind: str) -> None:
    oracle = getattr(oracles, kind)
    if "num_items" in signature(oracle).parameters:
        oracle = partial(oracle, num_items=10)
    scores = scores_of(2.0)
    rows = scores.tolist()
    expected = mean(
        oracle([rows[b][i] for i in BATCH.targets[b]], [rows[b][i] for i in BATCH.negatives[b]]) for b in range(3)
    )
    assert value(kind, step_of(scores, BATCH)).item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_it_and_its_gradient_are_finite_at_any_score(kind: str, scale: float, dtype: torch.dtype) -> None:
    for sign in (1, -1):
        scores = scores_of(sign * scale, dtype)
        loss = value(kind, step_of(scores, BATCH))
        (gradient,) = torch.autograd.grad(loss, scores)
        assert (loss.shape, loss.dtype) == ((), dtype)
        assert torch.isfinite(loss)
        assert torch.isfinite(gradient).all()
        assert loss.item() >= 0


def test_it_passes_gradcheck(kind: str) -> None:
    assert torch.autograd.gradcheck(lambda scores: value(kind, step_of(scores, BATCH)), (scores_of(1.0),))


def test_it_is_the_mean_over_the_queries(kind: str) -> None:
    scores = scores_of(1.0)
    once = value(kind, step_of(scores, BATCH))
    again = value(kind, step_of(torch.cat([scores, scores]), twice(BATCH)))
    assert again.item() == pytest.approx(once.item(), rel=1e-12)


def test_a_padded_negative_does_not_count(kind: str) -> None:
    scores = scores_of(1.0)
    with_padding = batch_of([[1], [2], [3]], [[4, 0, 5], [0, 6, 7], [8, 9, 0]], [])
    without = batch_of([[1], [2], [3]], [[4, 5], [6, 7], [8, 9]], [])
    padded = value(kind, step_of(scores, with_padding))
    (gradient,) = torch.autograd.grad(padded, scores)
    assert padded.item() == pytest.approx(value(kind, step_of(scores, without)).item(), rel=1e-12)
    assert not gradient[:, 0].any()


def test_a_step_down_its_gradient_lifts_targets_above_negatives(kind: str) -> None:
    scores = torch.zeros(3, 11, dtype=torch.float64, requires_grad=True)
    batch = batch_of([[1], [2], [3]], [[4, 5], [6, 7], [8, 9]], [])
    (gradient,) = torch.autograd.grad(value(kind, step_of(scores, batch)), scores)
    after = -gradient
    assert (after.gather(1, batch.targets) > after.gather(1, batch.negatives)).all()
