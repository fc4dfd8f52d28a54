"""Checks that an input file is there, whole and of the kind that its name says."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from rankdistill.errors import DataError
from rankdistill.plugins import suggestion

_MAGIC = {".gz": b"\x1f\x8b", ".zst": b"\x28\xb5\x2f\xfd"}
_FOREIGN = {
    b"PAR1": 'is a parquet file; set [data] kind = "parquet"',
    b"PK\x03\x04": "is a zip archive or a spreadsheet; unpack it, or save it as CSV",
    b"SQLite format 3": "is an SQLite database; export the table as CSV or parquet",
}


def check_file(path: Path) -> None:
    """Checks that `path` is a file with something in it.

    Raises:
        DataError: it is not there, a folder, empty, or may not be read.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file{_siblings(path)}")
    if path.is_dir():
        raise DataError(f"{path}: is a folder; name a file in it")
    with reading(path.name):
        start = first_bytes(path)
    if not start:
        raise DataError(f"{path}: the file is empty")


def check_text(path: Path) -> None:
    """Checks that `path` is a file of text, or of compressed text where its name says so.

    Raises:
        DataError: it is not.
    """
    check_file(path)
    start = first_bytes(path)
    expected = _MAGIC.get(path.suffix.lower())
    if expected is not None and not start.startswith(expected):
        raise DataError(f"{path.name}: is named {path.suffix} but is not compressed; rename it or fetch it again")
    for magic, what in _FOREIGN.items():
        if start.startswith(magic):
            raise DataError(f"{path.name}: {what}")


def first_bytes(path: Path) -> bytes:
    """The first 16 bytes of a file."""
    with path.open("rb") as file:
        return file.read(16)


@contextmanager
def reading(source: str) -> Iterator[None]:
    """Turns what goes wrong while a file is read into a `DataError` of one line."""
    try:
        yield
    except (OSError, EOFError, UnicodeDecodeError, zlib.error, pl.exceptions.PolarsError) as error:
        raise DataError(f"{source}: {_explained(error)}") from error


def _explained(error: Exception) -> str:
    text = (str(error).strip() or type(error).__name__).splitlines()[0]
    lowered = text.lower()
    if "utf-8" in lowered or isinstance(error, UnicodeDecodeError):
        return f'is not text in the expected encoding ({text}); for instance [data] encoding = "latin-1"'
    if any(
        sign in lowered for sign in ("end of file", "end-of-stream", "deflate", "gzip", "zstd", "crc", "decompress")
    ):
        return f"is truncated or damaged ({text}); fetch it again"
    return f"cannot be read ({text})"


def _siblings(path: Path) -> str:
    if not path.parent.is_dir():
        return f" (nor its folder {path.parent})"
    return suggestion(path.name, [other.name for other in path.parent.iterdir()])
