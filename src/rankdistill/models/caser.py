"""Caser (Tang & Wang, WSDM 2018): convolutions over the last items, beside a user vector."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import conv1d, pad

from rankdistill import native
from rankdistill.config import LATER, Choice, Range
from rankdistill.dropout import dropout
from rankdistill.native import caser as kernels
from rankdistill.ranker import Catalogue, Ranker
from rankdistill.tables import TableConfig, Vectors, table_of

_SHORT = 8
"""Items of a history at most, for which the filters of all heights are quicker at once."""
_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": lambda x: x,
    "relu": torch.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
}


class Caser(Ranker):
    """score(i) = W'_i [z ; P_u] + b'_i with z = act(W [o ; o~] + b) from the last L items.

    E [L, d] holds the vectors of the last L items. Vertical filters take weighted sums of its rows (o), horizontal
    filters of every height 1..L slide over its rows and keep their maximum (o~). As in the published code, row 0 of
    the item tables belongs to the padding item and is counted: 5,584,102 parameters at d = 100 on Gowalla.

    `tied`, an item has one vector, in a history and as what is ranked: E_i in the place of both halves of W'_i, and
    score(i) = E_i (z + P_u) + b'_i. Without `user_vectors`, only the half of W'_i that belongs to z is there.
    """

    class Config(TableConfig):
        """Options of Caser; the defaults are the published Gowalla settings of the teacher."""

        kind: Literal["caser"] = "caser"
        dim: Annotated[int, Range(4, 256, log=True, size=True)] = Field(
            100, ge=1, description="d, the length of item and user vectors"
        )
        horizontal_filters: Annotated[int, Range(2, 32, log=True)] = Field(
            16, ge=1, description="horizontal filters of each height"
        )
        vertical_filters: Annotated[int, Range(1, 8, log=True)] = Field(2, ge=1, description="vertical filters")
        dropout: Annotated[float, Range(0.0, 0.8)] = Field(
            0.5, ge=0, lt=1, description="share of the convolutions' output dropped in training"
        )
        convolution_activation: Annotated[
            Literal["identity", "relu", "tanh", "sigmoid"], Choice("identity", "relu")
        ] = Field("identity", description="behind the horizontal filters")
        activation: Annotated[Literal["identity", "relu", "tanh", "sigmoid"], Choice("sigmoid", "relu", "tanh")] = (
            Field("sigmoid", description="behind the fully connected layer")
        )
        tied: Annotated[bool, Choice(size=True)] = Field(
            False, description="one vector an item, in the history and as what is ranked", json_schema_extra=LATER
        )
        user_vectors: Annotated[bool, Choice(size=True)] = Field(
            True, description="a vector a user; without, the history alone is asked", json_schema_extra=LATER
        )

        history_length: int | None = Field(
            None,
            ge=1,
            description="last items that it looks at; those of [windows] when left out",
            json_schema_extra=LATER,
        )

    config: Config
    user_table: str | None = "user_vectors"
    tables = ("user_vectors", "history_vectors", "item_vectors", "item_bias")

    def __init__(self, config: Config, catalogue: Catalogue) -> None:
        super().__init__(config, catalogue)
        length, dim, rows = catalogue.looked_at(config.history_length), config.dim, catalogue.num_items + 1
        if config.user_vectors:
            self.user_vectors = nn.Parameter(torch.randn(catalogue.num_users, dim) / dim)
        else:
            self.user_table = None
        histories = None
        if not config.tied:
            histories = self.history_vectors = table_of(config, rows, dim)
        self.vertical = _uniform((config.vertical_filters, length), fan_in=length)
        self.vertical_bias = _uniform((config.vertical_filters,), fan_in=length)
        heights = range(1, length + 1)
        filters = config.horizontal_filters
        self.horizontal = nn.ParameterList([_uniform((filters, h, dim), fan_in=h * dim) for h in heights])
        self.horizontal_bias = nn.ParameterList([_uniform((filters,), fan_in=h * dim) for h in heights])
        self.combine = nn.Linear(config.vertical_filters * dim + filters * length, dim)
        width = 2 * dim if config.user_vectors and not config.tied else dim
        self.item_vectors = table_of(config, rows, width, like=histories)
        self.item_bias = nn.Parameter(torch.zeros(rows))

    def encode(self, users: Tensor, history: Tensor) -> Tensor:
        """Query vectors [B, 2d], or [B, d] where items are `tied` or there are no `user_vectors`."""
        return super().encode(users, history) if self.config.user_vectors else self._sequences(history)

    def encode_as(self, rows: Tensor, history: Tensor) -> Tensor:
        """The same of users with the given vectors [B, d]."""
        sequences = self._sequences(history)
        return sequences + rows if self.config.tied else torch.cat([sequences, rows], dim=1)

    def _sequences(self, history: Tensor) -> Tensor:
        """The part z [B, d] of the query vectors, of histories [B, L]."""
        vectors = self.item_vectors if self.config.tied else self.history_vectors
        features = self._features(self.read(vectors, history[:, -self.vertical.shape[1] :]))
        if self.training:
            features = dropout(features, self.config.dropout)
        return _ACTIVATIONS[self.config.activation](self.combine(features))

    def _features(self, embedded: Tensor) -> Tensor:
        """Vertical sums and horizontal maxima [B, n_v d + L n_h] of histories [B, L, d]."""
        filters, bias = list(self.horizontal), torch.stack(list(self.horizontal_bias))
        # bias and activation come after the maximum: both keep the order, so it is the same maximum
        if native.has_kernels(embedded) and embedded.shape[1] <= kernels.LONGEST_HISTORY:
            features = kernels.features(embedded, self.vertical, self.vertical_bias, filters, bias)
        else:
            vertical = self.vertical @ embedded + self.vertical_bias[:, None]
            maxima = _height_by_height if self.training or embedded.shape[1] > _SHORT else _at_once
            features = torch.cat([vertical.flatten(1), maxima(embedded, filters, bias)], dim=1)
        if self.config.convolution_activation == "identity":
            return features
        width = len(self.vertical) * embedded.shape[2]
        horizontal = _ACTIVATIONS[self.config.convolution_activation](features[:, width:])
        return torch.cat([features[:, :width], horizontal], dim=1)

    def item_table(self) -> tuple[Vectors, Tensor]:
        """W' [I + 1, 2d], or [I + 1, d], and b' [I + 1]."""
        return self.item_vectors, self.item_bias


def _height_by_height(embedded: Tensor, filters: list[nn.Parameter], bias: Tensor) -> Tensor:
    """The maximum [B, L n_h] over the offsets of each filter [h, d], plus its bias, on embedded histories [B, L, d]."""
    channels = embedded.transpose(1, 2).contiguous()
    maxima = [conv1d(channels, weight.transpose(1, 2)).amax(2) for weight in filters]
    return (torch.stack(maxima, dim=1) + bias).flatten(1)


def _at_once(embedded: Tensor, filters: list[nn.Parameter], bias: Tensor) -> Tensor:
    """The same in one convolution: fewer operations, which is what a single query costs, but more multiplications.

    Filters of less than L rows end in zeros, and rows of zeros stand behind the history. An offset where a filter of
    its own height would stand out over the end has no part in the maximum.
    """
    length = embedded.shape[1]
    weights = torch.cat([pad(weight, (0, 0, 0, length - weight.shape[1])) for weight in filters])
    places = torch.arange(length, device=embedded.device)
    beyond = places[:, None] + places >= length  # of height - 1 and offset
    outside = torch.zeros_like(beyond, dtype=embedded.dtype).masked_fill(beyond, -torch.inf)
    added = (bias.unsqueeze(2) + outside.unsqueeze(1)).flatten(0, 1)
    return (conv1d(pad(embedded.transpose(1, 2), (0, length - 1)), weights.transpose(1, 2)) + added).amax(2)


def _uniform(shape: tuple[int, ...], fan_in: int) -> nn.Parameter:
    """The usual start of a convolution: uniform within 1 / sqrt(fan-in)."""
    bound = 1 / math.sqrt(fan_in)
    return nn.Parameter(torch.empty(shape).uniform_(-bound, bound))
