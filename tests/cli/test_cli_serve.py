"""What `serve` says where it cannot start; what it does is in tests/serving."""

import socket
import sys
from pathlib import Path

import pytest
from commands import Command

pytest.importorskip("fastapi")


def test_a_folder_without_a_model_is_refused(cli: Command, tmp_path: Path) -> None:
    assert cli.refusal("serve", tmp_path, "--port", 0) == (
        f"{tmp_path}: no exported model here (manifest.json is missing); name a folder that export made"
    )


def test_a_port_that_is_taken_is_refused(cli: Command, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert cli.refusal("serve", tmp_path, "--port", port) == (
            f"cannot listen on 127.0.0.1, port {port} (Address already in use); name another --host or --port"
        )


@pytest.mark.parametrize("package", ["fastapi", "uvicorn", "onnxruntime"])
def test_a_package_that_is_not_installed_is_named(
    package: str, cli: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    assert cli.refusal("serve", tmp_path) == f"{package} is not installed; pip install 'rankdistill[serve]'"


@pytest.mark.parametrize("option", [("--workers", 0), ("--max-k", 0), ("--timeout", 0), ("--port", 70000)])
def test_a_number_out_of_range_is_refused(option: tuple[str, int], cli: Command, tmp_path: Path) -> None:
    assert option[0] in cli.refusal("serve", tmp_path, *option)
