"""The columns of files of ranked lists, as 32-bit numbers.

A file may have hundreds of millions of rows, so that it is read column by column: raw ids are looked up and dropped,
and read once more where an error has to name one.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from rankdistill.errors import RankingsError
from rankdistill.ids import IdMap
from rankdistill.rankings.lists import ANY_POSITION, Scale, pack
from rankdistill.types import Bools, Floats, Ints, Items

FINGERPRINT = b"rankdistill.fingerprint"
"""Where a file's metadata says which data its lists were made for."""
SCALE = b"rankdistill.score_scale"
"""Where it says what the scores are."""

_ROWS_A_BLOCK = 1 << 17
_COLUMNS = ("user_id", "position", "rank", "item_id", "score")
_WANTED = "; lists are parquet files with user_id, rank, item_id (docs/formats.md)"


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """The rows of a file in its order, later by query and rank: dense users and items, `UNKNOWN` where unheard of."""

    path: Path
    user_ids: IdMap
    users: NDArray[np.int32]
    positions: NDArray[np.int32] | None
    ranks: NDArray[Any]
    items: Items
    scores: Floats | None

    def take(self, rows: Ints | Bools) -> Rows:
        """The given rows, or those that a mask marks."""
        return Rows(
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


def files_of(path: Path) -> list[Path]:
    """The files that a path, a folder or a pattern names."""
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not path.exists():
        files = sorted(path.parent.glob(path.name))
    if not files:
        raise RankingsError(f"{path}: no such file; name a parquet file with user_id, rank, item_id")
    return files


def _unreadable(file: Path, error: Exception) -> RankingsError:
    return RankingsError(f"{file}: not a whole parquet file ({str(error).splitlines()[0]}){_WANTED}")


def columns_of(path: Path, files: Sequence[Path]) -> tuple[list[str], str | None]:
    """The columns that all files have, of those that are known here, and the fingerprint that they carry."""
    columns: list[list[str]] = []
    fingerprints = set()
    for file in files:
        try:
            schema = pq.read_schema(file)
        except (OSError, pa.ArrowException) as error:
            raise _unreadable(file, error) from error
        for name in ("user_id", "rank", "item_id"):
            if name not in schema.names:
                others = [each for each in schema.names if each not in _COLUMNS]
                near = difflib.get_close_matches(name, others, n=1, cutoff=0.4)
                hint = f"; is it {near[0]!r}?" if near else ""
                raise RankingsError(f"{file}: no column {name!r} among {', '.join(schema.names)}{hint or _WANTED}")
        columns.append([name for name in _COLUMNS if name in schema.names])
        fingerprints.add((schema.metadata or {}).get(FINGERPRINT, b"").decode() or None)
        if columns[-1] != columns[0]:
            names = [", ".join(each) for each in (columns[0], columns[-1])]
            raise RankingsError(
                f"{path}: {files[0].name} has {names[0]}, and {file.name} has {names[1]}; make them alike"
            )
    if len(fingerprints) > 1:
        raise RankingsError(f"{path}: the {len(files)} files were made from different data sets; keep those of one")
    return columns[0], fingerprints.pop()


def scale_of(files: Sequence[Path]) -> Scale | None:
    """What the scores of files are, where all of them say the same."""
    found = {(pq.read_schema(file).metadata or {}).get(SCALE, b"").decode() for file in files}
    return next((scale for scale in get_args(Scale) if found == {scale}), None)


def users_of(files: Sequence[Path]) -> IdMap:
    """The map of the files' own users."""
    return IdMap.of(raw_ids(files, "user_id", distinct=True), first=0)


def raw_ids(files: Sequence[Path], name: str, *, distinct: bool = False) -> pl.Series:
    """A column of ids of all files; as text where some are text and others are not."""
    parts = [_raw(file, name).unique() if distinct else _raw(file, name) for file in files]
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
        raise _unreadable(file, error) from error
    if column.null_count():
        row = int(column.is_null().arg_max() or 0)
        raise RankingsError(f"{file}: row {row + 1} has no {name}; every row needs one")
    return column


def read_rows(path: Path, files: Sequence[Path], columns: Sequence[str], user_ids: IdMap, item_ids: IdMap) -> Rows:
    """The rows of all files, one after the other.

    Raises:
        RankingsError: a file is damaged, or a column holds what it cannot hold.
    """

    def joined(parts: list[NDArray[Any]]) -> NDArray[Any]:
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    return Rows(
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
