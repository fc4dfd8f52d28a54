"""Lists for the users of a file, as many as there are, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rankdistill.errors import DataError, RequestError
from rankdistill.extras import extra
from rankdistill.files import replacing
from rankdistill.plugins import suggestion
from rankdistill.serving.recommender import Asked, Recommender, Rules
from rankdistill.types import PAD, UNKNOWN, Floats, Ints

_USERS_A_BLOCK = 8192
_ROWS_A_BATCH = 1 << 16
_USER, _ITEM = "user_id", "item_id"


@dataclass(slots=True)
class Streamed:
    """What came of a file.

    Attributes:
        users: that got a list.
        unknown_users: that got none, since the model does not know them.
        unknown_items: items of histories that were left aside.
    """

    users: int = 0
    unknown_users: int = 0
    unknown_items: int = 0


def recommend_file(model: Recommender, path: Path, out: Path, rules: Rules, *, histories: bool = False) -> Streamed:
    """Writes `user_id, rank, item_id, score` for the users of a file, in its order.

    Memory is that of one block; with `histories`, the ids of the users are remembered, too.

    Args:
        model: the exported model.
        path: csv, tsv or parquet with a column `user_id`; users that the model knows. With `histories`, also a
            column `item_id`: what each user has, oldest first, the rows of a user one behind the other.
        out: a parquet file.
        rules: what a list may hold.
        histories: whether `path` says what users have; then they need not be known.

    Raises:
        DataError: the file cannot be read, lacks a column, or has a user in two places.
        RequestError: the model knows none of the users.
        StorageError: `out` cannot be written.
    """
    arrow, parquet = extra("pyarrow", "serve"), extra("pyarrow.parquet", "serve")
    counts, writer = Streamed(), None
    batches = _batches(path, (_USER, _ITEM) if histories else (_USER,))
    blocks = _by_history(model, path, batches, counts) if histories else _by_user(model, batches, counts)
    with replacing(out) as temporary:
        try:
            for ids, asked in blocks:
                table = _table(arrow, model, ids, *model.rank(asked, rules))
                writer = writer or parquet.ParquetWriter(temporary, table.schema, compression="zstd")
                writer.write_table(table)
                counts.users += len(asked)
        finally:
            if writer is not None:
                writer.close()
        if writer is None:
            known = "no user" if not counts.unknown_users else f"none of {counts.unknown_users:,} users"
            raise RequestError(f"{path}: {known} is known to {model.folder}; give their histories, or other ids")
    return counts


def _batches(path: Path, columns: Sequence[str]) -> Iterator[list[Any]]:
    """The given columns, some rows at a time."""
    csv, parquet = extra("pyarrow.csv", "serve"), extra("pyarrow.parquet", "serve")
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    with _reading(path):
        if path.suffix == ".parquet":
            file = parquet.ParquetFile(path)
            _check_columns(path, columns, file.schema_arrow.names)
            yield from (
                [batch.column(name) for name in columns]
                for batch in file.iter_batches(_ROWS_A_BATCH, columns=list(columns))
            )
            return
        parse = csv.ParseOptions(delimiter="\t" if path.suffix == ".tsv" else ",")
        reader = csv.open_csv(path, parse_options=parse)
        _check_columns(path, columns, reader.schema.names)
        yield from ([batch.column(name) for name in columns] for batch in reader)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    arrow = extra("pyarrow", "serve")
    try:
        yield
    except (arrow.ArrowException, OSError) as error:
        raise DataError(f"{path}: cannot be read ({str(error).splitlines()[0]})") from error


def _check_columns(path: Path, wanted: Sequence[str], found: Sequence[str]) -> None:
    for name in wanted:
        if name not in found:
            near = suggestion(name, found)
            raise DataError(f"{path}: has no column {name!r}{near} (there are: {', '.join(found)})")


def _by_user(model: Recommender, batches: Iterator[list[Any]], counts: Streamed) -> Iterator[tuple[list[Any], Asked]]:
    """Users that the model knows, by what they had in training."""
    for (column,) in batches:
        for start in range(0, len(column), _USERS_A_BLOCK):
            ids = column.slice(start, _USERS_A_BLOCK).to_pylist()
            indices = model.users.indices(ids)
            known = np.flatnonzero(indices != UNKNOWN)
            counts.unknown_users += len(ids) - len(known)
            if len(known):
                yield [ids[row] for row in known.tolist()], model.known_indices(indices[known])


def _by_history(
    model: Recommender, path: Path, batches: Iterator[list[Any]], counts: Streamed
) -> Iterator[tuple[list[Any], Asked]]:
    """Users of a file of histories."""
    ids: list[Any] = []
    histories: list[list[int]] = []
    done: set[Any] = set()

    def block() -> tuple[list[Any], Asked]:
        known = model.users.indices(ids)
        asked = Asked(
            np.where(known == UNKNOWN, model.num_users, known),
            [np.array(history, dtype=np.int32) for history in histories],
        )
        return ids, asked

    for users, items in batches:
        indices = model.items.indices(items.to_pylist())
        counts.unknown_items += int((indices == UNKNOWN).sum())
        for user, item in zip(users.to_pylist(), indices.tolist(), strict=True):
            if user is None:
                raise DataError(f"{path}: has a row without {_USER}; leave it out")
            if not ids or user != ids[-1]:
                if user in done:
                    raise DataError(f"{path}: user {user!r} is in two places; sort the rows by user")
                if len(ids) == _USERS_A_BLOCK:
                    yield block()
                    ids, histories = [], []
                done.add(user)
                ids.append(user)
                histories.append([])
            if item != UNKNOWN:
                histories[-1].append(item)
    if ids:
        yield block()


def _table(arrow: Any, model: Recommender, ids: list[Any], items: Ints, scores: Floats) -> Any:
    """The lists of some users, a row an item."""
    rows, places = np.nonzero(items != PAD)
    users = arrow.array(ids)
    return arrow.table(
        {
            _USER: users.take(arrow.array(rows)),
            "rank": arrow.array((places + 1).astype(np.int32)),
            _ITEM: arrow.array(model.items.raw(items[rows, places])),
            "score": arrow.array(scores[rows, places]),
        }
    )
