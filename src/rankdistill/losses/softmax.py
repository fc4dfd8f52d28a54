"""The softmax loss: each target should win against sampled items, or against the whole catalogue."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from rankdistill.config import Range
from rankdistill.loss import Loss, RankingLossConfig, Step
from rankdistill.types import PAD


class Softmax(Loss):
    """Softmax cross-entropy, the list-wise choice.

    L_R = - sum over targets of [ s_{d+} - log( exp(s_{d+}) + sum over negatives of exp(s_{d-}) ) ], averaged over
    the queries. With `negatives = 0` the other items are the whole catalogue, and a step costs as much as that.
    """

    class Config(RankingLossConfig):
        """Options of the softmax loss."""

        kind: Literal["softmax"] = "softmax"
        negatives: Annotated[int, Range(20, 1000, log=True)] = Field(
            100, ge=0, description="negatives per target, drawn anew every epoch; 0 = all items"
        )

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.all_items = config.negatives == 0

    def forward(self, step: Step) -> Tensor:
        """See `Loss.forward`."""
        if self.all_items:
            return full_softmax_loss(step.score(None), step.batch.targets)
        return softmax_loss(step.target_scores, step.negative_scores, step.batch.negatives)


def softmax_loss(target_scores: Tensor, negative_scores: Tensor, negatives: Tensor | None = None) -> Tensor:
    """The loss [] of target scores [B, T] and negative scores [B, N]; negatives [B, N] that are PAD do not count."""
    if negatives is not None:
        negative_scores = negative_scores.masked_fill(negatives == PAD, -torch.inf)
    rest = torch.logsumexp(negative_scores, dim=1, keepdim=True)
    return (torch.logaddexp(target_scores, rest) - target_scores).sum(1).mean()


def full_softmax_loss(scores: Tensor, targets: Tensor) -> Tensor:
    """The loss [] of the scores [B, I + 1] of the catalogue (PAD in column 0) for targets [B, T]."""
    scores = scores.index_fill(1, torch.zeros(1, dtype=torch.int64, device=scores.device), -torch.inf)
    return (torch.logsumexp(scores, dim=1, keepdim=True) - scores.gather(1, targets)).sum(1).mean()
