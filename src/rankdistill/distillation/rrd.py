"""RRD, relaxed ranking distillation (Kang et al., DE-RRD, CIKM 2020): the teacher's order on top, the rest below."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from rankdistill.config import Range
from rankdistill.listwise import is_in, masked, relaxed_ranking_loss
from rankdistill.loss import DistillationConfig, Loss, Step


class RRD(Loss):
    """L_D = - sum_k log [ e^{s_k} / (sum_{i >= k} e^{s_i} + sum_{j in tail} e^{s_j}) ], averaged over the queries.

    s_1, ..., s_K are the student's scores of the teacher's list. The tail is a sample of the catalogue without the list
    and the query's targets, whose order does not matter. As its authors found later (DCD, 2021), the head is the
    teacher's top K itself and not a sample of a longer list.
    """

    class Config(DistillationConfig):
        """Options of relaxed ranking distillation."""

        kind: Literal["rrd"] = "rrd"
        k: Annotated[int, Range(10, 100, log=True)] = Field(
            40, ge=1, description="K, the length of the teacher's list, all of which is the head"
        )
        alpha: Annotated[float, Range(1e-4, 1.0, log=True)] = Field(
            0.01, ge=0, description="the weight of the distillation loss"
        )
        tail: Annotated[int, Range(10, 200, log=True)] = Field(
            40, ge=0, description="L, items below the list, drawn anew for every batch"
        )

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.tail = config.tail

    def forward(self, step: Step) -> Tensor:
        """See `Loss.forward`."""
        batch = step.batch
        drawn = step.draw(self.tail).expand(len(batch.users), -1)
        known = is_in(drawn, torch.cat([batch.teacher_items, batch.targets], dim=1))
        return relaxed_ranking_loss(step.teacher_item_scores, masked(step.score(drawn), known)).mean()
