"""Which items has each user of a batch? Asked at every step, so on the model's device."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from rankdistill import native
from rankdistill.data.sequences import Sequences

_ITEM_BITS = 32
"""A row and an item in one number, so that one search finds both."""


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
        owned, rows = _items_of(users, self.starts, self.items)
        places = torch.searchsorted(sample, owned).clamp_max(len(sample) - 1)
        hits = sample[places] == owned
        seen = torch.zeros(len(users), len(sample), dtype=torch.bool, device=rows.device)
        seen[rows[hits], places[hits]] = True
        first_places = torch.searchsorted(sample, sample)  # of an item that was drawn twice
        return seen[:, first_places]


class OwnItems(nn.Module):
    """The distinct training items of each user as buffers of a model, ascending: saved with it, moved with it."""

    def __init__(self, num_users: int) -> None:
        super().__init__()
        self.register_buffer("starts", torch.zeros(num_users + 1, dtype=torch.int64))
        self.register_buffer("items", torch.zeros(0, dtype=torch.int32))

    def keep(self, train: Sequences) -> None:
        """Takes the items of the training sequences."""
        distinct = train.distinct()
        order = np.lexsort((distinct.items, distinct.users))
        self.register_buffer("starts", torch.from_numpy(distinct.starts))
        self.register_buffer("items", torch.from_numpy(distinct.items[order]))

    def lengths(self, users: Tensor) -> Tensor:
        """How many items [B] each user [B] has."""
        starts = self.get_buffer("starts")
        return starts[users + 1] - starts[users]

    def of(self, users: Tensor) -> tuple[Tensor, Tensor]:
        """The items [n] of users [B], and for each the row [n] of its user."""
        return _items_of(users, self.get_buffer("starts"), self.get_buffer("items"))

    def among(self, users: Tensor, items: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Where items [B, n], or [n] for all users, are the users' own [B]: rows [m], columns [m], items [m].

        Without `items`, the columns are the items themselves.
        """
        owned, rows = self.of(users)
        if items is None:
            return rows, owned, owned
        items = items.expand(len(users), -1)
        own = rows << _ITEM_BITS | owned  # ascending
        asked = torch.arange(len(users), device=items.device).unsqueeze(1) << _ITEM_BITS | items
        found = own[torch.searchsorted(own, asked).clamp_max(len(own) - 1)] == asked if len(own) else asked < 0
        rows, columns = torch.nonzero(found, as_tuple=True)
        return rows, columns, items[rows, columns]


def _items_of(users: Tensor, starts: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
    """The items [n] of users [B] in two flat arrays, and for each the row [n] of its user."""
    first, lengths = starts[users], starts[users + 1] - starts[users]
    rows = torch.repeat_interleave(lengths)
    within = torch.arange(len(rows), device=rows.device) - torch.repeat_interleave(lengths.cumsum(0) - lengths, lengths)
    return items[first[rows] + within].long(), rows
