"""Approximate nearest neighbours: faiss indexes over an exported folder's item vectors.

An index holds the rows of `item_vectors.npy` whose items may be ranked, under the items' own indices. A score is the
inner product of a row with a query, whose last number is 1 for the row's bias.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from rankdistill.errors import ConfigError, ExportError
from rankdistill.extras import extra
from rankdistill.types import PAD, Floats, Ints, Json

IndexKind = Literal["faiss-flat", "faiss-hnsw", "faiss-ivfpq"]
KINDS: tuple[IndexKind, ...] = get_args(IndexKind)
MARGIN = 8
"""Items asked for beyond those that a query may lose."""
_SEED = 1234
_BITS = 8
_ITERATIONS = 10
"""Of the k-means behind each part of a product code."""
_ITEMS_A_CELL = 39
"""At least, for k-means to have something to average."""
_NARROW = 64
"""Vectors of more numbers than this are coded more coarsely."""
_EXAMPLES = 64
"""Items a cell that k-means learns from at most."""
_MAGIC = {"faiss-flat": b"IxMp", "faiss-hnsw": b"IxMp", "faiss-ivfpq": b"IwPQ"}
"""The first bytes of a file of each kind, as faiss writes it."""
_CLASSES = {"faiss-flat": "IndexFlatIP", "faiss-hnsw": "IndexHNSWFlat"}
_NUMBERS_A_BLOCK = 1 << 22
"""Numbers of vectors that are held at once while candidates are rescored."""
_LIMITS = {
    "M": (2, 512),
    "efConstruction": (1, 10_000),
    "efSearch": (1, 10_000),
    "nlist": (1, 1 << 20),
    "m": (1, 1 << 12),
    "nprobe": (1, 1 << 20),
    "refine": (1, 1_000),
}


def defaults(kind: IndexKind, num_items: int, width: int) -> dict[str, int]:
    """The options of an index over `num_items` vectors of `width` numbers.

    faiss-hnsw: `M` neighbours of an item, `efConstruction` and `efSearch` candidates while it is built and searched.
    faiss-ivfpq: `nlist` cells, of which `nprobe` are searched, `m` bytes an item, and `refine` times as many
    candidates as a list is long, whose scores are computed from their vectors.

    >>> defaults("faiss-ivfpq", 1_000_000, 51)
    {'nlist': 4000, 'm': 26, 'nprobe': 500, 'refine': 8}
    """
    if kind == "faiss-flat":
        return {}
    if kind == "faiss-hnsw":
        return {"M": 32, "efConstruction": 200, "efSearch": 128 if num_items <= 200_000 else 256}
    cells = max(1, min(round(4 * num_items**0.5), num_items // _ITEMS_A_CELL))
    numbers_a_byte = 2 if width <= _NARROW else 3
    return {"nlist": cells, "m": -(-width // numbers_a_byte), "nprobe": min(cells, max(64, cells // 8)), "refine": 8}


def checked(kind: str, given: Mapping[str, int], num_items: int, width: int) -> dict[str, int]:
    """The defaults with the options that are given.

    Raises:
        ConfigError: an index or an option that there is not, or a value out of range.
    """
    if kind not in KINDS:
        raise ConfigError(f"index {kind!r} is none (there are: {', '.join(KINDS)})")
    options = defaults(kind, num_items, width)
    for name, value in given.items():
        if name not in options:
            known = f"its options are {', '.join(options)}" if options else "it has no options"
            raise ConfigError(f"index {kind}: {name!r} is no option of it; {known}")
        low, high = _LIMITS[name]
        high = min(high, {"nlist": num_items, "m": width}.get(name, high))
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ConfigError(f"index {kind}: {name} = {value!r}; give a whole number from {low:,} to {high:,}")
        options[name] = value
    if kind == "faiss-ivfpq" and num_items < 1 << _BITS:
        raise ConfigError(
            f"index {kind}: learns its codes from at least {1 << _BITS} items and there are {num_items:,}; "
            f"use faiss-flat"
        )
    return options


@dataclass(frozen=True, slots=True)
class IndexOptions:
    """An index that is wanted, with options that differ from the defaults."""

    kind: IndexKind
    options: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ItemIndex:
    """An index in memory.

    Attributes:
        kind: which.
        options: that it was built with.
        index: faiss's own object, which gives item indices.
        threads: of one search.
    """

    kind: IndexKind
    options: dict[str, int]
    index: Any
    threads: int = 1

    def __len__(self) -> int:
        """How many items there are in it."""
        return int(self.index.ntotal)

    @property
    def refine(self) -> int:
        """How many candidates a place of a list have to be rescored; 0 where the index's own scores are right."""
        return self.options.get("refine", 0)

    def search(self, queries: Floats, depth: int) -> tuple[Ints, Floats]:
        """The best items [Q, depth] of queries [Q, D + 1] and their scores; PAD where fewer are found."""
        _threads(self.threads)
        if self.kind == "faiss-ivfpq":
            queries = _widened(queries, self.index.d)
        scores, items = self.index.search(np.ascontiguousarray(queries, dtype=np.float32), depth)
        found: Ints = np.where(items < 0, PAD, items)
        return found, np.where(items < 0, np.float32(-np.inf), scores)


def nearest(index: ItemIndex, queries: Floats, vectors: Floats, left_out: Ints, k: int) -> tuple[Ints, Floats]:
    """Lists [Q, k] without what is left out, best first, equal scores in the order of the index; PAD behind the end.

    The index is asked for as many more as a list may lose, so that one comes out short only where it finds too little.

    Args:
        index: of the items.
        queries: [Q, D + 1].
        vectors: [I + 1, D + 1], for the scores of an index that only estimates them.
        left_out: [Q, X], items that a list may not hold, PAD where there are fewer.
        k: the length of the lists.
    """
    wanted = k * max(1, index.refine)
    items, scores = index.search(queries, min(depth_of(index, left_out, k), len(index)))
    marked = np.zeros(len(vectors), dtype=np.bool_)
    for row, out in zip(items, left_out, strict=True):
        marked[out] = True
        row[marked[row]] = PAD
        marked[out] = False
    scores[items == PAD] = -np.inf
    kept = np.argsort(items == PAD, axis=1, kind="stable")[:, :wanted]
    items, scores = np.take_along_axis(items, kept, 1), np.take_along_axis(scores, kept, 1)
    if index.refine:
        scores = _rescored(items, queries, vectors)
    best = np.lexsort((items, -scores), axis=1)[:, :k]
    return np.take_along_axis(items, best, 1), np.take_along_axis(scores, best, 1)


def depth_of(index: ItemIndex, left_out: Ints, k: int) -> int:
    """How many items the index is asked for; as many as it has, or more, and it saves nothing."""
    return k * max(1, index.refine) + int((left_out != PAD).sum(1).max(initial=0)) + MARGIN


def _rescored(items: Ints, queries: Floats, vectors: Floats) -> Floats:
    scores = np.full(items.shape, -np.inf, dtype=np.float32)
    step = max(1, _NUMBERS_A_BLOCK // max(1, items.shape[1] * vectors.shape[1]))
    for start in range(0, len(items), step):
        rows = slice(start, start + step)
        few = vectors[items[rows]].astype(np.float32, copy=False)
        scores[rows] = (few @ queries[rows, :, None])[:, :, 0]
    scores[items == PAD] = -np.inf
    return scores


def build(vectors: Floats, kind: IndexKind, options: Mapping[str, int] | None = None, threads: int = 1) -> ItemIndex:
    """An index over the rows [I + 1, D + 1] that may be ranked: those whose last number, the bias, is finite.

    What is random is seeded. On one thread the same vectors give the same index; on several the graph of `faiss-hnsw`
    depends on which thread is first.

    Raises:
        ConfigError: faiss is not installed; an index or an option that there is not; too few items for it.
    """
    faiss = extra("faiss", "ann")
    items = np.flatnonzero(np.isfinite(vectors[:, -1])).astype(np.int64)
    rows = np.ascontiguousarray(vectors[items], dtype=np.float32)
    if not len(items):
        raise ConfigError(f"index {kind}: there is no item that may be ranked")
    chosen = checked(kind, options or {}, *rows.shape)
    _threads(threads)
    if kind == "faiss-ivfpq":
        index = _coded(faiss, rows, chosen)
        rows = _widened(rows, index.d)
    else:
        index = faiss.IndexIDMap(_plain(faiss, kind, rows.shape[1], chosen))
    index.add_with_ids(rows, items)
    return ItemIndex(kind, chosen, index)


def _plain(faiss: Any, kind: IndexKind, width: int, options: Mapping[str, int]) -> Any:
    if kind == "faiss-flat":
        return faiss.IndexFlatIP(width)
    index = faiss.IndexHNSWFlat(width, options["M"], faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction, index.hnsw.efSearch = options["efConstruction"], options["efSearch"]
    return index


def _coded(faiss: Any, rows: Floats, options: Mapping[str, int]) -> Any:
    """Cells of k-means and product codes, trained."""
    parts = options["m"]
    width = -(-rows.shape[1] // parts) * parts
    index = faiss.IndexIVFPQ(
        faiss.IndexFlatIP(width), width, options["nlist"], parts, _BITS, faiss.METRIC_INNER_PRODUCT
    )
    index.cp.seed = index.pq.cp.seed = _SEED
    index.pq.cp.niter = _ITERATIONS
    index.cp.max_points_per_centroid = _EXAMPLES
    for clustering in (index.cp, index.pq.cp):
        clustering.min_points_per_centroid = 1  # few items are no reason for a remark on stderr
    index.nprobe = min(options["nprobe"], options["nlist"])
    index.train(_widened(rows, width))
    return index


def _widened(rows: Floats, width: int) -> Floats:
    """Zeros behind each row, which change no product: a code has parts of equal width."""
    return np.ascontiguousarray(np.pad(rows, ((0, 0), (0, width - rows.shape[1]))), dtype=np.float32)


def _threads(count: int) -> None:
    """For the calling thread, as OpenMP counts them."""
    extra("faiss", "ann").omp_set_num_threads(count)


def write(index: ItemIndex, path: Path) -> None:
    """Writes an index in faiss's own format: numbers behind a four-letter mark, and no code."""
    extra("faiss", "ann").write_index(index.index, str(path))


def read(content: bytes, about: Json, where: Path, threads: int = 1) -> ItemIndex:
    """The index in the bytes of a file whose hash was checked, as the manifest describes it.

    Raises:
        ExportError: it is of another kind or size, or faiss cannot read it.
        ConfigError: faiss is not installed.
    """
    faiss = extra("faiss", "ann")
    kind = about.get("kind")
    if kind not in KINDS or content[:4] != _MAGIC[kind]:
        raise ExportError(f"{where}: no index of the kind {kind!r} that the manifest names; export the model again")
    try:
        index = faiss.deserialize_index(np.frombuffer(content, dtype=np.uint8))
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise ExportError(f"{where}: faiss cannot read it ({reason}); export the model again") from error
    if kind != "faiss-ivfpq" and type(faiss.downcast_index(index.index)).__name__ != _CLASSES[kind]:
        raise ExportError(f"{where}: no {kind}, which the manifest names; export the model again")
    if index.ntotal != about.get("items"):
        raise ExportError(
            f"{where}: holds {index.ntotal:,} items and the manifest says {about.get('items'):,}; "
            f"export the model again"
        )
    return ItemIndex(kind, dict(about["options"]), index, threads)
