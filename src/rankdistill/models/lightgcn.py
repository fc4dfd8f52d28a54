"""LightGCN (He et al., SIGIR 2020): user and item vectors smoothed over the graph of who has what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn.functional import embedding_bag

from rankdistill.config import ModelConfig, Range
from rankdistill.data.sequences import Sequences
from rankdistill.ranker import Catalogue, Ranker
from rankdistill.seen import OwnItems
from rankdistill.served import Served


class ServedLightGCN(Served):
    """The vectors behind the last layer are all that an answer needs: the model without layers that has them."""

    def __init__(self, model: LightGCN, train: Sequences) -> None:
        with torch.no_grad():
            users, items = model.vectors()
            flat = LightGCN(model.config.model_copy(update={"layers": 0}), model.catalogue)
            flat.user_vectors.copy_(users)
            flat.item_vectors.copy_(items)
        super().__init__(flat, train)


class LightGCN(Ranker):
    """score(u, i) = < e_u, e_i > with e = 1 / (K + 1) sum_{k=0..K} A^k E (Eq. 7), E the table of what is learned.

    A joins users and items: it has 1 / sqrt(|N_u| |N_i|) where u has i in training, N the distinct neighbours (Eq. 3).
    The last items of a query are not looked at. With the pair-wise loss it is the published model, but for the
    weight decay, which is that of the whole table; without layers it is matrix factorisation without biases.

    A step takes all vectors through the whole graph and their gradients back, 4 K products of a sparse matrix, whatever
    the size of the batch: take a large one ([teacher.train] batch_size = 8192), and a learning rate to match.
    """

    class Config(ModelConfig):
        """Options of LightGCN."""

        kind: Literal["lightgcn"] = "lightgcn"
        dim: Annotated[int, Range(4, 256, log=True, size=True)] = Field(
            64, ge=1, description="d, the length of item and user vectors"
        )
        layers: Annotated[int, Range(1, 4)] = Field(3, ge=0, description="K, how far vectors spread over the graph")

    config: Config
    served_as = ServedLightGCN
    user_table = "user_vectors"

    def __init__(self, config: Config, catalogue: Catalogue) -> None:
        super().__init__(config, catalogue)
        self.user_vectors = nn.Parameter(0.1 * torch.randn(catalogue.num_users, config.dim))
        self.item_vectors = nn.Parameter(0.1 * torch.randn(catalogue.num_items + 1, config.dim))
        self.own = OwnItems(catalogue.num_users)
        self._graph: _Graph | None = None
        self._spread: _Known | None = None

    def prepare(self, train: Sequences) -> None:
        """Keeps what each user has in training."""
        self.own.keep(train)

    def train(self, mode: bool = True) -> LightGCN:
        """See `nn.Module.train`; what is about to learn forgets what it has worked out."""
        if mode:
            self._spread = None
        super().train(mode)
        return self

    def encode(self, users: Tensor, history: Tensor) -> Tensor:
        """The users' vectors [B, d]."""
        if torch.is_grad_enabled():
            self._spread = None  # a step begins
        return self.vectors()[0][users]

    def encode_as(self, rows: Tensor, history: Tensor) -> Tensor:
        """The given vectors [B, d] themselves."""
        return rows

    def item_table(self) -> tuple[Tensor, Tensor]:
        """The item vectors [I + 1, d], and no bias."""
        items = self.vectors()[1]
        return items, torch.zeros_like(items[:, 0])

    def vectors(self) -> tuple[Tensor, Tensor]:
        """The vectors [U, d] of users and [I + 1, d] of items behind the last layer.

        They are worked out once a step, and once for all that is asked while nothing is learned.
        """
        learned = self.user_vectors, self.item_vectors
        if not self.config.layers:
            return learned
        state = *(each._version for each in learned), *(each.data_ptr() for each in learned)
        for_a_step = torch.is_grad_enabled()
        known = self._spread
        if known is None or known.state != state or known.for_a_step != (for_a_step or self.training):
            users, items = _Spread.apply(self._edges(), self.config.layers, *learned)  # type: ignore[no-untyped-call]
            self._spread = known = _Known(users, items, state, for_a_step)
        return known.users, known.items

    def _edges(self) -> _Graph:
        """The graph, made when it is first asked for and again when the model was loaded or moved."""
        starts, items = self.own.get_buffer("starts"), self.own.get_buffer("items")
        if self._graph is None or self._graph.items is not items:
            self._graph = _Graph.of(starts, items, self.catalogue.num_items + 1)
        return self._graph


@dataclass(frozen=True, slots=True, eq=False)
class _Known:
    """Vectors that were worked out, and the state of what is learned then; not every optimiser changes its version."""

    users: Tensor
    items: Tensor
    state: tuple[int, ...]
    for_a_step: bool


@dataclass(frozen=True, slots=True, eq=False)
class _Graph:
    """Who has what, from both sides: the n neighbours of each node in one array, and where those of a node start.

    `user_scales` [U, 1] and `item_scales` [I + 1, 1] are 1 / sqrt of the number of neighbours; 0 where there are none.
    """

    starts: Tensor
    items: Tensor
    item_starts: Tensor
    users: Tensor
    user_scales: Tensor
    item_scales: Tensor

    @classmethod
    def of(cls, starts: Tensor, items: Tensor, num_rows: int) -> _Graph:
        lengths = starts.diff()
        users = torch.repeat_interleave(lengths)[torch.argsort(items, stable=True)]
        counts = torch.bincount(items, minlength=num_rows)
        scales = [torch.where(each > 0, each.double().rsqrt(), 0.0).unsqueeze(1) for each in (lengths, counts)]
        return cls(starts[:-1], items, counts.cumsum(0) - counts, users.to(items.dtype), *scales)

    def spread(self, users: Tensor, items: Tensor, layers: int) -> tuple[Tensor, Tensor]:
        """1 / (K + 1) sum_k A^k [users; items], of vectors [U, d] and [I + 1, d]."""
        user_scales, item_scales = self.user_scales.to(users), self.item_scales.to(items)
        sums = users.clone(), items.clone()
        for _ in range(layers):
            users, items = (
                user_scales * embedding_bag(self.items, item_scales * items, self.starts.to(self.items), mode="sum"),
                item_scales
                * embedding_bag(self.users, user_scales * users, self.item_starts.to(self.users), mode="sum"),
            )
            for total, layer in zip(sums, (users, items), strict=True):
                total += layer
        return sums[0] / (layers + 1), sums[1] / (layers + 1)


class _Spread(Function):
    """A is symmetric, and so is a sum of its powers: gradients go back the way that vectors came."""

    @staticmethod
    def forward(ctx: Any, graph: _Graph, layers: int, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        ctx.graph, ctx.layers = graph, layers
        return graph.spread(users, items, layers)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, None, Tensor, Tensor]:
        users, items = gradients
        return None, None, *ctx.graph.spread(users, items, ctx.layers)
