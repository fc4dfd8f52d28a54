"""The quick way to read text in which nothing is out of the ordinary, which is most of the large files.

The bytes are surveyed once: every line has the same number of separators, no quotes stand in it, and it is valid text.
Then columns of integers can be parsed as such. Wherever this does not hold, the careful way of `textfiles` reads the
file anew: it knows what to make of it, or which row to name.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from rankdistill.types import Ints

_BYTES_A_BLOCK = 1 << 24
_NEWLINE, _RETURN = b"\n", b"\r"


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the rows of a file begin, and how each is cut.

    Attributes:
        path: the file.
        separator: one character between two fields.
        width: fields in a row.
        quoting: whether fields may be wrapped in double quotes.
        skipped: lines before the first row.
    """

    path: Path
    separator: str
    width: int
    quoting: bool
    skipped: int


def read_plain(layout: Layout, columns: Mapping[str, int], sample: Sequence[str]) -> pl.DataFrame | None:
    """The wanted columns, Int64 where every field is a plain integer, else as text; and `row`, the line number from 1.

    Args:
        layout: of the file.
        columns: the position of each wanted column.
        sample: some of its rows: columns that hold other things than integers in these are not tried as such.

    Returns:
        None where a row has another width, a wanted field is empty, or a line may mean something else than it seems.
    """
    if not sample or not layout.separator.isascii() or layout.width < 2:
        return None
    try:
        found = _survey(layout)
        if found is None:
            return None
        fields = [line.split(layout.separator) for line in sample]
        integers = {name for name, at in columns.items() if all(_is_plain(row[at].strip()) for row in fields)}
        table = _parsed(layout, columns, integers)
        if table is None or any(_digits(table[name]) != found[columns[name]] for name in integers):
            table = _parsed(layout, columns, set())
    except (OSError, EOFError, zlib.error):
        return None
    if table is None or any(table[name].null_count() for name in columns):
        return None
    if layout.separator.isspace() and (table[next(iter(columns))].cast(pl.String).str.strip_chars() == "").any():
        return None  # such a line may be blank as a whole
    return table


def _is_plain(field: str) -> bool:
    return field.isascii() and field.removeprefix("-").isdigit()


def _parsed(layout: Layout, columns: Mapping[str, int], integers: set[str]) -> pl.DataFrame | None:
    """The wanted columns, `integers` as such; None where one of these holds something else."""
    names = {position: name for name, position in columns.items()}
    schema = {
        f"field_{position}": pl.Int64 if names.get(position) in integers else pl.String
        for position in range(layout.width)
    }
    table = pl.scan_csv(
        layout.path,
        has_header=False,
        skip_lines=layout.skipped,
        separator=layout.separator,
        quote_char=None,
        schema=schema,
        row_index_name="row",
        row_index_offset=layout.skipped + 1,
        glob=False,
    )
    wanted = [pl.col(f"field_{position}").alias(name) for name, position in columns.items()]
    try:
        return table.select("row", *wanted).collect(engine="streaming")
    except pl.exceptions.PolarsError:
        return None


def _digits(numbers: pl.Series) -> int:
    """The characters that integers [n] take when written out: more stand in the file if one is written otherwise."""
    if numbers.null_count() or numbers.is_empty():
        return -1
    values = numbers.to_numpy()
    total, negative = len(values), int(np.count_nonzero(values < 0))
    for power in range(1, 19):
        longer = int(np.count_nonzero(values >= 10**power))
        if negative:
            longer += int(np.count_nonzero(values <= -(10**power)))
        if not longer:
            break
        total += longer
    return total + negative


def _survey(layout: Layout) -> Ints | None:
    """The bytes [width] that each column takes in all; None where something is out of the ordinary."""
    total = np.zeros(layout.width, dtype=np.int64)
    with _opened(layout.path) as file:
        for _ in range(layout.skipped):
            file.readline()
        for block in _whole_lines(file):
            found = _lengths(block, layout)
            if found is None:
                return None
            total += found
    return total


def _opened(path: Path) -> BinaryIO:
    """The file, unpacked where it is gzip; what else is packed fails the survey, for its bytes are no text."""
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return cast(BinaryIO, gzip.open(path)) if packed else path.open("rb")


def _whole_lines(file: BinaryIO) -> Iterator[bytes]:
    while block := file.read(_BYTES_A_BLOCK):
        block += file.readline()
        yield block if block.endswith(_NEWLINE) else block + _NEWLINE


def _lengths(block: bytes, layout: Layout) -> Ints | None:
    if (layout.quoting and b'"' in block) or not _is_text(block):
        return None
    codes: NDArray[np.uint8] = np.frombuffer(block, dtype=np.uint8)
    found = np.flatnonzero((codes == ord(layout.separator)) | (codes == _NEWLINE[0]))
    lines = block.count(_NEWLINE)
    if len(found) != lines * layout.width:
        return None
    marks = found.reshape(lines, layout.width)
    ends = marks[:, -1]
    if (codes[ends] != _NEWLINE[0]).any():
        return None
    last = marks.sum(axis=0)
    before = np.concatenate([[last[-1] - ends[-1] - 1], last[:-1]])  # the line before the first ends at -1
    lengths: Ints = last - before - lines
    if returns := block.count(_RETURN):
        if returns != np.count_nonzero(codes[ends - 1] == _RETURN[0]):
            return None
        lengths[-1] -= returns
    return lengths


def _is_text(block: bytes) -> bool:
    if block.isascii():
        return True
    try:
        block.decode()
    except UnicodeDecodeError:
        return False
    return True
