"""Which items of a sample has each user of a batch? Asked at every step, so on the model's device."""

from __future__ import annotations

import torch
from torch import Tensor

from rankdistill import native
from rankdistill.data.sequences import Sequences


class SeenItems:
    """The users' training items on a device.

    Args:
        sequences: the training sequences.
        device: where questions are asked.
    """

    def __init__(self, sequences: Sequences, device: torch.device) -> None:
        self.starts = torch.from_numpy(sequences.starts).to(device)
        self.items = torch.from_numpy(sequences.items).to(device)

    def among(self, users: Tensor, sample: Tensor) -> Tensor:
        """Whether each user [B] has each item of a sample [n], ascending: [B, n].

        Costs as much as the users have items, whatever the size of the catalogue.
        """
        if native.has_kernels(users):
            seen = torch.zeros(len(users), len(sample), dtype=torch.bool)
            arguments = (users, len(users), self.starts, self.items, sample, len(sample), seen)
            native.call("seen_among", *arguments)
            return seen
        first, lengths = self.starts[users], self.starts[users + 1] - self.starts[users]
        rows = torch.repeat_interleave(lengths)
        within = torch.arange(len(rows), device=rows.device) - torch.repeat_interleave(
            lengths.cumsum(0) - lengths, lengths
        )
        owned = self.items[first[rows] + within].long()
        places = torch.searchsorted(sample, owned).clamp_max(len(sample) - 1)
        hits = sample[places] == owned
        seen = torch.zeros(len(users), len(sample), dtype=torch.bool, device=rows.device)
        seen[rows[hits], places[hits]] = True
        first_places = torch.searchsorted(sample, sample)  # of an item that was drawn twice
        return seen[:, first_places]
