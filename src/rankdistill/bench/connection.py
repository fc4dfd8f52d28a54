"""One connection to a server on this machine: HTTP/1.1, kept alive, as little work as a request can be."""

from __future__ import annotations

import asyncio
import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from rankdistill.errors import ConfigError

PATH = "/recommend"
_LONGEST_ANSWER = 1 << 26


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests go."""

    host: str
    port: int
    path: str

    @classmethod
    def of(cls, url: str) -> Target:
        """From a URL, whose path is `PATH` when left out.

        Raises:
            ConfigError: it is no http URL, or not of this machine.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise ConfigError(f"{url!r}: no URL ({error}); write it as http://127.0.0.1:8000") from error
        if parts.scheme != "http" or not host:
            raise ConfigError(f"{url!r}: no http URL; write it as http://127.0.0.1:8000")
        if not _is_here(host):
            raise ConfigError(f"{url}: {host} is not this machine; load is put on localhost alone, run it there")
        return cls(host, port or 80, parts.path.rstrip("/") or PATH)

    def request(self, body: bytes) -> bytes:
        """A POST as it goes over the wire."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        head = (
            f"POST {self.path} HTTP/1.1\r\nHost: {host}:{self.port}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode("ascii") + body


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Connection:
    """Asks one request after the other, and connects again where the server has hung up.

    Args:
        target: whom to ask.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connects where there is no connection.

        Raises:
            OSError: nobody listens there.
        """
        if self._streams is not None and self._streams[0].at_eof():
            self.close()
        if self._streams is None:
            self._streams = await asyncio.open_connection(self.target.host, self.target.port, limit=1 << 16)
        return self._streams

    def close(self) -> None:
        """Hangs up."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def post(self, request: bytes) -> tuple[int, bytes]:
        """The status and the body of the answer.

        A server may hang up between two requests: what it has not begun to answer is asked once more.

        Raises:
            OSError: the connection broke.
            EOFError: it ended in the middle of an answer.
            ValueError: what came is not HTTP.
        """
        reused = self._streams is not None
        try:
            return await self._asked(request)
        except (ConnectionError, asyncio.IncompleteReadError) as error:
            begun = isinstance(error, asyncio.IncompleteReadError) and error.partial
            if begun or not reused:
                raise
        self.close()
        return await self._asked(request)

    async def _asked(self, request: bytes) -> tuple[int, bytes]:
        reader, writer = await self.open()
        writer.write(request)
        status, headers = _head(await reader.readuntil(b"\r\n\r\n"))
        if headers.get("transfer-encoding", "").lower() == "chunked":
            body = await _chunks(reader)
        elif "content-length" in headers:
            body = await reader.readexactly(_length(headers["content-length"]))
        else:
            body = await reader.read(_LONGEST_ANSWER)
            headers["connection"] = "close"
        if headers.get("connection", "").lower() == "close":
            self.close()
        return status, body


def _head(head: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    if not version.startswith("HTTP/1."):
        raise ValueError(f"{first[:40]!r} is no HTTP")
    pairs = (line.partition(":") for line in lines if line)
    return int(rest[:3]), {name.strip().lower(): value.strip() for name, _, value in pairs}


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    parts: list[bytes] = []
    while True:
        size = _length((await reader.readuntil(b"\r\n")).split(b";")[0], base=16)
        part = await reader.readexactly(size + 2)
        if size == 0:
            return b"".join(parts)
        parts.append(part[:-2])


def _length(written: str | bytes, base: int = 10) -> int:
    length = int(written, base)
    if not 0 <= length <= _LONGEST_ANSWER:
        raise ValueError(f"an answer of {length} bytes")
    return length
