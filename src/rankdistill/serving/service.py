"""One worker: the models it has loaded, the threads that rank, the numbers that it counts."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TypeVar

import numpy as np

from rankdistill.serving.answers import answer, is_quick
from rankdistill.serving.metrics import Metrics
from rankdistill.serving.options import Options
from rankdistill.serving.raw_ids import RawId
from rankdistill.serving.refused import RefusedError
from rankdistill.serving.reload import Loaded, Watched
from rankdistill.serving.requests import parse
from rankdistill.types import Ints, Items, Json

T = TypeVar("T")
_log = logging.getLogger(__name__)

_SECONDS_BETWEEN_LOOKS = 0.5
_POOL, _MOST_WAITING = 2, 64
_EXAMPLE_ITEMS, _TRIES = 8, 20


class Service:
    """Answers, and keeps the models up to date.

    Args:
        options: of the server.
        table: where workers share what they count; None for a single one.

    Raises:
        ExportError: a folder is missing or damaged.
        ConfigError: a package is not installed.
    """

    def __init__(self, options: Options, table: Path | None = None) -> None:
        self.options, self.metrics = options, Metrics(table)
        self.student = Watched("student", options.folder, options.threads)
        self.teacher = None if options.teacher is None else Watched("teacher", options.teacher, options.threads)
        self._pool = ThreadPoolExecutor(_POOL, "rank")
        self._waiting = 0
        self._started = time.time()
        self.metrics.put("loaded_seconds", self._started)

    @property
    def watched(self) -> list[Watched]:
        """The student, and the teacher where there is one."""
        return [each for each in (self.student, self.teacher) if each is not None]

    async def recommend(self, body: bytes) -> bytes:
        """The answer to a body, as JSON.

        One plain query is answered here and now, which takes less than to hand it to another thread; whatever may
        take longer is handed to one, so that others need not wait.

        Raises:
            RefusedError: the body is wrong, or too many others are waiting.
        """
        quick = len(body) < 1 << 14
        query = (
            parse(body, self.options.limits) if quick else await self.threaded(lambda: parse(body, self.options.limits))
        )
        student, teacher = self.student.model, self.teacher.model if self.teacher else None

        def work() -> bytes:
            return encoded(answer(query, student, teacher))

        found = work() if is_quick(query, student) else await self.threaded(work)
        self.metrics.add("lists_total", len(query.wanted) * (1 + query.teacher))
        return found

    async def threaded(self, work: Callable[[], T]) -> T:
        """What `work` returns, on another thread.

        Raises:
            RefusedError: too many others are waiting.
        """
        if self._waiting >= _MOST_WAITING:
            raise RefusedError(503, "busy", f"{self._waiting} requests are waiting; try again")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._waiting -= 1

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Looks for newer exports until the block ends.

        What there is by now stays for good, so that no collection of garbage walks through it while requests wait.
        """
        gc.collect()
        gc.freeze()
        task = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            self._pool.shutdown(cancel_futures=True)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_SECONDS_BETWEEN_LOOKS)
            for each in self.watched:
                before = each.reloads, each.refused
                try:
                    await asyncio.to_thread(each.check)
                except Exception:  # whatever it is, the next look may find something better
                    _log.exception("%s: could not look at %s", each.role, each.folder)
                self.metrics.add("reloads_total", each.reloads - before[0])
                self.metrics.add("refused_reloads_total", each.refused - before[1])
                if each is self.student and each.reloads > before[0]:
                    self.metrics.put("loaded_seconds", time.time())
            self.metrics.measure_memory()

    def health(self) -> Json:
        """How this worker is."""
        return {
            "status": "stale" if any(each.error for each in self.watched) else "ok",
            "worker": self.metrics.worker,
            "process": os.getpid(),
            "seconds": round(time.time() - self._started),
            **{each.role: each.about() for each in self.watched},
        }

    def model(self) -> Json:
        """What the models are, and what a request may ask for."""
        limits = self.options.limits
        return {
            "models": {each.role: _described(each.model) for each in self.watched},
            "limits": {
                "history": limits.history,
                "requests": limits.batch,
                "listed": limits.listed,
                "k": limits.k,
                "body": limits.body,
            },
        }

    def some_items(self) -> list[RawId]:
        """Raw ids to show what a history looks like."""
        items = self.student.model.recommender.items
        return items.raw(np.arange(1, min(3, len(items)) + 1))

    def example(self) -> Json:
        """The last items of somebody whom the student knows, or else any items."""
        model = self.student.model
        return {"items": model.catalogue.named(_history(model))}


def _history(model: Loaded) -> Items | Ints:
    recommender, draw = model.recommender, np.random.default_rng()
    for user in draw.integers(max(1, len(recommender.users)), size=min(_TRIES, len(recommender.users))):
        (history,) = recommender.known_indices(np.array([user])).histories
        if len(history):
            return history[-_EXAMPLE_ITEMS:]
    count = len(recommender.items)
    return draw.choice(count, min(count, _EXAMPLE_ITEMS), replace=False).astype(np.int64) + 1


def _described(model: Loaded) -> Json:
    manifest = model.recommender.manifest
    measured = manifest.get("precisions", {}).get(manifest["precision"], {})
    return {
        **model.version,
        "precision": manifest["precision"],
        "parameters": manifest["parameters"],
        "dim": manifest["config"].get("dim"),
        "bytes": manifest["files"]["model.onnx"]["bytes"],
        "metrics": measured.get("metrics", {}),
        "has_users": model.recommender.has_known_users,
        "has_titles": model.catalogue.has_titles,
        **manifest["catalogue"],
    }


def encoded(value: Json) -> bytes:
    """As JSON in ASCII."""
    return json.dumps(value, separators=(",", ":")).encode("ascii")
