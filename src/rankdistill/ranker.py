"""`Ranker`, the one shape of every model, and `rank`, the only way from a model to lists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from rankdistill.config import ModelConfig, Precision, Section
from rankdistill.data.queries import Exclude, Queries
from rankdistill.data.sequences import Sequences
from rankdistill.errors import ConfigError, TrainingError
from rankdistill.prefixes import encode_last, encode_together
from rankdistill.rankings import Rankings, Scale, TargetRanks
from rankdistill.rounding import packed, unpacked
from rankdistill.rows import RowUpdates, read_rows, score_items
from rankdistill.search import Asked, ItemIndex, Relevant
from rankdistill.search import Precision as SearchPrecision
from rankdistill.tables import Table, Vectors, whole
from rankdistill.types import PAD, Floats, Ints, Items

if TYPE_CHECKING:
    from rankdistill.data.splitting import Split

_SCORES_A_BLOCK = 1 << 21
"""Scores held at once when a model scores the catalogue: 8 MiB, which stay in the cache they were computed in."""
_QUERIES_A_BLOCK = 4096
"""Queries that are encoded at once when their items are searched."""
_TYPICAL = 256
"""Queries whose mean says which items to look at first."""

_SCALES: dict[str | None, Scale] = {
    "pointwise": "log_odds",
    "gbce": "log_odds",
    "softmax": "shifted_log_probability",
    "pairwise": "relative",
}
"""What each ranking loss makes the scores. That of pairs knows differences alone."""


def scale_of(loss: str | None) -> Scale | None:
    """What scores are that were learned by a ranking loss of this kind; None where nobody knows."""
    return _SCALES.get(loss)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The sizes that a model is built for."""

    num_users: int
    num_items: int
    history_length: int

    def looked_at(self, items: int | None) -> int:
        """How many items of a history [B, L] a model looks at that wants the last `items` alone; None is all.

        Raises:
            ConfigError: histories are not so long.
        """
        if items is not None and items > self.history_length:
            raise ConfigError(
                f"history_length = {items} of the model is more than [windows] history_length = {self.history_length}; "
                f"lower it, or leave it out for the whole history"
            )
        return items or self.history_length


class Ranker(nn.Module):
    """Scores items for a user and her last items.

    A model is one file in `models/`: a subclass with a nested `Config`. It gives `encode` and, in the usual case of
    a query vector against an item table, `item_table`; a model of another form overrides `score`. A model with a row
    for each user names its `user_table` and gives `encode_as` in the place of `encode`; one that reads a sequence item
    by item gives `encode_sequences` in its place.
    """

    Config: ClassVar[type[Section]]
    tables: tuple[str, ...] = ()
    """Parameters and tables that are read by `read` and `score` alone: a training step costs what it reads of them."""
    user_table: str | None = None
    """The parameter that has a row for each user, where there is one."""
    served_as: ClassVar[type[nn.Module] | None] = None
    """The subclass of `Served` that this model needs; None for `Served` itself."""
    learns: ClassVar[bool] = True
    """Whether anything is learned by gradient; into a model where nothing is, nothing can be distilled."""

    def __init__(self, config: Section, catalogue: Catalogue) -> None:
        super().__init__()
        if type(self).encode is Ranker.encode and self.user_table is None and not self.causal:
            raise TypeError(
                f"{type(self).__name__} has to give encode, encode_sequences, or a user_table and encode_as"
            )
        self.updates: RowUpdates | None = None  # while an optimiser works on the tables by row
        self.config = config
        self.catalogue = catalogue
        self.fingerprint: str | None = None  # of the data it was trained on, where that is known
        self.ranking_loss: str | None = None  # the kind that it learned by, where it did and that is known
        self.split: Split | None = None  # that data itself, where it was trained by this process

    @property
    def score_scale(self) -> Scale | None:
        """What its scores are, which the loss that it learned by says; None where that is not known."""
        return scale_of(self.ranking_loss) if self.learns else "relative"

    def prepare(self, train: Sequences) -> None:
        """Sees the training sequences once, before the first epoch; buffers made here are saved with the model.

        A buffer whose size depends on the sequences is registered empty in `__init__`. A model that overrides this
        calls it, too, for its tables.
        """
        for module in self.modules():
            if isinstance(module, Table):
                module.prepare(train)

    def encode(self, users: Tensor, history: Tensor) -> Tensor:
        """Query vectors [B, D] of users [B] and their last items [B, L] (PAD on the left)."""
        if self.causal:
            return encode_last(self.encode_sequences, users, history)
        assert self.user_table is not None
        return self.encode_as(self.read(self.get_parameter(self.user_table), users), history)

    def encode_together(self, users: Tensor, history: Tensor) -> Tensor:
        """`encode`, for queries of which many are one user's, in the order of time: what they share is encoded once."""
        if self.causal and len(users):
            return encode_together(self.encode_sequences, users, history)
        return self.encode(users, history)

    def encode_as(self, rows: Tensor, history: Tensor) -> Tensor:
        """Query vectors [B, D] of rows [B, E] of the user table and last items [B, L]."""
        raise NotImplementedError

    def encode_sequences(self, users: Tensor, sequences: Tensor) -> Tensor:
        """Query vectors [U, S, D], in column s of the items up to s: of users [U] and sequences [U, S], 1 <= S <= L.

        Optional, for a model whose vector at a place depends on nothing behind that place (`causal`). A sequence
        starts in the first column and has PAD on the right, so places count from the first item that is shown; the
        vectors behind its end are not looked at. Training then encodes the windows of a user together, each item
        once, where it would encode each item up to L times.
        """
        raise NotImplementedError

    @property
    def causal(self) -> bool:
        """Whether the model encodes whole sequences, the query at each place at once."""
        return type(self).encode_sequences is not Ranker.encode_sequences

    def item_table(self) -> tuple[Vectors, Tensor]:
        """Item vectors [I + 1, D] and biases [I + 1]; row 0 is the padding item."""
        raise NotImplementedError

    def score(self, queries: Tensor, items: Tensor | None = None) -> Tensor:
        """Scores [B, n] of items [B, n], or of one sample [n] for all queries, or [B, I + 1] of the catalogue.

        Args:
            queries: [B, D], from `encode`.
            items: item indices; None scores everything, with the padding item in column 0.
        """
        vectors, bias = self.item_table()
        if isinstance(vectors, Table):
            return vectors.score(queries, bias, items, self.updates)
        return score_items(queries, vectors, bias, items, self.updates)

    def adjust(self, scores: Tensor, users: Tensor, items: Tensor | None = None) -> Tensor:
        """The scores [B, n] as they are for users [B], where `score` is right but for the users' own training items.

        A model that leaves an item out of the history that it is compared with (Fossil) changes those scores here;
        the scores of all other items have to stay as they are.

        Args:
            scores: from `score`.
            users: [B].
            items: as for `score`.
        """
        return scores

    def read(self, table: Vectors, rows: Tensor) -> Tensor:
        """The rows [..., D] of one of the `tables` with the given indices [...]."""
        if isinstance(table, Table):
            return table.read(rows, self.updates)
        return read_rows(table, rows, self.updates)

    @property
    def read_by_row(self) -> set[str]:
        """The names of the parameters behind the `tables`."""
        found = set[str]()
        for name in self.tables:
            table = getattr(self, name, None)
            if table is not None:  # with some options a model lacks one
                found |= {f"{name}.{part}" for part in table.by_row} if isinstance(table, Table) else {name}
        return found

    @property
    def factorized(self) -> bool:
        """Whether a score is the product of the query's vector and the item's, plus the item's bias."""
        return type(self).score is Ranker.score

    @property
    def adjusts(self) -> bool:
        """Whether the scores of a user's own items are others than `score` gives."""
        return type(self).adjust is not Ranker.adjust

    @property
    def parameters_count(self) -> int:
        """How many real numbers the model stores; indices (who has what) are not counted."""
        return sum(tensor.numel() for tensor in self.state_dict().values() if tensor.is_floating_point())

    @property
    def precision(self) -> Precision:
        """How the trained numbers are kept."""
        return self.config.precision if isinstance(self.config, ModelConfig) else "float32"

    def round(self) -> None:
        """Gives the numbers the values that are kept of them."""
        if self.precision != "float32":
            self.take(unpacked(packed(model_state(self), self.precision), self.precision))

    def take(self, state: Mapping[str, Tensor]) -> None:
        """Takes up a state; a buffer that is empty before `prepare` gets the size that it was saved with.

        Raises:
            RuntimeError: it is the state of another model.
        """
        for name, buffer in list(self.named_buffers()):
            if name in state and not buffer.numel():
                home, _, last = name.rpartition(".")
                self.get_submodule(home).register_buffer(last, torch.empty_like(state[name], device=buffer.device))
        self.load_state_dict(state)

    @property
    def device(self) -> torch.device:
        """Where the model's numbers are."""
        tensor: Tensor = next(iter(self.state_dict().values()))
        return tensor.device


def rank(
    model: Ranker, queries: Queries, k: int, exclude: Exclude | None = None, *, index: ItemIndex | None = None
) -> Rankings:
    """The top `k` items of each query, best first, and the exact ranks of its relevant items where it has any.

    Every item of the catalogue is ranked by its exact score. Items of equal score stand in the order of their index,
    in the lists and in the ranks alike. Memory is bounded: scores exist for one block of queries at a time.

    Args:
        model: the model; scored in evaluation mode on the device where it is.
        queries: what to ask.
        k: the length of the lists; a list is shorter where fewer items may be ranked.
        exclude: what may not be ranked; None takes what the queries bring. `seen` holds at least what the users
            have in training, or is None.
        index: from `index_of`, to rank several times; None makes one.

    Raises:
        TrainingError: the model gives scores that are not numbers.
        ConfigError: `k` is not at least 1.
    """
    if k < 1:
        raise ConfigError(f"k = {k} is no length of a list; ask for at least 1")
    if exclude is not None:
        queries = replace(queries, exclude=exclude)
    k = min(k, model.catalogue.num_items)
    items = np.zeros((len(queries), k), dtype=np.int32)
    scores = np.zeros(items.shape, dtype=np.float32)
    ranks: list[Ints] = [np.zeros(0, dtype=np.int64)]
    blocks = _searched(model, queries, k, index) if _are_products(model, queries) else _scored(model, queries, k)
    for start, (top_items, top_scores, found) in blocks:
        rows = slice(start, start + len(top_items))
        items[rows], scores[rows] = top_items, top_scores
        if found is not None:
            ranks.append(found)
    exact = None
    if queries.relevant is not None:
        exact = TargetRanks(queries.ids[queries.relevant.users], queries.relevant.items, np.concatenate(ranks))
    ids = queries.ids
    if (ids[1:] < ids[:-1]).any():
        order = np.argsort(ids, kind="stable")
        ids, items, scores = ids[order], items[order], scores[order]
    return Rankings(ids, items, scores, exact, source=type(model).__name__.lower(), score_scale=model.score_scale)


_Block: TypeAlias = tuple[int, tuple[Items, Floats, Ints | None]]
"""The first row of a block of queries, the items and scores [b, k] of their lists, the ranks of their targets."""


def index_of(model: Ranker, queries: Queries, precision: SearchPrecision | None = None) -> ItemIndex | None:
    """The model's items that `queries` may rank, ready to be searched; None where scores are no mere products.

    It stays right as long as the model is not trained further. `precision` is that of the approximate products.
    """
    if not _are_products(model, queries):
        return None
    with _evaluating(model), torch.inference_mode():
        vectors, bias = model.item_table()
        ranked = np.ones(len(bias), dtype=np.bool_)
        ranked[PAD] = ranked[queries.exclude.never] = False
        few = queries.rows(0, _TYPICAL)
        typical = _encode(model, few).mean(0) if len(few) else None
        return ItemIndex(whole(vectors), bias, torch.from_numpy(np.flatnonzero(ranked)), precision, typical)


def _are_products(model: Ranker, queries: Queries) -> bool:
    """Whether each item that may be ranked has the product of the query's vector and its own as its score."""
    return model.factorized and (queries.exclude.seen is not None or not model.adjusts)


def _searched(model: Ranker, queries: Queries, k: int, index: ItemIndex | None) -> Iterator[_Block]:
    """A factorised model: queries against the item table."""
    index = index or index_of(model, queries)
    assert index is not None
    seen = queries.exclude.seen or Sequences.empty(model.catalogue.num_users)
    starts, seen_items = torch.from_numpy(seen.starts), torch.from_numpy(seen.items)
    for number, block in enumerate(queries.blocks(_QUERIES_A_BLOCK)):
        own = block.exclude.per_query
        with _evaluating(model), torch.inference_mode():
            asked = Asked(
                _encode(model, block),
                torch.from_numpy(block.users.astype(np.int64, copy=False)),
                starts,
                seen_items,
                torch.from_numpy(np.zeros((len(block), 0), dtype=np.int32) if own is None else own),
            )
            relevant = None
            if block.relevant is not None:
                relevant = Relevant(torch.from_numpy(block.relevant.starts), torch.from_numpy(block.relevant.items))
            items, scores, ranks = index.search(asked, k, relevant)
        found = None if ranks is None else ranks.cpu().numpy()
        yield number * _QUERIES_A_BLOCK, (items.cpu().numpy(), scores.cpu().numpy(), found)


def _scored(model: Ranker, queries: Queries, k: int) -> Iterator[_Block]:
    """Any other model: it scores the whole catalogue."""
    for start, block, scores in _score_blocks(model, queries):
        ranks = None if block.relevant is None else _ranks(scores, block.relevant)
        yield start, (*_top(scores, k), ranks)


@contextmanager
def _evaluating(model: Ranker) -> Iterator[None]:
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def _encode(model: Ranker, queries: Queries) -> Tensor:
    return model.encode_together(_to(queries.users, model.device), _to(queries.history, model.device)).float()


def _score_blocks(model: Ranker, queries: Queries) -> Iterator[tuple[int, Queries, Tensor]]:
    """Blocks of queries with their scores [b, I + 1], excluded items at minus infinity."""
    device = model.device
    size = max(1, _SCORES_A_BLOCK // (model.catalogue.num_items + 1))
    never = torch.from_numpy(queries.exclude.never.astype(np.int64)).to(device)
    with _evaluating(model), torch.inference_mode():
        for number, block in enumerate(queries.blocks(size)):
            users = _to(block.users, device)
            scores = model.adjust(model.score(_encode(model, block)), users).float()
            if not bool(torch.isfinite(scores.sum())):
                name = type(model).__name__
                raise TrainingError(f"{name} gives scores that are not finite numbers; train it again")
            _mask(scores, block, never)
            yield number * size, block, scores


def _to(array: Ints | Items, device: torch.device) -> Tensor:
    return torch.from_numpy(array.astype(np.int64, copy=False)).to(device)


def _mask(scores: Tensor, block: Queries, never: Tensor) -> None:
    exclude = block.exclude
    scores[:, PAD] = -torch.inf
    scores[:, never] = -torch.inf
    if exclude.per_query is not None:
        scores.scatter_(1, _to(exclude.per_query, scores.device), -torch.inf)
    if exclude.seen is not None:
        seen = exclude.seen.take(block.users)
        scores[_to(seen.users, scores.device), _to(seen.items, scores.device)] = -torch.inf


def _top(scores: Tensor, k: int) -> tuple[Items, Floats]:
    """Items [b, k] and their scores, equal scores in the order of the index."""
    values, items = torch.topk(scores, k, dim=1)
    threshold = values[:, -1:]
    at_threshold = (scores == threshold).sum(1) != (values == threshold).sum(1)
    for row in torch.nonzero(at_threshold & torch.isfinite(threshold[:, 0])).flatten().tolist():
        first = torch.nonzero(scores[row] == threshold[row]).flatten()
        tied = values[row] == threshold[row]
        items[row, tied] = first[: int(tied.sum())]
    items, order = torch.sort(items, dim=1)
    values, order_by_score = torch.sort(values.gather(1, order), dim=1, descending=True, stable=True)
    items = items.gather(1, order_by_score)
    items[~torch.isfinite(values)] = PAD
    return items.cpu().numpy().astype(np.int32), values.cpu().numpy()


def _ranks(scores: Tensor, relevant: Sequences) -> Ints:
    """The rank [n] of each relevant item: one more than the items that stand before it; 0 where it is excluded.

    The catalogue is not sorted: items above a target are counted, those of equal score by their index.
    """
    table = scores.cpu().numpy()
    ranks = np.zeros(len(relevant.items), dtype=np.int64)
    for place, (user, item) in enumerate(zip(relevant.users.tolist(), relevant.items.tolist(), strict=True)):
        row = table[user]
        score = row[item]
        if np.isfinite(score):
            ranks[place] = 1 + np.count_nonzero(row[:item] >= score) + np.count_nonzero(row[item + 1 :] > score)
    return ranks


def device_named(name: str) -> torch.device:
    """The device called `name`; `auto` is the GPU where there is one.

    Raises:
        TrainingError: there is no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise TrainingError(f"device {name!r} is not there ({reason}); use 'cpu' or 'auto'") from error
    return device


def model_state(model: Ranker) -> dict[str, Any]:
    """The model's numbers, by name, on the processor."""
    return {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
