"""Which column of a file is the user, the item, the time, the rating: as named, or guessed from its name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from pydantic import Field

from rankdistill.config import DataConfig
from rankdistill.errors import DataError
from rankdistill.plugins import suggestion

_USUAL = {
    "user": (
        "userid user uid useridx userindex userkey customerid customer memberid member visitorid visitor "
        "accountid account reviewerid reviewer profileid clientid sessionid session"
    ),
    "item": (
        "itemid item iid itemidx itemindex itemkey movieid movie poiidx poiid poi productid product venueid "
        "venue placeid place locationid businessid asin parentasin sku articleid article newsid songid song "
        "trackid track artistid artist bookid book isbn gameid game appid videoid video documentid docid "
        "contentid"
    ),
    "time": (
        "timestamp time ts unixs unixtime unixtimestamp unix timestamps datetime date createdat created "
        "eventtime eventtimestamp utctimestamp utctime checkintime visittime reviewtime unixreviewtime "
        "occurredat"
    ),
    "rating": "rating ratings stars score overall",
}
"""The usual names of each column without capitals, spaces and punctuation, the surest first."""


class ColumnsConfig(DataConfig):
    """The keys that say which column is which."""

    path: Path = Field(description="the file to read")
    user: str | None = Field(None, description="column of the user ids (guessed from the usual names when left out)")
    item: str | None = Field(None, description="column of the item ids (guessed when left out)")
    time: str | None = Field(None, description="column of the times (guessed when left out; '' for none: file order)")
    rating: str | None = Field(None, description="column of the ratings, for min_rating (guessed when left out)")
    min_rating: float | None = Field(None, description="rows with a lower rating are left out")


@dataclass(frozen=True, slots=True)
class Columns:
    """The position of each column in the file's header; None for a column that the file does not have."""

    user: int
    item: int
    time: int | None = None
    rating: int | None = None

    def present(self) -> dict[str, int]:
        """The columns to read: {"user": 0, "item": 1, ...}."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: position for name, position in found.items() if position is not None}


def choose(
    header: Sequence[str], config: ColumnsConfig, source: str, guesses: Mapping[str, int] | None = None
) -> tuple[Columns, tuple[str, ...]]:
    """The columns that `config` names, the rest guessed; and the notes that say what was guessed.

    Args:
        header: the names of the file's columns.
        config: the names that were given.
        source: what to call the file in messages.
        guesses: the column of each role where none is named; by default from the usual names.

    Raises:
        DataError: the file has no column of the given name or several, or none that can be guessed.
    """
    guesses = by_name(header) if guesses is None else guesses
    rated = config.min_rating is not None or config.rating is not None
    found: dict[str, int] = {}
    for role in ("user", "item", "time", "rating") if rated else ("user", "item", "time"):
        given = getattr(config, role)
        if given:
            found[role] = named(given, role, header, source)
        elif given is None and role in guesses:
            found[role] = guesses[role]
        elif role != "time":
            raise DataError(
                f'{source}: none of the columns {_listed(header)} looks like the {role}; name it: [data] {role} = "..."'
            )
    columns = Columns(**found)
    _check_single(columns, header, source)
    if columns.user == columns.item:
        raise DataError(f"{source}: user and item are the same column, {header[columns.user]!r}; name two columns")
    return columns, _notes(columns, header, config, source)


def named(name: str, role: str, header: Sequence[str], source: str) -> int:
    """The position of the column called `name`.

    Raises:
        DataError: there is no such column.
    """
    if name in header:
        return header.index(name)
    near = suggestion(name, header)
    raise DataError(f"{source}: no column {name!r} for {role}{near} (the columns are {_listed(header)})")


def by_name(header: Sequence[str]) -> dict[str, int]:
    """The columns that have a usual name: {"user": 0, ...}, without those that have none.

    >>> by_name(["Item ID", "User ID"])
    {'user': 1, 'item': 0}
    """
    plain = [re.sub("[^a-z0-9]", "", name.lower()) for name in header]
    found = {}
    for role, names in _USUAL.items():
        surest = next((usual for usual in names.split() if usual in plain), None)
        if surest is not None:
            found[role] = plain.index(surest)
    return found


def _check_single(columns: Columns, header: Sequence[str], source: str) -> None:
    for role, position in columns.present().items():
        name = header[position]
        if (count := list(header).count(name)) > 1:
            raise DataError(
                f"{source}: {count} columns are called {name!r}, which one is the {role}? rename the others"
            )


def _notes(columns: Columns, header: Sequence[str], config: ColumnsConfig, source: str) -> tuple[str, ...]:
    guessed = [
        f"{role} = {header[position]!r}"
        for role, position in columns.present().items()
        if getattr(config, role) is None
    ]
    notes = [f"{source}: {', '.join(guessed)} (guessed)"] if guessed else []
    if columns.time is None:
        notes.append(f"{source}: no column of times; the rows are taken to be in the order of time")
    if config.rating is not None and config.min_rating is None:
        notes.append(f"{source}: rating = {config.rating!r} is only checked; set min_rating to leave rows out")
    return tuple(notes)


def _listed(header: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in header[:12] if name)
    return shown if len(header) <= 12 else f"{shown} and {len(header) - 12} more"
