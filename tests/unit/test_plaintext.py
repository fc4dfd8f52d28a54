"""The quick way to read text gives what the careful way gives, to the letter of every message."""

import gzip
from pathlib import Path
from typing import Any
from unittest.mock import patch

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rankdistill.data import plaintext, textfiles
from rankdistill.data.readers.delimited import Delimited
from rankdistill.data.readers.recbole import RecBole
from rankdistill.errors import DataError

FIELDS = [
    "7",
    "12",
    "-3",
    "007",
    "+7",
    "-0",
    " 8",
    "9 ",
    "1.5",
    "",
    " ",
    "u1",
    "é",
    "\U0001f600",
    "a b",
    '"',
    '"1"',
    '"a,b"',
]
FIELDS += [str(2**63 - 1), str(-(2**63)), str(2**63), "10", "2014-03-27", "1e5", "nan", "\r", "x\ty", "0"]
usual = st.sampled_from(["1", "22", "0", "-5"])
field = usual | st.sampled_from(FIELDS)
row = st.lists(usual, min_size=3, max_size=3) | st.lists(field, min_size=3, max_size=3) | st.lists(field, max_size=4)


def outcome(reader: Any, path: Path, careful: bool, **keys: Any) -> object:
    with (
        patch.object(textfiles, "_read_plain", lambda *_: None)
        if careful
        else patch.object(textfiles, "_NEVER", "\x1f")
    ):
        try:
            frame = reader(reader.Config(path=path, **keys)).read().frame
        except DataError as error:
            return str(error)
    return frame.dtypes, frame.rows()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("text")


@st.composite
def texts(draw: st.DrawFn) -> str:
    """A delimited file, most often with something odd in it."""
    separator, end = draw(st.sampled_from(",\t;")), draw(st.sampled_from(["\n", "\r\n"]))
    before = draw(st.sampled_from(["", "\n", " \n\n"]))
    header = draw(st.sampled_from(["user item time", "user note item", "item user rating"])).replace(" ", separator)
    rows = [separator.join(each) for each in draw(st.lists(row, max_size=6))]
    return before + end.join([header, *rows]) + end * draw(st.booleans())


@settings(max_examples=300)
@given(texts(), st.sampled_from([16, 1 << 24]), st.sampled_from(["", ".gz"]))
def test_any_text_is_read_or_refused_as_it_is_the_careful_way(folder: Path, text: str, block: int, packed: str) -> None:
    path = folder / f"events.csv{packed}"
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    rated = {"min_rating": 2} if "rating" in text else {}
    with patch.object(plaintext, "_BYTES_A_BLOCK", block):
        assert outcome(Delimited, path, False, **rated) == outcome(Delimited, path, True, **rated)


@settings(max_examples=100)
@given(st.lists(row, max_size=5))
def test_any_atomic_file_is_read_or_refused_as_it_is_the_careful_way(folder: Path, rows: list[list[str]]) -> None:
    path = folder / "events.inter"
    header = "user_id:token\titem_id:token\ttimestamp:float"
    path.write_bytes("\n".join([header, *("\t".join(each) for each in rows)]).encode())
    assert outcome(RecBole, path, False) == outcome(RecBole, path, True)


@pytest.mark.parametrize(
    "text", [b"user,item\n1,\xff\n", b"user,item,note\n1,2,\xff\n", b"\xef\xbb\xbf1,2\n3,4\n", b"1,2"]
)
def test_bytes_are_read_or_refused_as_they_are_the_careful_way(folder: Path, text: bytes) -> None:
    path = folder / "events.csv"
    path.write_bytes(text)
    assert outcome(Delimited, path, False) == outcome(Delimited, path, True)


@pytest.mark.parametrize(
    ("text", "quick"),
    [
        ("user,item,time\n1,2,3\n4,5,6\n", True),
        ("user,item,time\r\n1,2,3\r\n4,5,6\r\n", True),
        ("\n\nuser,item,time\nu1,i2,3\nu4,i5,6", True),
        ("1,2,500000000\n4,5,600000000\n", True),
        ("user,item,note\n1,2,\n4,5,é\n", True),
        ("user,item,time\n1,2,3\n\n4,5,6\n", False),
        ('user,item,time\n1,"2",3\n', False),
        ("user,item,time\n1,2,3\n4,,6\n", False),
    ],
)
@pytest.mark.parametrize("packed", ["", ".gz"])
def test_plain_files_take_the_quick_way_and_others_do_not(tmp_path: Path, text: str, quick: bool, packed: str) -> None:
    path = tmp_path / f"events.csv{packed}"
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    with patch.object(textfiles, "_odd_lines", side_effect=LookupError):
        try:
            taken = len(Delimited(Delimited.Config(path=path)).read().frame) == 2
        except LookupError:
            taken = False
    assert taken == quick


@given(st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(-1100, 1100), min_size=1))
def test_the_length_of_written_integers_is_known_without_writing_them(values: list[int]) -> None:
    assert plaintext._digits(pl.Series(values, dtype=pl.Int64)) == sum(len(str(value)) for value in values)
