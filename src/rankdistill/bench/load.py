"""A server under load at a stated rate.

The load is open-loop: each request has its moment, whether or not those before it were answered, and its latency counts
from that moment. So a server that stands still for a second is charged for every request that was due in it.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import selectors
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rankdistill.bench.connection import Connection, Target
from rankdistill.bench.timing import percentile
from rankdistill.errors import ConfigError, RequestError
from rankdistill.types import Json

LIMITS = {"rate": (0.1, 10_000.0), "seconds": (0.1, 600.0), "connections": (1, 500)}
MOST_REQUESTS = 1_000_000
_LEAD = 0.05
"""Seconds between the start and the first request."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a server is put under.

    Attributes:
        rate: requests a second, evenly spaced.
        seconds: how long.
        connections: requests under way at most; more wait for one of them, which counts.
        patience: seconds that a request may wait to be sent before all of it is given up.
        timeout: seconds in which a request has to be answered once it is sent.

    Raises:
        ConfigError: a value is out of range.
    """

    rate: float
    seconds: float
    connections: int = 64
    patience: float = 5.0
    timeout: float = 10.0

    def __post_init__(self) -> None:
        for name, (low, high) in LIMITS.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ConfigError(f"{name} = {value:g}: give a number from {low:g} to {high:,g}")
        if self.count > MOST_REQUESTS:
            raise ConfigError(
                f"{self.rate:g} requests a second for {self.seconds:g} seconds are {self.count:,}; "
                f"at most {MOST_REQUESTS:,} are sent"
            )

    @property
    def count(self) -> int:
        """How many requests that are."""
        return max(1, round(self.rate * self.seconds))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the requests.

    Attributes:
        sent: requests whose moment came.
        answered: those with a status of success.
        failed: how many others, by status or by what happened.
        unanswered: those that were still waiting when the test was stopped.
        latency_ms: p50, p95, p99 and max, from the scheduled moment; what was unanswered counts with what it had
            waited by then.
        rate: requests answered a second.
        late_ms: p99 of how late this program itself was; where that is much, it is the load that lags.
        stopped: why the test ended early; empty if it did not.
    """

    sent: int
    answered: int
    failed: dict[str, int]
    unanswered: int
    latency_ms: dict[str, float]
    rate: float
    late_ms: float
    stopped: str

    def json(self) -> Json:
        """As it is printed."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(slots=True)
class _Run:
    load: Load
    waiting: asyncio.Queue[tuple[int, bytes]]
    start: float = 0.0
    taken: int = 0
    pending: set[int] = field(default_factory=set)
    latencies: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    failed: Counter[str] = field(default_factory=Counter)
    last: float = 0.0

    def due(self, number: int) -> float:
        return self.start + number / self.load.rate

    async def schedule(self, requests: Iterator[bytes]) -> str:
        """Releases each request at its moment; says why it stopped, if it did before the last one."""
        loop = asyncio.get_running_loop()
        self.start = loop.time() + _LEAD
        for number in range(self.load.count):
            await asyncio.sleep(max(0.0, self.due(number) - loop.time()))
            now = loop.time()
            self.late.append(now - self.due(number))
            self.pending.add(number)
            self.waiting.put_nowait((number, next(requests)))
            if now - self.due(self.taken) > self.load.patience:
                return self._behind(number, now)
        return ""

    def _behind(self, number: int, now: float) -> str:
        """Why requests wait longer and longer: for this program itself, or for the server."""
        own = now - self.due(number)
        if own > self.load.patience / 2:
            who = f"this program is {own:.1f} s behind itself and cannot send"
        else:
            who = "the server does not keep up with"
        return (
            f"after {now - self.start:.1f} s: {number + 1 - self.taken:,} requests were waiting to be sent, the first "
            f"for {now - self.due(self.taken):.1f} s; {who} {self.load.rate:g} a second"
        )

    async def work(self, connection: Connection) -> None:
        """Sends what is waiting, one request at a time."""
        loop = asyncio.get_running_loop()
        while True:
            number, request = await self.waiting.get()
            self.taken += 1
            problem = await _problem(connection, request, self.load.timeout)
            self.last = loop.time()
            if problem:
                self.failed[problem] += 1
            else:
                self.latencies.append(self.last - self.due(number))
            self.pending.discard(number)
            self.waiting.task_done()

    def outcome(self, now: float, stopped: str) -> Outcome:
        """What was counted."""
        waited = [now - self.due(number) for number in self.pending]
        every = self.latencies + waited
        found = {f"p{q}": percentile(every, q) for q in (50, 95, 99)} if every else {}
        return Outcome(
            sent=len(self.late),
            answered=len(self.latencies),
            failed=dict(self.failed.most_common()),
            unanswered=len(waited),
            latency_ms={**found, "max": round(max(every) * 1e3, 4)} if every else {},
            rate=round(len(self.latencies) / max(self.last - self.start, 1 / self.load.rate), 1),
            late_ms=percentile(self.late, 99),
            stopped=stopped,
        )


async def _problem(connection: Connection, request: bytes, timeout: float) -> str:
    """Asks; what went wrong, or nothing."""
    try:
        async with asyncio.timeout(timeout):
            status, _ = await connection.post(request)
    except TimeoutError:
        connection.close()
        return f"no answer in {timeout:g} s"
    except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
        connection.close()
        return "connection refused" if isinstance(error, ConnectionRefusedError) else "connection lost"
    return "" if 200 <= status < 300 else str(status)


def put_under_load(target: Target, bodies: Sequence[bytes], load: Load) -> Outcome:
    """Asks the server for `bodies`, over and over, at the load's rate.

    Raises:
        RequestError: no server answers there, or not with success before the load starts.
    """
    requests = [target.request(body) for body in bodies]
    with _no_collections(), asyncio.Runner(loop_factory=_loop) as runner:
        return runner.run(_measured(target, requests, load))


@contextmanager
def _no_collections() -> Iterator[None]:
    """Without pauses of this program's own, which would be charged to the server."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def _loop() -> asyncio.AbstractEventLoop:
    """One that wakes in microseconds: epoll counts in milliseconds, and that would be added to every latency."""
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


async def _measured(target: Target, requests: Sequence[bytes], load: Load) -> Outcome:
    connections = [Connection(target) for _ in range(load.connections)]
    await _check(connections[0], requests[0], load)
    run = _Run(load, asyncio.Queue())
    workers: list[asyncio.Task[None]] = []
    try:
        await asyncio.gather(*(each.open() for each in connections))
        workers += [asyncio.create_task(run.work(each)) for each in connections]
        stopped = await run.schedule(itertools.cycle(requests))
        if not stopped:
            stopped = await _drained(run)
        return run.outcome(asyncio.get_running_loop().time(), stopped)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        for each in connections:
            each.close()


async def _drained(run: _Run) -> str:
    """Waits for the last answers."""
    limit = run.load.patience + run.load.timeout
    try:
        async with asyncio.timeout(limit):
            await run.waiting.join()
    except TimeoutError:
        return f"{len(run.pending):,} requests were unanswered {limit:g} s after the last was due"
    return ""


async def _check(connection: Connection, request: bytes, load: Load) -> None:
    where = f"http://{connection.target.host}:{connection.target.port}{connection.target.path}"
    try:
        async with asyncio.timeout(load.timeout):
            status, body = await connection.post(request)
    except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RequestError(f"{where}: no server answers ({reason}); start one with `rankdistill serve DIR`") from error
    if not 200 <= status < 300:
        said = " ".join(body[:200].decode("utf-8", "replace").split())
        raise RequestError(f"{where}: answers {status} before there is any load ({said}); name users that it knows")
