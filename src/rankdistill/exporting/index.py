"""The approximate index of an exported folder, and how much of the exact lists it finds."""

from __future__ import annotations

import time
from importlib.metadata import version
from pathlib import Path

import numpy as np

from rankdistill import plugins
from rankdistill.checksums import sha256
from rankdistill.data.splitting import Split
from rankdistill.errors import ConfigError, ExportError
from rankdistill.exporting.measure import asked_of, latency
from rankdistill.extras import extra
from rankdistill.files import write_json
from rankdistill.ranker import Ranker
from rankdistill.serving import ann, layout
from rankdistill.serving.ann import IndexKind, IndexOptions
from rankdistill.serving.folder import read_manifest
from rankdistill.serving.recommender import Asked, Recommender, Rules
from rankdistill.types import PAD, Ints, Json

CUTOFFS = (10, 100)
_USERS = 2_000
"""Users that recall is measured with, at most."""


def check_wanted(wanted: IndexKind | IndexOptions, model: Ranker) -> None:
    """Refuses an index that cannot be made of this model, before anything is computed.

    Raises:
        ConfigError: there is no such index, or faiss is not installed.
        ExportError: the model's scores are no products of two vectors.
    """
    kind = wanted.kind if isinstance(wanted, IndexOptions) else wanted
    if kind not in ann.KINDS:
        near = plugins.suggestion(kind, ann.KINDS)
        raise ConfigError(f"index {kind!r} is none{near} (there are: {', '.join(ann.KINDS)})")
    if not model.factorized:
        raise ExportError(
            f"index {kind}: a score of {type(model).__name__} is no product of two vectors, which is what an index "
            f"holds; export it without one"
        )
    extra("faiss", "ann")


def add_index(folder: Path, wanted: IndexKind | IndexOptions, users: Ints, split: Split) -> Json:
    """Builds the index over the item vectors of an exported folder, writes it there, and measures it.

    Args:
        folder: exported, without an index.
        wanted: its kind, or with options other than the defaults.
        users: who is asked for recall and latency, some of them.
        split: what the users have.

    Returns:
        The manifest, which now names the index.

    Raises:
        ConfigError: there is no such option, or its value is out of range.
    """
    if not isinstance(wanted, IndexOptions):
        wanted = IndexOptions(wanted, {})
    begin = time.perf_counter()
    built = ann.build(np.load(folder / layout.VECTORS, allow_pickle=False), wanted.kind, wanted.options)
    seconds = time.perf_counter() - begin
    path = folder / layout.INDEX
    ann.write(built, path)
    size = path.stat().st_size
    about = {
        "kind": built.kind,
        "options": built.options,
        "items": len(built),
        "bytes": size,
        "build_seconds": round(seconds, 2),
        "faiss": version("faiss-cpu"),
    }
    manifest = read_manifest(folder)
    manifest["files"][layout.INDEX] = {"bytes": size, "sha256": sha256(path)}
    manifest |= {"index": about, "bytes": sum(each["bytes"] for each in manifest["files"].values())}
    write_json(folder / layout.MANIFEST, manifest)
    manifest["index"] = about | _measured(folder, users, split)
    write_json(folder / layout.MANIFEST, manifest)
    return manifest


def _measured(folder: Path, users: Ints, split: Split) -> Json:
    """Recall against exact lists of real users, and the latency of one query with the index and without."""
    asked = asked_of(users[:: max(1, -(-len(users) // _USERS))], split.train)
    found, exact = (Recommender(folder, threads=1, index=each) for each in (True, False))
    return {
        "users": len(asked),
        **{f"recall@{k}": recall(found, exact, asked, min(k, split.num_items)) for k in CUTOFFS},
        "latency_ms": {"index": latency(found, split), "exact": latency(exact, split)},
    }


def recall(found: Recommender, exact: Recommender, asked: Asked, k: int) -> float:
    """The share of the items of exact lists of length k, of the same vectors, that are found."""
    ours, _ = found.rank(asked, Rules(k))
    right, _ = exact.rank(asked, Rules(k, allow=np.arange(1, len(exact.items) + 1)))
    hits = sum(len(np.intersect1d(a[a != PAD], b[b != PAD])) for a, b in zip(ours, right, strict=True))
    return round(float(hits / max(1, (right != PAD).sum())), 4)
