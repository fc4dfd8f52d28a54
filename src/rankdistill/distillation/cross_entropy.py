"""Cross-entropy or KL to the teacher's distribution over the whole catalogue (Hinton et al., 2015)."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.autograd import Function

from rankdistill.config import Range
from rankdistill.listwise import listed_cross_entropy
from rankdistill.loss import DistillationConfig, Loss, Needs, Step


class CrossEntropy(Loss):
    """L_D = - tau^2 sum_i softmax(t / tau)_i log softmax(s / tau)_i over the catalogue, averaged over the queries.

    The teacher is asked for the queries of each batch while the student learns, so that nothing of the size users x
    items is kept. `measure = "kl"` takes the teacher's own entropy off, which changes the value and no gradient.
    """

    needs: ClassVar[Needs] = "model"

    class Config(DistillationConfig):
        """Options of the cross-entropy over the catalogue."""

        kind: Literal["cross_entropy"] = "cross_entropy"
        k: int = Field(10, ge=1, description="K, the length of the teacher's list, at which this loss does not look")
        measure: Literal["cross_entropy", "kl"] = Field("cross_entropy", description="what is minimised")
        temperature: Annotated[float, Range(0.5, 10.0, log=True)] = Field(
            2.0, gt=0, description="tau, by which both models' scores are divided"
        )

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config

    def forward(self, step: Step) -> Tensor:
        """See `Loss.forward`."""
        tau = self.config.temperature
        given = step.ask_teacher(None).to(step.queries.dtype) / tau
        loss: Tensor = _OverCatalogue.apply(step.score(None), given, tau)  # type: ignore[no-untyped-call]
        if self.config.measure == "kl":
            loss = loss - listed_cross_entropy(given[:, 1:], given[:, 1:])
        return tau**2 * loss.mean()


class _OverCatalogue(Function):
    """- sum_i softmax(t)_i log softmax(s / tau)_i [B] of scores s and cooled t [B, I + 1], the padding item left out.

    Its gradient, (softmax(s / tau) - softmax(t)) / tau, takes fewer passes over so many numbers than that of its parts.
    """

    @staticmethod
    def forward(ctx: Any, scores: Tensor, given: Tensor, tau: float) -> Tensor:
        ours, theirs = scores / tau, given.clone()
        ours[:, 0] = theirs[:, 0] = -torch.inf
        ours, theirs = torch.log_softmax(ours, dim=1), torch.softmax(theirs, dim=1)
        ours[:, 0] = 0.0
        loss: Tensor = -torch.linalg.vecdot(theirs, ours)
        ours.exp_()[:, 0] = 0.0
        ctx.save_for_backward(ours, theirs)
        ctx.tau = tau
        return loss

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        ours, theirs = ctx.saved_tensors
        return (ours - theirs).mul_(gradient.unsqueeze(1) / ctx.tau), None, None
