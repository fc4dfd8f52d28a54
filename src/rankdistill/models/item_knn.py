"""Item-kNN (ItemCF; Deshpande & Karypis, TOIS 2004): items that others have beside what the user has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from scipy import sparse
from torch import Tensor
from torch.nn.functional import embedding

from rankdistill.config import Range, Section
from rankdistill.data.sequences import Sequences
from rankdistill.ranker import Catalogue, Ranker
from rankdistill.seen import OwnItems
from rankdistill.served import Served, once
from rankdistill.types import Floats, Ints, Items

_ITEMS_A_BLOCK = 2048
"""Items whose similarities to all others are held at once."""


class ServedItemKNN(Served):
    """The nearest items of each item as a table [I + 1, N], PAD on the right."""

    model: ItemKNN

    def __init__(self, model: ItemKNN, train: Sequences) -> None:
        super().__init__(model, train)
        starts = model.get_buffer("starts").cpu()
        lengths = starts.diff()
        rows = torch.repeat_interleave(lengths)
        columns = torch.arange(len(rows)) - starts[:-1][rows]
        for name in ("neighbors", "similarities"):
            values = model.get_buffer(name).cpu()
            table = torch.zeros(len(lengths), max(1, int(lengths.max())), dtype=values.dtype)
            table[rows, columns] = values
            self.register_buffer(name, table)

    def encode(self, users: Tensor, history: Tensor) -> Tensor:
        """See `ItemKNN.encode`."""
        near, similarities = (embedding(history, self.get_buffer(name)) for name in ("neighbors", "similarities"))
        values = similarities * once(history, self.model.catalogue.num_items).unsqueeze(2)
        scores = torch.zeros_like(history[:, :1], dtype=values.dtype).expand(-1, self.model.catalogue.num_items + 1)
        return scores.scatter_add(1, near.flatten(1).long(), values.flatten(1))


class ItemKNN(Ranker):
    """score(u, j) = sum over the items i of the user's training data of sim(i, j), of the N nearest j of each i.

    sim(i, j) = n_ij / (sqrt(n_i n_j) + shrink), with n_i the users of i and n_ij those of both; an item is not near
    itself. Nothing is learned by gradient. A query's vector is its scores.
    """

    class Config(Section):
        """Options of item-kNN."""

        kind: Literal["item_knn"] = "item_knn"
        neighbors: Annotated[int, Range(10, 500, log=True, size=True)] = Field(
            100, ge=1, description="N, the nearest items that are kept of each item"
        )
        shrink: Annotated[float, Range(0.0, 100.0)] = Field(
            0.0, ge=0, description="added to the denominator: rare items are less near to others"
        )

    config: Config
    served_as = ServedItemKNN
    learns = False

    def __init__(self, config: Config, catalogue: Catalogue) -> None:
        super().__init__(config, catalogue)
        self.own = OwnItems(catalogue.num_users)
        self.register_buffer("starts", torch.zeros(catalogue.num_items + 2, dtype=torch.int64))
        self.register_buffer("neighbors", torch.zeros(0, dtype=torch.int32))
        self.register_buffer("similarities", torch.zeros(0))

    def prepare(self, train: Sequences) -> None:
        """Finds the nearest items of each item."""
        self.own.keep(train)
        blocks = list(_nearest(train.distinct(), self.catalogue.num_items, self.config))
        lengths = np.concatenate([lengths for lengths, _, _ in blocks])
        self.register_buffer("starts", torch.from_numpy(np.concatenate([[0], np.cumsum(lengths)])))
        self.register_buffer("neighbors", torch.from_numpy(np.concatenate([items for _, items, _ in blocks])))
        self.register_buffer("similarities", torch.from_numpy(np.concatenate([values for _, _, values in blocks])))

    def encode(self, users: Tensor, history: Tensor) -> Tensor:
        """The scores [B, I + 1] of the catalogue."""
        starts, similarities = self.get_buffer("starts"), self.get_buffer("similarities")
        owned, owner = self.own.of(users)
        lengths = starts[owned + 1] - starts[owned]
        which = torch.repeat_interleave(lengths)
        places = starts[owned][which] + torch.arange(len(which), device=which.device)
        places -= (lengths.cumsum(0) - lengths)[which]
        columns = self.catalogue.num_items + 1
        scores = torch.zeros(len(users) * columns, dtype=similarities.dtype, device=similarities.device)
        scores.index_add_(0, owner[which] * columns + self.get_buffer("neighbors")[places], similarities[places])
        return scores.view(len(users), columns)

    def score(self, queries: Tensor, items: Tensor | None = None) -> Tensor:
        """See `Ranker.score`."""
        if items is None:
            return queries
        return queries.gather(1, items) if items.dim() == 2 else queries[:, items]


def _nearest(distinct: Sequences, num_items: int, config: ItemKNN.Config) -> Iterator[tuple[Ints, Items, Floats]]:
    """For blocks of items, row 0 the padding item: how many neighbours each has, the neighbours, the similarities."""
    ones = np.ones(len(distinct.items), dtype=np.float32)
    has = sparse.csr_array((ones, distinct.items, distinct.starts), shape=(len(distinct), num_items + 1))
    by_item = has.T.tocsr()
    users = np.diff(by_item.indptr).astype(np.float64)
    for first in range(0, num_items + 1, _ITEMS_A_BLOCK):
        product = by_item[first : first + _ITEMS_A_BLOCK] @ has
        product.sort_indices()
        shared = product.tocoo()
        rows, columns = shared.row.astype(np.int64), shared.col.astype(np.int64)
        divisors = np.sqrt(users[rows + first] * users[columns]) + config.shrink
        # equal similarities can differ in the last bits of float64
        values: Floats = (shared.data / divisors).astype(np.float32)
        values[columns == rows + first] = 0.0
        # by row, then from the highest value: the bits of positive floats are in their order; ties stay by column
        order = np.argsort((rows << 32) - values.view(np.int32), kind="stable")
        rows, columns, values = rows[order], columns[order], values[order]
        place = np.arange(len(rows)) - np.searchsorted(rows, rows)
        kept = (place < config.neighbors) & (values > 0)
        count = min(_ITEMS_A_BLOCK, num_items + 1 - first)
        yield np.bincount(rows[kept], minlength=count), columns[kept].astype(np.int32), values[kept]
