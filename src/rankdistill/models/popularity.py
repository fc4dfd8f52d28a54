"""Popularity: every user gets the items that most training rows name."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from rankdistill.config import Section
from rankdistill.data.sequences import Sequences
from rankdistill.ranker import Catalogue, Ranker


class Popularity(Ranker):
    """Scores an item by the number of its training rows; nothing is learned by gradient."""

    learns = False

    class Config(Section):
        """Popularity has no options."""

        kind: Literal["popularity"] = "popularity"

    def __init__(self, config: Config, catalogue: Catalogue) -> None:
        super().__init__(config, catalogue)
        self.register_buffer("counts", torch.zeros(catalogue.num_items + 1))

    def prepare(self, train: Sequences) -> None:
        """Counts the training rows of each item."""
        counts = torch.bincount(torch.from_numpy(train.items).long(), minlength=self.catalogue.num_items + 1)
        self.get_buffer("counts").copy_(counts)

    def encode(self, users: Tensor, history: Tensor) -> Tensor:
        """The same vector [B, 1] for everybody."""
        return torch.ones_like(history[:, :1], dtype=self.get_buffer("counts").dtype)

    def item_table(self) -> tuple[Tensor, Tensor]:
        """The counts as vectors [I + 1, 1], and no bias."""
        counts = self.get_buffer("counts")
        return counts.unsqueeze(1), torch.zeros_like(counts)
