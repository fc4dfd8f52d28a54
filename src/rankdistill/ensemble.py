"""Several trained models as one teacher: what they say of an item, added up."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from rankdistill import plugins
from rankdistill.config import Section
from rankdistill.data.sequences import Sequences
from rankdistill.errors import ConfigError
from rankdistill.ranker import Catalogue, Ranker, scale_of
from rankdistill.rankings import Scale
from rankdistill.served import Served, served
from rankdistill.shares import shares_of

logger = logging.getLogger(__name__)

Combine: TypeAlias = Literal["log_sigmoid", "log_softmax", "z_score"]
"""How the scores of models are made comparable before they are added up."""


class EnsembleMember(Section):
    """A member's kind and options."""

    kind: str
    options: dict[str, Any]

    def build(self, catalogue: Catalogue) -> Ranker:
        """The model, untrained. A class that is named in full has to be imported beforehand."""
        plugin = plugins.find("models", self.kind, may_import=False)
        ranker: Ranker = plugin(plugin.Config.model_validate(self.options), catalogue)
        return ranker


class ServedEnsemble(Served):
    """Each member as it is served."""

    model: Ensemble

    def __init__(self, model: Ensemble, train: Sequences) -> None:
        super().__init__(model, train)
        self.members = nn.ModuleList(served(member, train) for member in model.rankers)

    @property
    def has_users(self) -> bool:
        """Whether it makes a difference to a member who asks."""
        return any(member.has_users for member in self._served)

    def encode(self, users: Tensor, history: Tensor) -> Tensor:
        """See `Ensemble.encode`."""
        return torch.cat([member.encode(users, history) for member in self._served], dim=1)

    def score(self, queries: Tensor) -> Tensor:
        """See `Served.score`."""
        scores = [member.model.score(part) for member, part in zip(self._served, self.model.cut(queries), strict=True)]
        return self.model.combined(scores) + self.get_buffer("offset")

    @property
    def _served(self) -> list[Served]:
        return [member for member in self.members if isinstance(member, Served)]


_ADDED_UP: dict[Scale | None, Combine] = {"log_odds": "log_sigmoid", "shifted_log_probability": "log_softmax"}
"""Scores of which a function is a log-probability."""
_SUMS: dict[Combine, Scale] = {
    "log_sigmoid": "log_probability",
    "log_softmax": "shifted_log_probability",
    "z_score": "relative",
}
"""What the sums are."""


def summed_as(losses: Iterable[str | None]) -> Combine:
    """How scores of models that learned by these ranking losses are added up: as log-probabilities, where all are.

    None is a model that learned by none, or by nobody knows which.

    >>> summed_as(["pointwise", "gbce"]), summed_as(["pointwise", "softmax"]), summed_as(["pointwise", None])
    ('log_sigmoid', 'z_score', 'z_score')
    """
    first, *others = {_ADDED_UP.get(scale_of(loss), "z_score") for loss in losses}
    return "z_score" if others else first


class Ensemble(Ranker):
    """score(i) = sum_m w_m f(s_m(i)), the w_m with the sum 1.

    Models of the same data, each of which scores with its own parts of the query's vector; `Ensemble.of` makes one of
    them. f is what `combine` says:

    - "log_sigmoid": log sigmoid(s), the log-probability of models that were trained with the point-wise loss or gbce.
    - "log_softmax": s itself, which is the log-probability of models that were trained with the softmax loss but for
      a constant for each query and model. That constant changes no list.
    - "z_score": (s - mean) / deviation over the catalogue, for models whose scores are of different scales. It scores
      the whole catalogue, however few items are asked for.

    A model whose scores of a user's own items are others (Fossil) cannot be a member.
    """

    class Config(Section):
        """Who is in it."""

        kind: Literal["ensemble"] = "ensemble"
        members: tuple[EnsembleMember, ...]
        weights: tuple[float, ...]
        combine: Combine = "log_sigmoid"

    config: Config
    served_as = ServedEnsemble

    def __init__(self, config: Config, catalogue: Catalogue, members: Sequence[Ranker] | None = None) -> None:
        super().__init__(config, catalogue)
        rankers = [each.build(catalogue) for each in config.members] if members is None else members
        self.members = nn.ModuleList(rankers)
        self.shares = shares_of(config.weights)
        user = torch.zeros(1, dtype=torch.int64)
        history = torch.zeros(1, catalogue.history_length, dtype=torch.int64)
        with torch.no_grad():
            widths = [each.encode(user.to(each.device), history.to(each.device)).shape[1] for each in rankers]
        self.edges = list(pairwise([0, *(sum(widths[: place + 1]) for place in range(len(widths)))]))

    @classmethod
    def of(
        cls, members: Sequence[Ranker], weights: Sequence[float] | None = None, combine: Combine | None = None
    ) -> Ensemble:
        """The ensemble of trained models; one of weight 0 takes no part.

        Args:
            members: trained models; they become part of the ensemble.
            weights: one a member; equal when left out.
            combine: what is added up; what the ranking losses of the models make of their scores when left out, see
                `summed_as`.

        Raises:
            ConfigError: the models are of different data or history lengths, or cannot be members; or the weights are
                none.
        """
        if not members:
            raise ConfigError("an ensemble of no models; give one or more")
        given = [1.0] * len(members) if weights is None else [float(each) for each in weights]
        if len(given) != len(members) or not all(0 <= each < math.inf for each in given) or not any(given):
            raise ConfigError(f"weights {weights}: give one number from 0 on for each of the {len(members)} models")
        if out := [type(each).__name__ for each, weight in zip(members, given, strict=True) if not weight]:
            logger.info("left out for a weight of 0: %s", ", ".join(out))
        members = [each for each, weight in zip(members, given, strict=True) if weight]
        _check_alike(members)
        who = [
            EnsembleMember(kind=plugins.kind_of(each.config), options=each.config.model_dump(mode="json"))
            for each in members
        ]
        combine = combine or summed_as(each.ranking_loss for each in members)
        config = cls.Config(members=tuple(who), weights=tuple(filter(None, given)), combine=combine)
        ensemble = cls(config, members[0].catalogue, members)
        ensemble.fingerprint, ensemble.split = members[0].fingerprint, members[0].split
        return ensemble

    @property
    def score_scale(self) -> Scale:
        """See `Ranker.score_scale`."""
        return _SUMS[self.config.combine]

    def encode(self, users: Tensor, history: Tensor) -> Tensor:
        """The members' query vectors [B, D_1 + D_2 + ...], one behind the other."""
        return torch.cat([member.encode(users, history) for member in self.rankers], dim=1)

    def encode_together(self, users: Tensor, history: Tensor) -> Tensor:
        """See `Ranker.encode_together`."""
        return torch.cat([member.encode_together(users, history) for member in self.rankers], dim=1)

    def score(self, queries: Tensor, items: Tensor | None = None) -> Tensor:
        """See `Ranker.score`."""
        everything = None if self.config.combine == "z_score" else items
        scores = [member.score(part, everything) for member, part in zip(self.rankers, self.cut(queries), strict=True)]
        combined = self.combined(scores)
        if items is None or everything is items:
            return combined
        return combined.gather(1, items) if items.dim() == 2 else combined[:, items]

    def cut(self, queries: Tensor) -> list[Tensor]:
        """The members' parts [B, D_m] of query vectors."""
        return [queries[:, first:last] for first, last in self.edges]

    def combined(self, scores: Sequence[Tensor]) -> Tensor:
        """The sum [B, n] of the members' scores [B, n]; for "z_score" those of the whole catalogue."""
        if self.config.combine == "log_sigmoid":
            scores = [logsigmoid(each) for each in scores]
        elif self.config.combine == "z_score":
            scores = [_standardised(each) for each in scores]
        return torch.stack([share * each for share, each in zip(self.shares, scores, strict=True)]).sum(0)

    @property
    def rankers(self) -> list[Ranker]:
        """The members."""
        return [member for member in self.members if isinstance(member, Ranker)]


def _standardised(scores: Tensor) -> Tensor:
    """Scores [B, I + 1] with mean 0 and deviation 1 over the items; 0 where a model tells no item from another."""
    items = scores[:, 1:]
    deviation = items.std(1, correction=0, keepdim=True)
    return (scores - items.mean(1, keepdim=True)) / torch.where(deviation > 0, deviation, torch.inf)


def _check_alike(members: Sequence[Ranker]) -> None:
    first = members[0]
    for each in members:
        if (each.fingerprint, each.catalogue) != (first.fingerprint, first.catalogue):
            raise ConfigError(
                f"an ensemble of models of different data: {type(first).__name__} has {first.fingerprint} and "
                f"{first.catalogue}, {type(each).__name__} has {each.fingerprint} and {each.catalogue}"
            )
        if each.adjusts:
            raise ConfigError(
                f"a {type(each).__name__} cannot be one of several models: its scores depend on who has the item; "
                f"fuse its lists with those of the others"
            )
