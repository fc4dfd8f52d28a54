"""Models that can be asked for lists, whatever runs them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import torch

from rankdistill.bench.asked import random_histories
from rankdistill.bench.timing import Call
from rankdistill.data.queries import Exclude, Queries, last_items
from rankdistill.data.splitting import Split
from rankdistill.ranker import Ranker, index_of, rank
from rankdistill.search import ItemIndex
from rankdistill.serving.folder import read_manifest
from rankdistill.serving.recommender import Asked, Recommender, Rules
from rankdistill.types import Ints

logger = logging.getLogger(__name__)

Role: TypeAlias = Literal["teacher", "student"]
_SEED = 1234
_BLOCKS = 64
"""Different calls of a batch size, at most, before the first one comes again."""
_USERS = 32_768


@dataclass(frozen=True, slots=True)
class Contestant:
    """A model with what runs it.

    Attributes:
        role: teacher or student.
        model: what to call it.
        engine: torch, or ONNX with its precision, or with its approximate index.
        calls: from threads and batch size to calls, each of which makes lists for so many users.
        note: what a reader of the timings has to know; empty for nothing.
    """

    role: Role
    model: str
    engine: str
    calls: Callable[[int, int], Sequence[Call]]
    note: str = ""

    @property
    def name(self) -> str:
        """Its own among the contestants."""
        return f"{self.model} ({self.engine})"


def of_folder(folder: Path, role: Role, name: str, k: int) -> list[Contestant]:
    """An exported folder: exact lists, and those of its index where it has one.

    Raises:
        ExportError: the folder is damaged or of another version.
        ConfigError: onnxruntime is not installed.
    """
    manifest = read_manifest(folder)
    precision = manifest["precision"]
    engines = {f"ONNX {precision}": False}
    if manifest.get("index"):
        engines[f"ONNX {precision}, {manifest['index']['kind']}"] = True
    opened = Recommender(folder, threads=1, index=False)
    asked, note = queries_of(opened)
    found = []
    for engine, index in engines.items():
        model = cache(partial(_opened, folder, index))
        found.append(Contestant(role, name, engine, partial(_exported_calls, model, asked, k), note))
    return found


def _opened(folder: Path, index: bool, threads: int) -> Recommender:
    return Recommender(folder, threads=threads, index=index)


def queries_of(model: Recommender) -> tuple[Asked, str]:
    """Known users with what they have, in random order; else random histories, and a note that says so."""
    if model.has_known_users:
        return model.known_indices(_some(np.flatnonzero(model.history_lengths > 0))), ""
    histories = random_histories(len(model.items))
    note = f"{model.folder}: exported without users, so it is asked with random histories of 5 to 50 items"
    return Asked(np.full(len(histories), model.num_users), histories), note


def _some(users: Ints) -> Ints:
    return np.random.default_rng(_SEED).permutation(users)[:_USERS]


def _exported_calls(
    open_with: Callable[[int], Recommender], asked: Asked, k: int, threads: int, batch: int
) -> list[Call]:
    model = open_with(threads)
    rules = Rules(min(k, len(model.items)))
    blocks = [Asked(asked.users[rows], [asked.histories[row] for row in rows]) for rows in _blocks(len(asked), batch)]
    return [partial(model.rank, block, rules) for block in blocks]


def _blocks(count: int, batch: int) -> list[Ints]:
    """Rows of each call: all rows once, or as many blocks as are enough; more than there are come again."""
    number = max(1, min(_BLOCKS, count // batch))
    return list(np.resize(np.arange(count), (number, batch)))


def of_model(model: Ranker, split: Split, role: Role, name: str, k: int) -> Contestant:
    """A model in torch."""
    users = _some(np.flatnonzero(split.train.lengths > 0))
    history = last_items(split.train, users, split.train.lengths[users], split.history_length)
    exclude = Exclude(seen=split.train, never=split.untrained_items)
    queries = Queries(np.arange(len(users)), users, history, exclude)
    engine = "torch" if model.device.type == "cpu" else f"torch, {model.device.type}"
    return Contestant(role, name, engine, partial(_torch_calls, model, queries, index_of(model, queries), k))


def _torch_calls(
    model: Ranker, queries: Queries, index: ItemIndex | None, k: int, threads: int, batch: int
) -> list[Call]:
    blocks = []
    for rows in _blocks(len(queries), batch):
        ids = np.arange(len(rows))
        blocks.append(Queries(ids, queries.users[rows], queries.history[rows], queries.exclude))
    return [partial(_ranked, model, block, index, k, threads) for block in blocks]


def _ranked(model: Ranker, queries: Queries, index: ItemIndex | None, k: int, threads: int) -> None:
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
    rank(model, queries, k, index=index)
    if model.device.type == "cuda":
        torch.cuda.synchronize()


def names_of(folders: Sequence[Path]) -> list[str]:
    """What to call models: the last parts of their paths, as many as tell them apart.

    >>> names_of([Path("a/teacher"), Path("b/teacher"), Path("c")])
    ['a/teacher', 'b/teacher', 'c']
    """
    names = []
    for folder in folders:
        parts = folder.absolute().parts
        others = [other.absolute().parts for other in folders if other.absolute() != folder.absolute()]
        length = next(n for n in range(1, len(parts) + 1) if all(other[-n:] != parts[-n:] for other in others))
        names.append("/".join(parts[-length:]))
    return names
