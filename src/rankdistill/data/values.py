"""From the raw values of a file to ids and times, naming the row and the value where one cannot be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from rankdistill.errors import DataError

_LARGEST = 2.0**63
_FEW = 1000


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """One column of a file: its values [n], the row number of each [n], and where it came from."""

    values: pl.Series
    rows: pl.Series
    name: str
    source: str

    def refuse(self, bad: pl.Series, why: str) -> None:
        """Raises a `DataError` that names the first row where `bad` [n] is true, and its value."""
        if not bad.any():
            return
        first = int(bad.arg_true()[0])
        others = int(bad.sum()) - 1
        more = f"; {others:,} more row{'s' * (others > 1)} like it" if others else ""
        value = self.values[first]
        shown = "an empty field" if value is None or value == "" else repr(value)
        raise DataError(f"{self.source}: row {self.rows[first]}, column {self.name!r}: {shown} {why}{more}")


def tidy(
    raw: pl.DataFrame, names: Mapping[str, str], source: str, *, min_rating: float | None = None
) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """The columns `user`, `item` and `time` of a file's raw values, checked, and notes on rows left out.

    Args:
        raw: column `row` (the row number in the file), `user`, `item` and maybe `time` and `rating`, as read.
        names: the file's own name of each column.
        source: what to call the file in messages.
        min_rating: rows with a lower rating are left out.

    Raises:
        DataError: an id is empty or of a type that ids cannot have, a time is no time, a rating no number.
    """
    notes: tuple[str, ...] = ()
    if raw.is_empty():
        raise DataError(f"{source}: it holds no rows; is it the right file?")
    if "rating" in raw.columns:
        raw, notes = _without_low_ratings(raw, names["rating"], source, min_rating)
    columns = {
        role: Column(raw[role], raw["row"], names[role], source)
        for role in ("user", "item", "time")
        if role in raw.columns
    }
    tidied = {role: times(column) if role == "time" else ids(column) for role, column in columns.items()}
    return pl.DataFrame({role: values.alias(role) for role, values in tidied.items()}), notes


def ids(column: Column) -> pl.Series:
    """The raw ids [n] of a column: Int64, or String.

    Raises:
        DataError: an id is empty, or the column's type is neither integers nor text.
    """
    values, dtype = column.values, column.values.dtype
    if dtype == pl.Categorical or dtype == pl.Enum:
        values = values.cast(pl.String)
    if values.dtype == pl.String:
        column.refuse(values.str.strip_chars().fill_null("") == "", "is no id; every row needs a user and an item")
        return values
    if not dtype.is_integer() and not dtype.is_float():
        raise DataError(f"{column.source}: column {column.name!r} is of type {dtype}; ids are integers or text")
    column.refuse(values.is_null(), "is no id; every row needs a user and an item")
    whole = values.cast(pl.Int64, strict=False)
    if dtype.is_float():
        column.refuse(whole.is_null() | (whole.cast(dtype) != values), "is no id; ids are integers or text")
    return values if whole.null_count() else whole


def integers_where_plain(text: pl.Series) -> pl.Series:
    """Ids [n] read as text, as Int64 where every one is a plain integer ("007", "1.0" and 2^70 are not)."""
    if text.dtype == pl.Int64 or (len(text) > _FEW and integers_where_plain(text.head(_FEW)).dtype == pl.String):
        return text
    whole = text.cast(pl.Int64, strict=False)
    if whole.null_count() or not (whole.cast(pl.String) == text).all():
        return text
    return whole


def times(column: Column) -> pl.Series:
    """Times as Int64 [n]: the file's own integers, or microseconds.

    Understood are integers, real numbers and dates, with or without a time of day and a zone (UTC without).

    Raises:
        DataError: a time is missing or no time.
    """
    values, dtype = column.values, column.values.dtype
    column.refuse(values.is_null(), "is no time; every row needs one, or set [data] time = '' for the file's order")
    if dtype == pl.Date or dtype == pl.Datetime:
        return values.dt.epoch("us")
    if dtype.is_integer():
        whole = values.cast(pl.Int64, strict=False)
        column.refuse(whole.is_null(), "is no time; it is above 2^63")
        return whole
    if dtype.is_float() or dtype.is_decimal():
        return _from_numbers(column, values.cast(pl.Float64))
    if dtype == pl.String:
        return _from_text(column)
    raise DataError(f"{column.source}: column {column.name!r} is of type {dtype}, which is no type of times")


def _from_numbers(column: Column, numbers: pl.Series) -> pl.Series:
    column.refuse(~(numbers.is_finite() & (numbers.abs() < _LARGEST)), "is no time")
    if (numbers.round() == numbers).all():
        return numbers.cast(pl.Int64)
    microseconds = numbers * 1e6
    column.refuse(~(microseconds.abs() < _LARGEST), "is no time; it is too large for seconds")
    return microseconds.round().cast(pl.Int64)


def _from_text(column: Column) -> pl.Series:
    text = column.values.str.strip_chars()
    whole = text.cast(pl.Int64, strict=False)
    if not whole.null_count():
        return whole
    numbers = text.cast(pl.Float64, strict=False)
    if not numbers.null_count():
        return _from_numbers(column, numbers)
    moments = from_dates(text)
    if not moments.null_count():
        return moments
    column.refuse(
        numbers.is_null() & moments.is_null(),
        "is no time; give numbers, or dates such as 2014-03-27 or 2014-03-27T18:00:05Z",
    )
    mixed = numbers.is_null() != numbers.is_null()[0]
    column.refuse(mixed, f"is another kind of time than {column.values[0]!r} in the first row")
    return moments


def from_dates(text: pl.Series) -> pl.Series:
    """Microseconds [n] since 1970 of dates in ISO 8601 or as `Tue Apr 03 18:00:09 +0000 2012`, else null."""
    iso = (
        pl.col("text")
        .str.replace(r"^(\d{4})/(\d\d)/(\d\d)", "${1}-${2}-${3}")
        .str.replace(r"^(\d{4}-\d\d-\d\d) +", "${1}T")
        .str.replace(r"^(\d{4}-\d\d-\d\d)$", "${1}T00:00:00")
        .str.replace(r" *(Z|z|UTC)$", "+00:00")
        .str.replace(r"(T\d\d:\d\d) *($|[+-])", "${1}:00${2}")
        .str.replace(r"(T\d\d:\d\d:\d\d(\.\d+)?)$", "${1}+00:00")
        .str.replace(r" *([+-]\d\d):?(\d\d)?$", "${1}:${2}")
        .str.replace(r"([+-]\d\d:)$", "${1}00")
    )
    zoned, worded = "%Y-%m-%dT%H:%M:%S%.f%:z", "%a %b %d %H:%M:%S %z %Y"
    parsed = pl.coalesce(
        iso.str.to_datetime(zoned, time_unit="us", time_zone="UTC", strict=False),
        pl.col("text").str.to_datetime(worded, time_unit="us", time_zone="UTC", strict=False),
    )
    return pl.DataFrame({"text": text}).select(parsed.dt.epoch("us").alias("time"))["time"]


def _without_low_ratings(
    raw: pl.DataFrame, name: str, source: str, least: float | None
) -> tuple[pl.DataFrame, tuple[str, ...]]:
    column = Column(raw["rating"], raw["row"], name, source)
    values = column.values.str.strip_chars() if column.values.dtype == pl.String else column.values
    ratings = values.cast(pl.Float64, strict=False)
    column.refuse(ratings.is_null() | ratings.is_nan(), "is no rating; ratings are numbers")
    if least is None:
        return raw, ()
    kept = raw.filter(ratings >= least)
    if kept.is_empty():
        highest = float(ratings.to_numpy().max())
        raise DataError(f"{source}: no {name!r} reaches min_rating = {least:g} (the highest is {highest:g})")
    left_out = len(raw) - len(kept)
    return kept, (f"{source}: {left_out:,} of {len(raw):,} rows with {name!r} below {least:g} are left out",)
