"""What every distillation method keeps to: a file in `distillation/` is under this contract by being there."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from given_scores import batch_of, step_of, twice
from pydantic import ValidationError
from torch import Tensor

from rankdistill import plugins
from rankdistill.loss import DistillationConfig, Loss, Step

pytestmark = pytest.mark.parametrize("kind", plugins.kinds("distillation"))

BATCH = batch_of([[1], [2], [3]], [[4], [5], [6]], [[5, 6, 7, 8], [9, 10, 11, 12], [1, 20, 19, 4]])
EPOCHS = [1, 50]


def method_of(kind: str, **options: Any) -> Loss:
    plugin = plugins.find("distillation", kind)
    method: Loss = plugin(plugin.Config(k=4, **options))
    return method


def scores_of(scale: float, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return (scale * torch.randn(3, 21, generator=generator, dtype=torch.float64)).to(dtype).requires_grad_()


def value(kind: str, step: Step) -> Tensor:
    method = method_of(kind)
    method.start_epoch(step.student, step.epoch)
    result: Tensor = method(step)
    return result


def test_its_config_says_what_it_is_and_describes_every_option(kind: str) -> None:
    config = plugins.find("distillation", kind).Config()
    assert isinstance(config, DistillationConfig)
    assert (config.kind, plugins.kind_of(config)) == (kind, kind)
    undescribed = [name for name, field in type(config).model_fields.items() if not field.description]
    assert set(undescribed) <= {"kind"}
    with pytest.raises(ValidationError):
        type(config)(no_such_option=1)


def test_what_its_config_writes_it_reads(kind: str) -> None:
    plugin = plugins.find("distillation", kind)
    config = plugin.Config(k=3, alpha=0.25)
    assert plugin.Config.model_validate(config.model_dump(mode="json")) == config


@pytest.mark.parametrize("epoch", EPOCHS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_it_and_its_gradient_are_finite_at_any_score(kind: str, scale: float, dtype: torch.dtype, epoch: int) -> None:
    for sign in (1, -1):
        scores = scores_of(sign * scale, dtype)
        loss = value(kind, step_of(scores, BATCH, epoch=epoch))
        (gradient,) = torch.autograd.grad(loss, scores)
        assert loss.shape == ()
        assert torch.isfinite(loss)
        assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("epoch", EPOCHS)
def test_it_passes_gradcheck(kind: str, epoch: int) -> None:
    def loss(scores: Tensor) -> Tensor:
        return value(kind, step_of(scores, BATCH, epoch=epoch))

    assert torch.autograd.gradcheck(loss, (scores_of(1.0),))


@pytest.mark.parametrize("epoch", EPOCHS)
def test_it_draws_from_the_generator_alone(kind: str, epoch: int) -> None:
    once = value(kind, step_of(scores_of(1.0), BATCH, epoch=epoch))
    torch.manual_seed(99)
    again = value(kind, step_of(scores_of(1.0), BATCH, epoch=epoch))
    assert again.item() == once.item()


@pytest.mark.parametrize("epoch", EPOCHS)
def test_it_is_the_mean_over_the_queries(kind: str, epoch: int) -> None:
    scores = scores_of(1.0)
    once = value(kind, step_of(scores, BATCH, epoch=epoch))
    again = value(kind, step_of(torch.cat([scores, scores]), twice(BATCH), epoch=epoch))
    assert again.item() == pytest.approx(once.item(), rel=1e-12)


@pytest.mark.parametrize("epoch", EPOCHS)
def test_steps_down_its_gradient_lower_it_and_lift_the_teachers_items(kind: str, epoch: int) -> None:
    scores = scores_of(0.1)
    before = value(kind, step_of(scores, BATCH, epoch=epoch))
    (gradient,) = torch.autograd.grad(before, scores)
    after = scores.detach() - gradient
    lifted = (after - scores.detach()).gather(1, BATCH.teacher_items)
    assert value(kind, step_of(after, BATCH, epoch=epoch)).item() < before.item()
    assert lifted.sum() > 0
