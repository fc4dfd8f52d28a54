"""RankDistil (Reddi et al., AISTATS 2021): orders drawn from the teacher's Plackett-Luce model of its list."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from rankdistill.config import Range
from rankdistill.listwise import is_in, masked, relaxed_ranking_loss
from rankdistill.loss import DistillationConfig, Loss, Needs, Step


class RankDistil(Loss):
    """L_D = E_{pi ~ PL(t / T)} [ - log PL_K(pi | s) ], averaged over the queries and a few orders pi of each.

    An order of the teacher's list is drawn by adding Gumbel noise to its scores: items of nearly equal scores change
    places, sure ones do not. The student's probability of it is that of RRD, with a sample of the catalogue below.
    """

    needs: ClassVar[Needs] = "scores"

    class Config(DistillationConfig):
        """Options of RankDistil."""

        kind: Literal["rankdistil"] = "rankdistil"
        k: Annotated[int, Range(10, 100, log=True)] = Field(40, ge=1, description="K, the length of the teacher's list")
        alpha: Annotated[float, Range(1e-4, 1.0, log=True)] = Field(
            0.1, ge=0, description="the weight of the distillation loss"
        )
        orders: int = Field(8, ge=1, description="orders drawn of each list")
        temperature: Annotated[float, Range(0.1, 10.0, log=True)] = Field(
            1.0, gt=0, description="T, by which the teacher's scores are divided"
        )
        tail: Annotated[int, Range(10, 200, log=True)] = Field(
            40, ge=0, description="items below the list, drawn anew for every batch"
        )

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config

    def forward(self, step: Step) -> Tensor:
        """See `Loss.forward`."""
        batch, orders = step.batch, self.orders(step)
        drawn = step.draw(self.config.tail).expand(len(orders), -1)
        known = is_in(drawn, torch.cat([batch.teacher_items, batch.targets], dim=1))
        tail = masked(step.score(drawn), known)
        head = step.teacher_item_scores.unsqueeze(1).expand(orders.shape).gather(2, orders)
        return relaxed_ranking_loss(head, tail).mean()

    @torch.no_grad()
    def orders(self, step: Step) -> Tensor:
        """Columns [B, S, K] of the teacher's lists, best first."""
        given = step.batch.teacher_scores
        assert given is not None
        values = (given / self.config.temperature).unsqueeze(1).expand(-1, self.config.orders, -1)
        clocks = torch.empty(values.shape, dtype=values.dtype, device=values.device)
        noise = -clocks.exponential_(generator=step.generator).log()
        return (values + noise).argsort(dim=2, descending=True)
