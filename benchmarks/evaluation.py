"""How long does an evaluation of all users take: full-catalogue MAP and 13 more metrics, and do others agree?

    python benchmarks/evaluation.py --model RUN/teacher   # all users, 5 turns
    python benchmarks/evaluation.py --quick               # 2,048 users, a Caser after one epoch

From a model: ours (`recommend`, then `evaluate`: a target's rank is counted, nothing is sorted) beside a float32
product and numpy's argsort of the whole catalogue, 128 users at a time. From lists, 100 deep and the same for all:
`evaluate` beside ranx and RecTools, which are skipped where they are not installed. ranx is shown twice: from arrays,
as the others, and without building its own Qrels and Run. `difference` is the largest between the mean values and ours;
the one in map@100 is of users with more than 100 targets, where the others divide by all of them and ours by 100.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from inputs import model_for, split_like_gowalla
from measure import finish, optional, report, turns
from numpy.typing import NDArray

import rankdistill as rd
from rankdistill.data.queries import Queries
from rankdistill.data.sequences import Sequences
from rankdistill.ranker import Ranker
from rankdistill.rankings import Rankings, unpack
from rankdistill.types import Doubles, Json

Values: TypeAlias = dict[str, float]
BLOCK = 128
FROM_A_MODEL = (
    *("map", "precision@3", "precision@5", "precision@10", "recall@3", "recall@5", "recall@10"),
    *("ndcg@10", "ndcg_kdd18@3", "ndcg_kdd18@5", "ndcg_kdd18@10", "hit@10", "mrr@10", "coverage@10"),
)
FROM_LISTS = ("precision@3", "precision@10", "recall@10", "recall@100", "ndcg@10", "hit@10", "mrr@10", "map@100")
"""What ranx and RecTools know too."""


@torch.inference_mode()
def by_sorting(model: Ranker, queries: Queries, num_items: int) -> Values:
    """Product, mask by index, argsort of the catalogue, and the metrics from where the targets came to stand."""
    model.eval()
    vectors, bias = model.item_table()
    never = torch.from_numpy(np.append(0, queries.exclude.never))
    per_user: dict[str, list[Doubles]] = {name: [] for name in FROM_A_MODEL if name != "coverage@10"}
    recommended: set[int] = set()
    for block in queries.blocks(BLOCK):
        asked = model.encode(torch.from_numpy(block.users), torch.from_numpy(block.history.astype(np.int64)))
        scores = torch.addmm(bias, asked, vectors.T)
        scores[:, never] = -torch.inf
        assert block.exclude.seen is not None
        assert block.relevant is not None
        seen = block.exclude.seen.take(block.users)
        scores[torch.from_numpy(seen.users), torch.from_numpy(seen.items).long()] = -torch.inf
        table = scores.numpy()
        order = np.argsort(-table, axis=1)
        rows, items = block.relevant.users, block.relevant.items
        relevant = np.zeros(table.shape, dtype=np.bool_)
        relevant[rows, items] = np.isfinite(table[rows, items])  # what never occurs in training is not found
        hits = np.take_along_axis(relevant, order, axis=1)
        for name, values in per_user.items():
            values.append(metric(name, hits, block.relevant.lengths))
        recommended.update(np.unique(order[:, :10]).tolist())
    means = {name: float(np.concatenate(values).mean()) for name, values in per_user.items()}
    return means | {"coverage@10": len(recommended) / num_items}


def metric(name: str, hits: NDArray[np.bool_], targets: NDArray[np.int64]) -> Doubles:
    """One metric for each user, from which places of her ranking [b, I] are targets and how many she has."""
    kind, _, cutoff = name.partition("@")
    k = int(cutoff or hits.shape[1])
    top = hits[:, :k]
    values: Doubles
    if kind == "map":
        values = (top * top.cumsum(1) / np.arange(1, k + 1)).sum(1) / targets
    elif kind == "mrr":
        values = np.where(top.any(1), 1 / (top.argmax(1) + 1), 0.0)
    elif kind.startswith("ndcg"):
        discounts, cuts = 1 / np.log2(np.arange(2, k + 2)), np.minimum(targets, k)
        if kind == "ndcg_kdd18":
            top = top & (np.arange(k) < cuts[:, None])
        values = (top * discounts).sum(1) / discounts.cumsum()[cuts - 1]
    else:
        counts = top.sum(1)
        values = {"precision": counts / k, "recall": counts / targets, "hit": np.minimum(counts, 1.0)}[kind]
    return values


def from_model(model: Ranker, queries: Queries, num_items: int) -> dict[str, Callable[[], Values]]:
    """Both ways from a model to the means."""

    def ours() -> Values:
        return rd.evaluate(rd.recommend(model, queries, 10), queries, FROM_A_MODEL, num_items).mean()

    return {"rankdistill": ours, "torch and argsort": partial(by_sorting, model, queries, num_items)}


def with_ranx(lists: Rankings, targets: Sequences) -> dict[str, Callable[[], Values]]:
    """ranx, from the same arrays, and from what it makes of them."""
    ranx = optional("ranx")
    if ranx is None:
        return {}
    names = {name.replace("hit@", "hit_rate@"): name for name in FROM_LISTS}

    def build() -> tuple[Any, Any]:
        users = unpack(lists.query_ids)[0]
        scores = np.linspace(2, 1, lists.depth).tolist()
        run = {str(u): dict(zip(map(str, row), scores, strict=True)) for u, row in zip(users, lists.items, strict=True)}
        relevant = {str(user): {str(item): 1 for item in targets.of(user)} for user in users}
        return ranx.Qrels(relevant), ranx.Run(run)

    def means(qrels: Any, run: Any) -> Values:
        found = ranx.evaluate(qrels, run, list(names))
        return {names[name]: float(value) for name, value in found.items()}

    built = build()
    return {"ranx": lambda: means(*build()), "ranx, Qrels and Run given": lambda: means(*built)}


def with_rectools(lists: Rankings, targets: Sequences) -> dict[str, Callable[[], Values]]:
    """RecTools, whose frames are built before the clock starts."""
    metrics, pandas = optional("rectools.metrics"), optional("pandas")
    if metrics is None or pandas is None:
        return {}
    users = unpack(lists.query_ids)[0]
    ranked = {"user_id": np.repeat(users, lists.depth), "item_id": lists.items.ravel()}
    reco = pandas.DataFrame(ranked | {"rank": np.tile(np.arange(1, lists.depth + 1), len(users))})
    asked = targets.where(np.isin(targets.users, users))
    interactions = pandas.DataFrame({"user_id": asked.users, "item_id": asked.items})
    classes = {"precision": "Precision", "recall": "Recall", "hit": "HitRate", "mrr": "MRR", "map": "MAP"}
    wanted = {}
    for name in FROM_LISTS:
        kind, _, k = name.partition("@")
        wanted[name] = (
            metrics.NDCG(int(k), divide_by_achievable=True)
            if kind == "ndcg"
            else getattr(metrics, classes[kind])(int(k))
        )
    return {"RecTools": lambda: metrics.calc_metrics(wanted, reco, interactions, catalog=np.unique(lists.items))}


def from_lists(lists: Rankings, targets: Sequences) -> dict[str, Callable[[], Values]]:
    """All that evaluate lists."""
    alone = Rankings(lists.query_ids, lists.items, source="lists")  # as read from a file: no exact ranks with them
    ours = {"rankdistill": lambda: rd.evaluate(alone, targets, FROM_LISTS).mean()}
    return ours | with_ranx(lists, targets) | with_rectools(lists, targets)


def compare(case: str, ways: dict[str, Callable[[], Values]], repeats: int) -> list[Json]:
    """The rows of one case, with the largest difference to our values."""
    values = {name: way() for name, way in ways.items()}
    notes = {}
    for name, found in values.items():
        apart = {each: abs(found[each] - value) for each, value in values["rankdistill"].items()}
        worst = max(apart, key=lambda each: apart[each])
        notes[name] = {"difference": apart[worst], "in": worst if apart[worst] > 1e-9 else None}
    rows = report(turns(ways, repeats, warmup=0), "rankdistill", notes)
    return [{"case": case, **row} for row in rows]


def main() -> None:
    """Parses the command line, runs, writes the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a model folder of a run on Gowalla")
    parser.add_argument("--dim", type=int, default=100, help="d of the Caser that is trained where no model is named")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="2,048 users, 3 turns")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    split = split_like_gowalla()
    model, name = model_for(split, options.model, options.dim)
    queries = split.test_queries.rows(0, 2048) if options.quick else split.test_queries
    repeats = 3 if options.quick else options.repeats
    case = f"from a model ({name}): {len(FROM_A_MODEL)} metrics over the whole catalogue"
    rows = compare(case, from_model(model, queries, split.num_items), repeats)
    lists = rd.recommend(model, queries, 100)
    rows += compare(f"from lists, 100 deep: {len(FROM_LISTS)} metrics", from_lists(lists, queries.by_user()), repeats)
    settings = {"data": split.source, "users": len(queries), "items": split.num_items, "threads": options.threads}
    finish("evaluation-quick" if options.quick else "evaluation", settings, rows, "ranx", "RecTools", "numba")


if __name__ == "__main__":
    main()
