"""Tables in text files: what separates the fields, and the wanted columns as text with their row numbers.

Every row is counted against the first before anything is read from it, so that a row with too few or too many
fields is an error that names it and never a shifted or missing value.
"""

from __future__ import annotations

import codecs
import csv
import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from rankdistill.data.inputs import check_text, first_bytes, reading
from rankdistill.data.plaintext import Layout, read_plain
from rankdistill.errors import ConfigError, DataError

WHITESPACE = " "
"""The separator that stands for any run of spaces and tabs."""

_SEPARATORS = ("::", "\t", ",", ";", "|")
_NEVER = "\x1f"  # reading with a separator that no text has gives whole lines


@dataclass(frozen=True, slots=True, eq=False)
class TextFile:
    """A text file, plain or compressed, and its first lines.

    Attributes:
        name: what to call it in messages.
        content: where to read it: its path, or its bytes in UTF-8 if it was in another encoding.
        lines: the first lines that are not blank, at most ten.
        first_row: the line number, from 1, of the first of them.
    """

    name: str
    content: Path | bytes
    lines: tuple[str, ...]
    first_row: int

    @classmethod
    def open(cls, path: Path, encoding: str = "utf-8", name: str | None = None) -> TextFile:
        """Opens the file at `path`, to be called `name` (that of the file) in messages.

        Raises:
            DataError: it is missing, empty, damaged, or not text.
            ConfigError: there is no such encoding.
        """
        check_text(path)
        name = name or path.name
        with reading(name):
            content = _in_utf8(path, encoding)
            start = _lines(content).filter(~_blank()).head(10).collect()
        if start.is_empty():
            raise DataError(f"{path}: the file is empty")
        return cls(name, content, tuple(start["line"]), start["row"][0])


@dataclass(frozen=True, slots=True)
class Shape:
    """How a text file is cut into fields.

    Attributes:
        separator: one or more characters, or `WHITESPACE`.
        width: fields in a row.
        has_header: whether the first row holds names.
        quoting: whether fields may be wrapped in double quotes (one-character separators only).
    """

    separator: str
    width: int
    has_header: bool
    quoting: bool = True

    @property
    def bare(self) -> bool:
        """Whether the rows are cut at the separator alone, without quotes."""
        return not self.quoting or self.separator == WHITESPACE or len(self.separator) > 1


def guess_separator(file: TextFile) -> str:
    """The separator that cuts the first lines into the same number of fields, two at least.

    Raises:
        DataError: there is none.
    """
    counts = {separator: [line.count(separator) for line in file.lines] for separator in _SEPARATORS}
    for separator, found in counts.items():
        if found[0] and len(set(found)) == 1:
            return separator
    best = max(_SEPARATORS, key=lambda separator: counts[separator][0])
    if counts[best][0]:
        return best
    if len(file.lines[0].split()) > 1:
        return WHITESPACE
    raise DataError(
        f"{file.name}: row {file.first_row} is one field, {shortened(file.lines[0])}: no comma, tab, "
        f"semicolon, '|', '::' or space in it; give [data] separator"
    )


def split_line(line: str, separator: str, *, quoting: bool = True) -> list[str]:
    """The fields of one line.

    >>> split_line('1,"a, b"', ",")
    ['1', 'a, b']
    """
    if separator == WHITESPACE:
        return line.split()
    if quoting and len(separator) == 1:
        try:
            return next(csv.reader([line], delimiter=separator))
        except csv.Error:  # a carriage return within the line: the reader of the whole file takes it for text
            return line.split(separator)
    return line.split(separator)


def read_columns(file: TextFile, shape: Shape, columns: Mapping[str, int]) -> pl.DataFrame:
    """The wanted columns as text, null where empty, and `row`, the line number from 1; without blank lines.

    Args:
        file: the file to read.
        shape: how it is cut into fields.
        columns: the position of each wanted column.

    Raises:
        DataError: a row has too few or too many fields, or the file is damaged.
    """
    plain = _read_plain(file, shape, columns)
    if plain is not None:
        return plain
    with reading(file.name):
        odd = _odd_lines(file, shape)
        multiline = not shape.bare and odd["open"].any()
        if not multiline:
            _check_widths(file, shape, odd)
        table = _bare_table(file, shape, columns) if shape.bare else _quoted_table(file, shape, columns)
        if shape.has_header:
            table = table.filter(pl.col("row") != file.first_row)
        if multiline:  # the row numbers are not those of the lines then
            table = table.filter(~pl.all_horizontal(pl.col(*columns).is_null()))
        elif odd["blank"].any():
            table = table.filter(~pl.col("row").is_in(odd.filter("blank")["row"].implode()))
        try:
            return table.collect()
        except pl.exceptions.PolarsError:
            if not shape.bare:
                _check_quoted_rows(file, shape)
            raise


def _read_plain(file: TextFile, shape: Shape, columns: Mapping[str, int]) -> pl.DataFrame | None:
    """The same where nothing in the file is out of the ordinary, with integers parsed already; else None."""
    if isinstance(file.content, bytes) or len(shape.separator) > 1 or shape.separator == WHITESPACE:
        return None
    skipped = file.first_row - (not shape.has_header)
    layout = Layout(file.content, shape.separator, shape.width, shape.quoting, skipped)
    rows = file.lines[shape.has_header :]
    if any(row.count(shape.separator) + 1 != shape.width for row in rows):
        return None
    return read_plain(layout, columns, rows)


def _odd_lines(file: TextFile, shape: Shape) -> pl.DataFrame:
    """The lines that are `blank`, of another `width`, or leave a quoted field `open` to the next line."""
    line = pl.col("line")
    if shape.separator == WHITESPACE:
        width = line.str.count_matches(r"\S+")
    else:
        width = line.str.count_matches(shape.separator, literal=True) + 1
    wrong = width != shape.width
    quotes = line.str.count_matches('"', literal=True)
    if not shape.bare:  # a quoted field may hold the separator: the parser counts those rows
        wrong &= quotes == 0
    marked = _lines(file.content).with_columns(
        width.alias("width"), _blank().alias("blank"), (quotes % 2 == 1).fill_null(False).alias("open")
    )
    return marked.filter(pl.col("blank") | wrong | (pl.col("open") & (not shape.bare))).collect()


def _check_widths(file: TextFile, shape: Shape, odd: pl.DataFrame) -> None:
    wrong = odd.filter(~pl.col("blank")).head(1).select("row", "line", "width")
    for row, text, width in wrong.iter_rows():
        raise _wrong_width(file, shape, row, width, text)


def _wrong_width(file: TextFile, shape: Shape, row: int, width: int, text: str) -> DataError:
    noun = "field" if width == 1 else "fields"
    first = "the header" if shape.has_header else "the first row"
    return DataError(f"{file.name}: row {row} has {width} {noun}, {first} has {shape.width}: {shortened(text)}")


def _check_quoted_rows(file: TextFile, shape: Shape) -> None:
    """Names the row that the parser, which names none, could not read: slow, and so only done after it failed."""
    lines = _lines(file.content).collect()["line"].fill_null("").to_list()
    reader = csv.reader(lines, delimiter=shape.separator, strict=True)
    start = 0  # lines before the row at hand
    try:
        for fields in reader:
            single = reader.line_num == start + 1
            if single and lines[start].count('"') % 2:
                raise csv.Error("a quote that opens nothing")
            if len(fields) > shape.width:
                raise _wrong_width(file, shape, start + 1, len(fields), lines[start])
            start = reader.line_num
    except csv.Error as error:
        raise DataError(
            f"{file.name}: row {start + 1} has a double quote that is not closed or stands inside of a field: "
            f"{shortened(lines[start])}; close it, or wrap the field in quotes and write the quote twice"
        ) from error


def _quoted_table(file: TextFile, shape: Shape, columns: Mapping[str, int]) -> pl.LazyFrame:
    names = [f"field_{position}" for position in range(shape.width)]
    table = pl.scan_csv(
        file.content,
        has_header=False,
        separator=shape.separator,
        schema=dict.fromkeys(names, pl.String),
        row_index_name="row",
        skip_lines=file.first_row - 1,  # the parser counts the fields of the first line, were it blank
        row_index_offset=file.first_row,
        glob=False,
    )
    return table.select("row", *[pl.col(names[position]).alias(name) for name, position in columns.items()])


def _bare_table(file: TextFile, shape: Shape, columns: Mapping[str, int]) -> pl.LazyFrame:
    line = pl.col("line")
    if shape.separator == WHITESPACE:
        fields = line.str.strip_chars().str.replace_all(r"\s+", "\t").str.split("\t")
    else:
        fields = line.str.split(shape.separator)
    wanted = {name: fields.list.get(position, null_on_oob=True) for name, position in columns.items()}
    filled = [pl.when(field != "").then(field).alias(name) for name, field in wanted.items()]
    return _lines(file.content).select("row", *filled)


def _lines(content: Path | bytes) -> pl.LazyFrame:
    return pl.scan_csv(
        content,
        has_header=False,
        separator=_NEVER,
        quote_char=None,
        schema={"line": pl.String},
        row_index_name="row",
        row_index_offset=1,
        glob=False,
    )


def _blank() -> pl.Expr:
    return pl.col("line").str.strip_chars().fill_null("") == ""


def _in_utf8(path: Path, encoding: str) -> Path | bytes:
    try:
        name, packed = codecs.lookup(encoding).name, first_bytes(path).startswith(b"\x1f\x8b")
        _check_mark(path, name, packed)
        if name in ("utf-8", "ascii"):
            return path
        content = path.read_bytes()
        content = gzip.decompress(content) if packed else content
        return content.decode(encoding).encode()
    except LookupError as error:
        raise ConfigError(f"[data] encoding: there is no encoding {encoding!r}; for instance 'latin-1'") from error


def _check_mark(path: Path, encoding: str, packed: bool) -> None:
    """Refuses text that says of itself that it is UTF-16, where it would be read as something else."""
    with gzip.open(path) if packed else path.open("rb") as file:
        start = file.read(2)
    if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) and not encoding.startswith("utf-16"):
        raise DataError(
            f'{path.name}: is UTF-16 text; save it as UTF-8, or as delimited text set [data] encoding = "utf-16"'
        )


def shortened(text: str) -> str:
    """A line of the file as messages quote it."""
    return repr(text if len(text) <= 80 else f"{text[:77]}...")
