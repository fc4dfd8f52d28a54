"""Servers in processes of their own, and copies of an exported folder to serve."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Protocol

import httpx
import numpy as np
import polars as pl

from rankdistill.types import Json

SECONDS = 60


class Exported(Protocol):
    """What the fixture of this name is, as far as servers need it."""

    @property
    def folder(self) -> Path: ...


@dataclass
class Running:
    """A server that answers."""

    process: subprocess.Popen[str]
    url: str
    log: Any

    def get(self, path: str) -> Any:
        return httpx.get(self.url + path, timeout=SECONDS).json()

    def post(self, body: Any) -> Any:
        answer = httpx.post(f"{self.url}/recommend", json=body, timeout=SECONDS)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(SECONDS)

    def logged(self) -> str:
        self.log.seek(0)
        text: str = self.log.read()
        return text

    def resident_bytes(self) -> int:
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def running(folder: Path, *options: object) -> Iterator[Running]:
    """`rankdistill serve` on a free port, until the block ends."""
    command = [sys.executable, "-m", "rankdistill", "serve", folder, "--port", 0, *options]
    with TemporaryFile("w+") as log:
        process = subprocess.Popen([str(each) for each in command], stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            server = Running(process, url, log)
            assert url.startswith("http://"), server.logged()
            yield server
        finally:
            process.terminate()
            try:
                process.wait(SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
            if process.stdout is not None:
                process.stdout.close()


def variant(folder: Path, to: Path, *, titles: bool = False, reverse: bool = False, **manifest: Any) -> Path:
    """A copy of an exported folder as another export would be: with titles, or with its items' ids the other way."""
    shutil.copytree(folder, to)
    if titles:
        items = pl.read_parquet(to / "items.parquet")
        items.with_columns(title=pl.format("Tea room {}", "index")).write_parquet(to / "items.parquet")
    if reverse:
        np.save(to / "ids" / "items.npy", np.load(to / "ids" / "items.npy")[::-1].copy())
    sign(to, **manifest)
    return to


def sign(folder: Path, **changes: Any) -> None:
    """Puts what is in a folder into its manifest."""
    manifest: Json = json.loads((folder / "manifest.json").read_text())
    for name in manifest["files"]:
        content = (folder / name).read_bytes()
        manifest["files"][name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (folder / "manifest.json").write_text(json.dumps({**manifest, **changes}))


def damage(path: Path) -> None:
    """Changes a byte in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def put(new: Path, place: Path) -> None:
    """Replaces a folder as `export --out` does."""
    former = place.with_name(f".{place.name}.old")
    place.rename(former)
    new.rename(place)
    shutil.rmtree(former)
