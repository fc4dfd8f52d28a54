"""Delimited text: csv, tsv and their relatives, plain or compressed, with any column names."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
from pydantic import Field

from rankdistill.data.columns import Columns, ColumnsConfig, by_name, choose
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
            notes = (*_notes_without_header(header, columns, config, file.name), *notes)
        return Events(frame, None, (*notes, *more), file.name)

    def _has_header(self, file: TextFile, separator: str) -> bool:
        """Whether the first row has names: usual or given ones, or words where the second row has numbers or dates."""
        rows = [split_line(line, separator) for line in file.lines[:2]]
        names = [name.strip() for name in rows[0]]
        given = {self.config.user, self.config.item, self.config.time, self.config.rating}
        if given.intersection(names) or by_name(names):
            return True
        if _holds_values(names) or given.intersection(_numbered(names)):
            return False
        if len(rows) < 2 or _holds_values(rows[1]):
            return True
        raise DataError(
            f"{file.name}: cannot tell whether row {file.first_row}, {shortened(file.lines[0])}, holds the names of "
            f"the columns; set [data] has_header to true or false"
        )


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


def _holds_values(fields: Sequence[str]) -> bool:
    return any(_is_number(field) or _is_time(field) for field in fields)


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


def _notes_without_header(header: Sequence[str], columns: Columns, config: ColumnsConfig, source: str) -> list[str]:
    """What the columns are called, and which of them could have been the time."""
    notes = [f"{source}: no header; the columns are called {header[0]} to {header[-1]}"]
    unused = [name for position, name in enumerate(header) if position not in columns.present().values()]
    if unused and columns.time is None and config.time is None:
        shown = ", ".join(unused[:5]) + (", ..." if len(unused) > 5 else "")
        one = f"is not used; [data] time = {unused[0]!r} makes it the time"
        several = "are not used; [data] time names the one that holds the times"
        notes.append(f"{source}: {shown} {one if len(unused) == 1 else several}")
    return notes
