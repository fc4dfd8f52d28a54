"""Ranked lists as parquet files with raw ids, from our own models or from anybody's."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from rankdistill.errors import RankingsError
from rankdistill.files import replacing
from rankdistill.ids import IdMap
from rankdistill.rankings.lists import ANY_POSITION, Rankings, pack, unpack
from rankdistill.types import PAD, UNKNOWN, Bools, Floats, Ints, Items

_FINGERPRINT = b"rankdistill.fingerprint"
_ROWS_A_BLOCK = 1 << 17


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


def read(path: Path, item_ids: IdMap, user_ids: IdMap | None, on_unknown: Literal["error", "drop"]) -> Rankings:
    """Reads and checks a file of lists; see `Rankings.read`."""
    frame, fingerprint = _load(path)
    own = user_ids if user_ids is not None else IdMap.of(frame["user_id"], first=0)
    users = own.encode(frame["user_id"])
    items = item_ids.encode(frame["item_id"])
    known = _known(path, frame, {"users": users, "items": items}, on_unknown)
    frame = frame.with_columns(pl.Series("user", users), pl.Series("item", items))
    if "position" not in frame.columns:
        frame = frame.with_columns(position=pl.lit(ANY_POSITION, dtype=pl.Int64))
    keys = pack(users, frame["position"].to_numpy())
    ranks = frame["rank"].to_numpy()
    order = np.lexsort((ranks, keys))
    _check_ranks(path, frame, keys, order)
    order = order[known[order]]
    query_ids, starts = np.unique(keys[order], return_index=True)
    row = np.repeat(np.arange(len(query_ids)), np.diff(np.append(starts, len(order))))
    column = np.arange(len(order)) - starts[row] if len(order) else row
    matrix = np.zeros((len(query_ids), int(column.max(initial=-1)) + 1), dtype=np.int32)
    matrix[row, column] = items[order]
    _check_repeats(path, frame, matrix, starts, order)
    scores = None
    if "score" in frame.columns:
        scores = np.full(matrix.shape, -np.inf, dtype=np.float32)
        scores[row, column] = frame["score"].to_numpy()[order]
        _check_scores(path, frame, scores, order[starts])
    return Rankings(
        query_ids, matrix, scores, user_ids=own if user_ids is None else None, fingerprint=fingerprint, source=path.name
    )


def _load(path: Path) -> tuple[pl.DataFrame, str | None]:
    files = sorted(path.glob("*.parquet")) if path.is_dir() else sorted(path.parent.glob(path.name))
    if not files:
        raise RankingsError(f"{path}: no such file; name a parquet file with user_id, rank, item_id")
    frames, fingerprints = [], set()
    for file in files:
        try:
            metadata = pq.read_schema(file).metadata or {}
            frames.append(_columns(file, pl.read_parquet(file)))
        except (OSError, pa.ArrowException, pl.exceptions.PolarsError) as error:
            raise RankingsError(f"{file}: not a whole parquet file ({str(error).splitlines()[0]})") from error
        fingerprints.add(metadata.get(_FINGERPRINT, b"").decode() or None)
    if len(fingerprints) > 1:
        raise RankingsError(f"{path}: the {len(files)} files were made from different data sets; keep those of one")
    return pl.concat(frames, how="vertical_relaxed"), fingerprints.pop()


def _columns(path: Path, frame: pl.DataFrame) -> pl.DataFrame:
    for name in ("user_id", "rank", "item_id"):
        if name not in frame.columns:
            near = difflib.get_close_matches(name, frame.columns, n=1, cutoff=0.4)
            hint = f"; is it {near[0]!r}?" if near else ""
            raise RankingsError(f"{path}: no column {name!r} among {', '.join(frame.columns)}{hint}")
    wanted = [name for name in ("user_id", "position", "rank", "item_id", "score") if name in frame.columns]
    frame = frame.select(wanted)
    for name in wanted:
        if frame[name].null_count():
            row = int(frame[name].is_null().arg_max() or 0)
            raise RankingsError(f"{path}: row {row + 1} has no {name}; every row needs one")
    for name in ("position", "rank"):
        if name in wanted and not frame[name].dtype.is_integer():
            raise RankingsError(f"{path}: column {name!r} holds {frame[name].dtype}, not whole numbers")
    whole = [name for name in ("position", "rank") if name in wanted]
    floats = [name for name in ("score",) if name in wanted]
    return frame.cast({**dict.fromkeys(whole, pl.Int64), **dict.fromkeys(floats, pl.Float32)})


def _known(path: Path, frame: pl.DataFrame, encoded: dict[str, Ints], on_unknown: str) -> Bools:
    known = np.ones(len(frame), dtype=np.bool_)
    for what, dense in encoded.items():
        unknown = dense == UNKNOWN
        known &= ~unknown
        if on_unknown == "error" and unknown.any():
            raw = frame[f"{what[:-1]}_id"]
            first = raw[int(unknown.argmax())]
            count = raw.filter(pl.Series(unknown)).n_unique()
            raise RankingsError(
                f"{path}: {count:,} of {raw.n_unique():,} {what} are not in the data (first: {first!r}); "
                f"made from other data? on_unknown = 'drop' leaves them out"
            )
    return known


def _query_name(frame: pl.DataFrame, row: int) -> str:
    position = int(frame["position"][row])
    return f"user {frame['user_id'][row]!r}" + ("" if position == ANY_POSITION else f", position {position}")


def _check_ranks(path: Path, frame: pl.DataFrame, keys: Ints, order: Ints) -> None:
    """Ranks of every query are 1, 2, 3 ... without a gap or a repeat."""
    sorted_keys, ranks = keys[order], frame["rank"].to_numpy()[order]
    first = np.ones(len(order), dtype=np.bool_)
    first[1:] = sorted_keys[1:] != sorted_keys[:-1]
    expected = np.where(first, 1, np.roll(ranks, 1) + 1)
    wrong = ranks != expected
    if wrong.any():
        at = int(wrong.argmax())
        raise RankingsError(
            f"{path}: ranks out of order in {len(np.unique(sorted_keys[wrong])):,} lists (first: "
            f"{_query_name(frame, int(order[at]))}: rank {ranks[at]} where {expected[at]} is due); "
            f"ranks count 1, 2, 3 ... down a list"
        )


def _check_repeats(path: Path, frame: pl.DataFrame, items: Items, starts: Ints, order: Ints) -> None:
    ordered = np.sort(items, axis=1)
    repeated = ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] != PAD)).any(axis=1)
    if repeated.any():
        at = int(order[starts[int(repeated.argmax())]])
        raise RankingsError(
            f"{path}: {int(repeated.sum()):,} lists name an item twice (first: {_query_name(frame, at)}); "
            f"each item may stand once in a list"
        )


def _check_scores(path: Path, frame: pl.DataFrame, scores: Floats, rows: Ints) -> None:
    rising = ~(scores[:, 1:] <= scores[:, :-1]).all(axis=1)
    if rising.any():
        at = int(rows[int(rising.argmax())])
        raise RankingsError(
            f"{path}: ranks out of order: scores rise down the list in {int(rising.sum()):,} lists "
            f"(first: {_query_name(frame, at)}); rank 1 has the highest score"
        )
