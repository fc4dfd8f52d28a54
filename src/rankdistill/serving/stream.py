"""Lists for the users of a file, as many as there are, in bounded memory."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rankdistill.errors import DataError, RequestError
from rankdistill.files import replacing
from rankdistill.plugins import suggestion
from rankdistill.serving.raw_ids import RawIds
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
            column `item_id`: what each user has, oldest first, the rows of a user one behind the other. Ids of csv
            and tsv are text as it stands.
        out: a parquet file. Its users are the model's own raw ids; with `histories`, those of `path`.
        rules: what a list may hold.
        histories: whether `path` says what users have; then they need not be known.

    Raises:
        DataError: the file cannot be read, lacks a column, rows or an id, has something else in the place of ids, or
            has a user in two places.
        RequestError: the model knows none of the users; with `histories`, none of the items.
        StorageError: `out` cannot be written.
    """
    from pyarrow import parquet

    counts, columns = Streamed(), (_USER, _ITEM) if histories else (_USER,)
    types, source = _opened(path, columns)
    batches = _batches(path, source, columns)
    blocks = _by_history(model, path, batches, counts) if histories else _by_user(model, batches, counts)
    schema = _schema(types[0] if histories else _type_of(model.users), _type_of(model.items))
    with replacing(out) as temporary, parquet.ParquetWriter(temporary, schema, compression="zstd") as writer:
        for ids, asked in blocks:
            writer.write_table(_table(schema, model, ids, *model.rank(asked, rules)))
            counts.users += len(asked)
        if not counts.users:
            raise RequestError(
                f"{path}: none of {counts.unknown_users:,} users is known to {model.folder}; "
                "give their histories, or other ids"
            )
    return counts


def _opened(path: Path, columns: Sequence[str]) -> tuple[list[Any], Iterable[Any]]:
    """The types of columns of ids, and their rows, which are read when they are asked for."""
    import pyarrow as pa
    from pyarrow import csv as arrow_csv
    from pyarrow import parquet

    if not path.is_file():
        raise DataError(f"{path}: no such file")
    with _reading(path):
        if path.suffix == ".parquet":
            file = parquet.ParquetFile(path)
            _check(path, columns, file.schema_arrow.names, bool(file.metadata.num_rows))
            types = [_id_type(path, name, file.schema_arrow.field(name).type) for name in columns]
            return types, file.iter_batches(_ROWS_A_BATCH, columns=list(columns))
        delimiter = "\t" if ".tsv" in path.suffixes[-2:] else ","
        _check(path, columns, *_header(path, delimiter))
        types = [pa.string() for _ in columns]  # a guess would make 1 of 001
        convert = arrow_csv.ConvertOptions(
            column_types=dict(zip(columns, types, strict=True)),
            include_columns=list(columns),
            null_values=[""],
            strings_can_be_null=True,
        )
        parse = arrow_csv.ParseOptions(delimiter=delimiter)
        return types, arrow_csv.open_csv(path, parse_options=parse, convert_options=convert)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    from pyarrow import ArrowException

    try:
        yield
    except (ArrowException, OSError, UnicodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read ({str(error).splitlines()[0]})") from error


def _header(path: Path, delimiter: str) -> tuple[list[str], bool]:
    """The names of the columns, and whether there is a row below them."""
    import pyarrow as pa

    with io.TextIOWrapper(pa.input_stream(path), encoding="utf-8-sig", errors="replace", newline="") as file:
        names: list[str] = next((line for line in csv.reader(file, delimiter=delimiter) if line), [])
        return names, any(line.strip("\r\n") for line in file)


def _check(path: Path, wanted: Sequence[str], found: Sequence[str], has_rows: bool) -> None:
    if not has_rows:
        raise DataError(f"{path}: has no rows; give at least one {' and '.join(wanted)}")
    for name in wanted:
        if name not in found:
            near = suggestion(name, found)
            raise DataError(f"{path}: has no column {name!r}{near} (there are: {', '.join(found)})")
        if found.count(name) > 1:
            raise DataError(f"{path}: has {found.count(name)} columns {name!r}; leave one")


def _id_type(path: Path, name: str, found: Any) -> Any:
    """The type of the ids of a column of type `found`."""
    import pyarrow as pa

    kind = found.value_type if pa.types.is_dictionary(found) else found
    if pa.types.is_integer(kind):
        return kind
    if str(kind) in ("string", "large_string", "string_view"):
        return pa.string()
    if pa.types.is_null(kind):
        raise DataError(f"{path}: column {name!r} is empty; every row needs a {name}")
    raise DataError(f"{path}: column {name!r} holds {found}, and ids are whole numbers or text; cast it")


def _batches(path: Path, source: Iterable[Any], columns: Sequence[str]) -> Iterator[list[list[Any]]]:
    """The ids of the given columns, some rows at a time."""
    done = 0
    with _reading(path):
        for batch in source:
            ids = [batch.column(name).to_pylist() for name in columns]
            for name, column in zip(columns, ids, strict=True):
                if None in column:
                    row = done + column.index(None) + 1
                    raise DataError(f"{path}: row {row:,} has no {name}; give it one, or leave it out")
            done += batch.num_rows
            yield ids


def _by_user(
    model: Recommender, batches: Iterator[list[list[Any]]], counts: Streamed
) -> Iterator[tuple[list[Any], Asked]]:
    """Users that the model knows, each once, by what they had in training."""
    done = np.zeros(len(model.users), dtype=np.bool_)
    for (ids,) in batches:
        for start in range(0, len(ids), _USERS_A_BLOCK):
            indices = model.users.indices(ids[start : start + _USERS_A_BLOCK])
            known = indices[indices != UNKNOWN]
            counts.unknown_users += len(indices) - len(known)
            places = np.sort(np.unique(known, return_index=True)[1])
            known = known[places][~done[known[places]]]
            done[known] = True
            if len(known):
                yield model.users.raw(known), model.known_indices(known)


def _by_history(
    model: Recommender, path: Path, batches: Iterator[list[list[Any]]], counts: Streamed
) -> Iterator[tuple[list[Any], Asked]]:
    """Users of a file of histories."""
    ids: list[Any] = []
    histories: list[list[int]] = []
    done: set[Any] = set()
    rows = 0

    def block() -> tuple[list[Any], Asked]:
        known = model.users.indices(ids)
        asked = Asked(
            np.where(known == UNKNOWN, model.num_users, known),
            [np.array(history, dtype=np.int32) for history in histories],
        )
        return ids, asked

    for users, items in batches:
        indices = model.items.indices(items)
        rows += len(indices)
        counts.unknown_items += int((indices == UNKNOWN).sum())
        for user, item in zip(users, indices.tolist(), strict=True):
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
    if counts.unknown_items == rows:
        raise RequestError(f"{path}: none of {rows:,} items is known to {model.folder}; give other ids")
    yield block()


def _type_of(ids: RawIds) -> Any:
    import pyarrow as pa

    return pa.string() if ids.are_text else pa.int64()


def _schema(user: Any, item: Any) -> Any:
    import pyarrow as pa

    return pa.schema([(_USER, user), ("rank", pa.int32()), (_ITEM, item), ("score", pa.float32())])


def _table(schema: Any, model: Recommender, ids: list[Any], items: Ints, scores: Floats) -> Any:
    """The lists of some users, a row an item."""
    import pyarrow as pa

    rows, places = np.nonzero(items != PAD)
    return pa.table(
        [
            [ids[row] for row in rows.tolist()],  # Array.take would import pyarrow.compute, 150 ms
            (places + 1).astype(np.int32),
            model.items.raw(items[rows, places]),
            scores[rows, places],
        ],
        schema=schema,
    )
