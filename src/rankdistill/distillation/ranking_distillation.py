"""Ranking distillation (Tang & Wang, KDD 2018): the teacher's top-K items as extra, weighted positives."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn.functional import softplus

from rankdistill import native
from rankdistill.config import Choice, Range
from rankdistill.loss import DistillationConfig, Loss, Step

PRESETS: dict[str, dict[str, Any]] = {
    "kdd18-code": {"alpha": 1.0, "mixing": "sum", "exclude": "targets", "renormalize": False},
    "kdd18-paper": {"alpha": 0.5, "mixing": "convex", "exclude": "seen", "renormalize": True},
}
"""Where the paper's text and the code published with it differ."""


class RankingDistillation(Loss):
    """L_D = - sum_{r=1..K} w_r log sigmoid(s_{pi_r}), averaged over the queries (Eq. 6).

    pi is the teacher's list. The weights w carry no gradient; see `weights`. While the student's own ranks are
    noise (`warmup_epochs`), discrepancy and hybrid weighting use the position weights alone.
    """

    class Config(DistillationConfig):
        """Options of ranking distillation; the defaults are the published settings."""

        kind: Literal["ranking_distillation"] = "ranking_distillation"
        preset: Literal["kdd18-code", "kdd18-paper"] = Field(
            "kdd18-code", description="sets alpha, mixing, exclude and renormalize; single keys override it"
        )
        weighting: Annotated[
            Literal["uniform", "reciprocal", "position", "discrepancy", "hybrid"],
            Choice(),
        ] = Field("hybrid", description="how the places of the list are weighted")
        position_sharpness: Annotated[float, Range(0.3, 10.0, log=True)] = Field(
            1.0, gt=0, description="lambda of the position weight, in places"
        )
        discrepancy_sharpness: Annotated[float, Range(0.003, 1.0, log=True)] = Field(
            0.1, gt=0, description="mu of the discrepancy weight, per place"
        )
        rank_samples: int = Field(100, ge=1, description="epsilon, items drawn to estimate the student's ranks")
        warmup_epochs: Annotated[int, Range(0, 20)] = Field(
            10, ge=0, description="first epochs that use the position weight alone"
        )
        renormalize: Annotated[bool, Choice()] = Field(
            False, description="whether hybrid and discrepancy weights sum to 1 in each list"
        )

        @model_validator(mode="before")
        @classmethod
        def _fill_from_preset(cls, values: Any) -> Any:
            preset = PRESETS.get(str(values.get("preset", "kdd18-code")), {})
            if values.get("weighting", "hybrid") != "hybrid":  # the paper normalises the hybrid weights alone
                preset = {**preset, "renormalize": False}
            return {**preset, **values}

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("position", position_weights(config.k, config.position_sharpness))

    @property
    def settled_from(self) -> int:
        """Behind the warm-up, where the weighting has one."""
        return self.config.warmup_epochs + 1 if self.config.weighting in ("discrepancy", "hybrid") else 1

    def forward(self, step: Step) -> Tensor:
        """See `Loss.forward`."""
        scores = step.teacher_item_scores
        return distillation_loss(scores, self.weights(step, scores.detach()))

    @torch.no_grad()
    def weights(self, step: Step, scores: Tensor) -> Tensor:
        """The weights [K] or [B, K] of one step, for the student's scores [B, K] of the teacher's items."""
        config = self.config
        position = self.get_buffer("position")
        if config.weighting in ("uniform", "reciprocal"):
            ranks = torch.arange(1, config.k + 1, device=scores.device, dtype=scores.dtype)
            return torch.full_like(ranks, 1.0 / config.k) if config.weighting == "uniform" else 1.0 / ranks
        if config.weighting == "position" or step.epoch <= config.warmup_epochs:
            return position
        sample = step.sample(config.rank_samples)
        ranks = estimated_ranks(scores, sample.scores, step.student.catalogue.num_items, sample.unseen)
        weights = discrepancy_weights(ranks, config.discrepancy_sharpness)
        if config.weighting == "hybrid":
            weights = weights * position
        return normalized(weights) if config.renormalize else weights


def distillation_loss(scores: Tensor, weights: Tensor) -> Tensor:
    """- sum_r w_r log sigmoid(s_r), averaged over the queries: [] from scores [B, K] and weights [K] or [B, K]."""
    return (weights * softplus(-scores)).sum(1).mean()


def position_weights(k: int, sharpness: float) -> Tensor:
    """w^a_r = exp(-r / lambda) / sum_i exp(-i / lambda) for r = 1..K (Eq. 8): [K], summing to 1."""
    ranks = torch.arange(1, k + 1, dtype=torch.float64)
    return torch.softmax(-ranks / sharpness, dim=0).float()


def estimated_ranks(scores: Tensor, sample_scores: Tensor, num_items: int, counted: Tensor | None = None) -> Tensor:
    """The student's rank of each teacher item, from 1, estimated against a sample of the catalogue.

    n of eps sampled items score above the item; its rank is floor(n num_items / eps) + 1, as in the published code
    (whose item count includes the padding row, so that its "count minus one" is the number of real items). As there,
    the sample speaks of items that the user does not have: her own items, which a trained student puts on top, say
    nothing of the ranks in a list.

    Args:
        scores: [B, K], the student's scores of the teacher's items.
        sample_scores: [B, eps], the student's scores of the sampled items.
        num_items: I, the real items.
        counted: [B, eps], the sampled items that count for each query; None counts all.
    """
    if counted is None:
        counted = torch.ones_like(sample_scores, dtype=torch.bool)
    if native.has_kernels(scores):
        above = torch.empty(scores.shape, dtype=torch.int64)
        sample = (sample_scores.contiguous(), counted.contiguous(), sample_scores.shape[1])
        native.call("count_above_sampled", scores.contiguous(), *scores.shape, *sample, above)
    else:
        sample_scores = sample_scores.masked_fill(~counted, -torch.inf)
        above = torch.stack([(sample_scores > each).sum(1) for each in torch.split(scores, 1, dim=1)], dim=1)
    return above * num_items // counted.sum(1, keepdim=True).clamp_min(1) + 1


def discrepancy_weights(ranks: Tensor, sharpness: float) -> Tensor:
    """w^b_r = tanh(max(mu (r_student - r), 0)) (Eq. 9): [B, K] from the student's ranks [B, K], counted from 1."""
    places = torch.arange(1, ranks.shape[1] + 1, device=ranks.device)
    return torch.tanh((ranks - places).clamp_min(0) * sharpness)


def normalized(weights: Tensor) -> Tensor:
    """Weights [B, K] scaled to sum 1 in each list; a list of zeros (nothing left to learn) stays zero."""
    return weights / weights.sum(1, keepdim=True).clamp_min(torch.finfo(weights.dtype).tiny)
