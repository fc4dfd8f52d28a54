"""Ranked lists as parquet files with raw ids, from our own models or from anybody's."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from rankdistill.errors import RankingsError
from rankdistill.files import replacing
from rankdistill.ids import IdMap
from rankdistill.rankings.columns import (
    FINGERPRINT,
    SCALE,
    Rows,
    columns_of,
    files_of,
    raw_ids,
    read_rows,
    scale_of,
    users_of,
)
from rankdistill.rankings.lists import Rankings, unpack
from rankdistill.types import PAD, UNKNOWN, Bools, Floats, Ints, Items

logger = logging.getLogger(__name__)

_ROWS_A_BLOCK = 1 << 17


@dataclass(frozen=True, slots=True)
class Unknown:
    """What to do with users and items that the data set does not have.

    Attributes:
        action: refuse them, or leave them out.
        least_shared: the share of the file's users, and of its items, that the data set has to have.
    """

    action: Literal["error", "drop"] = "error"
    least_shared: float = 0.0

    def check(self, rows: Rows, files: Sequence[Path]) -> None:
        """Says what the file shares with the data set.

        Raises:
            RankingsError: an id is unknown and is to be refused, or too few are known.
        """
        for what, dense in (("user", rows.users), ("item", rows.items)):
            unknown = dense == UNKNOWN
            if not unknown.any():
                continue
            raw = raw_ids(files, f"{what}_id")
            missing, every = raw.filter(pl.Series(unknown)), raw.n_unique()
            if self.action == "error":
                raise RankingsError(
                    f"{rows.path}: {missing.n_unique():,} of {every:,} {what}s are not in the data "
                    f"(first: {missing[0]!r}); made from other data? on_unknown = 'drop' leaves them out "
                    f"(--set teacher.on_unknown=drop, of the second [[teacher]] teacher.2.on_unknown; of evaluate and "
                    f"fuse --on-unknown drop)"
                )
            shared = every - missing.n_unique()
            line = f"{rows.path}: {shared:,} of {every:,} {what}s are in the data (first that is not: {missing[0]!r})"
            if shared < self.least_shared * every or not shared:
                raise RankingsError(
                    f"{line}, and a share of {self.least_shared:g} is the least; made from other data? lower "
                    f"least_shared if it is not (--set teacher.least_shared=0.1, of the second [[teacher]] "
                    f"teacher.2.least_shared; of fuse --least-shared 0.1)"
                )
            logger.info("%s; the others are left out", line)


def write(lists: Rankings, path: Path, user_ids: IdMap, item_ids: IdMap, *, positions: bool) -> None:
    """Writes `lists` block by block; see `Rankings.write`."""
    with replacing(path) as temporary:
        writer: pq.ParquetWriter | None = None
        for start in range(0, max(len(lists), 1), _ROWS_A_BLOCK):
            rows = slice(start, start + _ROWS_A_BLOCK)
            table = _frame(lists, rows, user_ids, item_ids, positions).to_arrow()
            if writer is None:
                metadata = {FINGERPRINT: (lists.fingerprint or "").encode()}
                if lists.scores is not None and lists.score_scale is not None:
                    metadata[SCALE] = lists.score_scale.encode()
                writer = pq.ParquetWriter(temporary, table.schema.with_metadata(metadata), compression="zstd")
            writer.write_table(table.replace_schema_metadata(writer.schema.metadata))
        if writer is not None:
            writer.close()


def _frame(lists: Rankings, rows: slice, user_ids: IdMap, item_ids: IdMap, positions: bool) -> pl.DataFrame:
    users, places = unpack(lists.query_ids[rows])
    items = lists.items[rows]
    row, column = np.nonzero(items != PAD)
    columns: dict[str, pl.Series] = {"user_id": user_ids.decode(users[row])}
    if positions:
        columns["position"] = pl.Series(places[row].astype(np.int32))
    columns["rank"] = pl.Series((column + 1).astype(np.int32))
    columns["item_id"] = item_ids.decode(items[row, column].astype(np.int64))
    if lists.scores is not None:
        columns["score"] = pl.Series(lists.scores[rows][row, column])
    return pl.DataFrame(columns)


def read(
    path: Path,
    item_ids: IdMap,
    user_ids: IdMap | None,
    unknown_ids: Unknown,
    expected: str | None,
) -> Rankings:
    """Reads and checks a file of lists; see `Rankings.read`."""
    files = files_of(path)
    columns, fingerprint = columns_of(path, files)
    if fingerprint is not None and expected not in (None, fingerprint):
        raise RankingsError(
            f"{path}: made from other data (fingerprint {fingerprint}, this data has {expected}); "
            f"make the lists again from this data, or name theirs"
        )
    own = user_ids if user_ids is not None else users_of(files)
    rows = read_rows(path, files, columns, own, item_ids)
    if not len(rows.users):
        raise RankingsError(f"{path}: holds no list; name a file that has some")
    unknown_ids.check(rows, files)
    rows = _without(rows, rows.users == UNKNOWN, "user")
    keys = rows.keys()
    if ((keys[1:] < keys[:-1]) | ((keys[1:] == keys[:-1]) & (rows.ranks[1:] < rows.ranks[:-1]))).any():
        order = np.lexsort((rows.ranks, keys))
        rows, keys = rows.take(order), keys[order]
    _check_ranks(rows, keys)
    unknown = rows.items == UNKNOWN
    rows, keys = _without(rows, unknown, "item"), keys[~unknown]
    starts = np.flatnonzero(_firsts(keys))
    lengths = np.diff(starts, append=len(keys))
    filled = np.arange(int(lengths.max(initial=0))) < lengths[:, None]
    items = np.full(filled.shape, PAD, dtype=np.int32)
    items[filled] = rows.items
    _check_repeats(rows, items, starts)
    scores = None
    if rows.scores is not None:
        scores = np.full(filled.shape, -np.inf, dtype=np.float32)
        scores[filled] = rows.scores
        _check_scores(rows, scores, starts)
    user_map = own if user_ids is None else None
    lists = Rankings(keys[starts], items, scores, user_ids=user_map, fingerprint=fingerprint, source=path.name)
    return lists if scores is None else replace(lists, score_scale=scale_of(files))


def read_together(paths: Sequence[Path]) -> tuple[list[Rankings], IdMap, IdMap]:
    """Lists of several files without their data set, and the maps of all their users and items.

    Raises:
        RankingsError: as `Rankings.read` does.
    """
    files = {path: files_of(path) for path in paths}
    for path, parts in files.items():
        columns_of(path, parts)
    every = [file for parts in files.values() for file in parts]
    user_ids = users_of(every)
    item_ids = IdMap.of(raw_ids(every, "item_id", distinct=True), first=1)
    return [read(path, item_ids, user_ids, Unknown(), None) for path in paths], user_ids, item_ids


def _without(rows: Rows, unknown: Bools, what: str) -> Rows:
    """The rows whose `what` (user or item) is in the data."""
    if not unknown.any():
        return rows
    then = "; what follows them in a list moves up" if what == "item" else ""
    logger.warning(
        "%s: %s rows of %ss that are not in the data are left out%s", rows.path, f"{unknown.sum():,}", what, then
    )
    return rows.take(~unknown)


def _firsts(keys: Ints) -> Bools:
    """Which rows [n] begin a list."""
    firsts = np.ones(len(keys), dtype=np.bool_)
    firsts[1:] = keys[1:] != keys[:-1]
    return firsts


def _check_ranks(rows: Rows, keys: Ints) -> None:
    """Ranks of every query are 1, 2, 3 ... without a gap or a repeat; rows are sorted by query and rank."""
    due = np.ones_like(rows.ranks)
    due[1:] += rows.ranks[:-1]
    due[_firsts(keys)] = 1
    wrong = rows.ranks != due
    if wrong.any():
        at = int(wrong.argmax())
        raise RankingsError(
            f"{rows.path}: ranks out of order in {len(np.unique(keys[wrong])):,} lists (first: {rows.name(at)}: "
            f"rank {rows.ranks[at]} where {due[at]} is due); ranks count 1, 2, 3 ... down a list"
        )


def _check_repeats(rows: Rows, items: Items, starts: Ints) -> None:
    ordered = np.sort(items, axis=1)
    repeated = ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] != PAD)).any(axis=1)
    if repeated.any():
        at = int(starts[int(repeated.argmax())])
        raise RankingsError(
            f"{rows.path}: {int(repeated.sum()):,} lists name an item twice (first: {rows.name(at)}); "
            f"each item may stand once in a list"
        )


def _check_scores(rows: Rows, scores: Floats, starts: Ints) -> None:
    assert rows.scores is not None
    wrong = ~np.isfinite(rows.scores)
    if wrong.any():
        at = int(wrong.argmax())
        lists = len(np.unique(np.searchsorted(starts, np.flatnonzero(wrong), side="right")))
        raise RankingsError(
            f"{rows.path}: scores that are no finite 32-bit numbers in {lists:,} lists (first: {rows.name(at)}, rank "
            f"{rows.ranks[at]}: {rows.scores[at]}); write such numbers, or leave the column 'score' out"
        )
    rising = ~(scores[:, 1:] <= scores[:, :-1]).all(axis=1)
    if rising.any():
        at = int(starts[int(rising.argmax())])
        raise RankingsError(
            f"{rows.path}: ranks out of order: scores rise down the list in {int(rising.sum()):,} lists "
            f"(first: {rows.name(at)}); rank 1 has the highest score"
        )
