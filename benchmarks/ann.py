"""From how many items does an approximate index pay, against exact scores of the whole catalogue?

    python benchmarks/ann.py --quick                    # 10 and 50 thousand items, d = 50
    python benchmarks/ann.py                            # 10 thousand, 100 thousand, 1 million
    python benchmarks/ann.py --sizes 200_000 --dim 32

One query at a time on one thread, as a server has them: k = 10, and 40 items that the user has are left out. `exact`
is the last part of an exported graph in onnxruntime: the product with the whole table, minus infinity for what is left
out, the top k. The others are what `Recommender` does with an index: search deep enough, drop, rescore (ivfpq), sort.

The catalogue is generated, for there is no public model of a million items. What it copies of a trained one (a Caser
with d = 50 on Gowalla): norms around 3.7, log-normal with sigma 0.17; biases of -0.2 +- 0.06, higher for popular
items; queries of norm 7. Items lie around sqrt(n) centres whose sizes follow Zipf's law; centres and the spread around
them have a spectrum that falls as 1 / sqrt(dimension), so that few directions matter more than others. A query is the
mean of five items of one or two centres, with noise. Recall depends on all this: export writes the recall on the model
itself into its manifest, and that is the one to go by.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from measure import finish, optional, report, turns
from numpy.typing import NDArray

from rankdistill.serving import ann

K, SEEN, PASSES = 10, 40, 5
WORTH = 0.95
"""An index of less recall@10 does not pay, however quick it is."""
INSTALL = "pip install 'rankdistill[ann,export]'"

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
One = Callable[[Floats, Ints], Ints]
"""From a query [1, D + 1] and what is left out [1, X] to a list [1, K]."""


@dataclass(frozen=True, slots=True, eq=False)
class Catalogue:
    """Item vectors [I + 1, D + 1], queries [Q, D + 1] and what each leaves out [Q, X]."""

    vectors: Floats
    queries: Floats
    seen: Ints


def generated(num_items: int, dim: int, num_queries: int, seed: int = 1) -> Catalogue:
    """A catalogue as the docstring of this file describes it."""
    draw = np.random.default_rng(seed)
    spectrum = (1 / np.sqrt(np.arange(1, dim + 1))).astype(np.float32)
    num_centres = int(num_items**0.5)
    shares = 1 / np.arange(1, num_centres + 1)
    centre_of = draw.choice(num_centres, size=num_items, p=shares / shares.sum())
    centres = draw.standard_normal((num_centres, dim), dtype=np.float32) * spectrum
    vectors = np.zeros((num_items + 1, dim + 1), dtype=np.float32)
    rows = vectors[1:, :-1]
    rows[:] = centres[centre_of] + draw.standard_normal((num_items, dim), dtype=np.float32) * spectrum * 0.8
    rows *= (draw.lognormal(np.log(3.7), 0.17, num_items) / np.linalg.norm(rows, axis=1))[:, None]
    popularity = np.log1p(1 / draw.random(num_items))
    vectors[1:, -1] = -0.2 + 0.06 * (popularity - popularity.mean()) / popularity.std()
    vectors[0, -1] = -np.inf
    queries, seen = np.ones((num_queries, dim + 1), dtype=np.float32), np.zeros((num_queries, SEEN), dtype=np.int64)
    members = np.argsort(centre_of, kind="stable") + 1
    edges = np.searchsorted(centre_of[members - 1], np.arange(num_centres + 1))
    for query, own in zip(queries, seen, strict=True):
        liked = centre_of[draw.integers(0, num_items, size=2)]
        pool = np.concatenate([members[edges[each] : edges[each + 1]] for each in liked])
        mean = vectors[draw.choice(pool, 5), :-1].mean(0)
        query[:-1] = mean / np.linalg.norm(mean) + draw.normal(size=dim) * spectrum * 0.1
        query[:-1] *= 7 / np.linalg.norm(query[:-1])
        own[:] = draw.choice(pool, SEEN) if len(pool) >= SEEN else draw.integers(1, num_items + 1, SEEN)
    return Catalogue(vectors, queries, seen)


def exact(catalogue: Catalogue) -> One:
    """The scoring end of an exported graph, on one thread."""
    onnx, runtime = optional("onnx", INSTALL), optional("onnxruntime", INSTALL)
    helper, types = onnx.helper, onnx.TensorProto
    node, info = helper.make_node, helper.make_tensor_value_info
    numbers = {
        "table": np.ascontiguousarray(catalogue.vectors[:, :-1]),
        "bias": np.ascontiguousarray(catalogue.vectors[:, -1]),
        "nothing": np.array(-np.inf, dtype=np.float32),
        "k": np.array([K]),
    }
    graph = helper.make_graph(
        [
            node("Gemm", ["query", "table", "bias"], ["scores"], transB=1),
            node("Shape", ["seen"], ["shape"]),
            node("Expand", ["nothing", "shape"], ["lowest"]),
            node("ScatterElements", ["scores", "seen", "lowest"], ["ranked"], axis=1),
            node("TopK", ["ranked", "k"], ["best", "items"], axis=1),
        ],
        "exact",
        [
            info("query", types.FLOAT, [1, catalogue.vectors.shape[1] - 1]),
            info("seen", types.INT64, [1, SEEN]),
        ],
        [info("items", types.INT64, [1, K])],
        [onnx.numpy_helper.from_array(value, name) for name, value in numbers.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])

    def find(query: Floats, seen: Ints) -> Ints:
        found: Ints = session.run(["items"], {"query": np.ascontiguousarray(query[:, :-1]), "seen": seen})[0]
        return found

    return find


def by_index(catalogue: Catalogue, kind: ann.IndexKind, threads: int) -> tuple[One, dict[str, Any]]:
    """The lists of an index, and what it took to have it."""
    begin = time.perf_counter()
    built = ann.build(catalogue.vectors, kind, threads=threads)
    seconds = time.perf_counter() - begin
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index"
        ann.write(built, path)
        size = path.stat().st_size
    options = " ".join(f"{name}={value}" for name, value in built.options.items())
    notes = {"build_seconds": round(seconds, 2), "bytes": size, "options": options}
    return lambda query, seen: ann.nearest(built, query, catalogue.vectors, seen, K)[0], notes


def lists(find: One, catalogue: Catalogue) -> Ints:
    """The list of each query, asked one by one."""
    rows = range(len(catalogue.queries))
    return np.concatenate([find(catalogue.queries[row : row + 1], catalogue.seen[row : row + 1]) for row in rows])


def one_by_one(find: One, catalogue: Catalogue) -> float:
    """The median seconds of a query."""
    times = []
    for row in range(len(catalogue.queries)):
        query, seen = catalogue.queries[row : row + 1], catalogue.seen[row : row + 1]
        begin = time.perf_counter()
        find(query, seen)
        times.append(time.perf_counter() - begin)
    return float(np.median(times))


def compare(num_items: int, dim: int, num_queries: int, threads: int) -> list[dict[str, Any]]:
    """One size's rows."""
    catalogue = generated(num_items, dim, num_queries)
    finders: dict[str, One] = {"exact": exact(catalogue)}
    notes: dict[str, dict[str, Any]] = {"exact": {"recall@10": 1.0, "bytes": catalogue.vectors.nbytes}}
    right = lists(finders["exact"], catalogue)
    for kind in ann.KINDS:
        finders[kind], notes[kind] = by_index(catalogue, kind, threads)
        found = lists(finders[kind], catalogue)
        hits = (found[:, :, None] == right[:, None]).any(2)
        notes[kind] = {"recall@10": round(float(hits.mean()), 4), **notes[kind]}
    timed = turns({name: partial(one_by_one, find, catalogue) for name, find in finders.items()}, PASSES)
    return [{"case": f"{num_items:,} items", "items": num_items, **row} for row in report(timed, "exact", notes)]


def pays_from(rows: list[dict[str, Any]]) -> list[str]:
    """A line an index: the smallest size from which on it is quicker than exact, with enough recall, at every size."""
    said = []
    for kind in ann.KINDS:
        own = sorted((row for row in rows if row["name"] == kind), key=lambda row: -row["items"])
        least = None
        for row in own:
            if row["ratio"] >= 1 or row["recall@10"] < WORTH:
                break
            least = row["items"]
        where = "at none of these sizes" if least is None else f"from {least:,} items, of these sizes"
        said.append(f"{kind} pays {where} (recall@10 >= {WORTH}, p50 of a query on one thread)")
    return said


def main() -> None:
    """Parses the command line, runs, writes the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000], help="items")
    parser.add_argument("--dim", type=int, default=100, help="numbers of a vector, without the bias")
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--build-threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--quick", action="store_true", help="10 and 50 thousand items, d = 50, 100 queries")
    options = parser.parse_args()
    if any(optional(name, INSTALL) is None for name in ("faiss", "onnx", "onnxruntime")):
        return
    if options.quick:
        options.sizes, options.dim, options.queries = [10_000, 50_000], 50, 100
    rows = [row for size in options.sizes for row in compare(size, options.dim, options.queries, options.build_threads)]
    settings = {"dim": options.dim, "queries": options.queries, "k": K, "seen": SEEN, "threads": 1}
    settings["build_threads"] = options.build_threads
    finish("ann-quick" if options.quick else "ann", settings, rows, "onnxruntime", "faiss-cpu")
    print("\n" + "\n".join(pays_from(rows)))


if __name__ == "__main__":
    main()
