"""DCD, dual correction distillation (Lee & Kim, CIKM 2021): relaxed ranking where student and teacher disagree."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from rankdistill.config import Range
from rankdistill.listwise import masked, places_in, relaxed_ranking_loss
from rankdistill.loss import DistillationConfig, Loss, Step

_LEAST = 1e-6
"""The weight of an item on which both agree: it is drawn where nothing else is left."""


class DCD(Loss):
    """The loss of RRD over items that the student ranks too low (the head) and too high (the tail).

    The head is drawn from the teacher's list with weights tanh(max((r_S - r_T) / T, 0)) and stays in the teacher's
    order; the tail from the student's own list with tanh(max((r_T - r_S) / T, 0)). An item that is not in the student's
    list counts as rank M + 1 there, and one that is not in the teacher's as rank K + 1: of those, the ones that the
    student has at K + 1 or further down are no part of the tail. The student's list is taken anew at each step, which
    scores the catalogue. The loss is that of the users; the paper adds the same for the items, whose lists of users
    cannot be had from a teacher's lists of items.
    """

    class Config(DistillationConfig):
        """Options of dual correction distillation."""

        kind: Literal["dcd"] = "dcd"
        k: Annotated[int, Range(20, 200, log=True)] = Field(
            100, ge=1, description="K, the length of the teacher's list"
        )
        alpha: Annotated[float, Range(1e-4, 1.0, log=True)] = Field(
            0.01, ge=0, description="the weight of the distillation loss"
        )
        student_list: Annotated[int, Range(100, 1000, log=True)] = Field(
            500, ge=1, description="M, the length of the student's list"
        )
        head: Annotated[int, Range(10, 100, log=True)] = Field(
            40, ge=1, description="items drawn of those that the student ranks too low"
        )
        tail: Annotated[int, Range(10, 100, log=True)] = Field(
            40, ge=1, description="items drawn of those that the student ranks too high"
        )
        temperature: Annotated[float, Range(1.0, 100.0, log=True)] = Field(
            10.0, gt=0, description="T, places at which a disagreement counts almost in full"
        )

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config

    def forward(self, step: Step) -> Tensor:
        """See `Loss.forward`."""
        head, tail, idle_head, idle_tail = self.drawn(step)
        return relaxed_ranking_loss(step.score(head), masked(step.score(tail), idle_tail), idle_head).mean()

    @torch.no_grad()
    def drawn(self, step: Step) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The head [B, h] in the teacher's order, the tail [B, t], and which of both have no part: nothing was left."""
        config, listed = self.config, step.batch.teacher_items
        own, num_items = step.best(config.student_list, config.exclude), step.student.catalogue.num_items
        low = places_in(listed, own, num_items) - torch.arange(1, listed.shape[1] + 1, device=listed.device)
        high = places_in(own, listed, num_items) - torch.arange(1, own.shape[1] + 1, device=own.device)
        too_low, too_high = (torch.tanh((each / config.temperature).clamp_min(0)) for each in (low, high))
        columns = step.draw_by_weight(too_low + _LEAST, min(config.head, listed.shape[1])).sort(1).values
        rows = step.draw_by_weight(too_high + _LEAST, min(config.tail, own.shape[1]))
        tail = own.gather(1, rows)
        return listed.gather(1, columns), tail, too_low.gather(1, columns) == 0, too_high.gather(1, rows) == 0
