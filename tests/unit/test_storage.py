import json
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import rankdistill as rd
from rankdistill.data.events import Events
from rankdistill.data.interactions import Interactions
from rankdistill.data.sequences import Sequences
from rankdistill.data.storage import read_split, write_split
from rankdistill.errors import DataError, StorageError


@pytest.fixture
def titled() -> rd.Split:
    frame = pl.DataFrame({"user": ["b", "b", "a", "a"] * 3, "item": [*range(1, 7)] * 2})
    titles = pl.DataFrame({"item": [2, 1], "title": ["Zwei", "Eins"]})
    data = Interactions.from_events(Events(frame, titles, (), "events.csv"))
    return data.split("leave_last_out", train_on_validation=False, history_length=3)


@pytest.mark.parametrize("name", ["titled", "split", "validated"])
def test_prepared_data_comes_back_as_it_was(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    split: rd.Split = request.getfixturevalue(name)
    write_split(split, tmp_path / "data")
    again = read_split(tmp_path / "data")
    for field in fields(rd.Split):
        before, after = getattr(split, field.name), getattr(again, field.name)
        if isinstance(before, Sequences):
            assert (after.starts.tolist(), after.items.tolist()) == (before.starts.tolist(), before.items.tolist())
        elif field.name in ("user_ids", "item_ids"):
            assert (after.values.to_list(), after.first) == (before.values.to_list(), before.first)
        elif field.name == "titles":
            assert (None if after is None else after.to_list()) == (None if before is None else before.to_list())
        else:
            assert after == before, field.name


def test_the_share_of_the_training_queries_comes_back(split: rd.Split, tmp_path: Path) -> None:
    write_split(replace(split, query_share=0.3, min_history=2), tmp_path / "data")
    again = read_split(tmp_path / "data")
    assert (again.query_share, again.min_history) == (0.3, 2)
    assert again.windows.ids.tolist() == replace(split, min_history=2).windows.part(0.3).ids.tolist()
    assert again.fingerprint == split.fingerprint


def test_data_that_was_written_before_there_were_shares_has_all_queries(split: rd.Split, tmp_path: Path) -> None:
    write_split(split, tmp_path / "data")
    about = json.loads((tmp_path / "data" / "split.json").read_text())
    del about["query_share"], about["min_history"]
    (tmp_path / "data" / "split.json").write_text(json.dumps(about))
    again = read_split(tmp_path / "data")
    assert (again.query_share, again.min_history) == (1, None)


def test_users_and_items_are_counted_by_raw_id(titled: rd.Split, tmp_path: Path) -> None:
    write_split(titled, tmp_path / "data")
    users = pl.read_parquet(tmp_path / "data" / "activity.parquet")
    items = pl.read_parquet(tmp_path / "data" / "items.parquet")
    assert users.rows() == [("a", 4), ("b", 4)]
    assert items.columns == ["item_id", "interactions", "title"]
    assert items["interactions"].sum() == len(titled.train.items)
    assert items["title"].to_list()[:3] == ["Eins", "Zwei", None]


def test_writing_again_replaces_all_that_was_there(split: rd.Split, validated: rd.Split, tmp_path: Path) -> None:
    write_split(validated, tmp_path / "data")
    write_split(split, tmp_path / "data")
    assert read_split(tmp_path / "data").validation is None
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_an_empty_folder_is_written_into(split: rd.Split, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    write_split(split, tmp_path / "data")
    assert read_split(tmp_path / "data").fingerprint == split.fingerprint


@pytest.mark.parametrize(
    ("others", "named"), [(["thesis.tex"], "thesis.tex"), (["b.csv", "a.csv", ".git"], ".git and 2 more")]
)
def test_a_folder_that_holds_other_files_is_refused_and_loses_nothing(
    split: rd.Split, tmp_path: Path, others: list[str], named: str
) -> None:
    folder = tmp_path / "data"
    write_split(split, folder)
    for other in others:
        (folder / other).write_text("dear to somebody")
    before = sorted(path.name for path in folder.iterdir())
    with pytest.raises(StorageError) as caught:
        write_split(split, folder)
    assert str(caught.value) == (
        f"{folder}: holds other files ({named}); prepare replaces the whole folder, name a new or empty one"
    )
    assert sorted(path.name for path in folder.iterdir()) == before
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_file_in_the_place_of_the_folder_is_refused_and_kept(split: rd.Split, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("dear to somebody")
    with pytest.raises(StorageError, match="data: is a file; prepare writes a folder"):
        write_split(split, tmp_path / "data")
    assert (tmp_path / "data").read_text() == "dear to somebody"


@pytest.mark.parametrize("name", ["split.safetensors", "activity.parquet", "items.parquet", "split.json"])
@pytest.mark.parametrize("damage", ["cut", "empty", "gone"])
def test_damaged_data_is_refused_by_its_folder(split: rd.Split, tmp_path: Path, name: str, damage: str) -> None:
    folder = tmp_path / "data"
    write_split(split, folder)
    path = folder / name
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-30] if damage == "cut" else b"")
    with pytest.raises(DataError, match=r"data: .*prepare"):
        read_split(folder)


def test_data_that_was_changed_since_is_refused(split: rd.Split, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    write_split(split, folder)
    users = pl.read_parquet(folder / "activity.parquet")
    users.with_columns(user_id=users["user_id"].reverse()).write_parquet(folder / "activity.parquet")
    with pytest.raises(DataError, match="changed since it was written"):
        read_split(folder)


@pytest.mark.parametrize("about", [{}, [], {"fingerprint": "abc"}])
def test_a_description_that_says_too_little_is_refused(split: rd.Split, tmp_path: Path, about: object) -> None:
    write_split(split, tmp_path / "data")
    (tmp_path / "data" / "split.json").write_text(json.dumps(about))
    with pytest.raises(DataError, match="damaged"):
        read_split(tmp_path / "data")


def test_a_folder_without_data_is_refused_with_what_makes_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no prepared data here .*rankdistill prepare"):
        read_split(tmp_path)


def test_the_fingerprint_survives_a_change_of_windows_but_not_of_data(split: rd.Split) -> None:
    assert replace(split, history_length=3).fingerprint == split.fingerprint
    swapped = Sequences(split.train.starts, np.roll(split.train.items, 1))
    assert replace(split, train=swapped, fingerprint="").fingerprint != split.fingerprint


def test_a_folder_with_brackets_and_stars_in_its_name_is_a_name_and_no_pattern(split: rd.Split, tmp_path: Path) -> None:
    write_split(split, tmp_path / "run [1] *")
    assert read_split(tmp_path / "run [1] *").fingerprint == split.fingerprint
