"""Delimited text: csv, tsv and their relatives, plain or compressed, with any column names."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
from pydantic import Field

from rankdistill.data.columns import ColumnsConfig, by_name, choose
from rankdistill.data.events import Events
from rankdistill.data.textfiles import Shape, TextFile, guess_separator, read_columns, shortened, split_line
from rankdistill.data.values import from_dates, integers_where_plain, tidy
from rankdistill.errors import DataError

_SECONDS = 1e8  # a number above it is read as a time (March 1973 in seconds), one below as a rating


class Delimited:
    """Reads one text file with a row an event.

    The separator, the header and the columns are guessed where they are not given, and the guess is noted.
    """

    class Config(ColumnsConfig):
        """The keys of `[data]`."""

        kind: str = "delimited"
        separator: str | None = Field(
            None, min_length=1, description="what separates the fields; ' ' is any white space (guessed)"
        )
        has_header: bool | None = Field(None, description="whether the first row holds the column names (guessed)")
        encoding: str = Field("utf-8", description="how the text is encoded")

    def __init__(self, config: Config) -> None:
        self.config = config

    def read(self) -> Events:
        """Reads the file.

        Raises:
            DataError: it is missing or damaged, or the separator, a row, a column or a value is not what it should be.
            ConfigError: there is no such encoding.
        """
        config = self.config
        file = TextFile.open(config.path, config.encoding)
        separator = (config.separator or guess_separator(file)).replace("\\t", "\t")
        first = split_line(file.lines[0], separator)
        if len(first) < 2:
            raise DataError(
                f"{file.name}: the separator {separator!r} is not in row {file.first_row}, {shortened(file.lines[0])}; "
                f"correct [data] separator, or leave it out to have it guessed"
            )
        has_header = self._has_header(file, separator) if config.has_header is None else config.has_header
        header = [name.strip() for name in first] if has_header else _numbered(first)
        guesses = by_name(header) if has_header else by_position(first)
        columns, notes = choose(header, config, file.name, guesses)
        shape = Shape(separator, len(first), has_header)
        raw = read_columns(file, shape, columns.present())
        names = {role: header[position] for role, position in columns.present().items()}
        frame, more = tidy(raw, names, file.name, min_rating=config.min_rating)
        frame = frame.with_columns(integers_where_plain(frame[role]) for role in ("user", "item"))
        if not has_header:
            notes = (
                f"{file.name}: no header; the columns are called column_1 to column_{len(first)}",
                *notes,
            )
        return Events(frame, None, (*notes, *more), file.name)

    def _has_header(self, file: TextFile, separator: str) -> bool:
        rows = [split_line(line, separator) for line in file.lines[:2]]
        names = [name.strip() for name in rows[0]]
        given = {self.config.user, self.config.item, self.config.time, self.config.rating}
        if given.intersection(names) or by_name(names):
            return True
        if any(_is_number(name) for name in names):
            return False
        return len(rows) < 2 or any(_is_number(field) for field in rows[1])


def by_position(first: Sequence[str]) -> dict[str, int]:
    """The columns of a file without header, from its first row: user, item, what looks like time or rating.

    >>> by_position(["1", "1193", "5", "978300760"])
    {'user': 0, 'item': 1, 'time': 3, 'rating': 2}
    """
    found = {"user": 0, "item": 1}
    rest = range(2, len(first))
    timelike = next((position for position in rest if _is_time(first[position])), None)
    if timelike is not None:
        found["time"] = timelike
    rating = next((position for position in rest if position != timelike and _is_number(first[position])), None)
    if rating is not None:
        found["rating"] = rating
    return found


def _is_time(field: str) -> bool:
    if _is_number(field):
        return float(field) >= _SECONDS
    return from_dates(pl.Series([field.strip()]))[0] is not None


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _numbered(first: Sequence[str]) -> list[str]:
    return [f"column_{position + 1}" for position in range(len(first))]
