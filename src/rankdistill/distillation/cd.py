"""CD, collaborative distillation (Lee et al., ICDM 2019): the teacher's probabilities of items drawn by rank."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from rankdistill.config import Choice, Range
from rankdistill.listwise import places_in
from rankdistill.loss import DistillationConfig, Loss, Needs, Step


class CD(Loss):
    """L_D = - sum_i [ q_i log p_i + (1 - q_i) log(1 - p_i) ] with q = sigmoid((t + t2) / t1) and p = sigmoid(s).

    The items are drawn from the teacher's list, with replacement, the higher the likelier: by their places in it
    (`guide = "teacher"`), or by their order among the student's scores (`"student"`; the paper draws from the whole
    catalogue, by the student's own list). t is the log-odds of an item.
    """

    needs: ClassVar[Needs] = "scores"
    reads_log_odds = True

    class Config(DistillationConfig):
        """Options of collaborative distillation."""

        kind: Literal["cd"] = "cd"
        k: Annotated[int, Range(20, 200, log=True)] = Field(
            100, ge=1, description="K, the length of the teacher's list"
        )
        alpha: Annotated[float, Range(1e-3, 3.0, log=True)] = Field(
            0.1, ge=0, description="the weight of the distillation loss"
        )
        guide: Annotated[Literal["teacher", "student"], Choice()] = Field(
            "teacher", description="whose ranks say what is drawn"
        )
        drawing: Annotated[Literal["linear", "exponential"], Choice()] = Field(
            "exponential", description="how the chance falls with rank"
        )
        decay: Annotated[float, Range(2.0, 50.0, log=True)] = Field(
            10.0, gt=0, description="places over which an exponential chance falls to 1/e"
        )
        items: Annotated[int, Range(10, 100, log=True)] = Field(50, ge=1, description="items drawn for each query")
        scale: Annotated[float, Range(0.3, 10.0, log=True)] = Field(
            1.0, gt=0, description="t1, by which the teacher's scores are divided"
        )
        shift: Annotated[float, Range(-3.0, 3.0)] = Field(0.0, description="t2, added to the teacher's scores before")

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config

    def forward(self, step: Step) -> Tensor:
        """See `Loss.forward`."""
        given = step.batch.teacher_scores
        assert given is not None
        columns = self.drawn(step)
        scores = step.teacher_item_scores.gather(1, columns)
        wanted = torch.sigmoid((given.gather(1, columns) + self.config.shift) / self.config.scale)
        losses = binary_cross_entropy_with_logits(scores, wanted.to(scores.dtype), reduction="none")
        return losses.sum(1).mean()

    @torch.no_grad()
    def drawn(self, step: Step) -> Tensor:
        """Columns [B, n] of the teacher's lists."""
        scores = step.teacher_item_scores
        ranks = torch.arange(1, scores.shape[1] + 1, device=scores.device).expand(scores.shape)
        if self.config.guide == "student":
            order = scores.argsort(dim=1, descending=True, stable=True)
            ranks = places_in(ranks - 1, order, scores.shape[1])
        if self.config.drawing == "linear":
            weights = (scores.shape[1] + 1 - ranks).to(scores.dtype)
        else:
            weights = torch.exp((1 - ranks) / self.config.decay)
        return step.draw_by_weight(weights, self.config.items, replacement=True)
