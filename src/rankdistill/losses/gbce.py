"""The generalised binary cross-entropy of gSASRec: a point-wise loss that is not overconfident for few negatives."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor
from torch.nn.functional import softplus

from rankdistill.config import Range
from rankdistill.loss import Loss, RankingLossConfig, Step
from rankdistill.types import PAD


class GBCE(Loss):
    """Binary cross-entropy with sigmoid(s)^beta as the probability of a target (Petrov & Macdonald, RecSys 2023).

    L_R = - [ sum over targets of beta log sigmoid(s) + sum over negatives of log(1 - sigmoid(s)) ], averaged over the
    queries, with beta = alpha (t (1 - 1 / alpha) + 1 / alpha) = t (alpha - 1) + 1, and alpha = N / (I - 1) the share
    of the other items that N negatives a target are. Since the negatives are a sample, plain binary cross-entropy
    (t = 0, beta = 1) learns probabilities that are too high; with t = 1 (beta = alpha) they are right.
    """

    class Config(RankingLossConfig):
        """Options of the generalised binary cross-entropy; the paper has 256 negatives."""

        kind: Literal["gbce"] = "gbce"
        negatives: Annotated[int, Range(16, 512, log=True)] = Field(
            64, ge=1, description="negatives per target, drawn anew every epoch"
        )
        calibration: Annotated[float, Range(0.0, 1.0)] = Field(
            0.75, ge=0, le=1, description="t: 0 is the point-wise loss, 1 the full correction"
        )

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.calibration = config.calibration

    def forward(self, step: Step) -> Tensor:
        """See `Loss.forward`."""
        negatives = step.batch.negatives
        share = sampling_share(negatives, step.batch.targets.shape[1], step.student.catalogue.num_items)
        beta = (self.calibration * (share - 1) + 1).to(step.target_scores.dtype)
        return gbce_loss(step.target_scores, step.negative_scores, beta, negatives)


def sampling_share(negatives: Tensor, targets: int, num_items: int) -> Tensor:
    """Alpha [B, 1]: the share of the other items that negatives [B, N] are for each of so many targets; 1 at most.

    >>> import torch
    >>> sampling_share(torch.tensor([[3, 4, 5, 9], [3, 0, 0, 0]]), targets=2, num_items=9).tolist()
    [[0.25], [0.0625]]
    """
    drawn = (negatives != PAD).sum(1, keepdim=True)
    return (drawn.double() / (targets * max(1, num_items - 1))).clamp_max(1)


def gbce_loss(
    target_scores: Tensor, negative_scores: Tensor, beta: float | Tensor, negatives: Tensor | None = None
) -> Tensor:
    """The loss [] of target scores [B, T] and negative scores [B, N], with beta or one [B, 1] for each query.

    Negatives [B, N] that are PAD do not count.
    """
    per_negative = softplus(negative_scores)
    if negatives is not None:
        per_negative = per_negative * (negatives != PAD)
    return ((beta * softplus(-target_scores)).sum(1) + per_negative.sum(1)).mean()
