"""Signals, workers, and what is wrong before there is a server."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from pathlib import Path

import httpx
from running import SECONDS, Exported, Running, running


def test_a_request_that_is_on_its_way_is_answered_before_the_end(exported: Exported) -> None:
    with running(exported.folder) as server:
        host, port = server.url.removeprefix("http://").split(":")
        body = b'{"history": [], "k": 3}'
        with socket.create_connection((host, int(port)), timeout=SECONDS) as connection:
            head = b"POST /recommend HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body)
            connection.sendall(head + body[:5])
            time.sleep(1)
            server.process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            connection.sendall(body[5:])
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert server.process.wait(SECONDS) == 0
        assert "Traceback" not in server.logged()


def test_an_interrupted_server_ends_well_without_requests(exported: Exported) -> None:
    with running(exported.folder) as server:
        assert server.get("/health")["status"] == "ok"
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(SECONDS) == 0
        assert server.logged() == ""


def numbers(server: Running, name: str) -> list[int]:
    """A number of each worker."""
    text = httpx.get(f"{server.url}/metrics", timeout=SECONDS).text
    return [int(found) for found in re.findall(rf"^rankdistill_{name}.* (\d+)$", text, re.MULTILINE)]


def wait_for_processes(server: Running, gone: int = 0) -> list[int]:
    """The processes of two workers, once both are there and none of them is `gone`."""
    end = time.monotonic() + 2 * SECONDS
    while time.monotonic() < end:
        found = numbers(server, "process")
        if len(found) == 2 and not {0, gone} & set(found):
            return found
        time.sleep(0.1)
    raise AssertionError(server.logged())


def test_two_workers_answer_on_one_port_and_count_together(exported: Exported) -> None:
    with running(exported.folder, "--workers", 2) as server:
        before = wait_for_processes(server)
        assert server.process.pid not in before
        assert server.get("/health")["process"] in before
        for _ in range(20):
            server.post({"history": []})
        assert sum(numbers(server, 'requests_total{worker=".",path="/recommend",status="200"')) == 20
        os.kill(before[1], signal.SIGKILL)
        after = wait_for_processes(server, gone=before[1])
        assert after[0] == before[0]
        server.post({"history": []})
        assert sum(numbers(server, "lists_total")) == 21
        assert server.end() == 0


def test_the_folder_is_not_needed_any_more_once_it_is_loaded(exported: Exported, tmp_path: Path) -> None:
    folder = tmp_path / "student"
    exported.folder.rename(folder)
    try:
        with running(folder) as server:
            folder.rename(exported.folder)
            assert server.post({"user": "user 1"})["items"]
            assert server.post({"history": [], "allow": ["café 1"]})["items"][0]["item"] == "café 1"
    finally:
        if folder.exists():
            folder.rename(exported.folder)
