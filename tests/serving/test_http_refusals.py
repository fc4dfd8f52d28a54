"""What a server does not answer, and how it says so."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from running import Exported, Running, running

from rankdistill.serving import service as module
from rankdistill.serving.http import application
from rankdistill.serving.options import Limits, Options
from rankdistill.serving.service import Service

LIMITS = ("--max-history", 3, "--max-batch", 2, "--max-k", 5, "--max-body", 2000, "--timeout", 0.5, "--no-page")


@pytest.fixture(scope="module")
def server(exported: Exported) -> Iterator[Running]:
    with running(exported.folder, *LIMITS) as started:
        yield started


def refused(server: Running, body: bytes | str) -> tuple[int, str, str]:
    answer = httpx.post(f"{server.url}/recommend", content=body)
    value = answer.json()
    assert set(value) == {"error", "message"}
    assert "\n" not in value["message"]
    return answer.status_code, value["error"], value["message"]


@pytest.mark.parametrize(
    ("body", "status", "code", "message"),
    [
        (b"", 400, "bad_json", "the body is no JSON: EOF while parsing a value at line 1 column 0"),
        (b"\xff\xfe", 400, "bad_json", "the body is no JSON: "),
        ('{"user": "\\ud800"}', 400, "bad_json", "the body is no JSON: "),
        ("[" * 1900, 400, "bad_json", "the body is no JSON: "),
        ("[]", 422, "bad_request", "the body is no object"),
        ("{}", 422, "bad_request", "neither user nor history is given; give at least one of them"),
        ('{"histroy": []}', 422, "bad_request", "histroy is no field; see /docs"),
        ('{"history": "café 1"}', 422, "bad_request", "history is no list"),
        ('{"history": ["café 1", 1.5]}', 422, "bad_request", "history[1] is neither a whole number nor text"),
        ('{"history": [true]}', 422, "bad_request", "history[0] is neither a whole number nor text"),
        ('{"user": {}}', 422, "bad_request", "user is neither a whole number nor text"),
        ('{"history": [], "k": 0}', 422, "bad_request", "k is less than 1"),
        ('{"history": [], "k": 2.5}', 422, "bad_request", "k is no whole number"),
        ('{"history": [], "k": 6}', 422, "bad_request", "k is 6, and this server takes 5 (--max-k)"),
        ('{"history": [], "exclude_seen": 1}', 422, "bad_request", "exclude_seen is not true or false"),
        (
            '{"history": [1,2,3,4]}',
            422,
            "bad_request",
            "history has 4 entries, and this server takes 3 (--max-history)",
        ),
        (
            '{"requests": [{},{},{}]}',
            422,
            "bad_request",
            "requests has 3 entries, and this server takes 2 (--max-batch)",
        ),
        ('{"requests": [{"history": []}, {"k": 1}]}', 422, "bad_request", "requests[1]: neither user nor history is "),
        ('{"requests": [{"requests": []}]}', 422, "bad_request", "requests[0].requests is no field; see /docs"),
        ('{"requests": [], "user": 1}', 422, "bad_request", "user and history stand inside of requests, not beside it"),
        ('{"history": [], "teacher": true}', 422, "bad_request", "this server has no teacher; start it with --teacher"),
        ('{"user": "nobody"}', 404, "unknown_user", "user 'nobody' is not known; give the history of what they have"),
        ('{"history": ["tea"]}', 422, "unknown_item", "item 'tea' is not in the catalogue"),
        (
            '{"history": [12345678901234567890123]}',
            422,
            "unknown_item",
            "item 12345678901234567890123 is not in the cat",
        ),
        ('{"history": [], "allow": ["tea"]}', 422, "unknown_item", "item 'tea' is not in the catalogue"),
        ('{"history": [], "block": [7]}', 422, "unknown_item", "item 7 is not in the catalogue"),
        ('{"requests": [{"history": []}, {"history": [7]}]}', 422, "unknown_item", "requests[1]: item 7 is not in the"),
        (" " * 2001, 413, "too_large", "the body is larger than the 2,000 bytes that are taken (--max-body)"),
    ],
)
def test_a_wrong_body_gets_one_line(server: Running, body: bytes | str, status: int, code: str, message: str) -> None:
    found = refused(server, body)
    assert found[:2] == (status, code)
    assert found[2].startswith(message)


def test_a_message_quotes_no_more_than_it_needs(server: Running) -> None:
    assert len(refused(server, json.dumps({"history": ["x" * 1900]}))[2]) <= 300


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/%FF%00", 404, "not_found"),
        ("GET", "/items", 404, "not_found"),
        ("GET", "/", 404, "not_found"),
        ("POST", "/recommend/", 404, "not_found"),
        ("GET", "/health/", 404, "not_found"),
        ("GET", "/recommend", 405, "method_not_allowed"),
        ("DELETE", "/health", 405, "method_not_allowed"),
    ],
)
def test_what_is_not_there_is_said_in_the_same_form(
    server: Running, method: str, path: str, status: int, code: str
) -> None:
    answer = httpx.request(method, server.url + path)
    assert (answer.status_code, answer.json()["error"]) == (status, code)


@pytest.mark.parametrize(
    ("method", "path", "taken"),
    [("DELETE", "/health", "GET, HEAD"), ("PUT", "/openapi.json", "GET, HEAD"), ("HEAD", "/recommend", "POST")],
)
def test_a_method_that_is_not_taken_is_told_which_ones_are(server: Running, method: str, path: str, taken: str) -> None:
    answer = httpx.request(method, server.url + path)
    assert (answer.status_code, answer.headers["allow"]) == (405, taken)


def test_the_documentation_is_whole_without_the_page(server: Running) -> None:
    wanted, seen = ["/docs"], set()
    while wanted:
        path = wanted.pop()
        answer = httpx.get(server.url + path)
        assert answer.status_code == 200, path
        seen.add(path)
        named = re.findall(r'(?:src|rel="stylesheet" href)="(/[^"]+)"|from "\./([^"]+)"', answer.text)
        wanted += {full or f"/{beside}" for full, beside in named} - seen
    assert {"/docs", "/docs.js", "/lists.js", "/page.css"} <= seen


def test_a_large_body_is_refused_before_it_has_arrived(server: Running) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(100):
            yield b" " * 1000

    answer = httpx.post(f"{server.url}/recommend", content=endless())
    assert (answer.status_code, answer.headers["connection"]) == (413, "close")


def test_a_body_that_comes_too_slowly_is_given_up(server: Running) -> None:
    with connected(server, b"POST /recommend HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{") as connection:
        assert connection.recv(4096).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"POST /recommend HTTP/1.1\r\nhost: x\r\ncontent-length: many\r\n\r\n{}",
        b"POST /recommend HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n{}",
        b"POST /recommend HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n",
        b"POST /recommend HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n{",
        b"GET /\xff HTTP/1.1\r\nhost: x\r\n\r\n",
    ],
)
def test_what_is_no_http_breaks_nothing(server: Running, sent: bytes) -> None:
    with connected(server, sent) as connection:
        connection.shutdown(socket.SHUT_WR)
        assert not connection.recv(4096).startswith(b"HTTP/1.1 5")
    assert server.get("/health")["status"] == "ok"
    assert "Traceback" not in server.logged()


def connected(server: Running, sent: bytes) -> socket.socket:
    host, port = server.url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=10)
    connection.sendall(sent)
    return connection


@pytest.fixture(scope="module")
def service(exported: Exported) -> Service:
    return Service(Options(exported.folder, limits=Limits(seconds=0.2)))


def answered(service: Service, body: Any) -> httpx.Response:
    """By the application in this process."""

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(application(service), raise_app_exceptions=False)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.post("/recommend", json=body)

    return asyncio.run(ask())


def test_lists_that_take_too_long_are_given_up(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "answer", lambda *_: time.sleep(0.5) or {})
    answer = answered(service, {"history": [], "allow": []})
    assert (answer.status_code, answer.json()["error"]) == (504, "too_slow")


def test_too_many_at_once_are_sent_away(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_WAITING", 0)
    answer = answered(service, {"history": [], "allow": []})
    assert (answer.status_code, answer.json()["error"], answer.headers["retry-after"]) == (503, "busy", "1")
    assert answered(service, {"history": []}).status_code == 200  # nobody waits for one that is quick


def test_a_bug_is_said_in_the_same_form(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "answer", lambda *_: 1 / 0)
    answer = answered(service, {"history": []})
    assert (answer.status_code, answer.json()["error"]) == (500, "bug")
