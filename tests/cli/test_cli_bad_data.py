"""Data that cannot be learnt from: one line that names the file, the row and the value."""

from collections.abc import Callable
from pathlib import Path

from commands import Command, visits, write_csv

Refusal = Callable[..., str]


def test_a_missing_file_is_named_and_the_nearest_one_offered(desk: Path, cli: Command) -> None:
    line = cli.refusal("prepare", "e.toml", "--out", "prepared", "--set", "data.path=evnts.csv")
    assert line == f"{desk / 'evnts.csv'}: no such file; did you mean 'events.csv'?"


def test_an_empty_file_is_refused(bad_csv: Refusal, desk: Path) -> None:
    assert bad_csv("") == f"{desk / 'bad.csv'}: the file is empty"


def test_a_header_alone_is_refused(bad_csv: Refusal) -> None:
    assert bad_csv("uid,poi,ts\n") == "bad.csv: it holds no rows; is it the right file?"


def test_a_header_that_lacks_the_named_column_is_refused_with_the_nearest_one(bad_csv: Refusal) -> None:
    line = bad_csv(visits(), header="uid,pio,ts")
    assert line == "bad.csv: no column 'poi' for item; did you mean 'pio'? (the columns are 'uid', 'pio', 'ts')"


def test_a_row_with_too_few_fields_is_named(bad_csv: Refusal) -> None:
    assert bad_csv([*visits()[:50], ("u1", "i2")]) == "bad.csv: row 52 has 2 fields, the header has 3: 'u1,i2'"


def test_a_time_that_is_no_time_is_named_with_its_row(bad_csv: Refusal) -> None:
    assert bad_csv([*visits()[:5], ("u1", "i3", "yesterday"), *visits()[5:]]) == (
        "bad.csv: row 7, column 'ts': 'yesterday' is no time; "
        "give numbers, or dates such as 2014-03-27 or 2014-03-27T18:00:05Z"
    )


def test_an_empty_user_is_named_with_its_row(bad_csv: Refusal) -> None:
    assert bad_csv([*visits()[:5], ("", "i3", 1), *visits()[5:]]) == (
        "bad.csv: row 7, column 'uid': an empty field is no id; every row needs a user and an item"
    )


def test_an_empty_item_is_named_with_its_row(bad_csv: Refusal) -> None:
    assert bad_csv([*visits()[:5], ("u1", "", 1), *visits()[5:]]) == (
        "bad.csv: row 7, column 'poi': an empty field is no id; every row needs a user and an item"
    )


def test_one_user_is_refused(bad_csv: Refusal) -> None:
    assert bad_csv([("u1", item, time) for _, item, time in visits()]) == (
        "bad.csv: 1 user(s) and 30 item(s) are left; there is nothing to rank with fewer than two of each"
    )


def test_one_item_is_refused(bad_csv: Refusal) -> None:
    line = bad_csv([(user, "i1", time) for user, _, time in visits()], "data.repeats=all")
    assert line == "bad.csv: 20 user(s) and 1 item(s) are left; there is nothing to rank with fewer than two of each"


def test_nothing_left_after_the_k_core_is_refused_with_the_thresholds(bad_csv: Refusal) -> None:
    assert bad_csv(visits(), "data.min_user_interactions=500") == (
        "bad.csv: nothing is left of 240 interactions after dropping users with fewer than 500 and items with fewer "
        "than 1; lower min_user_interactions or min_item_interactions"
    )


def test_users_too_short_to_be_tested_are_refused(bad_csv: Refusal) -> None:
    line = bad_csv(visits()[::12], "data.min_user_interactions=1")
    assert line == "bad.csv: the user_fractions split leaves no test rows of 20; use more data"


def test_bytes_that_are_no_text_are_refused(bad_csv: Refusal) -> None:
    assert bad_csv(bytes(range(256)) * 20) == (
        "bad.csv: is not text in the expected encoding (invalid utf-8 sequence); "
        'for instance [data] encoding = "latin-1"'
    )


def test_test_items_never_seen_in_training_are_counted_and_said(desk: Path, cli: Command) -> None:
    write_csv(desk / "unseen.csv", [*visits(), *((f"u{user}", f"new{user}", 99) for user in range(3))])
    outcome = cli.done("prepare", "e.toml", "--out", "prepared", "--set", "data.path=unseen.csv")
    assert outcome.line == (
        "warning: unseen.csv: 3 of 40 test interactions name an item that never occurs in training; "
        "no model can find them"
    )
    assert [line.split() for line in outcome.out.splitlines() if "unseen" in line] == [["unseen", "targets", "3"]]


def test_a_failed_preparation_leaves_the_earlier_folder_as_it_was(desk: Path, cli: Command) -> None:
    cli.done("prepare", "e.toml", "--out", "prepared")
    before = (desk / "prepared" / "split.safetensors").read_bytes()
    cli.refusal("prepare", "e.toml", "--out", "prepared", "--set", "data.min_user_interactions=500")
    assert (desk / "prepared" / "split.safetensors").read_bytes() == before
