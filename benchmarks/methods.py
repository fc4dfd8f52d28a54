"""What does a training step of each distillation method cost, beside one of the student alone?

    python benchmarks/methods.py            # about 100 thousand windows, 3 turns
    python benchmarks/methods.py --quick    # about 10 thousand windows, 3 turns

Gowalla's users and items, a Caser of d = 50, softmax over 100 negatives, batches of 512, each method with its own
settings; the teacher that some methods ask is a Caser of d = 100. What scores the catalogue is measured a second time,
with a quarter of each batch's queries. A turn is an epoch; its seconds over its steps count, from the log row that
`fit` writes. The lists that are distilled are random, which touches more different items than a teacher's would.

The second table is what methods do that look at the whole catalogue: its scores, block by block, beside one product of
matrices; the student's best 500 items, and where 100 others stand among them, by the compiled kernels, and by torch,
which has to find the same.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from inputs import random_lists, split_like_gowalla
from measure import Timing, finish, report, turns

import rankdistill as rd
from rankdistill import native, plugins
from rankdistill.data.splitting import Split, some_users
from rankdistill.listwise import best_columns, places_in
from rankdistill.losses.softmax import Softmax
from rankdistill.pipeline import Settings, build, fit_model
from rankdistill.rankings import Rankings
from rankdistill.rows import products
from rankdistill.teaching import Distillation
from rankdistill.types import Json

BATCH, K = 512, 100
SCORE_ALL, SHARE = ("dcd", "rce_kd", "dllm2rec", "hetcomp", "cross_entropy"), 0.25
OWN, LISTED = 500, 100


def lists_of(split: Split) -> Rankings:
    """Lists with scores, and easier ones beside them."""
    lists = random_lists(split, K)
    scores = -np.sort(np.random.default_rng(2).standard_normal(lists.items.shape).astype(np.float32), axis=1)
    return replace(lists, scores=np.ascontiguousarray(scores), easier=(random_lists(split, K, seed=2),))


def epochs(split: Split, threads: int) -> dict[str, Callable[[], float]]:
    """An epoch of the plain student, and of each method."""
    train = rd.TrainConfig(epochs=1, batch_size=BATCH, device="cpu", threads=threads)
    settings = Settings(Softmax.Config(negatives=100), train)
    lists, teacher = lists_of(split), build(rd.Caser.Config(dim=100), split, 0)

    def epoch(method: Distillation | None) -> Callable[[], float]:
        return lambda: float(fit_model(rd.Caser.Config(dim=50), split, settings, method)[1].rows[0]["seconds"])

    found = {"plain": epoch(None)}
    for kind in plugins.kinds("distillation"):
        config = plugins.find("distillation", kind).Config()
        if "warmup_epochs" in type(config).model_fields:
            config = config.model_copy(update={"warmup_epochs": 0})
        found[kind] = epoch(Distillation(lists, config, teacher))
        if kind in SCORE_ALL:
            some = config.model_copy(update={"query_share": SHARE})
            found[f"{kind}, {SHARE:.0%} of the queries"] = epoch(Distillation(lists, some, teacher))
    return found


def own_lists(items: int, repeats: int) -> list[Json]:
    """The rows of finding the student's list and places in it."""
    numbers = torch.Generator().manual_seed(0)
    scores = torch.stack([torch.randperm(items + 1, generator=numbers).float() for _ in range(BATCH)])  # no two equal
    listed = torch.randint(1, items + 1, (BATCH, LISTED), generator=numbers)
    left_out = torch.cat([torch.zeros(BATCH, 1, dtype=torch.int64), listed[:, :1]], dim=1)  # as with a target a query
    own = torch.topk(scores, OWN, dim=1).indices
    tasks: dict[str, tuple[Callable[[], torch.Tensor], Callable[[], torch.Tensor]]] = {
        f"best {OWN} of {items + 1:,}": (
            lambda: best_columns(scores, OWN, left_out),
            lambda: torch.topk(scores.scatter(1, left_out, -torch.inf), OWN, dim=1).indices,
        ),
        f"places of {LISTED} among {OWN}": (lambda: places_in(listed, own, items), lambda: places(listed, own, items)),
    }
    rows = []
    for name, (ours, theirs) in tasks.items():
        assert torch.equal(ours(), theirs()), name
        timings = turns({"kernel": ours, "torch": theirs}, 5 * repeats)
        rows += [{"case": f"{name}, {BATCH} queries", **row} for row in report(timings, "kernel", {})]
    return rows


def all_scores(items: int, dim: int, repeats: int) -> list[Json]:
    """The rows of scoring the catalogue."""
    numbers = torch.Generator().manual_seed(0)
    queries, vectors, bias = (torch.randn(shape, generator=numbers) for shape in ((BATCH, dim), (items, dim), (items,)))
    ways = {
        "blocks": lambda: products(queries, vectors, bias),
        "one product": lambda: torch.addmm(bias, queries, vectors.T),
    }
    torch.testing.assert_close(ways["blocks"](), ways["one product"](), rtol=1e-4, atol=1e-4)
    case = f"{items:,} scores, d = {dim}, {BATCH} queries"
    return [{"case": case, **row} for row in report(turns(ways, 5 * repeats), "blocks", {})]


def places(items: torch.Tensor, lists: torch.Tensor, num_items: int) -> torch.Tensor:
    """What one would write: the places of a list in a row as wide as the catalogue."""
    found = torch.full((len(lists), num_items + 1), lists.shape[1] + 1)
    ranks = torch.arange(1, lists.shape[1] + 1).expand_as(lists)
    return found.scatter_(1, lists, ranks).gather(1, items)


def main() -> None:
    """Parses the command line, runs, writes the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, help="about how many training queries; 100,000 when left out")
    parser.add_argument("--repeats", type=int, default=3, help="turns; one more that does not count comes first")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--quick", action="store_true", help="about 10,000 windows")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    split = some_users(split_like_gowalla(), options.windows or (10_000 if options.quick else 100_000))
    steps = -(-len(split.windows) // BATCH)
    timings = turns(epochs(split, options.threads), options.repeats)
    by_step = {name: Timing(tuple(1e3 * each / steps for each in timing.seconds)) for name, timing in timings.items()}
    rows = [
        {"case": "a step", "name": row.pop("name"), "ms_a_step": row.pop("seconds"), **row}
        for row in report(by_step, "plain", {})
    ]
    for dim in (32, 100):
        rows += all_scores(split.num_items + 1, dim, options.repeats)
    if native.library() is not None:
        rows += own_lists(split.num_items, options.repeats)
    settings: Json = {"data": split.source, "windows": len(split.windows), "batch": BATCH, "threads": options.threads}
    finish("methods-quick" if options.quick else "methods", settings, rows)


if __name__ == "__main__":
    main()
