"""What a server is asked to do, and how much it takes from one request."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one request may ask for.

    Attributes:
        history: items of a history.
        batch: requests in one body.
        listed: items that a request allows or blocks.
        k: length of a list.
        body: bytes.
        seconds: from the first byte of a body to its answer.
    """

    history: int = 1000
    batch: int = 256
    listed: int = 10_000
    k: int = 1000
    body: int = 1 << 20
    seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class Options:
    """A server.

    Attributes:
        folder: the exported model that answers.
        teacher: another one, whose lists a request can ask for beside.
        host: the address to listen on.
        port: 0 takes a free one.
        workers: processes.
        threads: of one ranking.
        limits: of one request.
        page: whether there is a page, and what it asks for: `/items` and `/example`.
        debug: whether to log more.
    """

    folder: Path
    teacher: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    threads: int = 1
    limits: Limits = field(default_factory=Limits)
    page: bool = True
    debug: bool = False
