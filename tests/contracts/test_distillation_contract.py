"""What every distillation method keeps to: a file in `distillation/` is under this contract by being there."""

from __future__ import annotations

from statistics import mean
from typing import Any

import numpy as np
import pytest
import torch
from given_scores import batch_of, step_of, twice
from pydantic import ValidationError
from torch import Tensor

from rankdistill import plugins
from rankdistill.data.sequences import Sequences
from rankdistill.loss import Batch, DistillationConfig, Loss, Objective, Step

pytestmark = pytest.mark.parametrize("kind", plugins.kinds("distillation"))

LISTS = [[5, 6, 7, 8], [9, 10, 11, 12], [1, 20, 19, 4]]
GIVEN = torch.linspace(1, -1, 21, dtype=torch.float64).repeat(3, 1)
"""The teacher's scores: highest for the items of its lists, in their order."""
GIVEN.scatter_(1, torch.tensor(LISTS), torch.tensor([[5.0, 4.0, 3.5, 3.0]] * 3, dtype=torch.float64))
EASIER = [[each[::-1], each[1:] + each[:1]] for each in LISTS]
"""Two lists for each query that are easier to learn."""
BATCH = batch_of([[13], [2], [3]], [[4], [5], [6]], LISTS, GIVEN, EASIER)
TRAIN = Sequences.from_pairs(np.repeat(np.arange(6), 4), 1 + np.arange(24) % 20, 6)
EPOCHS = [1, 50]
SEEDS = range(200)


class Nothing(Loss):
    """A ranking loss that asks for nothing."""

    def forward(self, step: Step) -> Tensor:
        return step.queries.new_zeros(())


def method_of(kind: str, **options: Any) -> Loss:
    plugin = plugins.find("distillation", kind)
    method: Loss = plugin(plugin.Config(k=4, **options))
    return method


def scores_of(scale: float, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return (scale * torch.randn(3, 21, generator=generator, dtype=torch.float64)).to(dtype).requires_grad_()


def step_with(scores: Tensor, *, epoch: int, batch: Batch = BATCH, seed: int = 0) -> Step:
    return step_of(scores, batch, epoch=epoch, seed=seed, given=GIVEN)


def value(kind: str, step: Step) -> Tensor:
    method = method_of(kind)
    method.prepare(TRAIN, 20)
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
        loss = value(kind, step_with(scores, epoch=epoch))
        (gradient,) = torch.autograd.grad(loss, scores)
        assert loss.shape == ()
        assert torch.isfinite(loss)
        assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("epoch", EPOCHS)
def test_it_passes_gradcheck(kind: str, epoch: int) -> None:
    def loss(scores: Tensor) -> Tensor:
        return value(kind, step_with(scores, epoch=epoch))

    assert torch.autograd.gradcheck(loss, (scores_of(1.0),))


@pytest.mark.parametrize("epoch", EPOCHS)
def test_it_draws_from_the_generator_alone(kind: str, epoch: int) -> None:
    once = value(kind, step_with(scores_of(1.0), epoch=epoch))
    torch.manual_seed(99)
    again = value(kind, step_with(scores_of(1.0), epoch=epoch))
    assert again.item() == once.item()


@pytest.mark.parametrize("epoch", EPOCHS)
def test_it_is_the_mean_over_the_queries(kind: str, epoch: int) -> None:
    scores = scores_of(1.0).detach()
    doubled = torch.cat([scores, scores])
    once, again = (
        mean(value(kind, step_with(values, epoch=epoch, batch=batch, seed=seed)).item() for seed in SEEDS)
        for values, batch in ((scores, BATCH), (doubled, twice(BATCH)))
    )
    assert again == pytest.approx(once, rel=0.05)  # what is drawn for each query is drawn twice as often


@pytest.mark.parametrize("epoch", EPOCHS)
def test_steps_down_its_gradient_lower_it_and_lift_the_teachers_items(kind: str, epoch: int) -> None:
    scores = scores_of(0.1)
    before = value(kind, step_with(scores, epoch=epoch))
    (gradient,) = torch.autograd.grad(before, scores)
    after = scores.detach() - gradient
    lifted = (after - scores.detach()).gather(1, BATCH.teacher_items)
    assert value(kind, step_with(after, epoch=epoch)).item() < before.item()
    assert lifted[:, 0].sum() > 0
    pairs_of_the_list = kind == "unkd"  # its first items at the cost of its last: nothing in all
    assert lifted.sum().item() == pytest.approx(0, abs=1e-12) if pairs_of_the_list else lifted.sum() > 0


def test_a_share_of_the_queries_alone_is_distilled(kind: str) -> None:
    objective = Objective(Nothing(), method_of(kind), query_share=2 / 3)
    objective.prepare(TRAIN, 20)
    taught = set()
    for seed in range(20):
        scores = scores_of(1.0)
        terms = objective(step_with(scores, epoch=50, seed=seed))
        (gradient,) = torch.autograd.grad(objective.total(terms), scores)
        rows = tuple(gradient.any(1).nonzero().flatten().tolist())
        assert len(rows) == 2
        taught.add(rows)
    assert taught == {(0, 1), (0, 2), (1, 2)}
