"""What a reader returns: the events of an interaction log, with raw ids."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True, slots=True, eq=False)
class Events:
    """The rows of an interaction log, in the order of the file.

    Attributes:
        frame: [n] rows; columns `user` and `item` (raw ids: Int64 where every id of a text file is a plain
            integer, else String or the file's own type), `time` (Int64: the file's own integers or
            microseconds; absent where the file has none, and then the order of the file is the order of time)
            and `part` (Int8: 0 train, 1 validation, 2 test; only where the data brings its own split).
        titles: columns `item` (of the same type) and `title`, or None; not every item need have one.
        notes: lines for the user to see, such as which columns were guessed.
        source: the name to call the data by in messages.
    """

    frame: pl.DataFrame
    titles: pl.DataFrame | None
    notes: tuple[str, ...]
    source: str
