"""The pair-wise loss (BPR): each target should score above each negative."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor
from torch.nn.functional import softplus

from rankdistill.config import Range
from rankdistill.loss import Loss, RankingLossConfig, Step
from rankdistill.types import PAD


class Pairwise(Loss):
    """Bayesian personalised ranking over all pairs of a target and a negative (Tang & Wang, KDD 2018, Eq. 3).

    L_R = - sum over targets d+ and negatives d- of log sigmoid(s_{d+} - s_{d-}), averaged over the queries.
    """

    class Config(RankingLossConfig):
        """Options of the pair-wise loss."""

        kind: Literal["pairwise"] = "pairwise"
        negatives: Annotated[int, Range(1, 20, log=True)] = Field(
            3, ge=1, description="negatives per target, drawn anew every epoch"
        )

    def __init__(self, config: Config) -> None:
        super().__init__()

    def forward(self, step: Step) -> Tensor:
        """See `Loss.forward`."""
        return pairwise_loss(step.target_scores, step.negative_scores, step.batch.negatives)


def pairwise_loss(target_scores: Tensor, negative_scores: Tensor, negatives: Tensor | None = None) -> Tensor:
    """The loss [] of target scores [B, T] and negative scores [B, N]; negatives [B, N] that are PAD do not count."""
    per_pair = softplus(negative_scores.unsqueeze(1) - target_scores.unsqueeze(2))
    if negatives is not None:
        per_pair = per_pair * (negatives != PAD).unsqueeze(1)
    return per_pair.sum((1, 2)).mean()
