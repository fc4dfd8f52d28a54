"""A load test against a server whose delays are known."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from slow_server import serving

from rankdistill.bench.asked import bodies_of
from rankdistill.bench.connection import Target
from rankdistill.bench.load import Load, Outcome, put_under_load
from rankdistill.cli import main
from rankdistill.errors import ConfigError, ExportError, RequestError

BODIES = [b'{"user": 1, "k": 10}', b'{"user": 2, "k": 10}']


def outcome(port: int, load: Load) -> Outcome:
    return put_under_load(Target.of(f"http://127.0.0.1:{port}"), BODIES, load)


def test_every_request_is_sent_at_its_moment_and_answered() -> None:
    with serving(lambda number: (200, 0.03)) as server:
        found = outcome(server.port, Load(rate=50, seconds=1))
    assert (found.sent, found.answered, found.unanswered, found.failed, found.stopped) == (50, 50, 0, {}, "")
    assert 30 <= found.latency_ms["p50"] < 300
    assert found.latency_ms["p50"] <= found.latency_ms["p95"] <= found.latency_ms["p99"] <= found.latency_ms["max"]
    assert [body["user"] for body in server.bodies] == [1, *([1, 2] * 25)]
    assert set(server.paths) == {"/recommend"}
    assert 0.5 <= server.arrived[-1] - server.arrived[1] < 3
    assert 10 < found.rate <= 51


def test_a_server_that_stands_still_is_charged_for_all_that_was_due_meanwhile() -> None:
    """Closed-loop clients would count one slow request, and a p50 of nothing."""
    with serving(lambda number: (200, 1.0 if number == 1 else 0.0), one_at_a_time=True) as server:
        found = outcome(server.port, Load(rate=50, seconds=1.2, connections=4))
    assert found.answered == 60
    assert found.latency_ms["max"] >= 990
    assert found.latency_ms["p50"] >= 250  # those of the second that it stood still: 1000, 980, 960, ... ms


def test_requests_that_wait_for_a_connection_have_waited() -> None:
    with serving(lambda number: (200, 0.05)) as server:
        narrow = outcome(server.port, Load(rate=40, seconds=1, connections=1))
        wide = outcome(server.port, Load(rate=40, seconds=1, connections=8))
    assert narrow.latency_ms["max"] >= 900  # 40 requests of 50 ms, due within a second
    assert wide.latency_ms["p50"] < 500


def test_a_load_that_the_server_does_not_keep_up_with_is_stopped() -> None:
    with serving(lambda number: (200, 0.1), one_at_a_time=True) as server:
        found = outcome(server.port, Load(rate=200, seconds=60, connections=2, patience=0.5))
    assert found.sent < 400
    assert found.unanswered > 20
    assert found.answered + found.unanswered == found.sent
    assert "the server does not keep up with 200 a second" in found.stopped
    assert found.latency_ms["max"] >= 500


def test_errors_are_counted_by_status_and_are_no_latencies() -> None:
    with serving(lambda number: (503 if number % 2 else 200, 0.0)) as server:
        found = outcome(server.port, Load(rate=100, seconds=0.4))
    assert found.failed == {"503": 20}
    assert (found.answered, found.unanswered) == (20, 0)


def test_a_request_that_is_never_answered_is_given_up() -> None:
    with serving(lambda number: (200, 30.0 if number == 3 else 0.0)) as server:
        found = outcome(server.port, Load(rate=40, seconds=0.25, timeout=0.3))
    assert found.failed == {"no answer in 0.3 s": 1}
    assert found.answered == 9


@pytest.mark.parametrize("how", [{"hang_up": True}, {"chunked": True}])
def test_a_server_may_hang_up_or_answer_in_pieces(how: dict[str, Any]) -> None:
    with serving(lambda number: (200, 0.0), **how) as server:
        found = outcome(server.port, Load(rate=20, seconds=0.5, connections=2))
    assert (found.answered, found.failed) == (10, {})


def test_no_server_and_a_server_that_refuses_are_told_apart() -> None:
    with serving(lambda number: (422, 0.0)) as server:
        with pytest.raises(RequestError, match="answers 422 before there is any load"):
            outcome(server.port, Load(10, 1))
        port = server.port
    with pytest.raises(RequestError, match=r"no server answers.*start one with `rankdistill serve DIR`"):
        outcome(port, Load(10, 1))


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"rate": 0.0}, "rate = 0: give a number from 0.1 to 10,000"),
        ({"rate": 1e6}, "rate = 1e+06: give a number from 0.1 to 10,000"),
        ({"rate": float("nan")}, "rate = nan: give a number from 0.1 to 10,000"),
        ({"seconds": 3600.0}, "seconds = 3600: give a number from 0.1 to 600"),
        ({"connections": 0}, "connections = 0: give a number from 1 to 500"),
        (
            {"rate": 10_000.0, "seconds": 600.0},
            "10000 requests a second for 600 seconds are 6,000,000; at most 1,000,000 are sent",
        ),
    ],
)
def test_a_load_that_makes_no_sense_is_refused(values: dict[str, Any], line: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Load(**{"rate": 10.0, "seconds": 1.0, **values})
    assert str(refused.value) == line


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://example.com:8000", "example.com is not this machine; load is put on localhost alone"),
        ("http://10.0.0.7", "10.0.0.7 is not this machine"),
        ("https://127.0.0.1", "no http URL; write it as http://127.0.0.1:8000"),
        ("127.0.0.1:8000", "no http URL"),
        ("http://127.0.0.1:99999", "no URL"),
    ],
)
def test_other_machines_are_left_alone(url: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        Target.of(url)


def test_a_url_may_name_a_path() -> None:
    assert Target.of("http://localhost:8000/v2/recommend/") == Target("localhost", 8000, "/v2/recommend")
    assert Target.of("http://[::1]").request(b"{}").startswith(b"POST /recommend HTTP/1.1\r\nHost: [::1]:80\r\n")


def test_users_come_from_a_file_or_from_an_exported_folder(tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("001\n\n café 9 \n")
    bodies, remark = bodies_of(tmp_path / "ids.txt", 5)
    assert [json.loads(body) for body in bodies] == [{"user": "001", "k": 5}, {"user": "café 9", "k": 5}]
    assert remark == ""
    folder = exported(tmp_path / "without", {"items": np.arange(100, 200)})
    bodies, remark = bodies_of(folder, 5)
    asked = [json.loads(body) for body in bodies]
    assert "random histories" in remark
    assert all(5 <= len(each["history"]) <= 50 and set(each["history"]) <= set(range(100, 200)) for each in asked)
    folder = exported(tmp_path / "with", {"items": np.arange(100, 200), "users": np.array([b"a", b"b", b"c"])})
    bodies, remark = bodies_of(folder, 5)
    assert sorted(json.loads(body)["user"] for body in bodies) == ["a", "b", "c"]
    assert remark == ""


def test_a_damaged_folder_is_no_source_of_users(tmp_path: Path) -> None:
    folder = exported(tmp_path / "folder", {"items": np.arange(100, 200), "users": np.array([b"a", b"b", b"c"])})
    (folder / "ids" / "users.npy").write_bytes(b"")
    with pytest.raises(ExportError, match="truncated or changed since it was exported"):
        bodies_of(folder, 5)


def exported(folder: Path, ids: dict[str, NDArray[Any]]) -> Path:
    """As much of an exported folder as has to do with ids."""
    (folder / "ids").mkdir(parents=True)
    files = {}
    for name, values in ids.items():
        np.save(folder / "ids" / f"{name}.npy", values)
        content = (folder / "ids" / f"{name}.npy").read_bytes()
        files[f"ids/{name}.npy"] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    about = {"schema": 1, "config": {}, "fingerprint": "", "kind": "caser", "made": "", "precision": "float32"}
    about |= {"item_vectors": False, "own_items_differ": False, "parameters": 1, "files": files}
    sizes = {"num_users": 3, "num_items": 100, "history_length": 5}
    (folder / "manifest.json").write_text(json.dumps({**about, "catalogue": sizes}))
    return folder


def test_a_file_without_users_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("\n")
    with pytest.raises(ConfigError, match=r"ids\.txt: holds no user id"):
        bodies_of(tmp_path / "ids.txt", 5)
    with pytest.raises(ConfigError, match="neither an exported folder nor a text file of user ids"):
        bodies_of(tmp_path, 5)


def test_the_verb_prints_what_became_of_the_requests(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ids.txt").write_text("7\n8\n")
    with serving(lambda number: (500 if number == 5 else 200, 0.0)) as server:
        given = ["bench", "load", f"http://127.0.0.1:{server.port}", "--users-of", str(tmp_path / "ids.txt")]
        given += ["--rate", "40", "--seconds", "0.5", "--k", "3"]
        assert main(given) == 0
        table = capsys.readouterr().out
        assert main([*given, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
    assert "failed, 500: 1" in table
    assert "answered/s" in table
    assert (found["sent"], found["answered"], found["failed"], found["stopped"]) == (20, 20, {}, "")
    assert {body["user"] for body in server.bodies} == {"7", "8"}
    assert all(body["k"] == 3 for body in server.bodies)


def test_the_verb_refuses_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ids.txt").write_text("7\n")
    for url, rate, line in (
        ("http://example.com", "10", "http://example.com: example.com is not this machine"),
        ("http://127.0.0.1:1", "-1", "rate = -1: give a number from 0.1 to 10,000"),
    ):
        assert main(["bench", "load", url, "--users-of", str(tmp_path / "ids.txt"), "--rate", rate]) == 2
        assert capsys.readouterr().err.startswith(f"rankdistill: {line}")
