"""UnKD, unbiased knowledge distillation (Chen et al., WSDM 2023): pairs of equally popular items."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import softplus

from rankdistill.config import Range
from rankdistill.data.popularity import popularity_groups
from rankdistill.data.sequences import Sequences
from rankdistill.loss import DistillationConfig, Loss, Step


class UnKD(Loss):
    """L_D = - sum over pairs of log sigmoid(s_{i+} - s_{i-}), averaged over the queries.

    Items are put in G groups of equal total popularity. The two items of a pair are of one group and of the teacher's
    list, drawn with weights e^{-rank / mu} by their ranks inside the group; i+ is the one that the teacher prefers.
    Each group that has a pair is as likely as another.
    """

    class Config(DistillationConfig):
        """Options of unbiased distillation."""

        kind: Literal["unkd"] = "unkd"
        k: Annotated[int, Range(20, 200, log=True)] = Field(
            100, ge=2, description="K, the length of the teacher's list"
        )
        alpha: Annotated[float, Range(1e-3, 3.0, log=True)] = Field(
            0.1, ge=0, description="the weight of the distillation loss"
        )
        groups: Annotated[int, Range(2, 8)] = Field(4, ge=1, description="G, groups of equal total popularity")
        pairs: Annotated[int, Range(10, 100, log=True)] = Field(30, ge=1, description="pairs drawn for each query")
        decay: Annotated[float, Range(3.0, 100.0, log=True)] = Field(
            20.0, gt=0, description="mu, ranks over which the chance falls to 1/e"
        )

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("group", torch.zeros(0, dtype=torch.int64))

    def prepare(self, train: Sequences, num_items: int) -> None:
        """See `Loss.prepare`."""
        counts = np.bincount(train.items, minlength=num_items + 1)
        self.register_buffer("group", torch.from_numpy(popularity_groups(counts, self.config.groups)))

    def forward(self, step: Step) -> Tensor:
        """See `Loss.forward`."""
        preferred, other, drawn = self.pairs(step)
        scores = step.teacher_item_scores
        losses = softplus(scores.gather(1, other) - scores.gather(1, preferred))
        return losses.masked_fill(~drawn, 0.0).sum(1).mean()

    @torch.no_grad()
    def pairs(self, step: Step) -> tuple[Tensor, Tensor, Tensor]:
        """Columns of the lists: the preferred [B, n] and the other [B, n]; and which pairs there are [B, n]."""
        config, listed = self.config, step.batch.teacher_items
        groups, columns = self.get_buffer("group")[listed].sort(dim=1, stable=True)
        places = torch.arange(listed.shape[1], device=listed.device).expand_as(groups)
        sizes = torch.zeros(len(listed), config.groups, dtype=torch.int64, device=listed.device)
        sizes.scatter_add_(1, groups, torch.ones_like(groups))
        ends = sizes.cumsum(1).gather(1, groups)  # each group lies side by side, from its start to its end
        starts = ends - sizes.gather(1, groups)
        chance = torch.exp((starts - places - 1) / config.decay) * (ends - starts > 1)
        total = torch.zeros(sizes.shape, device=listed.device).scatter_add_(1, groups, chance)
        fair = chance / total.gather(1, groups).clamp_min(torch.finfo(chance.dtype).tiny)
        drawn = (fair > 0).any(1, keepdim=True).expand(-1, config.pairs)
        first = step.draw_by_weight(torch.where(drawn[:, :1], fair, 1.0), config.pairs, replacement=True)
        second = self._mates(step, first, chance, starts, ends)
        first, second = columns.gather(1, first), columns.gather(1, second)
        return torch.minimum(first, second), torch.maximum(first, second), drawn

    def _mates(self, step: Step, first: Tensor, chance: Tensor, starts: Tensor, ends: Tensor) -> Tensor:
        """Another place [B, n] of the group of each place that was drawn first [B, n]; itself where there is none.

        Where a uniform number falls in the running sum of the group's chances, the first one's passed over.
        """
        above = chance.cumsum(1)
        below = above - chance
        start, last, own = (each.gather(1, first) for each in (starts, ends - 1, chance))
        left, right = below.gather(1, start), above.gather(1, last)
        shares = torch.rand(first.shape, generator=step.generator, device=first.device)
        point = left + shares * (right - left - own).clamp_min(0.0)
        point = torch.where(point >= below.gather(1, first), point + own, point)
        found = torch.searchsorted(above, point, right=True).clamp(start, last)
        beside = torch.where(first < last, first + 1, (first - 1).clamp_min(start))
        return torch.where(found == first, beside, found)  # a sum that was rounded to the first one's place
