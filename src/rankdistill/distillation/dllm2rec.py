"""DLLM2Rec's weights (Cui et al., RecSys 2024): position, the teacher's confidence, and agreement with the student."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import softplus

from rankdistill.config import Range
from rankdistill.listwise import is_in
from rankdistill.loss import DistillationConfig, Loss, Needs, Step


class DLLM2Rec(Loss):
    """L_D = - sum_r w_r log sigmoid(s_r) with w = g_p w^p + g_c w^c + g_o w^o, averaged over the queries.

    w^p_r is proportional to e^{-r / lambda}, and w^c to e^{t_r}, the teacher's confidence in its items; each sums to 1.
    w^o is 1 for items that are in the student's own top K at this step, which scores the catalogue. The paper's
    confidence is a distance between a language model's text and an item's; here it is what every teacher has, a score.
    """

    needs: ClassVar[Needs] = "scores"

    class Config(DistillationConfig):
        """Options of these weights."""

        kind: Literal["dllm2rec"] = "dllm2rec"
        position_share: Annotated[float, Range(0.0, 1.0)] = Field(
            0.3, ge=0, description="g_p, the weight of the position"
        )
        confidence_share: Annotated[float, Range(0.0, 1.0)] = Field(
            0.5, ge=0, description="g_c, the weight of the teacher's confidence"
        )
        agreement_share: Annotated[float, Range(0.0, 1.0)] = Field(
            0.1, ge=0, description="g_o, the weight of agreement with the student"
        )
        position_sharpness: Annotated[float, Range(0.3, 10.0, log=True)] = Field(
            1.0, gt=0, description="lambda of the position weight, in places"
        )

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config

    def forward(self, step: Step) -> Tensor:
        """See `Loss.forward`."""
        scores = step.teacher_item_scores
        return (self.weights(step).to(scores.dtype) * softplus(-scores)).sum(1).mean()

    @torch.no_grad()
    def weights(self, step: Step) -> Tensor:
        """W [B, K]."""
        config, given, listed = self.config, step.batch.teacher_scores, step.batch.teacher_items
        assert given is not None
        ranks = torch.arange(listed.shape[1], device=given.device, dtype=given.dtype)
        weights = config.position_share * torch.softmax(-ranks / config.position_sharpness, dim=0)
        weights = weights + config.confidence_share * torch.softmax(given, dim=1)
        if config.agreement_share:
            weights = weights + config.agreement_share * is_in(listed, step.best(listed.shape[1], config.exclude))
        return weights
