"""Several trained models as one teacher: their log-probabilities added up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from rankdistill.config import Section
from rankdistill.errors import ConfigError
from rankdistill.ranker import Ranker


class Ensemble(Ranker):
    """score(i) = sum_m w_m log sigmoid(s_m(i)), the w_m with the sum 1.

    Models of the same data, each of which scores with its own parts of the query's vector. A model whose scores of a
    user's own items are others (Fossil) cannot be a member.

    Args:
        members: trained models.
        weights: one a member; equal when left out.

    Raises:
        ConfigError: the models are of different data or history lengths, or cannot be members; or the weights are none.
    """

    class Config(Section):
        """An ensemble has no options of its own."""

        kind: Literal["ensemble"] = "ensemble"

    def __init__(self, members: Sequence[Ranker], weights: Sequence[float] | None = None) -> None:
        if not members:
            raise ConfigError("an ensemble of no models; give one or more")
        first, shares = members[0], [1.0] * len(members) if weights is None else [float(each) for each in weights]
        if len(shares) != len(members) or not all(0 <= each < math.inf for each in shares) or not sum(shares):
            raise ConfigError(f"weights {weights}: give one number from 0 on for each of the {len(members)} models")
        super().__init__(self.Config(), first.catalogue)
        self.fingerprint, self.split = first.fingerprint, first.split
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
        self.members = nn.ModuleList(members)
        self.shares = [share / sum(shares) for share in shares]
        nobody, nothing = (
            torch.zeros(1, dtype=torch.int64),
            torch.zeros(1, first.catalogue.history_length, dtype=torch.int64),
        )
        with torch.no_grad():
            self.widths = [each.encode(nobody.to(each.device), nothing.to(each.device)).shape[1] for each in members]

    def encode(self, users: Tensor, history: Tensor) -> Tensor:
        """The members' query vectors [B, D_1 + D_2 + ...], one behind the other."""
        return torch.cat([member.encode(users, history) for member in self._rankers], dim=1)

    def score(self, queries: Tensor, items: Tensor | None = None) -> Tensor:
        """See `Ranker.score`."""
        parts = zip(self._rankers, self.shares, torch.split(queries, self.widths, dim=1), strict=True)
        scores = [share * logsigmoid(member.score(part, items)) for member, share, part in parts]
        return torch.stack(scores).sum(0)

    @property
    def _rankers(self) -> list[Ranker]:
        return [member for member in self.members if isinstance(member, Ranker)]
