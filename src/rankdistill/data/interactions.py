"""The interaction log as integer arrays: one row an event, sorted by user and time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from rankdistill.data.events import Events
from rankdistill.data.fingerprint import fingerprint_of
from rankdistill.data.ordering import grouped, in_order_of_time
from rankdistill.data.sequences import Sequences
from rankdistill.data.splitting import Split, split_interactions
from rankdistill.errors import DataError
from rankdistill.ids import IdMap
from rankdistill.types import Bools, Ints, Items

_ORDERING = ("time", "part")


@dataclass(frozen=True, slots=True, eq=False)
class Interactions:
    """An interaction log, sorted by (user, time); rows of equal time stay in file order.

    Attributes:
        starts: [U + 1], the rows of user u are `starts[u]` to `starts[u + 1]` (exclusive).
        items: [n], from 1.
        timestamps: [n], or None where the log has no times (the file's order is then the order of time).
        parts: [n] 0 training, 1 validation, 2 test, or None where the log brings no split of its own.
        user_ids: raw ids of the users.
        item_ids: raw ids of the items.
        titles: [I], a title for each item (row i is item i + 1), or None.
        source: where it came from, for messages.
        dropped: what was left out of the log so far, in words.
    """

    starts: Ints
    items: Items
    timestamps: Ints | None
    parts: NDArray[np.int8] | None
    user_ids: IdMap
    item_ids: IdMap
    titles: pl.Series | None
    source: str
    dropped: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.items)

    @property
    def users(self) -> Ints:
        """The user [n] of each row, from 0."""
        return self.sequences.users

    @property
    def sequences(self) -> Sequences:
        """Each user's items."""
        return Sequences(self.starts, self.items)

    def __repr__(self) -> str:
        sizes = f"{len(self):,} rows, {len(self.user_ids):,} users, {len(self.item_ids):,} items"
        times = "no times" if self.timestamps is None else "with times"
        return f"<Interactions of {self.source}: {sizes}, {times}{'' if self.parts is None else ', split already'}>"

    @classmethod
    def from_events(cls, events: Events) -> Interactions:
        """The arrays of what a reader read.

        Raises:
            DataError: there is no row.
        """
        frame, titles, source = events.frame.clone(), events.titles, events.source
        del events  # where the caller has let go of them too, each column goes as soon as it is used
        if frame.is_empty():
            raise DataError(f"{source}: no interactions; a header alone is not enough")
        user_ids, users = IdMap.encoding(frame.drop_in_place("user"), first=0)
        item_ids, items = IdMap.encoding(frame.drop_in_place("item"), first=1)
        starts, order = grouped(users, len(user_ids))
        del users
        times, parts = (frame.drop_in_place(name).to_numpy() if name in frame.columns else None for name in _ORDERING)
        times = None if times is None else times[order].astype(np.int64, copy=False)
        parts = None if parts is None else parts[order].astype(np.int8, copy=False)
        log = Sequences(starts, items[order])
        del items, order
        in_order_of_time(log, times, parts)
        return cls(starts, log.items, times, parts, user_ids, item_ids, _titles(titles, item_ids), source)

    def _rows(self, keep: Bools, why: str) -> Interactions:
        """The rows that `keep` [n] marks, with users and items renumbered to those that are left."""
        kept = self.sequences.where(keep)
        users, counts = np.flatnonzero(kept.lengths), np.bincount(kept.items, minlength=len(self.item_ids) + 1)
        items = np.flatnonzero(counts)
        renumbered = np.cumsum(counts > 0, dtype=np.int32)
        return replace(
            self,
            starts=np.append(kept.starts[users], len(kept.items)),
            items=renumbered[kept.items],
            timestamps=None if self.timestamps is None else self.timestamps[keep],
            parts=None if self.parts is None else self.parts[keep],
            user_ids=self.user_ids.keep(users),
            item_ids=self.item_ids.keep(items),
            titles=None if self.titles is None else self.titles.gather(items - 1),
            dropped=(*self.dropped, f"{len(keep) - len(kept.items):,} of {len(keep):,} rows {why}"),
        )

    def repeats(self, keep: Literal["all", "first", "last"]) -> Interactions:
        """Keeps all, the first or the last of a user's repeat visits to an item."""
        if keep == "all":
            return self
        marks = self.sequences.once(keep)
        return self if marks.all() else self._rows(marks, f"as repeat visits (repeats = {keep!r})")

    def k_core(self, *, users: int, items: int) -> Interactions:
        """Drops users with fewer than `users` rows and items with fewer than `items`, until none is left to drop.

        Raises:
            DataError: nothing is left.
        """
        keep = np.ones(len(self), dtype=np.bool_)
        user_counts, item_counts = np.diff(self.starts), np.bincount(self.items, minlength=len(self.item_ids) + 1)
        while True:
            few_users, few_items = user_counts < users, item_counts < items
            if not (user_counts[few_users].any() or item_counts[few_items].any()):
                return self if keep.all() else self._rows(keep, _fewer_than(users, items, user_counts, item_counts))
            gone = few_items[self.items]
            gone |= np.repeat(few_users, np.diff(self.starts))
            gone &= keep
            keep &= ~gone
            if not keep.any():
                raise DataError(
                    f"{self.source}: nothing is left of {len(self):,} interactions after dropping users with fewer "
                    f"than {users} and items with fewer than {items}; lower min_user_interactions or "
                    f"min_item_interactions"
                )
            rows = np.flatnonzero(gone)
            owners = np.searchsorted(self.starts, rows, side="right") - 1
            user_counts = user_counts - np.bincount(owners, minlength=len(user_counts))
            item_counts = item_counts - np.bincount(self.items[rows], minlength=len(item_counts))

    def split(
        self,
        kind: Literal["user_fractions", "leave_last_out", "time", "presplit"] = "user_fractions",
        fractions: Sequence[float] = (0.7, 0.1, 0.2),
        *,
        train_on_validation: bool = True,
        history_length: int = 5,
        target_length: int = 1,
        min_history: int | None = None,
    ) -> Split:
        """Training, validation and test data; see `splitting`.

        Args:
            kind: `user_fractions` (each user's rows in time order), `leave_last_out`, `time` (one cut for all
                users) or `presplit` (the log brings its own).
            fractions: training, validation and test shares, for `user_fractions` and `time`.
            train_on_validation: whether models learn from training + validation, as in the paper.
            history_length: L, the items that a query shows.
            target_length: T, the items that a training query predicts.
            min_history: the items that a training query has before it at least; None is L.

        Raises:
            ConfigError: there is no such kind, or `fractions` are not three with the sum 1.
            DataError: the log is too small, or lacks the times or parts that this kind needs.
        """
        windows = (history_length, target_length, min_history)
        return split_interactions(self, kind, tuple(fractions), train_on_validation, windows)

    @property
    def fingerprint(self) -> str:
        """A hash of the content: raw ids, rows, their order and their parts."""
        return fingerprint_of(self.user_ids, self.item_ids, self.users, self.items, self.parts)


def _fewer_than(users: int, items: int, user_counts: Ints, item_counts: Ints) -> str:
    gone = (user_counts == 0).sum(), (item_counts[1:] == 0).sum()
    return f"in the k-core: users with fewer than {users} ({gone[0]:,}) and items with fewer than {items} ({gone[1]:,})"


def _titles(titles: pl.DataFrame | None, item_ids: IdMap) -> pl.Series | None:
    if titles is None:
        return None
    rows = item_ids.encode(titles["item"])
    known = rows >= item_ids.first
    table = pl.DataFrame({"row": rows[known], "title": titles["title"].filter(pl.Series(known))})
    wanted = pl.DataFrame({"row": np.arange(len(item_ids), dtype=np.int64) + item_ids.first})
    return wanted.join(table.unique("row", keep="first"), on="row", how="left", maintain_order="left")["title"]
