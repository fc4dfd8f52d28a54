"""How fast are exact top-10 lists for all users, seen items left out, and what do others take for the same lists?

    python benchmarks/top_k.py                            # a Caser after one epoch, d = 100
    python benchmarks/top_k.py --model RUN/teacher RUN/student
    python benchmarks/top_k.py --quick                    # 2,048 users

Query vectors and the item table are those of a trained model; the item bias is a last column beside a query column of
ones. `rank(model)` also encodes the users' histories, all others are given the vectors. An index is built before the
clock starts (its seconds are shown), as a server would. Those that cannot leave out a query's own items are asked for
as many more as the longest history holds, and filtered. Every tool's lists are held against a ranking in float64:
`equal` is the share of lists with the same items in the same order, `recall` the share of its items that were found.
faiss, implicit and RecTools are skipped where they are not installed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from inputs import model_for, split_like_gowalla
from measure import finish, optional, report, turns
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

import rankdistill as rd
from rankdistill.data.queries import Exclude, Queries
from rankdistill.ranker import Catalogue, Ranker, rank

Lists: TypeAlias = NDArray[np.int64]
"""[Q, K] columns of the item table, best first."""
Finder: TypeAlias = Callable[[], Lists]

BLOCK = 128
"""Queries at a time: the scores of a block stay in the cache."""
SHALLOW = 128
"""How many candidates HNSW keeps where nothing is filtered."""


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """Query vectors against an item table, and what each query may not find.

    Attributes:
        queries: [Q, D].
        table: [m, D], the items that may be ranked.
        items: [m], their numbers in the data set.
        seen: [Q, m], the items to leave out.
        k: K.
    """

    queries: Tensor
    table: Tensor
    items: NDArray[np.int64]
    seen: sparse.csr_matrix
    k: int

    @property
    def deepest(self) -> int:
        """How deep a list without filter must be to hold K unseen items."""
        return min(self.k + int(np.diff(self.seen.indptr).max()), len(self.table))

    def seen_in(self, start: int, stop: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows, from 0, and columns of what the queries `start` to `stop` leave out."""
        edges = self.seen.indptr[start : stop + 1]
        return np.repeat(np.arange(len(edges) - 1), np.diff(edges)), self.seen.indices[edges[0] : edges[-1]].astype(int)


class Vectors(Ranker):
    """Given query vectors in place of a model: what `rank` costs without encoding."""

    Config = rd.Popularity.Config

    def __init__(self, queries: Tensor, table: Tensor, bias: Tensor) -> None:
        super().__init__(rd.Popularity.Config(), Catalogue(len(queries), len(table) - 1, 1))
        self.register_buffer("queries", queries)
        self.register_buffer("vectors", table)
        self.register_buffer("bias", bias)

    def encode(self, users: Tensor, history: Tensor) -> Tensor:
        return self.get_buffer("queries")[users]

    def item_table(self) -> tuple[Tensor, Tensor]:
        return self.get_buffer("vectors"), self.get_buffer("bias")


@torch.inference_mode()
def encoded(model: Ranker, queries: Queries) -> Tensor:
    """The vectors [Q, D] of the queries."""
    model.eval()
    blocks = (model.encode(*map(torch.from_numpy, (b.users, b.history.astype(np.int64)))) for b in queries.blocks(1024))
    return torch.cat(list(blocks)).clone()


def problem_of(model: Ranker, queries: Queries, vectors: Tensor, k: int) -> Problem:
    """The same question as arrays that any tool can be given."""
    with torch.inference_mode():
        table, bias = model.item_table()
        ranked = np.ones(len(table), dtype=np.bool_)
        ranked[0] = ranked[queries.exclude.never] = False
        items = np.flatnonzero(ranked)
        with_bias = torch.cat([table, bias[:, None]], 1)[torch.from_numpy(items)].contiguous()
        with_ones = torch.cat([vectors, torch.ones(len(vectors), 1)], 1).contiguous()
    assert queries.exclude.seen is not None
    seen = queries.exclude.seen.take(queries.users).distinct()
    seen = seen.where(ranked[seen.items])
    columns = np.searchsorted(items, seen.items).astype(np.int32)
    starts = seen.starts.astype(np.int32)
    matrix = sparse.csr_matrix((np.ones(len(columns), np.float32), columns, starts), (len(vectors), len(items)))
    matrix.sort_indices()
    return Problem(with_ones.clone(), with_bias.clone(), items, matrix, k)


@torch.inference_mode()
def in_torch(problem: Problem, dtype: torch.dtype) -> Lists:
    """Blocked product, mask by index, `torch.topk`."""
    queries, table = problem.queries.to(dtype), problem.table.to(dtype).T
    lists = []
    for start in range(0, len(queries), BLOCK):
        scores = queries[start : start + BLOCK] @ table
        rows, columns = problem.seen_in(start, start + len(scores))
        scores[torch.from_numpy(rows), torch.from_numpy(columns)] = -torch.inf
        lists.append(torch.topk(scores, problem.k, dim=1).indices)
    return torch.cat(lists).numpy()


def in_numpy(problem: Problem) -> Lists:
    """Blocked product, mask by index, `argpartition`, then a sort of what is left."""
    queries, table, k = problem.queries.numpy(), problem.table.numpy().T, problem.k
    lists = []
    for start in range(0, len(queries), BLOCK):
        scores = queries[start : start + BLOCK] @ table
        scores[problem.seen_in(start, start + len(scores))] = -np.inf
        found = np.argpartition(scores, -k, axis=1)[:, -k:]
        order = np.argsort(-np.take_along_axis(scores, found, 1), axis=1, kind="stable")
        lists.append(np.take_along_axis(found, order, 1))
    return np.concatenate(lists)


@torch.inference_mode()
def exact(problem: Problem, *, masked: bool = True) -> Lists:
    """In float64, equal scores in the order of the index: what the others are held against."""
    queries, table = problem.queries.double(), problem.table.double().T
    lists = []
    for start in range(0, len(queries), BLOCK):
        scores = queries[start : start + BLOCK] @ table
        if masked:
            rows, columns = problem.seen_in(start, start + len(scores))
            scores[torch.from_numpy(rows), torch.from_numpy(columns)] = -torch.inf
        found = torch.topk(scores, min(4 * problem.k, scores.shape[1]), dim=1).indices.sort(1).values
        order = torch.sort(scores.gather(1, found), dim=1, descending=True, stable=True).indices[:, : problem.k]
        lists.append(found.gather(1, order))
    return torch.cat(lists).numpy()


def unseen(problem: Problem, found: Lists) -> Lists:
    """The first K items of deeper lists that their queries have not seen."""
    stride = problem.seen.shape[1]
    rows = np.repeat(np.arange(len(found)), np.diff(problem.seen.indptr))
    keys = rows * stride + problem.seen.indices  # ascending, as the columns of a row are
    wanted = np.arange(len(found))[:, None] * stride + found
    places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    keep = (keys[places] != wanted) & (found >= 0)
    order = np.argsort(~keep, axis=1, kind="stable")[:, : problem.k]
    return np.take_along_axis(np.where(keep, found, -1), order, 1)


@dataclass(slots=True)
class Contest:
    """What runs against what: the callables, what is to be said of them, and which lists are right."""

    finders: dict[str, Finder] = field(default_factory=dict)
    notes: dict[str, dict[str, Any]] = field(default_factory=dict)
    unmasked: set[str] = field(default_factory=set)

    def add(self, name: str, finder: Finder, **notes: Any) -> None:
        """One more."""
        self.finders[name], self.notes[name] = finder, notes


def add_ours(contest: Contest, model: Ranker, queries: Queries, vectors: Tensor, problem: Problem) -> None:
    """`rank` on the model, and on its query vectors."""
    place = np.full(model.catalogue.num_items + 1, -1, dtype=np.int64)
    place[problem.items] = np.arange(len(problem.items))
    with torch.inference_mode():
        table, bias = (each.clone() for each in model.item_table())
    given = Vectors(vectors, table, bias)
    seen = queries.exclude.seen
    assert seen is not None
    rows = np.arange(len(queries))
    exclude = Exclude(seen.take(queries.users), never=queries.exclude.never)
    nothing = np.zeros((len(rows), 1), dtype=np.int32)
    by_row = Queries(rows << 32, rows, nothing, exclude)
    contest.add("rankdistill", lambda: place[rank(given, by_row, problem.k).items])
    contest.add("rankdistill, with encoding", lambda: place[rank(model, queries, problem.k).items])


def add_faiss(contest: Contest, problem: Problem, threads: int) -> None:
    """The flat and the HNSW index, deep enough to filter; and the flat one without filter."""
    faiss = optional("faiss")
    if faiss is None:
        return
    faiss.omp_set_num_threads(threads)
    queries, table, deepest = problem.queries.numpy(), problem.table.numpy(), problem.deepest
    flat = faiss.IndexFlatIP(table.shape[1])
    flat.add(table)
    contest.add("faiss flat, filtered", lambda: unseen(problem, flat.search(queries, deepest)[1]), depth=deepest)
    contest.add("faiss flat, seen items kept", lambda: flat.search(queries, problem.k)[1])
    contest.unmasked |= {"faiss flat, seen items kept", "faiss HNSW, seen items kept"}
    begin = time.perf_counter()
    graph = faiss.IndexHNSWFlat(table.shape[1], 32, faiss.METRIC_INNER_PRODUCT)
    graph.hnsw.efConstruction = 200
    graph.add(table)
    built = round(time.perf_counter() - begin, 2)
    deep, shallow = (faiss.SearchParametersHNSW(efSearch=each) for each in (deepest, SHALLOW))
    find = partial(graph.search, queries)
    contest.add(
        "faiss HNSW, filtered",
        lambda: unseen(problem, find(deepest, params=deep)[1]),
        depth=deepest,
        build_seconds=built,
    )
    contest.add(
        "faiss HNSW, seen items kept", lambda: find(problem.k, params=shallow)[1], depth=SHALLOW, build_seconds=built
    )


def one_blas_thread() -> AbstractContextManager[Any]:
    """What implicit asks for: it runs products side by side by itself."""
    pools = optional("threadpoolctl")
    return nullcontext() if pools is None else pools.threadpool_limits(1, "blas")


def add_implicit(contest: Contest, problem: Problem, threads: int) -> None:
    """The function behind every `recommend` of implicit."""
    topk = optional("implicit.cpu.topk")
    if topk is None:
        return
    queries, table = problem.queries.numpy(), problem.table.numpy()

    def find() -> Lists:
        with one_blas_thread():
            ids = topk.topk(table, queries, problem.k, filter_query_items=problem.seen, num_threads=threads)[0]
        return np.asarray(ids, dtype=np.int64)

    contest.add("implicit topk", find)


def add_rectools(contest: Contest, problem: Problem, threads: int) -> None:
    """Its two rankers; their answer is flat, a row an item."""
    rankers = optional("rectools.models.rank")
    if rankers is None:
        return
    queries, table, everyone = problem.queries.numpy(), problem.table.numpy(), np.arange(len(problem.queries))
    dot = rankers.Distance.DOT
    by_implicit = rankers.ImplicitRanker(dot, queries, table, num_threads=threads)
    by_torch = rankers.TorchRanker(dot, "cpu", queries, table, batch_size=BLOCK)

    def find(ranker: Any) -> Lists:
        with one_blas_thread() if ranker is by_implicit else nullcontext():
            found = ranker.rank(everyone, problem.k, problem.seen)[1]
        return np.asarray(found, dtype=np.int64).reshape(len(everyone), problem.k)

    contest.add("RecTools ImplicitRanker", partial(find, by_implicit))
    contest.add("RecTools TorchRanker", partial(find, by_torch))


def agreement(found: Lists, right: Lists) -> dict[str, float]:
    """The share of equal lists, and of items found."""
    hits = (found[:, :, None] == right[:, None, :]).any(2)
    return {"equal": round(float((found == right).all(1).mean()), 5), "recall": round(float(hits.mean()), 5)}


def compare(model: Ranker, queries: Queries, k: int, threads: int, repeats: int) -> list[dict[str, Any]]:
    """One model's rows."""
    vectors = encoded(model, queries)
    problem, contest = problem_of(model, queries, vectors, k), Contest()
    add_ours(contest, model, queries, vectors, problem)
    contest.add("torch float32", partial(in_torch, problem, torch.float32))
    contest.add("torch bfloat16", partial(in_torch, problem, torch.bfloat16))
    contest.add("numpy", partial(in_numpy, problem))
    for add in (add_faiss, add_implicit, add_rectools):
        add(contest, problem, threads)
    right, right_unmasked = exact(problem), exact(problem, masked=False)
    for name, find in contest.finders.items():
        expected = right_unmasked if name in contest.unmasked else right
        contest.notes[name] = agreement(find(), expected) | contest.notes[name]
    return report(turns(contest.finders, repeats, warmup=0), "rankdistill", contest.notes)


def main() -> None:
    """Parses the command line, runs, writes the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, nargs="+", default=[None], help="model folders of a run on Gowalla")
    parser.add_argument("--dim", type=int, default=100, help="d of the Caser that is trained where no model is named")
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="2,048 users, 3 turns")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    split = split_like_gowalla()
    asked = split.test_queries
    queries = Queries(asked.ids, asked.users, asked.history, asked.exclude).rows(
        0, 2048 if options.quick else len(asked)
    )
    rows = []
    for folder in options.model:
        model, name = model_for(split, folder, options.dim)
        found = compare(model, queries, options.k, options.threads, 3 if options.quick else options.repeats)
        rows += [{"case": name, **row} for row in found]
    settings = {"data": split.source, "users": len(queries), "items": split.num_items, "k": options.k}
    settings["threads"] = options.threads
    tools = ("faiss-cpu", "implicit", "RecTools", "scipy")
    finish("top_k-quick" if options.quick else "top_k", settings, rows, *tools)


if __name__ == "__main__":
    main()
