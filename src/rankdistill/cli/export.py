"""`rankdistill export`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rankdistill.cli.inputs import experiment_of, load_data, use_processor
from rankdistill.cli.options import Changes, OtherConfig, Output, PreparedData
from rankdistill.extras import extra
from rankdistill.owners import check_owner

if TYPE_CHECKING:
    from rankdistill.config import Precision as Kept
    from rankdistill.serving.ann import IndexKind
    from rankdistill.types import Json


_TOLERABLE = 0.01


class Precision(StrEnum):
    """Of the large tables."""

    float32 = "float32"
    float16 = "float16"
    int8 = "int8"


class Index(StrEnum):
    """Approximate nearest neighbours."""

    flat = "faiss-flat"
    hnsw = "faiss-hnsw"
    ivfpq = "faiss-ivfpq"


@dataclass(frozen=True, slots=True)
class Kind:
    """What is written, and from which data."""

    precision: Annotated[
        Precision | None,
        typer.Option("--precision", help="Of the large tables; the model's own when left out.", show_default=False),
    ] = None
    users: Annotated[
        bool, typer.Option("--users/--no-users", help="Whether what the known users have goes into the folder.")
    ] = True
    index: Annotated[
        Index | None,
        typer.Option("--index", help="Add an index, from which approximate lists come.", show_default=False),
    ] = None
    config: OtherConfig = None
    data: PreparedData = None


def export(
    model: Annotated[Path, typer.Argument(metavar="MODEL_DIR", help="A folder that train, distill or run made.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The folder to write.")],
    kind: Kind,
    changes: Changes,
    output: Output,
) -> None:
    """Model to a folder that runs without torch: ONNX, ids, vectors, a manifest.

    Its lists are compared with the model's own for real users; size, quality and speed are measured in every
    precision. The data is that of the model's own config.toml, unless --config or --data names it.
    """
    check_owner(out, "export")
    for name in ("onnx", "onnxscript", "onnxruntime"):
        extra(name, "export")
    if kind.index is not None:
        extra("faiss", "ann")
    experiment = experiment_of(model, kind.config, changes)
    from rankdistill.exporting.write import export as write
    from rankdistill.stages import load_ranker

    use_processor(experiment)
    split = load_data(experiment, kind.data)
    ranker = load_ranker(model, split, "cpu")
    index: IndexKind | None = kind.index.value if kind.index else None
    precision: Kept | None = None if kind.precision is None else kind.precision.value
    manifest = write(ranker, out, split, precision=precision, users=kind.users, index=index)
    columns = ("precision", "model", "folder", "nDCG@10", "change", "p50 ms", "identical lists", "")
    lines = [
        *costly_precisions(manifest),
        _strangers(manifest),
        *_index(manifest),
        f"{out}: {_megabytes(manifest['bytes'])}",
    ]
    output.show(manifest, columns, _rows(manifest), *lines)


def _rows(manifest: Json) -> list[tuple[str, ...]]:
    """The precisions, each beside the first one."""
    from rankdistill.report.numerals import percent

    return [
        (
            name,
            _megabytes(each["model_bytes"]),
            _megabytes(each["bytes"]),
            f"{each['metrics']['ndcg@10']:.4f}",
            percent(each["change"]["ndcg@10"], sign=True, decimals=2),
            f"{each['latency_ms']['p50']:.3f}",
            f"{each['parity']['identical_lists']:,} of {each['parity']['users']:,}",
            "written" if name == manifest["precision"] else "",
        )
        for name, each in manifest["precisions"].items()
    ]


def costly_precisions(manifest: Json) -> list[str]:
    """Names the precisions that cost more than a hundredth of the quality."""
    changes = {name: each["change"]["ndcg@10"] for name, each in manifest["precisions"].items()}
    return [
        f"{name} loses {-change:.1%} of nDCG@10, which is more than {_TOLERABLE:.0%}"
        for name, change in changes.items()
        if change < -_TOLERABLE
    ]


def _strangers(manifest: Json) -> str:
    found = manifest["precisions"][manifest["precision"]].get("metrics_as_strangers")
    if found is None:
        return "users are answered by what they have, known or not"
    return f"asked by their histories alone, the same users get nDCG@10 = {found['ndcg@10']:.4f}"


def _index(manifest: Json) -> list[str]:
    """What the index finds, and how fast, beside exact lists; nothing where there is none."""
    about = manifest.get("index")
    if about is None:
        return []
    recalls = ", ".join(f"{name} {about[name]:.4f}" for name in ("recall@10", "recall@100"))
    ours, exact = (about["latency_ms"][each]["p50"] for each in ("index", "exact"))
    return [f"{about['kind']}: {recalls} of exact lists; p50 {ours:.3f} ms, exact {exact:.3f} ms"]


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"
