"""Writes an exported folder: graphs, vectors, ids, what users have, and a manifest that says what it is worth."""

from __future__ import annotations

import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from rankdistill import plugins
from rankdistill.checksums import sha256
from rankdistill.config import Precision
from rankdistill.data.sequences import Sequences
from rankdistill.data.splitting import Split
from rankdistill.errors import ConfigError, ExportError
from rankdistill.exporting import graph, measure, triton
from rankdistill.exporting.index import add_index, check_wanted
from rankdistill.exporting.precision import PRECISIONS, lowered
from rankdistill.files import read_object, replacing, write_json, write_text
from rankdistill.ids import IdMap
from rankdistill.model_folder import versions
from rankdistill.pipeline import check_fits
from rankdistill.ranker import Ranker
from rankdistill.served import Served, served
from rankdistill.serving import layout
from rankdistill.serving.ann import IndexKind, IndexOptions
from rankdistill.serving.recommender import Recommender
from rankdistill.types import Floats, Json

if TYPE_CHECKING:
    import onnx

_LONGEST_ID = 1024
"""Bytes: ids are kept in columns as wide as the longest of them."""


def export(
    model: Ranker,
    out: Path | str,
    split: Split | None = None,
    *,
    precision: Precision | None = None,
    users: bool = True,
    index: IndexKind | IndexOptions | None = None,
) -> Json:
    """Writes a model as a folder that `Recommender` and `serve` load without torch.

    Lists of real users are compared with those of the model itself, and size, quality and speed are measured in
    every precision, before anything is kept.

    Args:
        model: a trained model.
        out: the folder; an exported one is replaced.
        split: the data it was trained on; None is what `train` or `distill` had.
        precision: of the large tables in the folder; None for that of the model, mostly float32.
        users: whether what the known users have goes into the folder, so that they can be asked by their ids.
        index: a faiss index over the item vectors, from which approximate lists come; None for exact lists alone.

    Returns:
        The manifest.

    Raises:
        ExportError: the graph cannot be written, or its lists are not the model's.
        ConfigError: an unknown precision or index, or `out` is a folder of something else; or onnx is not installed,
            or faiss where an index is asked for.
        CheckpointError: the model was trained on other data.
    """
    split = split or model.split
    if split is None:
        raise ConfigError("export: this model was loaded, not trained here; give the split that it was trained on")
    precision = precision or model.precision
    if precision not in PRECISIONS:
        near = plugins.suggestion(precision, PRECISIONS)
        raise ConfigError(f"precision {precision!r} is none{near} (there are: {', '.join(PRECISIONS)})")
    check_fits(model, split)
    if index is not None:
        check_wanted(index, model)
    out = Path(out)
    _refuse_others(out)
    task = _Task(model, split, served(model, split.train), users)
    graphs = graph.graphs_of(task.served)
    with replacing(out) as temporary, TemporaryDirectory(prefix="rankdistill-") as spare:
        measured: Json = {}
        lists = measure.Lists.of(model, split)
        strangers = measure.Lists.of_strangers(task.served, split) if task.served.has_users else None
        for each in PRECISIONS:
            folder = temporary if each == precision else Path(spare) / each
            task.write(folder, graphs, each)
            measured[each] = task.measured(folder, lists, strangers, each)
            measured[each]["change"] = measure.change(measured["float32"]["metrics"], measured[each]["metrics"])
        manifest = {**task.manifest(temporary, precision), "precisions": measured}
        write_json(temporary / layout.MANIFEST, manifest)
        if index is not None:
            manifest = add_index(temporary, index, lists.asked.users, split)
    return manifest


def _refuse_others(out: Path) -> None:
    """Refuses to replace what no export wrote.

    Raises:
        ConfigError: `out` is a file, or a folder that holds something else.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    known = read_object(out / layout.MANIFEST)
    files = known.get("files")
    if not isinstance(known.get("schema"), int) or not isinstance(files, dict):
        raise ConfigError(f"{out}: is there already and is no exported model; name another --out")
    found = {path.relative_to(out).as_posix() for path in out.rglob("*") if not path.is_dir()}
    others = sorted(found - files.keys() - {layout.MANIFEST})
    if others:
        raise ConfigError(f"{out}: holds {others[0]}, which no export wrote; move it, or name another --out")


@dataclass(frozen=True, slots=True)
class _Task:
    ranker: Ranker
    split: Split
    served: Served
    users: bool

    def known(self) -> Sequences:
        """What each user has by the time of the test."""
        split = self.split
        return split.train if split.validation is None else split.train.then(split.validation)

    def write(self, folder: Path, graphs: graph.Graphs, precision: Precision) -> None:
        """Writes all files, and a manifest without measurements."""
        for name in (layout.ITEM_IDS, layout.USER_STARTS):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
        _save(folder / layout.MODEL, lowered(graphs.ranking, precision))
        write_text(folder / layout.TRITON, triton.config(graphs.ranking, plugins.kind_of(self.ranker.config)))
        if graphs.encoder is not None:
            _save(folder / layout.ENCODER, lowered(graphs.encoder, precision))
            self._write_vectors(folder, graph.item_vectors(self.served), precision)
        self._write_items(folder)
        if self.users:
            _write_array(folder / layout.USER_IDS, _plain(self.split.user_ids))
            known = self.known()
            _write_array(folder / layout.USER_STARTS, known.starts)
            _write_array(folder / layout.USER_ITEMS, known.items)
        write_json(folder / layout.MANIFEST, self.manifest(folder, precision))

    def _write_vectors(self, folder: Path, vectors: Floats, precision: Precision) -> None:
        """As float16 where the model is not float32, with the bias as the last number."""
        kept = vectors if precision == "float32" else vectors.astype(np.float16)
        _write_array(folder / layout.VECTORS, kept)
        ranked = np.flatnonzero(np.isfinite(vectors[:, -1]))
        frame = pl.DataFrame(
            {
                "item_id": self.split.item_ids.decode(ranked),
                "vector": pl.Series(kept[ranked].astype(np.float32), dtype=pl.Array(pl.Float32, vectors.shape[1])),
            }
        )
        frame.write_parquet(folder / layout.VECTORS_BY_ID)

    def _write_items(self, folder: Path) -> None:
        split = self.split
        index = pl.Series(np.arange(1, split.num_items + 1))
        titles = {} if split.titles is None else {"title": split.titles}
        counts = np.bincount(split.train.items, minlength=split.num_items + 1)[1:]
        frame = pl.DataFrame({"index": index, "item_id": split.item_ids.values, **titles, "count": counts})
        frame.write_parquet(folder / layout.ITEMS)
        _write_array(folder / layout.ITEM_IDS, _plain(split.item_ids))

    def manifest(self, folder: Path, precision: Precision) -> Json:
        """What the folder holds."""
        catalogue = self.ranker.catalogue
        files = {
            path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256(path)}
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path.name != layout.MANIFEST
        }
        return {
            "schema": layout.SCHEMA,
            "kind": plugins.kind_of(self.ranker.config),
            "config": self.ranker.config.model_dump(mode="json"),
            "catalogue": {
                "num_users": catalogue.num_users,
                "num_items": catalogue.num_items,
                "history_length": catalogue.history_length,
            },
            "parameters": self.ranker.parameters_count,
            "fingerprint": self.split.fingerprint,
            "precision": precision,
            "opset": graph.OPSET,
            "has_users": self.served.has_users,
            "strangers": self.served.rule,
            "item_vectors": self.served.model.factorized,
            "own_items_differ": self.served.adjusts,
            "versions": {**versions(), **{name: version(name) for name in ("onnx", "onnxruntime")}},
            "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "bytes": sum(each["bytes"] for each in files.values()),
            "files": files,
        }

    def measured(
        self, folder: Path, lists: measure.Lists, strangers: measure.Lists | None, precision: Precision
    ) -> Json:
        """Parity, quality, size and speed of the folder."""
        exported = Recommender(folder, threads=1)
        found = {
            "model_bytes": (folder / layout.MODEL).stat().st_size,
            "bytes": exported.manifest["bytes"],
            "parity": measure.parity(lists, exported, precision),
            "latency_ms": measure.latency(exported, self.split),
            "metrics": measure.quality(exported, self.split, known=True),
        }
        if self.served.model.factorized:
            found["parity_of_vectors"] = measure.parity(lists.some(), exported, precision, by_vectors=True)
        if strangers is not None:
            found["parity_of_strangers"] = measure.parity(strangers, exported, precision)
            found["metrics_as_strangers"] = measure.quality(exported, self.split, known=False)
        return found


def _save(path: Path, model: onnx.ModelProto) -> None:
    try:
        path.write_bytes(model.SerializeToString(deterministic=True))
    except ValueError as error:  # protobuf holds 2 GB
        raise ExportError(
            f"{path.name}: the model is too large for one file; export it with a lower precision"
        ) from error


def _write_array(path: Path, array: NDArray[Any]) -> None:
    np.save(path, np.ascontiguousarray(array), allow_pickle=False)


def _plain(ids: IdMap) -> NDArray[Any]:
    """Raw ids as int64, or as UTF-8 in columns of the same width."""
    values = ids.values
    if values.dtype.is_integer() and values.dtype != pl.UInt64:
        return values.cast(pl.Int64).to_numpy()
    encoded = [text.encode("utf-8") for text in values.cast(pl.String).to_list()]
    longest = max(map(len, encoded), default=1)
    if longest > _LONGEST_ID or any(each.endswith(b"\0") or not each for each in encoded):
        raise ExportError(f"an id is empty, ends in a zero byte or is longer than {_LONGEST_ID} bytes; use others")
    return np.array(encoded, dtype=f"S{longest}")
