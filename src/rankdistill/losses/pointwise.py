"""The point-wise loss: each target should score above zero, each negative below."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor
from torch.nn.functional import softplus

from rankdistill.config import Range
from rankdistill.loss import Loss, RankingLossConfig, Step
from rankdistill.types import PAD


class Pointwise(Loss):
    """Binary cross-entropy on targets and sampled negatives (Tang & Wang, KDD 2018, Eq. 2).

    L_R = - [ sum over targets of log sigmoid(s) + sum over negatives of log(1 - sigmoid(s)) ], averaged over the
    queries of the batch. Computed as softplus(-s) and softplus(s), which are finite for every finite score.
    """

    class Config(RankingLossConfig):
        """Options of the point-wise loss."""

        kind: Literal["pointwise"] = "pointwise"
        negatives: Annotated[int, Range(1, 20, log=True)] = Field(
            3, ge=1, description="negatives per target, drawn anew every epoch"
        )

    def __init__(self, config: Config) -> None:
        super().__init__()

    def forward(self, step: Step) -> Tensor:
        """See `Loss.forward`."""
        return pointwise_loss(step.target_scores, step.negative_scores, step.batch.negatives)


def pointwise_loss(target_scores: Tensor, negative_scores: Tensor, negatives: Tensor | None = None) -> Tensor:
    """The loss [] of target scores [B, T] and negative scores [B, N]; negatives [B, N] that are PAD do not count."""
    per_negative = softplus(negative_scores)
    if negatives is not None:
        per_negative = per_negative * (negatives != PAD)
    return (softplus(-target_scores).sum(1) + per_negative.sum(1)).mean()
