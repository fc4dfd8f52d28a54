"""Ranked lists as parquet files with raw ids, from our own models or from anybody's."""

from __future__ import annotations

import difflib
import logging
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
from rankdistill.types import PAD, UNKNOWN, Floats, Ints, Items

logger = logging.getLogger(__name__)

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
    frame = _known(path, frame.with_columns(user=pl.Series(own.encode(frame["user_id"]))), "user", on_unknown)
    keys = pack(frame["user"].to_numpy(), frame["position"].to_numpy())
    frame = frame.with_columns(key=pl.Series(keys)).sort("key", "rank", maintain_order=True)
    _check_ranks(path, frame)
    frame = _known(path, frame.with_columns(item=pl.Series(item_ids.encode(frame["item_id"]))), "item", on_unknown)
    query_ids, starts, lengths = np.unique(frame["key"].to_numpy(), return_index=True, return_counts=True)
    row = np.repeat(np.arange(len(query_ids)), lengths)
    column = np.arange(len(frame)) - np.repeat(starts, lengths)
    items = np.zeros((len(query_ids), int(lengths.max(initial=0))), dtype=np.int32)
    items[row, column] = frame["item"].to_numpy()
    _check_repeats(path, frame, items, starts)
    scores = None
    if "score" in frame.columns:
        scores = np.full(items.shape, -np.inf, dtype=np.float32)
        scores[row, column] = frame["score"].to_numpy()
        _check_scores(path, frame, scores, starts)
    user_map = own if user_ids is None else None
    return Rankings(query_ids, items, scores, user_ids=user_map, fingerprint=fingerprint, source=path.name)


def _load(path: Path) -> tuple[pl.DataFrame, str | None]:
    """The rows of all files, and the fingerprint that they carry."""
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not path.exists():
        files = sorted(path.parent.glob(path.name))
    if not files:
        raise RankingsError(f"{path}: no such file; name a parquet file with user_id, rank, item_id")
    frames, fingerprints = [], set()
    for file in files:
        try:
            metadata = pq.read_schema(file).metadata or {}
            frames.append(_columns(file, pl.read_parquet(file, glob=False)))
        except (OSError, pa.ArrowException, pl.exceptions.PolarsError) as error:
            raise RankingsError(f"{file}: not a whole parquet file ({str(error).splitlines()[0]})") from error
        fingerprints.add(metadata.get(_FINGERPRINT, b"").decode() or None)
        if frames[-1].columns != frames[0].columns:
            names = [", ".join(frame.columns) for frame in (frames[0], frames[-1])]
            raise RankingsError(
                f"{path}: {files[0].name} has {names[0]}, and {file.name} has {names[1]}; make them alike"
            )
    if len(fingerprints) > 1:
        raise RankingsError(f"{path}: the {len(files)} files were made from different data sets; keep those of one")
    frame = pl.concat(frames, how="vertical_relaxed")
    if "position" not in frame.columns:
        frame = frame.with_columns(position=pl.lit(ANY_POSITION, dtype=pl.Int64))
    return frame, fingerprints.pop()


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
    if "score" in wanted and not frame["score"].dtype.is_numeric():
        raise RankingsError(f"{path}: column 'score' holds {frame['score'].dtype}, not numbers")
    if "position" in wanted and len(wrong := frame.filter(~pl.col("position").is_between(0, ANY_POSITION - 1))):
        user, position = wrong["user_id"][0], wrong["position"][0]
        raise RankingsError(
            f"{path}: {len(wrong):,} rows have a position that cannot be (first: user {user!r}, position "
            f"{position}); it is the index of the target in the user's training sequence, from 0"
        )
    whole = [name for name in ("position", "rank") if name in wanted]
    floats = [name for name in ("score",) if name in wanted]
    return frame.cast({**dict.fromkeys(whole, pl.Int64), **dict.fromkeys(floats, pl.Float32)})


def _known(path: Path, frame: pl.DataFrame, what: str, on_unknown: str) -> pl.DataFrame:
    """The rows whose `what` (user or item) is in the data."""
    unknown = frame[what] == UNKNOWN
    if not unknown.any():
        return frame
    if on_unknown == "error":
        raw = frame[f"{what}_id"]
        missing = raw.filter(unknown)
        raise RankingsError(
            f"{path}: {missing.n_unique():,} of {raw.n_unique():,} {what}s are not in the data "
            f"(first: {missing[0]!r}); made from other data? on_unknown = 'drop' leaves them out"
        )
    logger.warning(
        "%s: %s rows of %ss that are not in the data are left out; what follows them in a list moves up",
        path,
        f"{unknown.sum():,}",
        what,
    )
    return frame.filter(~unknown)


def _query_name(frame: pl.DataFrame, row: int) -> str:
    position = int(frame["position"][row])
    return f"user {frame['user_id'][row]!r}" + ("" if position == ANY_POSITION else f", position {position}")


def _check_ranks(path: Path, frame: pl.DataFrame) -> None:
    """Ranks of every query are 1, 2, 3 ... without a gap or a repeat; rows are sorted by query and rank."""
    keys, ranks = frame["key"].to_numpy(), frame["rank"].to_numpy()
    first = np.ones(len(keys), dtype=np.bool_)
    first[1:] = keys[1:] != keys[:-1]
    expected = np.where(first, 1, np.roll(ranks, 1) + 1)
    wrong = ranks != expected
    if wrong.any():
        at = int(wrong.argmax())
        raise RankingsError(
            f"{path}: ranks out of order in {len(np.unique(keys[wrong])):,} lists (first: {_query_name(frame, at)}: "
            f"rank {ranks[at]} where {expected[at]} is due); ranks count 1, 2, 3 ... down a list"
        )


def _check_repeats(path: Path, frame: pl.DataFrame, items: Items, starts: Ints) -> None:
    ordered = np.sort(items, axis=1)
    repeated = ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] != PAD)).any(axis=1)
    if repeated.any():
        at = int(starts[int(repeated.argmax())])
        raise RankingsError(
            f"{path}: {int(repeated.sum()):,} lists name an item twice (first: {_query_name(frame, at)}); "
            f"each item may stand once in a list"
        )


def _check_scores(path: Path, frame: pl.DataFrame, scores: Floats, starts: Ints) -> None:
    rising = ~(scores[:, 1:] <= scores[:, :-1]).all(axis=1)
    if rising.any():
        at = int(starts[int(rising.argmax())])
        raise RankingsError(
            f"{path}: ranks out of order: scores rise down the list in {int(rising.sum()):,} lists "
            f"(first: {_query_name(frame, at)}); rank 1 has the highest score"
        )
