"""The values: `Rankings`, `TargetRanks` and the keys of queries."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rankdistill.errors import RankingsError
from rankdistill.types import PAD, UNKNOWN, Floats, Ints, Items

if TYPE_CHECKING:
    from rankdistill.ids import IdMap

ANY_POSITION = (1 << 31) - 1
"""The position of a list that serves every query of its user."""

Scale: TypeAlias = Literal["log_odds", "log_probability", "shifted_log_probability", "relative"]
"""What scores are: log-odds, whose sigmoid is a probability; log-probabilities; those but for a constant for each
query; or numbers that are one above the other and no more, such as those of models that compare items."""


def pack(users: NDArray[Any], positions: NDArray[Any] | int) -> Ints:
    """Query ids [n] of users [n] (from 0) and positions [n] (index of the first target in the user's sequence)."""
    return (np.asarray(users, dtype=np.int64) << 32) | np.asarray(positions, dtype=np.int64)


def unpack(query_ids: Ints) -> tuple[Ints, Ints]:
    """Users [n] and positions [n] of query ids [n]."""
    return query_ids >> 32, query_ids & 0xFFFFFFFF


@dataclass(frozen=True, slots=True, eq=False)
class TargetRanks:
    """The rank of every relevant item: one row per (query, relevant item).

    Attributes:
        query_ids: [n].
        items: [n].
        ranks: [n], 1 is best; `NEVER` (0) for an item that is not ranked, or not within `depth`.
        depth: how deep ranks are known; None is the whole catalogue.
    """

    query_ids: Ints
    items: Items
    ranks: Ints
    depth: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Rankings:
    """Ranked lists, one a query.

    Attributes:
        query_ids: [Q], unique.
        items: [Q, K], best first, no repeats. PAD stands only behind the end of a list that is shorter than K.
        scores: [Q, K] or None; anything behind the end of a shorter list.
        target_ranks: the exact ranks of the relevant items, where a model was asked for them in the same pass.
        user_ids: the map that `query_ids` was packed with, where it is not the data set's own (a file read alone).
        fingerprint: of the training sequences the lists were made for; None where the file does not say.
        source: the file or model, for error messages.
        easier: lists for the same queries that are easier to learn, the easiest first: of the same teacher's earlier
            epochs, or of weaker teachers.
        on_missing: what to do with training queries that have no list here: refuse them, or leave them out of the
            distillation.
        score_scale: what the scores are, where that is known.
    """

    query_ids: Ints
    items: Items
    scores: Floats | None = None
    target_ranks: TargetRanks | None = None
    user_ids: IdMap | None = None
    fingerprint: str | None = None
    source: str = "rankings"
    easier: tuple[Rankings, ...] = ()
    on_missing: Literal["error", "skip"] = "error"
    score_scale: Scale | None = None

    def __len__(self) -> int:
        return len(self.query_ids)

    def __repr__(self) -> str:
        scores = "" if self.scores is None else ", with scores"
        return f"<Rankings of {self.source}: {len(self):,} lists, {self.depth:,} deep{scores}>"

    @property
    def depth(self) -> int:
        """K, the length of the longest list."""
        return int(self.items.shape[1])

    @property
    def lengths(self) -> Ints:
        """The length [Q] of each list."""
        lengths: Ints = np.count_nonzero(self.items != PAD, axis=1).astype(np.int64)
        return lengths

    @property
    def per_user(self) -> bool:
        """Whether each list serves every query of its user."""
        return len(self) > 0 and bool((unpack(self.query_ids)[1] == ANY_POSITION).all())

    def for_queries(self, query_ids: Ints, user_ids: IdMap | None = None) -> Rankings:
        """The lists of the given queries, in their order.

        Args:
            query_ids: [Q], any order.
            user_ids: the map of the data set, to name users by raw id and to re-key a file that was read alone.

        Raises:
            RankingsError: a query has no list; counts them and names the first.
        """
        if user_ids is None:
            self.check_users()
        lists = self if user_ids is None else self.with_users(user_ids)
        rows = lists.rows_of(query_ids)
        missing = rows == UNKNOWN
        if missing.any():
            raise RankingsError(self._missing(query_ids, missing, user_ids))
        scores = None if lists.scores is None else lists.scores[rows]
        return replace(lists, query_ids=query_ids, items=lists.items[rows], scores=scores)

    def rows_of(self, query_ids: Ints) -> Ints:
        """The row [Q] of the list that serves each of the given queries [Q]; `UNKNOWN` where there is none."""
        keys = pack(unpack(query_ids)[0], ANY_POSITION) if self.per_user else query_ids
        order = np.argsort(self.query_ids, kind="stable")
        places = np.searchsorted(self.query_ids, keys, sorter=order)
        rows = np.full(len(keys), UNKNOWN, dtype=np.int64)
        inside = places < len(self)
        rows[inside] = order[places[inside]]
        rows[inside] = np.where(self.query_ids[rows[inside]] == keys[inside], rows[inside], UNKNOWN)
        return rows

    def _missing(self, query_ids: Ints, missing: NDArray[np.bool_], user_ids: IdMap | None) -> str:
        users, positions = unpack(query_ids[missing][:1])
        name = user_ids.decode(users)[0] if user_ids is not None else int(users[0])
        position = "" if positions[0] == ANY_POSITION else f", position {int(positions[0])}"
        return (
            f"{self.source}: no list for {int(missing.sum()):,} of {len(query_ids):,} queries "
            f"(first: user {name!r}{position}); made from another split?"
        )

    def with_users(self, user_ids: IdMap) -> Rankings:
        """The same lists keyed by the users of `user_ids`.

        Raises:
            RankingsError: it does not know a user of these lists.
        """
        if self.user_ids is None:
            return self
        users = user_ids.encode(self.user_ids.values)
        unknown = users == UNKNOWN
        if unknown.any():
            first = self.user_ids.decode(np.flatnonzero(unknown)[:1])[0]
            raise RankingsError(
                f"{self.source}: {int(unknown.sum()):,} of {len(users):,} users are not in the data "
                f"(first: {first!r}); made from other data? read them with user_ids and on_unknown = 'drop'"
            )
        own_users, positions = unpack(self.query_ids)
        keys = pack(users[own_users], positions)
        order = np.argsort(keys, kind="stable")
        scores = None if self.scores is None else self.scores[order]
        return replace(self, query_ids=keys[order], items=self.items[order], scores=scores, user_ids=None)

    def check_users(self) -> None:
        """Refuses lists whose users are numbered by their own file.

        Raises:
            RankingsError: they are.
        """
        if self.user_ids is not None:
            raise RankingsError(
                f"{self.source}: read without the users of the data; "
                f"read it with Rankings.read(path, split.item_ids, split.user_ids)"
            )

    def cut(self, k: int) -> Rankings:
        """The first `k` places of every list."""
        scores = None if self.scores is None else self.scores[:, :k]
        easier = tuple(each.cut(k) for each in self.easier)
        return replace(self, items=self.items[:, :k], scores=scores, easier=easier)

    @classmethod
    def read(
        cls,
        path: Path | str,
        item_ids: IdMap,
        user_ids: IdMap | None = None,
        *,
        on_unknown: Literal["error", "drop"] = "error",
        fingerprint: str | None = None,
        least_shared: float = 0.0,
    ) -> Rankings:
        """Reads lists from parquet: `user_id[, position], rank, item_id[, score]` with raw ids.

        Rows may stand in any order. A file, a folder of parquet files or a glob will do.

        Args:
            path: the file.
            item_ids: the items of the data set.
            user_ids: its users; when left out, users are matched where the lists are used.
            on_unknown: what to do with users and items that the data set does not have.
            fingerprint: of the data set; a file that carries another one is refused.
            least_shared: the share of the file's users, and of its items, that the data set has to have.

        Raises:
            RankingsError: no such file, not parquet, no row in it, a column missing, made from other data, an unknown
                user or item or too many of them, a repeated item, ranks that are not 1, 2, 3 ..., scores that rise
                down the list or are not finite.
        """
        from rankdistill.rankings.parquet import Unknown, read

        return read(Path(path), item_ids, user_ids, Unknown(on_unknown, least_shared), fingerprint)

    def write(self, path: Path | str, user_ids: IdMap, item_ids: IdMap, *, positions: bool = False) -> None:
        """Writes the lists as parquet with raw ids, whole or not at all; `positions` adds the queries' positions."""
        from rankdistill.rankings.parquet import write

        write(self, Path(path), user_ids, item_ids, positions=positions)

    def ranks_of(self, query_rows: Ints, items: Items) -> Ints:
        """The rank [n] of each item [n] in the list of its query row [n]; `NEVER` where it is not in the list."""
        hits = self.items[query_rows] == items[:, None]
        return np.where(hits.any(axis=1), hits.argmax(axis=1) + 1, 0).astype(np.int64)
