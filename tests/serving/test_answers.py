"""From bodies to answers, without a server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from running import variant
from small_export import Exported

from rankdistill.serving.answers import answer
from rankdistill.serving.options import Limits
from rankdistill.serving.recommender import Recommender
from rankdistill.serving.refused import RefusedError
from rankdistill.serving.reload import Loaded, load
from rankdistill.serving.requests import parse
from rankdistill.types import Json


@pytest.fixture(scope="module")
def student(exported: Exported) -> Loaded:
    return load(exported.folder, threads=1)


def asked(student: Loaded, teacher: Loaded | None = None, /, **body: Any) -> Json:
    return answer(parse(json.dumps(body).encode(), Limits()), student, teacher)


def refused(**body: Any) -> str:
    with pytest.raises(RefusedError) as caught:
        parse(json.dumps(body).encode(), Limits(listed=3))
    assert caught.value.status == 422
    return caught.value.message


@pytest.mark.parametrize("name", ["allow", "block"])
def test_more_listed_items_than_are_taken_are_refused(name: str) -> None:
    some = ["café 1"] * 4
    said = f"{name} has 4 entries, and this server takes 3 (--max-listed)"
    assert refused(user="user 1", **{name: some}) == said
    assert refused(requests=[{"user": "user 1"}, {"user": "user 2"}], **{name: some}) == said
    assert refused(requests=[{"user": "user 1"}, {"user": "user 2", name: some}]) == f"requests[1]: {said}"


def test_what_is_listed_beside_the_requests_is_read_once(student: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    indices = Recommender.item_indices

    def counted(self: Recommender, raw: Any, **options: Any) -> Any:
        read.append(len(raw))
        return indices(self, raw, **options)

    monkeypatch.setattr(Recommender, "item_indices", counted)
    many = [{"user": f"user {number}"} for number in range(1, 9)]
    found = asked(student, requests=many, allow=["café 1", "café 2", "café 3", "café 3"], k=2)
    assert read == [4]
    for each in found["lists"]:
        assert {entry["item"] for entry in each["items"]} <= {"café 1", "café 2", "café 3"}


def test_a_teacher_that_does_not_know_a_user_is_told_what_the_student_knows_of_her(
    exported: Exported, student: Loaded, tmp_path: Path
) -> None:
    folder = variant(exported.folder, tmp_path / "teacher")
    manifest = json.loads((folder / "manifest.json").read_text())
    for name in ("ids/users.npy", "users/starts.npy", "users/items.npy"):
        del manifest["files"][name]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    teacher = load(folder, threads=1, unknown="ignore")
    found = asked(student, teacher, user="user 3", k=4, teacher=True)
    (known,) = student.recommender.known(["user 3"]).histories
    history = student.recommender.items.raw(known)
    assert found["teacher"]["items"] == asked(teacher, history=history, k=4)["items"]
    with pytest.raises(RefusedError, match="is not known"):
        asked(student, teacher, user="nobody", teacher=True)


def test_titles_are_null_where_there_are_none(student: Loaded) -> None:
    assert all(entry["title"] is None for entry in asked(student, user="user 1", k=3, titles=True)["items"])


def test_scores_have_the_digits_of_float32(student: Loaded) -> None:
    scores = [entry["score"] for entry in asked(student, user="user 1", k=3)["items"]]
    exact = student.recommender.recommend(users=["user 1"], k=3)[0].scores
    assert scores == pytest.approx(exact, rel=1e-6)
    assert all(len(repr(score)) <= len("-0.1234567") for score in scores)
