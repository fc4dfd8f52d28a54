"""A server that answers when it is told to, and counts."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

Answer = Callable[[int], tuple[int, float]]
"""From the number of a request to its status and the seconds it takes."""


@dataclass
class Server:
    """On a free port of this machine, in a thread of its own."""

    answer: Answer
    one_at_a_time: bool = False
    hang_up: bool = False
    chunked: bool = False
    bodies: list[Any] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    arrived: list[float] = field(default_factory=list)
    port: int = 0
    turn: asyncio.Semaphore = field(default_factory=asyncio.Semaphore)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = next(
                    int(line.split(":")[1]) for line in head.splitlines() if line.startswith("Content-Length")
                )
                self.arrived.append(time.perf_counter())
                self.bodies.append(json.loads(await reader.readexactly(length)))
                self.paths.append(head.split()[1])
                await self.respond(writer, len(self.bodies) - 1)
                if self.hang_up:
                    break
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def respond(self, writer: asyncio.StreamWriter, number: int) -> None:
        async with self.turn if self.one_at_a_time else asyncio.Semaphore():
            status, seconds = self.answer(number)
            await asyncio.sleep(seconds)
        body = b'{"items": []}'
        if self.chunked:
            head, body = "Transfer-Encoding: chunked", b"5\r\n" + body[:5] + b"\r\n8\r\n" + body[5:] + b"\r\n0\r\n\r\n"
        else:
            head = f"content-length: {len(body)}"
        writer.write(f"HTTP/1.1 {status} Some words\r\n{head}\r\n\r\n".encode() + body)
        await writer.drain()


@contextmanager
def serving(answer: Answer, **how: Any) -> Iterator[Server]:
    """A server that runs while the block does."""
    server, ready, loop = Server(answer, **how), threading.Event(), asyncio.new_event_loop()

    async def run() -> None:
        listening = await asyncio.start_server(server.handle, "127.0.0.1", 0)
        server.port = listening.sockets[0].getsockname()[1]
        ready.set()

    def work() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(run())
        loop.run_forever()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0.01))
        loop.close()

    thread = threading.Thread(target=work)
    thread.start()
    assert ready.wait(10)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
