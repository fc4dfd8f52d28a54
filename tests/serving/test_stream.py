"""Lists for the users of a file."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from small_export import Exported

from rankdistill.errors import DataError, RequestError
from rankdistill.serving import stream
from rankdistill.serving.recommender import Recommender, Rules
from rankdistill.serving.stream import recommend_file


@pytest.fixture(scope="module")
def model(exported: Exported) -> Recommender:
    return Recommender(exported.folder, unknown="ignore")


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
    path, out = tmp_path / f"users.{suffix}", tmp_path / "lists.parquet"
    if suffix == "parquet":
        frame.write_parquet(path)
    else:
        frame.write_csv(path, separator="," if suffix == "csv" else "\t")
    found = recommend_file(model, path, out, Rules(4))
    known = [user for user in users if model.users.indices([user])[0] >= 0]
    assert (found.users, found.unknown_users) == (len(known), len(users) - len(known))
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


def test_mistakes_are_named_and_nothing_is_left(model: Recommender, tmp_path: Path) -> None:
    out = tmp_path / "lists.parquet"
    cases = {
        "user\nuser 1\n": (False, DataError, "has no column 'user_id'; did you mean 'user'?"),
        "user_id\nnobody\nnone\n": (False, RequestError, "none of 2 users is known to"),
        "user_id\n": (False, RequestError, "no user is known to"),
        "user_id,item_id\n1,x\n,x\n": (True, DataError, "has a row without user_id"),
        "user_id,item_id\na,x\nb,x\na,y\n": (True, DataError, "user 'a' is in two places; sort the rows by user"),
    }
    for text, (histories, error, message) in cases.items():
        (tmp_path / "in.csv").write_text(text)
        with pytest.raises(error) as caught:
            recommend_file(model, tmp_path / "in.csv", out, Rules(3), histories=histories)
        assert message in str(caught.value)
        assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]
    (tmp_path / "in.parquet").write_text("no parquet")
    with pytest.raises(DataError, match=r"in\.parquet: cannot be read"):
        recommend_file(model, tmp_path / "in.parquet", out, Rules(3))
    with pytest.raises(DataError, match="no such file"):
        recommend_file(model, tmp_path / "gone.csv", out, Rules(3))
