"""Training, validation and test data.

Order of preparation: `repeats`, then the iterative k-core, then the split. Within a user rows stand in time order,
rows of equal time in file order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from rankdistill import plugins
from rankdistill.config import SplitConfig, WindowsConfig
from rankdistill.data.fingerprint import fingerprint_of
from rankdistill.data.queries import Exclude, Queries, last_items
from rankdistill.data.sequences import Sequences
from rankdistill.data.windows import Windows
from rankdistill.errors import ConfigError, DataError
from rankdistill.ids import IdMap
from rankdistill.rankings import pack
from rankdistill.types import Ints, Items

if TYPE_CHECKING:
    from rankdistill.data.interactions import Interactions

Part: TypeAlias = Literal["validation", "test"]
TRAIN, VALIDATION, TEST = 0, 1, 2


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """What models learn from, are chosen by, and are judged on.

    Attributes:
        train: what models learn from (with `train_on_validation`, training + validation).
        validation: what the best epoch is chosen by; None where models learn from it.
        test: what models are judged on.
        user_ids: raw ids of the users.
        item_ids: raw ids of the items.
        titles: [I], a title for each item, or None.
        fingerprint: of the ids and the training sequences; what is made from this split carries it.
        dropped: what was left out of the log before it was split, in words.
        source: where the data came from.
        description: how it was split, in words.
        history_length: L.
        target_length: T.
        query_share: the share of the training queries that is learnt from.
        min_history: the items that a training query has before it at least; None is L.
    """

    train: Sequences
    validation: Sequences | None
    test: Sequences
    user_ids: IdMap
    item_ids: IdMap
    titles: pl.Series | None
    source: str
    description: str
    history_length: int = 5
    target_length: int = 1
    query_share: float = 1.0
    min_history: int | None = None
    fingerprint: str = field(default="")
    dropped: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.fingerprint:
            print_of = fingerprint_of(self.user_ids, self.item_ids, self.train.starts, self.train.items)
            object.__setattr__(self, "fingerprint", print_of)

    def __repr__(self) -> str:
        rows = ", ".join(f"{len(part.items):,} {name}" for name, part in self._parts().items())
        return (
            f"<Split of {self.source}: {self.num_users:,} users, {self.num_items:,} items, rows: {rows} "
            f"({self.description})>"
        )

    def _parts(self) -> dict[str, Sequences]:
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: part for name, part in parts.items() if part is not None}

    @property
    def content(self) -> str:
        """A fingerprint of all parts: what a trained and measured model depends on."""
        arrays = [array for part in self._parts().values() for array in (part.starts, part.items)]
        return fingerprint_of(self.user_ids, self.item_ids, *arrays)

    @property
    def num_users(self) -> int:
        """U."""
        return len(self.user_ids)

    @property
    def num_items(self) -> int:
        """I, the real items; PAD does not count."""
        return len(self.item_ids)

    @property
    def windows(self) -> Windows:
        """The training queries and their targets."""
        windows = Windows.of(self.train, self.history_length, self.target_length, self.min_history)
        return windows.part(self.query_share)

    @property
    def window_settings(self) -> list[float]:
        """All that the training queries depend on beside the data."""
        settings: list[float] = [self.history_length, self.target_length, self.query_share]
        if self.min_history is not None:
            settings.append(self.min_history)
        return settings

    @property
    def untrained_items(self) -> Items:
        """The items that never occur in training; no model can rank them, so no list holds them."""
        return np.flatnonzero(np.bincount(self.train.items, minlength=self.num_items + 1)[1:] == 0).astype(np.int32) + 1

    @property
    def test_queries(self) -> Queries:
        """The test users with all that they did before, known items excluded."""
        return self.queries("test")

    def queries(self, part: Part, *, exclude_seen: bool = True) -> Queries:
        """The users who have targets in a part of the data, each asked once, after all that came before.

        A target that the user has already is no target while known items are excluded. A target that never occurs
        in training stays one, though no list can hold it.
        """
        later = self.test if part == "test" else self.validation
        if later is None:
            raise DataError(f"{self.source}: there is no validation data: models learn from it (train_on_validation)")
        known = self.train if part == "validation" or self.validation is None else self.train.then(self.validation)
        relevant = _relevant(known, later, exclude_seen)
        users = np.flatnonzero(relevant.lengths > 0)
        positions = known.lengths[users]
        return Queries(
            pack(users, positions),
            users,
            last_items(known, users, positions, self.history_length),
            Exclude(seen=known if exclude_seen else None, never=self.untrained_items),
            relevant.take(users),
        )


def _relevant(known: Sequences, later: Sequences, exclude_seen: bool) -> Sequences:
    """Each user's targets in `later`, each item once, without those that she has already if these are excluded."""
    if not exclude_seen:
        return later.distinct()
    new = known.then(later).once("first")  # what she has already comes before it, and is the first
    return later.where(new[known.rows_after(later)])


def split_interactions(
    data: Interactions,
    kind: str,
    fractions: tuple[float, ...],
    train_on_validation: bool,
    windows: tuple[int, int, int | None],
) -> Split:
    """Splits `data`; see `Interactions.split` for the arguments."""
    if len(data.user_ids) < 2 or len(data.item_ids) < 2:
        raise DataError(
            f"{data.source}: {len(data.user_ids):,} user(s) and {len(data.item_ids):,} item(s) are left; "
            f"there is nothing to rank with fewer than two of each"
        )
    rules: dict[str, Callable[[Interactions], NDArray[np.int8]]] = {
        "user_fractions": partial(_by_user_fractions, fractions=fractions),
        "leave_last_out": _leave_last_out,
        "time": partial(_by_time, fractions=fractions),
        "presplit": _as_given,
    }
    if kind not in rules:
        near = plugins.suggestion(kind, list(rules))
        raise ConfigError(f"split kind {kind!r} is not one of {', '.join(rules)}{near}")
    if kind in ("user_fractions", "time"):
        _check_fractions(fractions)
    parts = rules[kind](data)
    train, validation, test = (data.sequences.where(parts == part) for part in (TRAIN, VALIDATION, TEST))
    for name, part in (("training", train), ("test", test)):
        if len(part.items) == 0:
            raise DataError(f"{data.source}: the {kind} split leaves no {name} rows of {len(data):,}; use more data")
    has_validation = len(validation.items) > 0
    merged = has_validation and train_on_validation
    shares = "" if kind in ("leave_last_out", "presplit") else " " + "/".join(f"{share:g}" for share in fractions)
    return Split(
        train=train.then(validation) if merged else train,
        validation=validation if has_validation and not merged else None,
        test=test,
        user_ids=data.user_ids,
        item_ids=data.item_ids,
        titles=data.titles,
        source=data.source,
        description=f"{kind}{shares}" + (", trained on train + validation" if merged else ""),
        dropped=data.dropped,
        history_length=windows[0],
        target_length=windows[1],
        min_history=windows[2],
    )


def _check_fractions(fractions: tuple[float, ...]) -> None:
    try:
        SplitConfig.model_validate({"fractions": tuple(map(float, fractions))})
    except (TypeError, ValueError) as error:  # no numbers, or refused by the section
        raise ConfigError(
            f"fractions {fractions}: give three, the shares of training, validation and test, such as "
            f"(0.7, 0.1, 0.2), with the sum 1; training and test above 0"
        ) from error


def _parts(*counts: Ints) -> NDArray[np.int8]:
    """The part [n] of each row, from the number [U] of rows that each user has in each part."""
    names = np.tile(np.array([TRAIN, VALIDATION, TEST], dtype=np.int8), len(counts[0]))
    return np.repeat(names, np.stack(counts, axis=1).ravel())


def _by_user_fractions(data: Interactions, fractions: tuple[float, ...]) -> NDArray[np.int8]:
    """The first ceil(f1 N) rows of each user train, up to ceil((f1 + f2) N) validate, the rest test."""
    count = data.sequences.lengths
    shares = (fractions[0], fractions[0] + fractions[1])
    first, second = (np.minimum(np.ceil(np.round(share * count, 6)).astype(np.int64), count) for share in shares)
    return _parts(first, second - first, count - second)


def _leave_last_out(data: Interactions) -> NDArray[np.int8]:
    """Each user's last row tests, the one before validates; with two rows there is no validation, with one no test."""
    count = data.sequences.lengths
    test, validation = (count > 1).astype(np.int64), (count > 2).astype(np.int64)
    return _parts(count - validation - test, validation, test)


def _by_time(data: Interactions, fractions: tuple[float, ...]) -> NDArray[np.int8]:
    """One pair of cuts for all users; rows of the same time fall on the same side."""
    if data.timestamps is None:
        raise DataError(f"{data.source}: a split by time needs a time column, and there is none; name it with 'time'")
    ordered = np.sort(data.timestamps)
    rows = [int(np.ceil(np.round(share * len(data), 6))) for share in (fractions[0], fractions[0] + fractions[1])]
    cuts = [ordered[min(row, len(data) - 1)] for row in rows]
    if cuts[0] == ordered[0]:
        raise DataError(f"{data.source}: all rows before the cut have the same time; use another kind of split")
    parts: NDArray[np.int8] = np.add(data.timestamps >= cuts[0], data.timestamps >= cuts[1], dtype=np.int8)
    return parts


def _as_given(data: Interactions) -> NDArray[np.int8]:
    if data.parts is None:
        raise DataError(
            f"{data.source}: the data brings no split of its own; use user_fractions, time or leave_last_out"
        )
    return data.parts


def some_users(split: Split, queries: int, seed: int = 1) -> Split:
    """The same users and items, with the training items of some users alone: all of theirs, about so many queries.

    A training step costs what it costs on all of the data.
    """
    counts = np.bincount(split.windows.users, minlength=split.num_users)
    order = np.random.default_rng(seed).permutation(split.num_users)
    kept = np.zeros(split.num_users, dtype=np.bool_)
    kept[order[: int(np.searchsorted(np.cumsum(counts[order]), queries)) + 1]] = True
    return replace(split, train=split.train.where(kept[split.train.users]), fingerprint="")


def with_windows(split: Split, windows: WindowsConfig) -> Split:
    """The same split with other windows."""
    return replace(
        split,
        history_length=windows.history_length,
        target_length=windows.target_length,
        query_share=windows.query_share,
        min_history=windows.min_history,
    )
