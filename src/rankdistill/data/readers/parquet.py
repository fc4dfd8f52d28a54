"""Parquet: one file, a folder of files, or a pattern such as `events/*.parquet`."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from rankdistill.data.columns import ColumnsConfig, choose
from rankdistill.data.events import Events
from rankdistill.data.inputs import check_file, first_bytes, reading
from rankdistill.data.values import tidy
from rankdistill.errors import DataError

_MAGIC = b"PAR1"  # the first and the last four bytes of a parquet file


class Parquet:
    """Reads parquet with a row an event; ids keep their type, times may be dates or numbers of any type."""

    class Config(ColumnsConfig):
        """The keys of `[data]`."""

        kind: str = "parquet"

    def __init__(self, config: Config) -> None:
        self.config = config

    def read(self) -> Events:
        """Reads the file or files, in the order of their names; rows count from 1 through all of them.

        Raises:
            DataError: a file is missing, damaged or no parquet, or a column or value is not as it should be.
        """
        source = self.config.path.name
        files = _files(self.config.path)
        for file in files:
            _check(file)
        with reading(source):
            table = pl.scan_parquet(files, glob=False, hive_partitioning=False)
            header = table.collect_schema().names()
        columns, notes = choose(header, self.config, source)
        names = {role: header[position] for role, position in columns.present().items()}
        with reading(source):
            numbered = table.with_row_index("__row__", offset=1)
            wanted = [pl.col(name).alias(role) for role, name in names.items()]
            raw = numbered.select(pl.col("__row__").alias("row"), *wanted).collect()
        frame, more = tidy(raw, names, source, min_rating=self.config.min_rating)
        return Events(frame, None, (*notes, *more), source)


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        found = sorted(path.rglob("*.parquet"))
    elif not path.exists() and any(sign in str(path) for sign in "*?["):
        found = sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
    else:
        return [path]
    if not found:
        raise DataError(f"{path}: no parquet file there")
    return found


def _check(path: Path) -> None:
    check_file(path)
    if not first_bytes(path).startswith(_MAGIC):
        raise DataError(f"{path.name}: is no parquet file (it does not start with PAR1)")
    with reading(path.name), path.open("rb") as file:
        file.seek(-min(4, path.stat().st_size), 2)
        end = file.read()
    if end != _MAGIC or path.stat().st_size < 12:
        raise DataError(f"{path.name}: is truncated (it does not end with PAR1); fetch it again")
