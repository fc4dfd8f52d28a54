"""Lists for the users of a file."""

from __future__ import annotations

import datetime
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from small_export import Exported

from rankdistill.errors import DataError, RequestError
from rankdistill.serving import stream
from rankdistill.serving.raw_ids import RawIds
from rankdistill.serving.recommender import Recommender, Rules
from rankdistill.serving.stream import recommend_file


@pytest.fixture(scope="module")
def model(exported: Exported) -> Recommender:
    return Recommender(exported.folder, unknown="ignore")


def renamed(exported: Exported, users: list[str], items: list[str]) -> Recommender:
    """A model whose first users and items have these ids."""
    model = Recommender(exported.folder, unknown="ignore")
    users += [f"user {number}" for number in range(len(users), len(model.users))]
    items += [f"item {number}" for number in range(len(items), len(model.items))]
    model.users = RawIds(np.array([each.encode() for each in users]), first=0)
    model.items = RawIds(np.array([each.encode() for each in items]), first=1)
    return model


def numbered(exported: Exported) -> Recommender:
    """A model whose ids are integers."""
    model = Recommender(exported.folder, unknown="ignore")
    model.users, model.items = (RawIds(np.arange(len(ids)), ids.first) for ids in (model.users, model.items))
    return model


def write(frame: pl.DataFrame, path: Path) -> Path:
    if path.suffix == ".parquet":
        frame.write_parquet(path)
    else:
        frame.write_csv(path, separator="," if path.suffix == ".csv" else "\t")
    return path


def rows_of(model: Recommender, users: list[str], k: int) -> list[tuple[object, ...]]:
    lists = model.recommend(users=users, k=k)
    return [
        (user, rank, item)
        for user, found in zip(users, lists, strict=True)
        for rank, item in enumerate(found.items, start=1)
    ]


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet"])
def test_users_of_a_file_get_their_lists_in_its_order(
    suffix: str, model: Recommender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "_USERS_A_BLOCK", 7)
    users = [f"user {number}" for number in (9, 3, 41, 9, *range(20))]
    frame = pl.DataFrame({"other": range(len(users)), "user_id": users})
    path, out = write(frame, tmp_path / f"users.{suffix}"), tmp_path / "lists.parquet"
    found = recommend_file(model, path, out, Rules(4))
    known = [user for user in dict.fromkeys(users) if model.users.indices([user])[0] >= 0]
    assert (found.users, found.unknown_users) == (20, 1)
    lists = pl.read_parquet(out)
    assert lists.columns == ["user_id", "rank", "item_id", "score"]
    assert lists.select("user_id", "rank", "item_id").rows() == rows_of(model, known, 4)


def test_histories_of_a_file_are_answered_known_or_not(
    model: Recommender, exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "_USERS_A_BLOCK", 2)
    items = exported.split.item_ids.values.to_list()
    histories = {"user 3": items[:4], "nobody": items[7:9], "else": [items[1], "tea"], "user 1": items[20:30]}
    frame = pl.DataFrame({"user_id": list(histories), "item_id": list(histories.values())}).explode("item_id")
    frame.write_csv(tmp_path / "histories.csv")
    out = tmp_path / "lists.parquet"
    found = recommend_file(model, tmp_path / "histories.csv", out, Rules(3), histories=True)
    assert (found.users, found.unknown_items) == (4, 1)
    wanted = model.recommend(users=list(histories), histories=list(histories.values()), k=3)
    assert pl.read_parquet(out)["item_id"].to_list() == [item for each in wanted for item in each.items]


@pytest.mark.parametrize("suffix", ["csv", "tsv"])
def test_ids_that_look_like_numbers_are_text_as_it_stands(suffix: str, exported: Exported, tmp_path: Path) -> None:
    users = ["001", "01", "1", "1e3", "12345678901234567890", "NA"]
    model = renamed(exported, users.copy(), [])
    path, out = write(pl.DataFrame({"user_id": users}), tmp_path / f"users.{suffix}"), tmp_path / "lists.parquet"
    assert recommend_file(model, path, out, Rules(4)).users == 6
    assert pl.read_parquet(out).select("user_id", "rank", "item_id").rows() == rows_of(model, users, 4)


def test_text_may_follow_a_million_bytes_of_digits(model: Recommender, tmp_path: Path) -> None:
    (tmp_path / "users.csv").write_text("user_id\n" + "1234567\n" * 140_000 + "user 2\n")
    found = recommend_file(model, tmp_path / "users.csv", tmp_path / "lists.parquet", Rules(1))
    assert (found.users, found.unknown_users) == (1, 140_000)


def test_histories_tell_ids_apart_that_are_one_number(exported: Exported, tmp_path: Path) -> None:
    model = renamed(exported, [], ["001", "01", "1", "NA", "null"])
    (tmp_path / "histories.csv").write_text("user_id,item_id\n01,001\n01,NA\n1,01\n1,null\nnan,1\n")
    out = tmp_path / "lists.parquet"
    found = recommend_file(model, tmp_path / "histories.csv", out, Rules(3), histories=True)
    assert (found.users, found.unknown_items) == (3, 0)
    wanted = model.recommend(histories=[["001", "NA"], ["01", "null"], ["1"]], k=3)
    lists = pl.read_parquet(out)
    assert lists["user_id"].to_list() == [user for user in ("01", "1", "nan") for _ in range(3)]
    assert lists["item_id"].to_list() == [item for each in wanted for item in each.items]


def test_lists_of_users_carry_the_ids_of_the_model(exported: Exported, tmp_path: Path) -> None:
    model, out = numbered(exported), tmp_path / "lists.parquet"
    (tmp_path / "users.csv").write_text("user_id\n7\n007\n 3\n12\n")
    found = recommend_file(model, tmp_path / "users.csv", out, Rules(2))
    assert (found.users, found.unknown_users) == (2, 2)
    lists = pl.read_parquet(out)
    assert (lists["user_id"].dtype, lists["user_id"].to_list()) == (pl.Int64, [7, 7, 12, 12])
    text = renamed(exported, ["7"], [])
    recommend_file(text, write(pl.DataFrame({"user_id": [7]}), tmp_path / "users.parquet"), out, Rules(2))
    assert pl.read_parquet(out)["user_id"].to_list() == ["7", "7"]


@pytest.mark.parametrize(
    ("suffix", "kind", "written"),
    [
        ("csv", pl.Int64, pl.String),
        ("parquet", pl.String, pl.String),
        ("parquet", pl.Categorical, pl.String),
        ("parquet", pl.Int32, pl.Int32),
        ("parquet", pl.UInt64, pl.UInt64),
    ],
)
def test_lists_of_histories_carry_the_ids_of_the_file(
    suffix: str, kind: pl.DataType, written: pl.DataType, exported: Exported, tmp_path: Path
) -> None:
    users = pl.Series(["7", "90", "90", "91"]).cast(pl.Int64)
    users = users.cast(pl.String).cast(kind) if kind in (pl.String, pl.Categorical) else users.cast(kind)
    items = pl.Series(["4", "5", "6", "9"]).cast(kind) if kind == pl.Categorical else pl.Series([4, 5, 6, 9])
    path = write(pl.DataFrame({"user_id": users, "item_id": items}), tmp_path / f"histories.{suffix}")
    model, out = numbered(exported), tmp_path / "lists.parquet"
    recommend_file(model, path, out, Rules(2), histories=True)
    lists = pl.read_parquet(out)
    assert lists["user_id"].dtype == written
    assert lists["user_id"].cast(pl.Int64).to_list() == [7, 7, 90, 90, 91, 91]
    wanted = model.recommend(users=[7, 90, 91], histories=[[4], [5, 6], [9]], k=2)
    assert lists["item_id"].to_list() == [item for each in wanted for item in each.items]


def test_a_user_who_comes_again_is_answered_once(exported: Exported, tmp_path: Path) -> None:
    (tmp_path / "u.csv").write_text("user_id\nuser 3\nuser 1\nuser 3\n")
    found = recommend_file(Recommender(exported.folder), tmp_path / "u.csv", tmp_path / "o.parquet", Rules(2))
    assert pl.read_parquet(tmp_path / "o.parquet")["user_id"].to_list() == ["user 3"] * 2 + ["user 1"] * 2
    assert found.users == 2


def test_ids_beyond_int64_are_strangers_in_a_later_block_too(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "_USERS_A_BLOCK", 1)
    users = pl.Series([7, 2**64 - 1], dtype=pl.UInt64)
    path = write(pl.DataFrame({"user_id": users, "item_id": [1, 2]}), tmp_path / "histories.parquet")
    recommend_file(numbered(exported), path, tmp_path / "lists.parquet", Rules(1), histories=True)
    assert pl.read_parquet(tmp_path / "lists.parquet")["user_id"].to_list() == [7, 2**64 - 1]


@pytest.mark.parametrize("column", ["user_id", "item_id"])
@pytest.mark.parametrize(
    ("value", "line"),
    [
        (1.0, "holds double, and ids are whole numbers or text; cast it"),
        (True, "holds bool, and"),
        ([1], "holds large_list<"),
        (b"a", "holds large_binary, and"),
        (datetime.date(2020, 1, 1), "holds date32[day], and"),
        (None, "is empty; every row needs a "),
    ],
)
def test_a_column_that_cannot_hold_ids_is_refused(
    column: str, value: object, line: str, model: Recommender, tmp_path: Path
) -> None:
    frame = pl.DataFrame({"user_id": ["user 1"], "item_id": ["x"], column: [value]})
    path = write(frame, tmp_path / "in.parquet")
    with pytest.raises(DataError) as caught:
        recommend_file(model, path, tmp_path / "lists.parquet", Rules(3), histories=column == "item_id")
    assert str(caught.value).startswith(f"{path}: column {column!r} {line}")
    assert [path.name for path in tmp_path.iterdir()] == ["in.parquet"]


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet"])
@pytest.mark.parametrize(
    ("column", "histories"), [("user_id", False), ("user_id", True), ("item_id", True)], ids=["users", "user", "item"]
)
def test_a_row_without_an_id_is_refused(
    column: str, histories: bool, suffix: str, model: Recommender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "_ROWS_A_BATCH", 2)
    frame = pl.DataFrame({"user_id": ["user 1"] * 4, "item_id": ["café 1"] * 4})
    frame = frame.with_columns(pl.Series(column, ["a", "a", "a", None]))
    path = write(frame, tmp_path / f"in.{suffix}")
    with pytest.raises(DataError) as caught:
        recommend_file(model, path, tmp_path / "lists.parquet", Rules(3), histories=histories)
    assert str(caught.value) == f"{path}: row 4 has no {column}; give it one, or leave it out"
    assert [path.name for path in tmp_path.iterdir()] == [f"in.{suffix}"]


def test_histories_of_unknown_items_alone_are_refused(
    model: Recommender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "_USERS_A_BLOCK", 2)
    path = tmp_path / "in.csv"
    path.write_text("user_id,item_id\n" + "".join(f"user {number},tea {number}\n" for number in range(5)))
    with pytest.raises(RequestError) as caught:
        recommend_file(model, path, tmp_path / "lists.parquet", Rules(3), histories=True)
    assert str(caught.value) == f"{path}: none of 5 items is known to {model.folder}; give other ids"
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


@pytest.mark.parametrize("histories", [False, True])
def test_a_file_without_rows_is_refused(histories: bool, model: Recommender, tmp_path: Path) -> None:
    path = write(pl.DataFrame({"user_id": [], "item_id": []}), tmp_path / "in.parquet")
    line = f"has no rows; give at least one user_id{' and item_id' * histories}"
    with pytest.raises(DataError, match=f"in.parquet: {line}$"):
        recommend_file(model, path, tmp_path / "lists.parquet", Rules(3), histories=histories)
    for text in ("user_id,item_id\n", "user_id,item_id", "\r\nuser_id,item_id\r\n\r\n", ""):
        (tmp_path / "in.csv").write_text(text)
        with pytest.raises(DataError, match=f"in.csv: {line}$"):
            recommend_file(model, tmp_path / "in.csv", tmp_path / "lists.parquet", Rules(3), histories=histories)


def test_pyarrow_waits_until_a_file_is_read_and_its_slow_part_stays_away(exported: Exported, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from rankdistill.serving.recommender import Recommender, Rules\n"
        "from rankdistill.serving.stream import recommend_file\n"
        "assert 'pyarrow' not in sys.modules\n"
        "path, out = map(Path, sys.argv[2:])\n"
        "print(recommend_file(Recommender(sys.argv[1]), path, out, Rules(3)).users)\n"
        "assert 'pyarrow.compute' not in sys.modules\n"
    )
    (tmp_path / "users.csv").write_text("user_id\nuser 1\nuser 2\n")
    given = [exported.folder, tmp_path / "users.csv", tmp_path / "lists.parquet"]
    done = subprocess.run([sys.executable, "-c", program, *given], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("2\n", "")


def test_mistakes_are_named_and_nothing_is_left(model: Recommender, tmp_path: Path) -> None:
    out = tmp_path / "lists.parquet"
    cases = {
        "user\nuser 1\n": (False, DataError, "has no column 'user_id'; did you mean 'user'?"),
        "user_id\nnobody\nnone\n": (False, RequestError, "none of 2 users is known to"),
        "user_id,user_id\nuser 1,user 2\n": (False, DataError, "has 2 columns 'user_id'; leave one"),
        "user_id,item_id\n1,x\n2\n": (True, DataError, "cannot be read ("),
        "user_id,item_id\na,x\nb,x\na,y\n": (True, DataError, "user 'a' is in two places; sort the rows by user"),
    }
    for text, (histories, error, message) in cases.items():
        (tmp_path / "in.csv").write_text(text)
        with pytest.raises(error) as caught:
            recommend_file(model, tmp_path / "in.csv", out, Rules(3), histories=histories)
        assert message in str(caught.value)
        assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]
    (tmp_path / "in.csv").write_bytes(b"user_id\ncaf\xe9\n")
    with pytest.raises(DataError, match=r"in\.csv: cannot be read \(.*invalid UTF8"):
        recommend_file(model, tmp_path / "in.csv", out, Rules(3))
    (tmp_path / "in.parquet").write_text("no parquet")
    with pytest.raises(DataError, match=r"in\.parquet: cannot be read"):
        recommend_file(model, tmp_path / "in.parquet", out, Rules(3))
    with pytest.raises(DataError, match="no such file"):
        recommend_file(model, tmp_path / "gone.csv", out, Rules(3))
