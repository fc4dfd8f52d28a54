"""What a server answers, against the recommender in this process."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from running import Exported, Running, running, variant

from rankdistill.serving.recommender import Recommendation, Recommender


@pytest.fixture(scope="module")
def folders(exported: Exported, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A student with titles, and a teacher of other lists."""
    folder = tmp_path_factory.mktemp("served")
    student = variant(exported.folder, folder / "student", titles=True)
    return student, variant(exported.folder, folder / "teacher", reverse=True)


@pytest.fixture(scope="module")
def server(folders: tuple[Path, Path]) -> Iterator[Running]:
    student, teacher = folders
    with running(student, "--teacher", teacher) as started:
        yield started


@pytest.fixture(scope="module")
def student(folders: tuple[Path, Path]) -> Recommender:
    return Recommender(folders[0])


@pytest.fixture(scope="module")
def items(student: Recommender) -> list[Any]:
    return student.items.raw(np.arange(1, len(student.items) + 1))


def same(answer: Any, list_: Recommendation) -> bool:
    found = [entry["item"] for entry in answer["items"]]
    scores = [entry["score"] for entry in answer["items"]]
    return found == list_.items and scores == pytest.approx(list_.scores, abs=1e-5)


def test_a_history_gets_the_list_of_the_recommender(server: Running, student: Recommender, items: list[Any]) -> None:
    history = items[4:9]
    answer = server.post({"history": history, "k": 7})
    assert same(answer, student.recommend(histories=[history], k=7)[0])
    assert answer["model"]["fingerprint"] == student.manifest["fingerprint"]
    assert answer["model"]["made"] == student.manifest["made"]
    assert 0 < answer["milliseconds"] < 60_000


def test_a_known_user_needs_no_history_and_may_have_another_one(
    server: Running, student: Recommender, items: list[Any]
) -> None:
    assert same(server.post({"user": "user 7"}), student.recommend(users=["user 7"])[0])
    newer = student.recommend(users=["user 7"], histories=[items[:3]])[0]
    assert same(server.post({"user": "user 7", "history": items[:3]}), newer)
    assert same(server.post({"user": "nobody", "history": items[:3]}), student.recommend(histories=[items[:3]])[0])
    assert newer != student.recommend(histories=[items[:3]])[0]


def test_rules_of_a_list_are_kept(server: Running, student: Recommender, items: list[Any]) -> None:
    rules: dict[str, Any] = {"k": 30, "exclude_seen": False, "block": items[:2]}
    assert same(server.post({"history": items[:5], **rules}), student.recommend(histories=[items[:5]], **rules)[0])
    few = server.post({"history": items[:2], "allow": items[1:6]})
    assert same(few, student.recommend(histories=[items[:2]], allow=items[1:6])[0])
    assert {entry["item"] for entry in few["items"]} == set(items[2:6])
    assert server.post({"history": [], "allow": []})["items"] == []


def test_many_are_answered_in_their_order_with_common_rules_and_their_own(
    server: Running, student: Recommender, items: list[Any]
) -> None:
    requests = [{"user": "user 3"}, {"history": items[:4], "k": 2}, {"history": items[5:7], "exclude_seen": False}]
    answer = server.post({"requests": requests, "k": 4, "block": items[10:12]})
    common: dict[str, Any] = {"block": items[10:12]}
    wanted = [
        student.recommend(users=["user 3"], k=4, **common)[0],
        student.recommend(histories=[items[:4]], k=2, **common)[0],
        student.recommend(histories=[items[5:7]], k=4, exclude_seen=False, **common)[0],
    ]
    assert [same(*pair) for pair in zip(answer["lists"], wanted, strict=True)] == [True] * 3
    assert server.post({"requests": []})["lists"] == []


def test_the_teachers_list_stands_beside(
    server: Running, student: Recommender, folders: tuple[Path, Path], items: list[Any]
) -> None:
    answer = server.post({"history": items[:5], "teacher": True})
    assert same(answer, student.recommend(histories=[items[:5]])[0])
    assert same(answer["teacher"], Recommender(folders[1]).recommend(histories=[items[:5]])[0])
    assert answer["teacher"]["model"] != answer["model"]


def test_items_have_titles_and_are_found_by_them(server: Running, items: list[Any]) -> None:
    answer = server.post({"history": items[:2], "titles": True, "k": 3})
    for entry in answer["items"]:
        assert entry["title"] == f"Tea room {items.index(entry['item']) + 1}"
    assert server.get("/items?query=TEA ROOM 17")["items"] == [{"item": items[16], "title": "Tea room 17"}]
    assert server.get(f"/items?query={items[3]}")["items"][0]["item"] == items[3]
    assert len(server.get("/items?limit=5")["items"]) == 5
    assert server.get("/items?query=no such thing")["items"] == []


def test_the_models_and_an_example_are_shown(server: Running, student: Recommender, items: list[Any]) -> None:
    about = server.get("/model")
    shown = about["models"]["student"]
    assert (shown["parameters"], shown["num_items"]) == (student.manifest["parameters"], len(items))
    assert shown["bytes"] == (student.folder / "model.onnx").stat().st_size
    assert about["limits"]["history"] == 1000
    example = [entry["item"] for entry in server.get("/example")["items"]]
    assert example
    assert set(example) <= set(items)


def test_health_and_metrics_say_how_it_is(server: Running, items: list[Any]) -> None:
    def count() -> float:
        text = httpx.get(f"{server.url}/metrics").text
        found = re.search(r'rankdistill_requests_total{worker="0",path="/recommend",status="200"} (\d+)', text)
        return float(found[1]) if found else 0

    before = count()
    for _ in range(3):
        server.post({"history": items[:1]})
    assert count() == before + 3
    health = server.get("/health")
    assert (health["status"], health["student"]["error"], health["teacher"]["reloads"]) == ("ok", None, 0)


def test_the_schema_names_every_path_and_the_limits(server: Running) -> None:
    api = server.get("/openapi.json")
    assert set(api["paths"]) == {"/recommend", "/items", "/example", "/model", "/health", "/metrics"}
    operation = api["paths"]["/recommend"]["post"]
    body = operation["requestBody"]["content"]["application/json"]
    assert body["schema"]["properties"]["k"]["anyOf"][0]["maximum"] == 1000
    assert set(operation["responses"]) == {"200", "400", "404", "408", "413", "422", "503", "504"}
    assert server.post(body["example"])["items"]


GETS = ("/health", "/model", "/metrics", "/items?query=tea", "/example", "/openapi.json")
FILES = ("/", "/docs", "/page.css", "/page.js", "/lists.js", "/models.js", "/theme.js", "/docs.js")


@pytest.mark.parametrize("path", [*GETS, *FILES])
def test_head_is_answered_as_get_is_without_the_body(server: Running, path: str) -> None:
    head, get = httpx.head(server.url + path), httpx.get(server.url + path)
    assert (head.status_code, head.content) == (get.status_code, b"") == (200, b"")
    assert int(head.headers["content-length"]) > 0
    assert head.headers["content-type"] == get.headers["content-type"]


def test_a_connection_goes_on_after_head(server: Running) -> None:
    with httpx.Client(base_url=server.url) as client:
        for method in ("HEAD", "GET", "HEAD", "GET"):
            assert client.request(method, "/page.css").status_code == 200


def test_the_schema_lists_no_head(server: Running) -> None:
    paths = server.get("/openapi.json")["paths"]
    assert {method for operations in paths.values() for method in operations} == {"get", "post"}


@pytest.mark.parametrize("path", FILES)
def test_a_page_needs_nothing_from_elsewhere(server: Running, path: str) -> None:
    answer = httpx.get(server.url + path)
    assert answer.status_code == 200
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert set(re.findall(r"https?://[\w.]+", answer.text)) <= {"http://www.w3.org"}


def test_every_file_of_the_page_is_served(server: Running) -> None:
    texts = {httpx.get(server.url + path).text for path in FILES}
    files = resources.files("rankdistill.serving").joinpath("page").iterdir()
    assert {file.read_text(encoding="utf-8") for file in files} == texts
