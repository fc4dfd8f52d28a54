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
from rankdistill.data.splitting import Split, split_interactions
from rankdistill.errors import DataError
from rankdistill.ids import IdMap
from rankdistill.types import Bools, Ints, Items


@dataclass(frozen=True, slots=True, eq=False)
class Interactions:
    """An interaction log, sorted by (user, time); rows of equal time stay in file order.

    Attributes:
        users: [n], from 0.
        items: [n], from 1.
        timestamps: [n], or None where the log has no times (the file's order is then the order of time).
        parts: [n] 0 training, 1 validation, 2 test, or None where the log brings no split of its own.
        user_ids: raw ids of the users.
        item_ids: raw ids of the items.
        titles: [I], a title for each item (row i is item i + 1), or None.
        source: where it came from, for messages.
        dropped: what was left out of the log so far, in words.
    """

    users: Ints
    items: Items
    timestamps: Ints | None
    parts: NDArray[np.int8] | None
    user_ids: IdMap
    item_ids: IdMap
    titles: pl.Series | None
    source: str
    dropped: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.users)

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
        frame = events.frame
        if frame.is_empty():
            raise DataError(f"{events.source}: no interactions; a header alone is not enough")
        user_ids, item_ids = IdMap.of(frame["user"], first=0), IdMap.of(frame["item"], first=1)
        users, items = user_ids.encode(frame["user"]), item_ids.encode(frame["item"]).astype(np.int32)
        times = frame["time"].to_numpy() if "time" in frame.columns else None
        parts = frame["part"].to_numpy() if "part" in frame.columns else None
        keys = [key for key in (times, parts, users) if key is not None]
        order = np.lexsort(keys)
        return cls(
            users[order],
            items[order],
            None if times is None else times[order].astype(np.int64),
            None if parts is None else parts[order].astype(np.int8),
            user_ids,
            item_ids,
            _titles(events, item_ids),
            events.source,
        )

    def _rows(self, keep: Bools, why: str) -> Interactions:
        """The rows that `keep` [n] marks, with users and items renumbered to those that are left."""
        users, user_index = np.unique(self.users[keep], return_inverse=True)
        items, item_index = np.unique(self.items[keep], return_inverse=True)
        return replace(
            self,
            users=user_index.astype(np.int64),
            items=(item_index + 1).astype(np.int32),
            timestamps=None if self.timestamps is None else self.timestamps[keep],
            parts=None if self.parts is None else self.parts[keep],
            user_ids=self.user_ids.keep(users),
            item_ids=self.item_ids.keep(items.astype(np.int64)),
            titles=None if self.titles is None else self.titles.gather(items.astype(np.int64) - 1),
            dropped=(*self.dropped, f"{len(keep) - len(user_index):,} of {len(keep):,} rows {why}"),
        )

    def repeats(self, keep: Literal["all", "first", "last"]) -> Interactions:
        """Keeps all, the first or the last of a user's repeat visits to an item."""
        if keep == "all":
            return self
        pairs = self.users * (len(self.item_ids) + 1) + self.items
        pairs = pairs if keep == "first" else pairs[::-1]
        _, first = np.unique(pairs, return_index=True)
        mask = np.zeros(len(self), dtype=np.bool_)
        mask[first if keep == "first" else len(self) - 1 - first] = True
        return self if mask.all() else self._rows(mask, f"as repeat visits (repeats = {keep!r})")

    def k_core(self, *, users: int, items: int) -> Interactions:
        """Drops users with fewer than `users` rows and items with fewer than `items`, until none is left to drop.

        Raises:
            DataError: nothing is left.
        """
        keep = np.ones(len(self), dtype=np.bool_)
        while True:
            user_counts = np.bincount(self.users[keep], minlength=len(self.user_ids))
            item_counts = np.bincount(self.items[keep], minlength=len(self.item_ids) + 1)
            still = keep & (user_counts[self.users] >= users) & (item_counts[self.items] >= items)
            if not still.any():
                raise DataError(
                    f"{self.source}: nothing is left of {len(self):,} interactions after dropping users with fewer "
                    f"than {users} and items with fewer than {items}; lower min_user_interactions or "
                    f"min_item_interactions"
                )
            if still.sum() == keep.sum():
                return self if keep.all() else self._rows(keep, _fewer_than(users, items, user_counts, item_counts))
            keep = still

    def split(
        self,
        kind: Literal["user_fractions", "leave_last_out", "time", "presplit"] = "user_fractions",
        fractions: Sequence[float] = (0.7, 0.1, 0.2),
        *,
        train_on_validation: bool = True,
        history_length: int = 5,
        target_length: int = 1,
    ) -> Split:
        """Training, validation and test data; see `splitting`.

        Args:
            kind: `user_fractions` (each user's rows in time order), `leave_last_out`, `time` (one cut for all
                users) or `presplit` (the log brings its own).
            fractions: training, validation and test shares, for `user_fractions` and `time`.
            train_on_validation: whether models learn from training + validation, as in the paper.
            history_length: L, the items that a query shows.
            target_length: T, the items that a training query predicts.

        Raises:
            ConfigError: there is no such kind, or `fractions` are not three with the sum 1.
            DataError: the log is too small, or lacks the times or parts that this kind needs.
        """
        windows = (history_length, target_length)
        return split_interactions(self, kind, tuple(fractions), train_on_validation, windows)

    @property
    def fingerprint(self) -> str:
        """A hash of the content: raw ids, rows, their order and their parts."""
        return fingerprint_of(self.user_ids, self.item_ids, self.users, self.items, self.parts)


def _fewer_than(users: int, items: int, user_counts: Ints, item_counts: Ints) -> str:
    gone = (user_counts == 0).sum(), (item_counts[1:] == 0).sum()
    return f"in the k-core: users with fewer than {users} ({gone[0]:,}) and items with fewer than {items} ({gone[1]:,})"


def _titles(events: Events, item_ids: IdMap) -> pl.Series | None:
    if events.titles is None:
        return None
    rows = item_ids.encode(events.titles["item"])
    known = rows >= item_ids.first
    table = pl.DataFrame({"row": rows[known], "title": events.titles["title"].filter(pl.Series(known))})
    wanted = pl.DataFrame({"row": np.arange(len(item_ids), dtype=np.int64) + item_ids.first})
    return wanted.join(table.unique("row", keep="first"), on="row", how="left", maintain_order="left")["title"]
