"""Margin-MSE (Hofstaetter et al., 2020): the teacher's margins between targets and negatives."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from rankdistill.config import Range
from rankdistill.loss import DistillationConfig, Loss, Needs, Step
from rankdistill.types import PAD


class MarginMSE(Loss):
    """L_D = mean over pairs of ((s_+ - s_-) - (t_+ - t_-))^2, averaged over the queries.

    The pairs are those of the ranking loss: each target with each of the query's negatives, and, so that the margins
    are not easy ones alone, with each item of the teacher's list.
    """

    needs: ClassVar[Needs] = "model"

    class Config(DistillationConfig):
        """Options of Margin-MSE."""

        kind: Literal["margin_mse"] = "margin_mse"
        alpha: Annotated[float, Range(1e-3, 1.0, log=True)] = Field(
            0.1, ge=0, description="the weight of the distillation loss"
        )

    def __init__(self, config: Config) -> None:
        super().__init__()

    def forward(self, step: Step) -> Tensor:
        """See `Loss.forward`."""
        batch = step.batch
        others = torch.cat([batch.negatives, batch.teacher_items], dim=1)
        scores = torch.cat([step.negative_scores, step.teacher_item_scores], dim=1)
        given = step.ask_teacher(torch.cat([batch.targets, others], dim=1)).to(scores.dtype)
        count = batch.targets.shape[1]
        ours = step.target_scores.unsqueeze(2) - scores.unsqueeze(1)
        theirs = given[:, :count].unsqueeze(2) - given[:, count:].unsqueeze(1)
        counted = (others != PAD).unsqueeze(1).expand_as(ours)
        squares = (ours - theirs).square().masked_fill(~counted, 0.0)
        return (squares.flatten(1).sum(1) / counted.flatten(1).sum(1).clamp_min(1)).mean()
