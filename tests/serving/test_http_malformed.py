"""Any request at all: never a crash, never a 5xx, never more memory."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from running import SECONDS, Exported, Running, running

MEGABYTES_OF_GROWTH = 40

ids = st.one_of(
    st.integers(),
    st.text(max_size=8),
    st.sampled_from(["café 1", "café 2", "user 1"]),
    st.floats(),
    st.none(),
    st.booleans(),
)
anything = st.recursive(
    st.one_of(ids, st.text(max_size=30)),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
single = {
    "user": ids | anything,
    "history": st.lists(st.sampled_from(["café 1", "café 2", "café 3"]), max_size=30) | st.lists(ids) | anything,
    "k": st.integers(-5, 2000) | anything,
    "exclude_seen": st.booleans() | anything,
    "allow": st.lists(ids, max_size=5) | st.just([]) | anything,
    "block": st.lists(st.just("café 3"), max_size=5) | anything,
}
one = st.fixed_dictionaries({}, optional=single)
whole = st.fixed_dictionaries(
    {},
    optional={
        **single,
        "requests": st.lists(one, max_size=5) | anything,
        "teacher": st.booleans(),
        "titles": st.booleans(),
    },
)
bodies = st.one_of(
    (whole | one | anything).map(lambda value: json.dumps(value).encode("ascii")),
    whole.map(lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")[:-1]),
    st.binary(max_size=200),
    st.integers(1, 30_000).map(lambda size: b'{"history":' + b"[" * size),
    st.integers(1, 5_000).map(lambda size: b'{"user":' + b"9" * size + b"}"),
)
paths = st.sampled_from(["/recommend"] * 12 + ["/items", "/health", "/metrics", "/model", "/example", "/", "/nothing"])
queries = st.dictionaries(st.sampled_from(["query", "limit", "else"]), st.text(max_size=20) | st.integers(), max_size=2)
methods = st.sampled_from(["POST"] * 12 + ["GET", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"])
types = st.sampled_from(["application/json", "text/plain", "application/x-www-form-urlencoded", "nonsense"])


def attack(server: Running, requests: int) -> None:
    with httpx.Client(base_url=server.url, timeout=SECONDS) as client:

        @settings(max_examples=requests, database=None, suppress_health_check=list(HealthCheck))
        @given(methods, paths, queries, bodies, types)
        def ask(method: str, path: str, query: dict[str, Any], body: bytes, kind: str) -> None:
            answer = client.request(method, path, params=query, content=body, headers={"content-type": kind})
            assert answer.status_code < 500, answer.text
            if answer.status_code >= 400 and method != "HEAD":
                assert set(answer.json()) == {"error", "message"}

        ask()


def check(exported: Exported, requests: int) -> None:
    with running(exported.folder) as server:
        attack(server, max(50, requests // 10))
        before = server.resident_bytes()
        attack(server, requests)
        assert server.get("/health")["status"] == "ok"
        assert server.resident_bytes() - before < MEGABYTES_OF_GROWTH << 20
        assert server.end() == 0
        assert "Traceback" not in server.logged()


def test_hundreds_of_malformed_requests_break_nothing(exported: Exported) -> None:
    check(exported, 300)


@pytest.mark.slow
def test_ten_thousand_malformed_requests_break_nothing(exported: Exported) -> None:
    check(exported, 10_000)
