"""Softmax over the catalogue against the teacher's list: ListNet (Cao et al., ICML 2007) with weights by rank."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from rankdistill.config import Range
from rankdistill.listwise import masked
from rankdistill.loss import DistillationConfig, Loss, Step


class ListSoftmax(Loss):
    """L_D = - sum_k p_k [ s_k - log( sum_i e^{s_i} + (I - K - T) / n sum_j e^{s_j} ) ], averaged over the queries.

    s_1, ..., s_K are the student's scores of the teacher's list, p_k = k^-decay / sum_i i^-decay what each place is
    worth. The list wins against the whole catalogue of I items, of which the n sampled ones j stand for all that are
    neither listed nor among the T targets: sampled softmax (Bengio & Senecal, 2008). A list without scores is
    enough. Where the other methods of lists pull each item up by itself, here the items share one probability: what
    the student learns is the teacher's order of a long list against everything else.
    """

    class Config(DistillationConfig):
        """Options of the softmax over the teacher's list."""

        kind: Literal["list_softmax"] = "list_softmax"
        k: Annotated[int, Range(20, 200, log=True)] = Field(
            100, ge=1, description="K, the length of the teacher's list"
        )
        decay: Annotated[float, Range(0.0, 2.0)] = Field(
            1.0, ge=0, description="how fast places lose weight; 0 = all alike, 1 = as 1 / place"
        )
        tail: int = Field(1000, ge=1, description="n, items drawn anew for every batch in place of the catalogue")

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.tail = config.tail
        places = torch.arange(1, config.k + 1, dtype=torch.float64)
        weights = places**-config.decay
        self.register_buffer("weights", (weights / weights.sum()).float())

    def forward(self, step: Step) -> Tensor:
        """See `Loss.forward`."""
        batch, scores = step.batch, step.teacher_item_scores
        drawn = torch.unique(step.draw(self.tail))
        left_out = torch.cat([batch.teacher_items, batch.targets], dim=1)
        hidden = _columns_of(left_out, drawn)
        others = step.student.catalogue.num_items - left_out.shape[1]
        share = math.log(max(others, 1)) - (~hidden).sum(1).clamp_min(1).log()
        rest = torch.logsumexp(masked(step.score(drawn), hidden), dim=1) + share
        total = torch.logaddexp(torch.logsumexp(scores, dim=1), rest)
        weights = self.get_buffer("weights").to(scores.dtype)
        return (total - scores @ weights).mean()


def _columns_of(items: Tensor, drawn: Tensor) -> Tensor:
    """Which of the drawn items [n], ascending and distinct, are among the items [B, m] of a query: [B, n]."""
    columns = torch.searchsorted(drawn, items).clamp_max(len(drawn) - 1)
    there = (drawn[columns] == items).to(torch.int8)
    return (
        torch.zeros(len(items), len(drawn), dtype=torch.int8, device=items.device).scatter_reduce_(
            1, columns, there, "amax"
        )
        > 0
    )
