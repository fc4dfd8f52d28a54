"""Ranked lists as parquet files with raw ids, from our own models or from anybody's.

A file may have hundreds of millions of rows, so that reading goes column by column and keeps 32-bit numbers alone:
raw ids are looked up and dropped, and read once more where an error has to name one.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from rankdistill.errors import RankingsError
from rankdistill.files import replacing
from rankdistill.ids import IdMap
from rankdistill.rankings.lists import ANY_POSITION, Rankings, pack, unpack
from rankdistill.types import PAD, UNKNOWN, Bools, Floats, Ints, Items

logger = logging.getLogger(__name__)

_FINGERPRINT = b"rankdistill.fingerprint"
_ROWS_A_BLOCK = 1 << 17
_COLUMNS = ("user_id", "position", "rank", "item_id", "score")


def write(lists: Rankings, path: Path, user_ids: IdMap, item_ids: IdMap, *, positions: bool) -> None:
    """Writes `lists` block by block; see `Rankings.write`."""
    with replacing(path) as temporary:
        writer: pq.ParquetWriter | None = None
        for start in range(0, max(len(lists), 1), _ROWS_A_BLOCK):
            rows = slice(start, start + _ROWS_A_BLOCK)
            table = _frame(lists, rows, user_ids, item_ids, positions).to_arrow()
            if writer is None:
                metadata = {_FINGERPRINT: (lists.fingerprint or "").encode()}
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


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """The rows of a file in its order, later by query and rank: dense users and items, `UNKNOWN` where unheard of."""

    path: Path
    user_ids: IdMap
    users: NDArray[np.int32]
    positions: NDArray[np.int32] | None
    ranks: NDArray[Any]
    items: Items
    scores: Floats | None

    def take(self, rows: Ints | Bools) -> _Rows:
        """The given rows, or those that a mask marks."""
        return _Rows(
            self.path,
            self.user_ids,
            self.users[rows],
            None if self.positions is None else self.positions[rows],
            self.ranks[rows],
            self.items[rows],
            None if self.scores is None else self.scores[rows],
        )

    def keys(self) -> Ints:
        """The query [n] of each row."""
        keys = np.empty(len(self.users), dtype=np.int64)
        for start in range(0, len(keys), _ROWS_A_BLOCK):
            block = slice(start, start + _ROWS_A_BLOCK)
            keys[block] = pack(self.users[block], ANY_POSITION if self.positions is None else self.positions[block])
        return keys

    def name(self, row: int) -> str:
        """The query of a row, for messages."""
        user = self.user_ids.decode(self.users[row : row + 1].astype(np.int64))[0]
        return f"user {user!r}" + ("" if self.positions is None else f", position {int(self.positions[row])}")


def read(path: Path, item_ids: IdMap, user_ids: IdMap | None, on_unknown: Literal["error", "drop"]) -> Rankings:
    """Reads and checks a file of lists; see `Rankings.read`."""
    files = _files(path)
    columns, fingerprint = _columns(path, files)
    own = user_ids if user_ids is not None else _users(files)
    rows = _rows(path, files, columns, own, item_ids)
    if on_unknown == "error":
        _refuse_unknown(rows, files)
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
    return Rankings(keys[starts], items, scores, user_ids=user_map, fingerprint=fingerprint, source=path.name)


def _files(path: Path) -> list[Path]:
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not path.exists():
        files = sorted(path.parent.glob(path.name))
    if not files:
        raise RankingsError(f"{path}: no such file; name a parquet file with user_id, rank, item_id")
    return files


def _columns(path: Path, files: Sequence[Path]) -> tuple[list[str], str | None]:
    """The columns that all files have, of those that are known here, and the fingerprint that they carry."""
    columns: list[list[str]] = []
    fingerprints = set()
    for file in files:
        try:
            schema = pq.read_schema(file)
        except (OSError, pa.ArrowException) as error:
            raise RankingsError(f"{file}: not a whole parquet file ({str(error).splitlines()[0]})") from error
        for name in ("user_id", "rank", "item_id"):
            if name not in schema.names:
                near = difflib.get_close_matches(name, schema.names, n=1, cutoff=0.4)
                hint = f"; is it {near[0]!r}?" if near else ""
                raise RankingsError(f"{file}: no column {name!r} among {', '.join(schema.names)}{hint}")
        columns.append([name for name in _COLUMNS if name in schema.names])
        fingerprints.add((schema.metadata or {}).get(_FINGERPRINT, b"").decode() or None)
        if columns[-1] != columns[0]:
            names = [", ".join(each) for each in (columns[0], columns[-1])]
            raise RankingsError(
                f"{path}: {files[0].name} has {names[0]}, and {file.name} has {names[1]}; make them alike"
            )
    if len(fingerprints) > 1:
        raise RankingsError(f"{path}: the {len(files)} files were made from different data sets; keep those of one")
    return columns[0], fingerprints.pop()


def _users(files: Sequence[Path]) -> IdMap:
    """The map of the files' own users."""
    return IdMap.of(_together([_raw(file, "user_id").unique() for file in files]), first=0)


def _together(parts: Sequence[pl.Series]) -> pl.Series:
    """The files' ids as one column; as text where some are text and others are not."""
    if len({part.dtype for part in parts}) > 1 and not all(part.dtype.is_numeric() for part in parts):
        parts = [part.cast(pl.String) for part in parts]
    return pl.concat([part.to_frame() for part in parts], how="vertical_relaxed").to_series()


def _raw(file: Path, name: str) -> pl.Series:
    """One column of one file.

    Raises:
        RankingsError: it cannot be read, or a cell is empty.
    """
    try:
        column = pl.read_parquet(file, columns=[name], glob=False)[name]
    except (OSError, pl.exceptions.PolarsError) as error:
        raise RankingsError(f"{file}: not a whole parquet file ({str(error).splitlines()[0]})") from error
    if column.null_count():
        row = int(column.is_null().arg_max() or 0)
        raise RankingsError(f"{file}: row {row + 1} has no {name}; every row needs one")
    return column


def _rows(path: Path, files: Sequence[Path], columns: Sequence[str], user_ids: IdMap, item_ids: IdMap) -> _Rows:
    def joined(parts: list[NDArray[Any]]) -> NDArray[Any]:
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    return _Rows(
        path,
        user_ids,
        joined([_encoded(_raw(file, "user_id"), user_ids) for file in files]),
        joined([_positions(file) for file in files]) if "position" in columns else None,
        joined([_whole(file, "rank") for file in files]),
        joined([_encoded(_raw(file, "item_id"), item_ids) for file in files]),
        joined([_scores(file) for file in files]) if "score" in columns else None,
    )


def _encoded(raw: pl.Series, ids: IdMap) -> NDArray[np.int32]:
    """Dense indices [n], looked up block by block."""
    dense = np.empty(len(raw), dtype=np.int32)
    for start in range(0, len(raw), _ROWS_A_BLOCK):
        dense[start : start + _ROWS_A_BLOCK] = ids.encode(raw.slice(start, _ROWS_A_BLOCK))
    return dense


def _whole(file: Path, name: str) -> NDArray[Any]:
    column = _raw(file, name)
    if not column.dtype.is_integer():
        raise RankingsError(f"{file}: column {name!r} holds {column.dtype}, not whole numbers")
    narrow = column.cast(pl.Int32, strict=False)
    return (column if narrow.null_count() else narrow).to_numpy()


def _positions(file: Path) -> NDArray[np.int32]:
    positions = _whole(file, "position")
    wrong = (positions < 0) | (positions >= ANY_POSITION)
    if wrong.any():
        at = int(wrong.argmax())
        raise RankingsError(
            f"{file}: {int(wrong.sum()):,} rows have a position that cannot be (first: user "
            f"{_raw(file, 'user_id')[at]!r}, position {positions[at]}); it is the index of the target in the user's "
            f"training sequence, from 0"
        )
    return positions.astype(np.int32, copy=False)


def _scores(file: Path) -> Floats:
    column = _raw(file, "score")
    if not column.dtype.is_numeric():
        raise RankingsError(f"{file}: column 'score' holds {column.dtype}, not numbers")
    return column.cast(pl.Float32).to_numpy()


def _refuse_unknown(rows: _Rows, files: Sequence[Path]) -> None:
    for what, dense in (("user", rows.users), ("item", rows.items)):
        unknown = dense == UNKNOWN
        if unknown.any():
            raw = _together([_raw(file, f"{what}_id") for file in files])
            missing = raw.filter(pl.Series(unknown))
            raise RankingsError(
                f"{rows.path}: {missing.n_unique():,} of {raw.n_unique():,} {what}s are not in the data "
                f"(first: {missing[0]!r}); made from other data? on_unknown = 'drop' leaves them out"
            )


def _without(rows: _Rows, unknown: Bools, what: str) -> _Rows:
    """The rows whose `what` (user or item) is in the data."""
    if not unknown.any():
        return rows
    logger.warning(
        "%s: %s rows of %ss that are not in the data are left out; what follows them in a list moves up",
        rows.path,
        f"{unknown.sum():,}",
        what,
    )
    return rows.take(~unknown)


def _firsts(keys: Ints) -> Bools:
    """Which rows [n] begin a list."""
    firsts = np.ones(len(keys), dtype=np.bool_)
    firsts[1:] = keys[1:] != keys[:-1]
    return firsts


def _check_ranks(rows: _Rows, keys: Ints) -> None:
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


def _check_repeats(rows: _Rows, items: Items, starts: Ints) -> None:
    ordered = np.sort(items, axis=1)
    repeated = ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] != PAD)).any(axis=1)
    if repeated.any():
        at = int(starts[int(repeated.argmax())])
        raise RankingsError(
            f"{rows.path}: {int(repeated.sum()):,} lists name an item twice (first: {rows.name(at)}); "
            f"each item may stand once in a list"
        )


def _check_scores(rows: _Rows, scores: Floats, starts: Ints) -> None:
    rising = ~(scores[:, 1:] <= scores[:, :-1]).all(axis=1)
    if rising.any():
        at = int(starts[int(rising.argmax())])
        raise RankingsError(
            f"{rows.path}: ranks out of order: scores rise down the list in {int(rising.sum()):,} lists "
            f"(first: {rows.name(at)}); rank 1 has the highest score"
        )
