"""RCE-KD, rejuvenated cross-entropy (2025, arXiv 2509.20989): cross-entropy where student and teacher look."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from rankdistill.config import Range
from rankdistill.listwise import is_in, listed_cross_entropy, places_in
from rankdistill.loss import DistillationConfig, Loss, Needs, Step

_MOST_BELOW = 50


class RceKD(Loss):
    """L_D = (1 - w) CE(Q_S) + w CE(A + (Q_T without Q_S)), averaged over the queries.

    CE(Q) = - sum_{i in Q} softmax_Q(t)_i log softmax_Q(s)_i. Q_T and Q_S are the top K of teacher and student; A is
    drawn from the student's top M with weights exp((c_i + 1) / T), where c_i (at most 50) counts the items of Q_T that
    the student ranks at i or below it; w = exp(-beta |Q_T and A| / K). The student's list is taken anew at each step.
    """

    needs: ClassVar[Needs] = "model"

    class Config(DistillationConfig):
        """Options of rejuvenated cross-entropy."""

        kind: Literal["rce_kd"] = "rce_kd"
        k: Annotated[int, Range(20, 200, log=True)] = Field(100, ge=1, description="K, the length of both lists")
        student_list: Annotated[int, Range(100, 1000, log=True)] = Field(
            300, ge=1, description="M, the length of the student's list that A is drawn from"
        )
        adaptive: Annotated[int, Range(20, 200, log=True)] = Field(100, ge=1, description="L, the items of A")
        temperature: Annotated[float, Range(1.0, 100.0, log=True)] = Field(
            10.0, gt=0, description="T, of the drawing of A"
        )
        beta: Annotated[float, Range(0.3, 10.0, log=True)] = Field(
            1.0, gt=0, description="how soon the weight leaves the teacher's list"
        )

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config

    def forward(self, step: Step) -> Tensor:
        """See `Loss.forward`."""
        own, drawn = self.lists(step)
        listed = step.batch.teacher_items
        outside = torch.cat([drawn, listed], dim=1)
        hidden = torch.cat(
            [torch.zeros_like(drawn, dtype=torch.bool), is_in(listed, torch.cat([own, drawn], 1))], dim=1
        )
        share = is_in(listed, drawn).sum(1) / self.config.k
        weight = torch.exp(-self.config.beta * share)
        inner = self._cross_entropy(step, own, None)
        outer = self._cross_entropy(step, outside, hidden)
        return ((1 - weight) * inner + weight * outer).mean()

    def _cross_entropy(self, step: Step, items: Tensor, hidden: Tensor | None) -> Tensor:
        scores = step.score(items)
        return listed_cross_entropy(scores, step.ask_teacher(items).to(scores.dtype), hidden)

    @torch.no_grad()
    def lists(self, step: Step) -> tuple[Tensor, Tensor]:
        """Q_S [B, K] and A [B, L]."""
        config, listed, num_items = self.config, step.batch.teacher_items, step.student.catalogue.num_items
        best = step.best(max(config.student_list, config.k), config.exclude)
        pool = best[:, : config.student_list]
        places = places_in(listed, pool, num_items)  # M + 1 is below all of the pool
        at_place = torch.zeros(len(pool), pool.shape[1] + 2, device=pool.device)
        at_place.scatter_add_(1, places, torch.ones_like(places, dtype=at_place.dtype))
        below = (listed.shape[1] - at_place.cumsum(1)[:, :-2]).clamp_max(_MOST_BELOW)
        weights = torch.exp((below + 1) / config.temperature)
        columns = step.draw_by_weight(weights, min(config.adaptive, pool.shape[1]))
        return best[:, : config.k], pool.gather(1, columns)
