import gzip
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from rankdistill.data.events import Events
from rankdistill.data.readers.delimited import Delimited
from rankdistill.data.readers.parquet import Parquet
from rankdistill.data.readers.presplit import Presplit
from rankdistill.data.readers.recbole import RecBole
from rankdistill.data.readers.synthetic import Synthetic
from rankdistill.errors import ConfigError, DataError

ROWS = [(1, 10, 100), (2, 20, 200), (1, 30, 300)]


def delimited(path: Path, **keys: Any) -> Events:
    return Delimited(Delimited.Config(path=path, **keys)).read()


def parquet(path: Path, **keys: Any) -> Events:
    return Parquet(Parquet.Config(path=path, **keys)).read()


def recbole(path: Path, **keys: Any) -> Events:
    return RecBole(RecBole.Config(path=path, **keys)).read()


def presplit(path: Path) -> Events:
    return Presplit(Presplit.Config(path=path)).read()


def written(folder: Path, text: str | bytes, name: str = "events.csv") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    content = text.encode() if isinstance(text, str) else text
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return path


def refused(error: type[Exception], call: Any, *arguments: Any, **keys: Any) -> str:
    with pytest.raises(error) as caught:
        call(*arguments, **keys)
    assert "\n" not in str(caught.value)
    return str(caught.value)


class TestDelimitedText:
    @pytest.mark.parametrize("separator", [",", "\t", ";", "|", " ", "::"])
    @pytest.mark.parametrize("name", ["events.csv", "events.csv.gz"])
    def test_any_usual_separator_is_guessed(self, tmp_path: Path, separator: str, name: str) -> None:
        rows = [("uid", "poi", "ts"), *ROWS]
        text = "".join(separator.join(map(str, row)) + "\n" for row in rows)
        events = delimited(written(tmp_path, text, name))
        assert events.frame.rows() == ROWS
        assert events.frame.dtypes == [pl.Int64, pl.Int64, pl.Int64]
        assert events.notes == (f"{name}: user = 'uid', item = 'poi', time = 'ts' (guessed)",)

    def test_zstandard_is_read(self, tmp_path: Path) -> None:
        pl.DataFrame(ROWS, schema=["user", "item", "time"], orient="row").write_csv(tmp_path / "plain.csv")
        import pyarrow as pa

        with pa.CompressedOutputStream(str(tmp_path / "events.csv.zst"), "zstd") as stream:
            stream.write((tmp_path / "plain.csv").read_bytes())
        assert delimited(tmp_path / "events.csv.zst").frame.rows() == ROWS

    def test_named_columns_are_taken_in_any_order_and_nothing_is_said_to_be_guessed(self, tmp_path: Path) -> None:
        path = written(tmp_path, "when,what,who,user\n5,b,a,x\n6,d,c,x\n")
        events = delimited(path, user="who", item="what", time="when")
        assert events.frame.rows() == [("a", "b", 5), ("c", "d", 6)]
        assert events.notes == ()

    def test_only_the_guessed_columns_are_noted(self, tmp_path: Path) -> None:
        events = delimited(written(tmp_path, "who,Movie ID,Timestamp\na,b,1\n"), user="who")
        assert events.notes == ("events.csv: item = 'Movie ID', time = 'Timestamp' (guessed)",)

    def test_movielens_dat_without_header_is_understood(self, tmp_path: Path) -> None:
        path = written(tmp_path, "1::1193::5::978300760\n1::661::3::978302109\n", "ratings.dat")
        events = delimited(path)
        assert events.frame.rows() == [(1, 1193, 978300760), (1, 661, 978302109)]
        assert any("no header" in note for note in events.notes)

    def test_columns_without_header_are_named_by_number(self, tmp_path: Path) -> None:
        path = written(tmp_path, "7,a,x\n8,b,y\n")
        events = delimited(path, user="column_2", item="column_3", has_header=False, time="")
        assert events.frame.rows() == [("a", "x"), ("b", "y")]

    def test_a_header_of_unknown_names_is_not_taken_for_data(self, tmp_path: Path) -> None:
        events = delimited(written(tmp_path, "who,what\n1,2\n3,4\n"), user="who", item="what")
        assert events.frame.rows() == [(1, 2), (3, 4)]

    def test_a_header_of_unknown_names_is_known_by_the_dates_below_it(self, tmp_path: Path) -> None:
        path = written(tmp_path, "who,what thing,when?\nann,x,2023-11-15 22:13:20\nbob,y,2023-11-15 22:13:21\n")
        message = refused(DataError, delimited, path)
        assert "none of the columns 'who', 'what thing', 'when?' looks like the user" in message
        events = delimited(path, user="who", item="what thing", time="when?")
        assert [row[:2] for row in events.frame.rows()] == [("ann", "x"), ("bob", "y")]

    def test_a_first_row_of_text_with_a_date_is_data(self, tmp_path: Path) -> None:
        path = written(tmp_path, "ann,x,2023-11-15\nbob,y,2023-11-16\n")
        assert [row[:2] for row in delimited(path).frame.rows()] == [("ann", "x"), ("bob", "y")]

    def test_rows_of_text_alone_are_read_once_it_is_said_whether_the_first_has_names(self, tmp_path: Path) -> None:
        path = written(tmp_path, "ann,x\nbob,y\n")
        assert delimited(path, has_header=False).frame.rows() == [("ann", "x"), ("bob", "y")]
        assert delimited(path, user="column_1", item="column_2").frame.rows() == [("ann", "x"), ("bob", "y")]
        assert delimited(path, user="ann", item="x").frame.rows() == [("bob", "y")]

    @pytest.mark.parametrize(
        ("rows", "keys", "said"),
        [
            ("1,2,3\n", {}, ["column_3 is not used; [data] time = 'column_3' makes it the time"]),
            ("1,2,3,x\n", {}, ["column_3, column_4 are not used; [data] time names the one that holds the times"]),
            ("1,2,3\n", {"time": "column_3"}, []),
            ("1,2,3\n", {"time": ""}, []),
            ("1,2,3\n", {"min_rating": 1}, []),
            ("1,2,978300760,x\n", {}, []),
            ("1,2\n", {}, []),
        ],
    )
    def test_a_column_without_name_that_could_be_the_time_is_said_not_to_be_used(
        self, tmp_path: Path, rows: str, keys: dict[str, Any], said: list[str]
    ) -> None:
        notes = delimited(written(tmp_path, rows), **keys).notes
        assert [note.removeprefix("events.csv: ") for note in notes if "not used" in note] == said

    def test_without_times_the_order_of_the_file_is_kept_and_said(self, tmp_path: Path) -> None:
        events = delimited(written(tmp_path, "user,item\n9,2\n1,3\n9,1\n"))
        assert events.frame.rows() == [(9, 2), (1, 3), (9, 1)]
        assert "no column of times" in events.notes[-1]

    def test_a_guessed_time_can_be_switched_off(self, tmp_path: Path) -> None:
        events = delimited(written(tmp_path, "user,item,time\n9,2,x\n"), time="")
        assert events.frame.columns == ["user", "item"]

    @pytest.mark.parametrize(
        ("raw", "read"),
        [
            (["1", "23", "-4"], [1, 23, -4]),
            (["007", "8"], ["007", "8"]),
            (["1.0", "2"], ["1.0", "2"]),
            ([str(2**70), "1"], [str(2**70), "1"]),
            (["+1", "2"], ["+1", "2"]),
            (["a", "1"], ["a", "1"]),
        ],
    )
    def test_ids_are_integers_only_where_every_one_is_a_plain_integer(
        self, tmp_path: Path, raw: list[str], read: list[int] | list[str]
    ) -> None:
        text = "user,item\n" + "".join(f"{value},x\n" for value in raw)
        assert delimited(written(tmp_path, text)).frame["user"].to_list() == read

    @pytest.mark.parametrize(
        ("raw", "order"),
        [
            (["30", "20", "10"], [2, 1, 0]),
            (["1.5", "0.25", "7"], [1, 0, 2]),
            (["8.81e8", "8.80e8", "1"], [2, 1, 0]),
            (["2014-03-28", "2014-03-27 18:00", "2014-03-27T17:00:00.5"], [2, 1, 0]),
            (["2014-03-27T12:00:00+02:00", "2014-03-27T11:00:00Z", "2014-03-27 09:00:00 UTC"], [2, 0, 1]),
            (["Tue Apr 03 18:00:09 +0000 2012", "Tue Apr 03 18:00:06 +0000 2012"], [1, 0]),
        ],
    )
    def test_times_in_numbers_and_dates_are_put_in_order(
        self, tmp_path: Path, raw: list[str], order: list[int]
    ) -> None:
        text = "user,item,time\n" + "".join(f"u,i,{value}\n" for value in raw)
        time = delimited(written(tmp_path, text)).frame["time"]
        assert time.dtype == pl.Int64
        assert time.arg_sort().to_list() == order

    def test_dates_are_microseconds_since_1970(self, tmp_path: Path) -> None:
        events = delimited(written(tmp_path, "user,item,time\nu,i,2014-03-27T18:00:05.25+02:00\n"))
        expected = datetime(2014, 3, 27, 16, 0, 5, 250_000, tzinfo=UTC).timestamp()
        assert events.frame["time"][0] == round(expected * 1_000_000)

    def test_quoted_fields_may_hold_separators(self, tmp_path: Path) -> None:
        text = 'user,note,item\n"a, b","says ""hi""",x\nc,,y\n'
        assert delimited(written(tmp_path, text), time="").frame.rows() == [("a, b", "x"), ("c", "y")]

    def test_quoted_fields_may_go_over_several_lines(self, tmp_path: Path) -> None:
        text = 'user,note,item\n1,"one\ntwo, and\nthree",2\n3,x,4\n\n'
        assert delimited(written(tmp_path, text)).frame.rows() == [(1, 2), (3, 4)]

    def test_byte_order_marks_windows_line_ends_and_blank_lines_are_no_data(self, tmp_path: Path) -> None:
        text = b"\xef\xbb\xbfuser,item,time\r\n\r\n1,2,3\r\n \r\n4,5,6\r\n\r\n"
        assert delimited(written(tmp_path, text)).frame.rows() == [(1, 2, 3), (4, 5, 6)]

    def test_low_ratings_are_left_out_and_counted(self, tmp_path: Path) -> None:
        events = delimited(written(tmp_path, "user,item,rating\n1,2,5\n1,3,2.5\n2,2,4\n"), min_rating=4)
        assert events.frame.rows() == [(1, 2), (2, 2)]
        assert events.notes[-1] == "events.csv: 1 of 3 rows with 'rating' below 4 are left out"

    def test_latin_1_is_read_when_it_is_named(self, tmp_path: Path) -> None:
        path = written(tmp_path, "user,item\nJosé,1\n".encode("latin-1"), "events.csv.gz")
        assert delimited(path, encoding="latin-1").frame["user"].to_list() == ["José"]

    @pytest.mark.parametrize("name", ["events.csv", "events.csv.gz"])
    def test_utf_16_is_read_when_it_is_named(self, tmp_path: Path, name: str) -> None:
        path = written(tmp_path, "user,item\nJosé,1\n".encode("utf-16"), name)
        assert delimited(path, encoding="UTF-16").frame.rows() == [("José", 1)]

    def test_a_name_with_brackets_is_a_name_and_no_pattern(self, tmp_path: Path) -> None:
        assert len(delimited(written(tmp_path, "user,item\n1,2\n", "events[1]*.csv")).frame) == 1


class TestDelimitedTextIsRefused:
    def test_when_it_is_missing_with_the_nearest_file_named(self, tmp_path: Path) -> None:
        written(tmp_path, "user,item\n1,2\n")
        message = refused(DataError, delimited, tmp_path / "event.csv")
        assert message == f"{tmp_path / 'event.csv'}: no such file; did you mean 'events.csv'?"

    def test_when_its_folder_is_missing(self, tmp_path: Path) -> None:
        assert f"nor its folder {tmp_path / 'x'}" in refused(DataError, delimited, tmp_path / "x" / "events.csv")

    def test_when_it_is_a_folder(self, tmp_path: Path) -> None:
        assert "is a folder; name a file in it" in refused(DataError, delimited, tmp_path)

    @pytest.mark.parametrize("text", ["", "\n \n"])
    @pytest.mark.parametrize("name", ["events.csv", "events.csv.gz"])
    def test_when_it_is_empty(self, tmp_path: Path, text: str, name: str) -> None:
        assert "the file is empty" in refused(DataError, delimited, written(tmp_path, text, name))

    def test_when_there_is_a_header_alone(self, tmp_path: Path) -> None:
        assert "holds no rows" in refused(DataError, delimited, written(tmp_path, "user,item,time\n"))

    def test_when_it_is_named_gz_but_is_none(self, tmp_path: Path) -> None:
        path = tmp_path / "events.csv.gz"
        path.write_text("user,item\n1,2\n")
        message = "events.csv.gz: is named .gz but is not compressed; rename it or fetch it again"
        assert refused(DataError, delimited, path) == message

    @pytest.mark.parametrize("cut", [15, 200, 4_000])
    def test_when_a_gz_is_truncated(self, tmp_path: Path, cut: int) -> None:
        text = "user,item,time\n" + "".join(f"{n % 97},{n * 7919 % 100_003},{n}\n" for n in range(2_000))
        path = written(tmp_path, text, "events.csv.gz")
        path.write_bytes(path.read_bytes()[:cut])
        assert "events.csv.gz: is truncated or damaged" in refused(DataError, delimited, path)

    def test_when_the_named_column_is_not_there_with_the_nearest_one_offered(self, tmp_path: Path) -> None:
        path = written(tmp_path, "user_id,item_id,ts\n1,2,3\n")
        message = refused(DataError, delimited, path, user="user_ids")
        assert message == (
            "events.csv: no column 'user_ids' for user; did you mean 'user_id'? "
            "(the columns are 'user_id', 'item_id', 'ts')"
        )

    def test_when_no_column_can_be_guessed(self, tmp_path: Path) -> None:
        message = refused(DataError, delimited, written(tmp_path, "who,item\na,1\n"))
        assert "none of the columns 'who', 'item' looks like the user" in message
        assert '[data] user = "..."' in message

    def test_when_it_cannot_be_told_whether_the_first_row_has_names(self, tmp_path: Path) -> None:
        message = refused(DataError, delimited, written(tmp_path, "\nann,x\nbob,y\n"))
        assert message == (
            "events.csv: cannot tell whether row 2, 'ann,x', holds the names of the columns; "
            "set [data] has_header to true or false"
        )

    @pytest.mark.parametrize("keys", [{}, {"user": "user"}])
    def test_when_two_columns_have_the_name_of_one_that_is_needed(self, tmp_path: Path, keys: dict[str, str]) -> None:
        message = refused(DataError, delimited, written(tmp_path, "user,item,user\n1,2,3\n"), **keys)
        assert message == "events.csv: 2 columns are called 'user', which one is the user? rename the others"
        assert len(delimited(written(tmp_path, "user,item,note,note\n1,2,3,4\n")).frame) == 1

    def test_when_user_and_item_are_the_same_column(self, tmp_path: Path) -> None:
        assert "the same column, 'item'" in refused(
            DataError, delimited, written(tmp_path, "user,item\n1,2\n"), user="item"
        )

    def test_when_there_is_one_column_only(self, tmp_path: Path) -> None:
        assert "row 1 is one field" in refused(DataError, delimited, written(tmp_path, "user\n1\n"))

    @pytest.mark.parametrize("separator", [",", "\t", "::", " "])
    def test_when_a_row_has_too_few_fields(self, tmp_path: Path, separator: str) -> None:
        text = "user,item,time\n1,2,3\n\n4,5\n6,7\n".replace(",", separator)
        message = refused(DataError, delimited, written(tmp_path, text))
        row = "4,5".replace(",", separator)
        assert message == f"events.csv: row 4 has 2 fields, the header has 3: {row!r}"

    @pytest.mark.parametrize("separator", [",", "::", " "])
    def test_when_a_row_has_too_many_fields(self, tmp_path: Path, separator: str) -> None:
        text = "1,2,300000000\n4,5,600000000,7\n".replace(",", separator)
        message = refused(DataError, delimited, written(tmp_path, text), separator=separator)
        assert message.startswith("events.csv: row 2 has 4 fields, the first row has 3: ")

    @pytest.mark.parametrize("separator", [",", "|", "::", "\t", " "])
    @pytest.mark.parametrize("has_header", [True, False, None])
    def test_when_the_given_separator_is_not_in_the_file(
        self, tmp_path: Path, separator: str, has_header: bool | None
    ) -> None:
        path = written(tmp_path, "\nuser;item\n1;2\n")
        message = refused(DataError, delimited, path, separator=separator, has_header=has_header)
        assert message == (
            f"events.csv: the separator {separator!r} is not in row 2, 'user;item'; "
            f"correct [data] separator, or leave it out to have it guessed"
        )

    @pytest.mark.parametrize("name", ["events.csv", "events.csv.gz"])
    @pytest.mark.parametrize("before", ["", "\n", '"one\ntwo",b\n'])
    def test_when_a_quoted_row_has_too_many_fields(self, tmp_path: Path, name: str, before: str) -> None:
        text = f'user,item\n"a",b\n{before}"c",d,e\nf,g\n'
        message = refused(DataError, delimited, written(tmp_path, text, name))
        row = 3 + before.count("\n")
        assert message == f"{name}: row {row} has 3 fields, the header has 2: '\"c\",d,e'"

    @pytest.mark.parametrize("row", ['"c,d', 'c,"d', '"c"x,d', 'c,5" disc'])
    @pytest.mark.parametrize("after", ["f,g\n", "f,g\n" * 30, 'f,g\n"h",i\n'])
    def test_when_a_quote_is_not_closed_or_stands_inside_of_a_field(self, tmp_path: Path, row: str, after: str) -> None:
        message = refused(DataError, delimited, written(tmp_path, f'user,item\n"a",b\n{row}\n{after}'))
        assert message == (
            f"events.csv: row 3 has a double quote that is not closed or stands inside of a field: {row!r}; "
            f"close it, or wrap the field in quotes and write the quote twice"
        )

    @pytest.mark.parametrize("value", ["yesterday", "2014-13-01", "nan", "1e300"])
    def test_when_a_time_is_no_time(self, tmp_path: Path, value: str) -> None:
        message = refused(DataError, delimited, written(tmp_path, f"user,item,time\n1,2,3\n1,3,{value}\n"))
        assert message.startswith(f"events.csv: row 3, column 'time': {value!r} is no time")

    def test_when_a_time_is_missing(self, tmp_path: Path) -> None:
        message = refused(DataError, delimited, written(tmp_path, "user,item,time\n1,2,3\n1,3,\n1,4,\n"))
        assert message.startswith("events.csv: row 3, column 'time': an empty field is no time")
        assert message.endswith("1 more row like it")

    def test_when_times_are_of_two_kinds(self, tmp_path: Path) -> None:
        message = refused(DataError, delimited, written(tmp_path, "user,item,time\n1,2,3\n1,3,2014-03-27\n"))
        assert message == (
            "events.csv: row 3, column 'time': '2014-03-27' is another kind of time than '3' in the first row"
        )

    @pytest.mark.parametrize(("row", "column"), [(",5,6", "uid"), ("4,,6", "poi"), ("4,  ,6", "poi"), (",,", "uid")])
    def test_when_an_id_is_empty(self, tmp_path: Path, row: str, column: str) -> None:
        message = refused(DataError, delimited, written(tmp_path, f"uid,poi,ts\n1,2,3\n\n{row}\n"))
        assert message.startswith(f"events.csv: row 4, column {column!r}: ")
        assert "is no id; every row needs a user and an item" in message

    def test_when_a_rating_is_no_number(self, tmp_path: Path) -> None:
        text = "user,item,stars\n1,2,5\n1,3,good\n"
        message = refused(DataError, delimited, written(tmp_path, text), rating="stars", min_rating=3)
        assert message == "events.csv: row 3, column 'stars': 'good' is no rating; ratings are numbers"

    def test_when_no_rating_is_high_enough(self, tmp_path: Path) -> None:
        message = refused(DataError, delimited, written(tmp_path, "user,item,rating\n1,2,3\n1,3,4\n"), min_rating=4.5)
        assert message == "events.csv: no 'rating' reaches min_rating = 4.5 (the highest is 4)"

    def test_when_a_rating_is_wanted_and_there_is_none(self, tmp_path: Path) -> None:
        message = refused(DataError, delimited, written(tmp_path, "user,item\n1,2\n"), min_rating=4)
        assert "looks like the rating" in message

    def test_when_it_is_not_utf_8(self, tmp_path: Path) -> None:
        path = written(tmp_path, "user,item\nJosé,1\n".encode("latin-1"))
        assert '[data] encoding = "latin-1"' in refused(DataError, delimited, path)

    @pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
    @pytest.mark.parametrize("name", ["events.csv", "events.csv.gz"])
    @pytest.mark.parametrize("keys", [{}, {"encoding": "latin-1"}])
    def test_when_it_says_that_it_is_utf_16(
        self, tmp_path: Path, encoding: str, name: str, keys: dict[str, str]
    ) -> None:
        path = written(tmp_path, "\ufeffuser,item\nJosé,1\n".encode(encoding), name)
        assert refused(DataError, delimited, path, **keys) == (
            f'{name}: is UTF-16 text; save it as UTF-8, or as delimited text set [data] encoding = "utf-16"'
        )

    def test_when_a_gz_in_another_encoding_is_truncated(self, tmp_path: Path) -> None:
        path = written(tmp_path, "user,item\n" + "Jos\u00e9,1\n" * 99, "events.csv.gz")
        path.write_bytes(path.read_bytes()[:-12])
        assert "is truncated or damaged" in refused(DataError, delimited, path, encoding="latin-1")

    def test_when_the_encoding_does_not_exist(self, tmp_path: Path) -> None:
        path = written(tmp_path, "user,item\n1,1\n")
        assert "no encoding 'latin-9000'" in refused(ConfigError, delimited, path, encoding="latin-9000")

    def test_when_it_is_parquet(self, tmp_path: Path) -> None:
        pl.DataFrame({"user": [1]}).write_parquet(tmp_path / "events.csv")
        assert 'set [data] kind = "parquet"' in refused(DataError, delimited, tmp_path / "events.csv")


class TestParquet:
    def test_ids_keep_their_type_and_integers_of_any_width_are_one_type(self, tmp_path: Path) -> None:
        frame = pl.DataFrame({"uid": ["7", "b"], "poi": pl.Series([3, 4], dtype=pl.UInt16), "ts": [5, 6]})
        frame.write_parquet(tmp_path / "events.parquet")
        events = parquet(tmp_path / "events.parquet")
        assert events.frame.rows() == [("7", 3, 5), ("b", 4, 6)]
        assert events.frame.dtypes == [pl.String, pl.Int64, pl.Int64]
        assert events.notes == ("events.parquet: user = 'uid', item = 'poi', time = 'ts' (guessed)",)

    def test_categories_are_text_and_whole_floats_are_integers(self, tmp_path: Path) -> None:
        frame = pl.DataFrame({"user": pl.Series(["a", "b"], dtype=pl.Categorical), "item": [1.0, 2.0]})
        frame.write_parquet(tmp_path / "events.parquet")
        assert parquet(tmp_path / "events.parquet").frame.rows() == [("a", 1), ("b", 2)]

    @pytest.mark.parametrize(
        "times",
        [
            [datetime(2014, 3, 28), datetime(2014, 3, 27)],
            [datetime(2014, 3, 28, tzinfo=UTC), datetime(2014, 3, 27, tzinfo=UTC)],
            [date(2014, 3, 28), date(2014, 3, 27)],
            [2.5, 1.5],
            ["2014-03-28", "2014-03-27"],
            [7, 6],
        ],
    )
    def test_times_of_any_type_are_put_in_order(self, tmp_path: Path, times: list[Any]) -> None:
        frame = pl.DataFrame({"user": [1, 2], "item": [1, 2], "time": times})
        frame.write_parquet(tmp_path / "events.parquet")
        time = parquet(tmp_path / "events.parquet").frame["time"]
        assert time.dtype == pl.Int64
        assert time[0] > time[1]

    @pytest.mark.parametrize("where", ["", "part-*.parquet"])
    def test_a_folder_and_a_pattern_are_read_in_the_order_of_names(self, tmp_path: Path, where: str) -> None:
        for name, row in (("part-2", [3, 4]), ("part-1", [1, 2])):
            pl.DataFrame([row], schema=["user", "item"], orient="row").write_parquet(tmp_path / f"{name}.parquet")
        assert parquet(tmp_path / where).frame.rows() == [(1, 2), (3, 4)]

    def test_low_ratings_are_left_out(self, tmp_path: Path) -> None:
        pl.DataFrame({"user": [1, 2], "item": [1, 2], "stars": [1, 5]}).write_parquet(tmp_path / "e.parquet")
        assert parquet(tmp_path / "e.parquet", min_rating=3).frame.rows() == [(2, 2)]

    @pytest.mark.parametrize(
        ("user", "said"),
        [
            (pl.Series([b"a", b"b"]), "type Binary; ids are integers or text"),
            (pl.Series([True, False]), "type Boolean; ids are integers or text"),
            (pl.Series([1.0, 2.5]), "row 2, column 'user': 2.5 is no id"),
            (pl.Series([1.0, float("nan")]), "row 2, column 'user': nan is no id"),
            (pl.Series([1, None]), "row 2, column 'user': an empty field is no id"),
            (pl.Series(["a", ""]), "row 2, column 'user': an empty field is no id"),
        ],
    )
    def test_values_that_are_no_ids_are_refused(self, tmp_path: Path, user: pl.Series, said: str) -> None:
        pl.DataFrame({"user": user, "item": [1, 2]}).write_parquet(tmp_path / "events.parquet")
        assert said in refused(DataError, parquet, tmp_path / "events.parquet")

    def test_times_that_are_no_times_are_refused(self, tmp_path: Path) -> None:
        frame = pl.DataFrame({"user": [1, 2], "item": [1, 2], "time": [True, False], "date": [1, None]})
        frame.write_parquet(tmp_path / "events.parquet")
        assert "type Boolean, which is no type" in refused(DataError, parquet, tmp_path / "events.parquet")
        assert "row 2, column 'date': an empty field is no time" in refused(
            DataError, parquet, tmp_path / "events.parquet", time="date"
        )

    def test_a_truncated_a_foreign_a_missing_and_an_empty_file_are_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "events.parquet"
        pl.DataFrame({"user": list(range(1000)), "item": list(range(1000))}).write_parquet(path)
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        assert "events.parquet: is truncated" in refused(DataError, parquet, path)
        path.write_bytes(whole[: len(whole) // 2] + b"\0" * 60 + whole[-8:])
        assert refused(DataError, parquet, path).startswith("events.parquet: ")
        assert "is no parquet file" in refused(DataError, parquet, written(tmp_path, "user,item\n1,2\n"))
        assert "no such file" in refused(DataError, parquet, tmp_path / "none.parquet")
        assert "no parquet file there" in refused(DataError, parquet, tmp_path / "none*.parquet")
        pl.DataFrame({"user": [], "item": []}, schema={"user": pl.Int64, "item": pl.Int64}).write_parquet(path)
        assert "holds no rows" in refused(DataError, parquet, path)


class TestRecBole:
    INTER = "timestamp:float\titem_id:token\trating:float\tuser_id:token\n5.0\ta\t3\t7\n6.0\tb\t4\t8\n"

    def test_columns_are_found_in_any_order_by_their_names_without_type(self, tmp_path: Path) -> None:
        events = recbole(written(tmp_path, self.INTER, "shop.inter"))
        assert events.frame.rows() == [(7, "a", 5), (8, "b", 6)]
        assert events.titles is None
        assert events.notes == ("shop.inter: user = 'user_id', item = 'item_id', time = 'timestamp' (guessed)",)

    def test_titles_come_from_the_item_file_beside_it(self, tmp_path: Path) -> None:
        written(tmp_path, self.INTER, "shop.inter")
        item = 'c:token_seq\titem_id:token\tmovie_title:token_seq\nx\ta\tThe "A" 12" Single\ny\tb\t\nz\tc\tC\n'
        written(tmp_path, item, "shop.item")
        events = recbole(tmp_path)
        assert events.titles is not None
        assert events.titles.rows() == [("a", 'The "A" 12" Single'), ("c", "C")]

    def test_ids_of_titles_have_the_type_of_the_events(self, tmp_path: Path) -> None:
        written(tmp_path, "user_id:token\titem_id:token\n1\t2\n", "shop.inter")
        written(tmp_path, "item_id:token\tname:token_seq\n2\tTwo\nx\tNot sold\n", "shop.item")
        events = recbole(tmp_path)
        assert events.titles is not None
        assert events.titles.rows() == [(2, "Two")]

    def test_an_item_file_without_titles_gives_none(self, tmp_path: Path) -> None:
        written(tmp_path, self.INTER, "shop.inter")
        written(tmp_path, "item_id:token\tprice:float\na\t2\n", "shop.item")
        assert recbole(tmp_path).titles is None

    def test_a_header_without_types_is_refused(self, tmp_path: Path) -> None:
        message = refused(DataError, recbole, written(tmp_path, "user_id\titem_id\n1\t2\n", "shop.inter"))
        assert "the header field 'user_id' is not name:type" in message

    def test_a_folder_with_none_or_several_files_is_refused(self, tmp_path: Path) -> None:
        assert "there is none" in refused(DataError, recbole, tmp_path)
        written(tmp_path, self.INTER, "a.inter")
        written(tmp_path, self.INTER, "b.inter")
        assert "there is a.inter, b.inter" in refused(DataError, recbole, tmp_path)

    def test_a_short_row_and_a_missing_column_are_refused(self, tmp_path: Path) -> None:
        path = written(tmp_path, self.INTER + "7.0\tc\t1\n", "shop.inter")
        assert "shop.inter: row 4 has 3 fields, the header has 4: " in refused(DataError, recbole, path)
        assert "no column 'user' for user" in refused(
            DataError, recbole, written(tmp_path, self.INTER, "shop.inter"), user="user"
        )


class TestPresplitData:
    def test_rows_come_train_first_then_validation_then_test_in_file_order(self, tmp_path: Path) -> None:
        for name, text in (
            ("train", "1 9 1\n2 8 1\n1 3 1\n"),
            ("validation", "1 4 1\n"),
            ("test", "2 5 1\n1 6 1\n"),
        ):
            written(tmp_path, text, f"{name}.txt")
        events = presplit(tmp_path)
        expected = [(1, 9, 0), (2, 8, 0), (1, 3, 0), (1, 4, 1), (2, 5, 2), (1, 6, 2)]
        assert events.frame.rows() == expected
        assert events.frame.dtypes == [pl.Int64, pl.Int64, pl.Int8]

    def cuts(self, folder: Path) -> None:
        written(folder, "1 9 1\n2 8 1\n1 3 1\n2 7 1\n", "test/train.txt")
        written(folder, "1 5 1\n2 6 1\n", "test/test.txt")
        written(folder, "1 9 1\n2 8 1\n", "validation/train.txt")
        written(folder, "1 3 1\n2 7 1\n", "validation/test.txt")

    def test_two_cuts_of_the_same_data_make_three_parts(self, tmp_path: Path) -> None:
        self.cuts(tmp_path)
        expected = [(1, 9, 0), (2, 8, 0), (1, 3, 1), (2, 7, 1), (1, 5, 2), (2, 6, 2)]
        assert presplit(tmp_path).frame.rows() == expected

    def test_one_cut_makes_two_parts(self, tmp_path: Path) -> None:
        written(tmp_path, "a\tx\nb\ty\n", "test/train.txt")
        written(tmp_path, "a\tz\n", "test/test.txt")
        assert presplit(tmp_path).frame.rows() == [("a", "x", 0), ("b", "y", 0), ("a", "z", 2)]

    def test_a_header_says_which_column_is_which(self, tmp_path: Path) -> None:
        for name in ("train", "test"):
            written(tmp_path, "item,user\n1,2\n", f"{name}.csv")
        assert presplit(tmp_path).frame.rows() == [(2, 1, 0), (2, 1, 2)]

    def test_ids_are_integers_only_where_they_are_in_every_file(self, tmp_path: Path) -> None:
        written(tmp_path, "1 2\n", "train.txt")
        written(tmp_path, "1 x\n", "test.txt")
        assert presplit(tmp_path).frame.rows() == [(1, "2", 0), (1, "x", 2)]

    @pytest.mark.parametrize("text", ["1 9 1\n2 8 1\n2 2 1\n", "1 9 1\n2 4 1\n"])
    def test_cuts_of_different_data_are_refused_with_the_first_user_named(self, tmp_path: Path, text: str) -> None:
        self.cuts(tmp_path)
        written(tmp_path, text, "validation/train.txt")
        message = refused(DataError, presplit, tmp_path)
        assert message.startswith(f"{tmp_path.name}: user '2': the rows of test/train.txt are not those of")

    def test_a_missing_folder_and_a_missing_file_are_refused(self, tmp_path: Path) -> None:
        assert "no such folder" in refused(DataError, presplit, tmp_path / "none")
        assert "no test/train.txt and no test/test.txt" in refused(DataError, presplit, tmp_path)
        written(tmp_path, "1 2\n", "train.txt")
        assert "no test.txt" in refused(DataError, presplit, tmp_path)
        assert "is no folder" in refused(DataError, presplit, tmp_path / "train.txt")

    def test_rows_of_four_fields_and_uneven_rows_are_refused(self, tmp_path: Path) -> None:
        written(tmp_path, "1 2 3 4\n", "train.txt")
        written(tmp_path, "1 2\n3\n", "test.txt")
        assert "rows have 4 fields" in refused(DataError, presplit, tmp_path)
        written(tmp_path, "1 2\n", "train.txt")
        message = refused(DataError, presplit, tmp_path)
        assert message == f"{tmp_path.name}/test.txt: row 2 has 1 field, the first row has 2: '3'"

    def test_it_declares_that_it_brings_its_own_split(self, tmp_path: Path) -> None:
        assert Presplit.Config(path=tmp_path).presplit
        assert not Parquet.Config(path=tmp_path).presplit


def test_the_synthetic_reader_draws_what_its_config_says() -> None:
    events = Synthetic(Synthetic.Config(users=7, items=40, length=5, seed=3)).read()
    assert events.frame.height == 35
    assert events.frame["user"].n_unique() == 7
    assert events.frame["item"].is_between(1, 40).all()
