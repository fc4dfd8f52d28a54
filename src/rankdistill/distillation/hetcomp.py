"""HetComp (Kang et al., WWW 2023): from easy lists to hard ones, and from what is on top to its order."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from rankdistill.catalogue_softmax import known_and_others
from rankdistill.config import Range
from rankdistill.listwise import is_in, places_in
from rankdistill.loss import DistillationConfig, Loss, Needs, Step


class HetComp(Loss):
    """The student climbs the lists pi^1, ..., pi^M of a query, the last of which is the teacher's own.

    Its target is the list after the hardest one that it has reached: pi^v, v = min(M, 1 + max{m: nDCG_m >= r}), where
    nDCG_m measures the student's own top K against pi^m with the gain 2^exp(-(place - 1) / 10) - 1. Below the last
    list the loss tells the items of the list and the query's targets P from all others,

        L_D = - sum_{i in P + pi^v} log [ e^{s_i} / (e^{s_i} + sum_{j not in P + pi^v} e^{s_j}) ],

    and from the last list on it learns their order, with the whole catalogue as the tail, the targets apart:

        L_D = - sum_k log [ e^{s_k} / (sum_{i >= k} e^{s_i} + sum_{j not in P + pi^M} e^{s_j}) ]
              - sum_{i in P} log [ e^{s_i} / (e^{s_i} + sum_{j not in P + pi^M} e^{s_j}) ],

    averaged over the queries. The published code moves a user on where the distance to the next list has shrunk by a
    factor since it was set, and all users to the order at once; here both follow from the student as it is, query by
    query, so that nothing is remembered and a training that is resumed gives the same bits. Several teachers are one
    sequence of lists. The catalogue is scored at each step.
    """

    needs: ClassVar[Needs] = "several"

    class Config(DistillationConfig):
        """Options of HetComp."""

        kind: Literal["hetcomp"] = "hetcomp"
        k: int = Field(50, ge=1, description="K, the length of each list")
        alpha: Annotated[float, Range(1e-4, 1.0, log=True)] = Field(
            0.01, ge=0, description="the weight of the distillation loss"
        )
        reached: Annotated[float, Range(0.2, 0.9)] = Field(
            0.5, ge=0, le=1, description="r, nDCG against a list from which on the next is the target"
        )

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config

    def forward(self, step: Step) -> Tensor:
        """See `Loss.forward`."""
        targets = step.batch.targets
        everything = step.score(None)
        listed, final = self.target(step, everything.detach())
        scores, others = known_and_others(everything, torch.cat([targets, listed], dim=1))
        rest = others.unsqueeze(1)
        apart = torch.logaddexp(scores, rest) - scores
        heads, ordered = scores[:, targets.shape[1] :], apart[:, targets.shape[1] :]
        below = torch.logcumsumexp(torch.cat([rest, heads.flip(1)], dim=1), dim=1)[:, 1:].flip(1)
        ordered = torch.where(final.unsqueeze(1), below - heads, ordered)
        absent = (targets == 0) | is_in(targets, listed)
        return (apart[:, : targets.shape[1]].masked_fill(absent, 0.0).sum(1) + ordered.sum(1)).mean()

    @torch.no_grad()
    def target(self, step: Step, everything: Tensor) -> tuple[Tensor, Tensor]:
        """The list [B, K] that each query is at by scores of the catalogue [B, I + 1], and whether it is the last."""
        batch = step.batch
        assert batch.easier_items is not None
        lists = torch.cat([batch.easier_items, batch.teacher_items.unsqueeze(1)], dim=1)
        own = step.best(lists.shape[2], self.config.exclude, everything)
        there = torch.stack([self._ndcg(own, step, each) for each in lists.unbind(1)], dim=1) >= self.config.reached
        steps = torch.arange(1, lists.shape[1] + 1, device=own.device)
        level = (there * steps).amax(1).clamp_max(lists.shape[1] - 1)
        chosen = lists.gather(1, level.view(-1, 1, 1).expand(-1, 1, lists.shape[2])).squeeze(1)
        return chosen, level == lists.shape[1] - 1

    @staticmethod
    def _ndcg(own: Tensor, step: Step, listed: Tensor) -> Tensor:
        """How well the student's list [B, n] agrees with another one [B, K]: [B]."""
        places = places_in(own, listed, step.student.catalogue.num_items)
        gains = torch.where(places <= listed.shape[1], _gain(places), 0.0)
        discounts = 1.0 / torch.log2(torch.arange(2, own.shape[1] + 2, device=own.device, dtype=gains.dtype))
        best = _gain(torch.arange(1, own.shape[1] + 1, device=own.device)) * discounts
        return (gains * discounts).sum(1) / best.sum()


def _gain(places: Tensor) -> Tensor:
    return torch.expm1(math.log(2) * torch.exp(-(places - 1).to(torch.float64) / 10))
