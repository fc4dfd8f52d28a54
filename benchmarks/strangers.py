"""How well are users answered whom a model has never seen, by their histories alone?

    python benchmarks/strangers.py --data movielens-100k --epochs 20

keeps every tenth user out of the training, asks for the last fifth of what they have by the rest of it, and ranks the
whole catalogue without that rest. Beside the estimated user rows of `Served`: the mean of all users' rows,
popularity, and what the same model gives when it has learnt from those users, too. nDCG@10 over the held-out users, and
the difference to the estimated rows with its 95 % bootstrap interval.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from measure import finish

import rankdistill as rd
from rankdistill import plugins
from rankdistill.data.events import Events
from rankdistill.data.interactions import Interactions
from rankdistill.served import Served, served
from rankdistill.testing.oracles import metric
from rankdistill.types import UNKNOWN, Doubles

_SHARE, _EVERY = 0.8, 10


@dataclass(frozen=True)
class Case:
    """A held-out user: raw ids of what she has, and of what comes next."""

    user: object
    history: list[object]
    targets: list[object]


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="movielens-100k", help="a public set, as in [data] kind")
    parser.add_argument("--models", nargs="*", default=["caser", "fossil", "matrix_factorization", "item_knn"])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--dim", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1234)
    asked = parser.parse_args()
    log = rd.read(asked.data).repeats("last").k_core(users=5, items=5)
    cases, without, whole = held_out(log)
    settings = rd.Settings(train=rd.TrainConfig(epochs=asked.epochs), seed=asked.seed)
    print(
        f"{asked.data}: {len(cases):,} of {len(log.user_ids):,} users held out, {asked.epochs} epochs, d = {asked.dim}"
    )
    popular = values(served(rd.train(rd.Popularity.Config(), without, settings), without.train), without, cases)
    rows = []
    for kind in asked.models:
        config = plugins.find("models", kind).Config
        model = config(dim=asked.dim) if "dim" in config.model_fields else config()
        trained = rd.train(model, without, settings)
        form = served(trained, without.train)
        found = {"estimated": values(form, without, cases)}
        if form.has_users:
            found["mean of the rows"] = values(with_mean_rows(served(trained, without.train)), without, cases)
        found["popularity"] = popular
        informed = served(rd.train(model, whole, settings), whole.train)
        found["trained with them"] = values(informed, whole, cases, known=True)
        rows += [row(kind, name, each, found["estimated"]) for name, each in found.items()]
    about = {"data": asked.data, "users": len(cases), "epochs": asked.epochs, "dim": asked.dim, "seed": asked.seed}
    finish("strangers", about, rows)


def held_out(log: Interactions) -> tuple[list[Case], rd.Split, rd.Split]:
    """The held-out users, the log without them, and the log with what they have but not what comes next."""
    users, items = log.user_ids.values.to_list(), log.item_ids.values.to_list()
    rows: list[tuple[object, object, int]] = []
    cases = []
    for user in range(len(users)):
        own = [items[item - 1] for item in log.sequences.of(user).tolist()]
        cut = math.ceil(_SHARE * len(own)) if user % _EVERY == 0 else len(own) - 1
        rows += [(users[user], item, 0 if place < cut else 2) for place, item in enumerate(own)]
        if user % _EVERY == 0:
            cases.append(Case(users[user], own[:cut], own[cut:]))
    frame = pl.DataFrame(rows, ["user", "item", "part"], orient="row").with_columns(pl.col("part").cast(pl.Int8))
    known = frame.filter(~pl.col("user").is_in([case.user for case in cases]))
    without, whole = (
        Interactions.from_events(Events(each, None, (), "log")).split("presplit") for each in (known, frame)
    )
    return cases, without, whole


def values(form: Served, split: rd.Split, cases: Sequence[Case], *, known: bool = False) -> Doubles:
    """nDCG@10 of each case; what the log does not have can be no part of a history, and cannot be hit."""
    found = []
    for case in cases:
        history = split.item_ids.encode(case.history)
        user = int(split.user_ids.encode([case.user])[0]) if known else split.num_users
        rows = torch.tensor([[0, *history[history != UNKNOWN].tolist()]])
        with torch.no_grad():
            scores = form.adjust(form.score(form.encode(torch.tensor([user]), rows)), rows)[0]
        scores[rows[0]] = -torch.inf
        best = scores.topk(10).indices.numpy()
        targets = [*split.item_ids.encode([item for item in case.targets if item not in case.history]).tolist()]
        found.append(metric("ndcg@10", best.tolist(), [t if t != UNKNOWN else -n for n, t in enumerate(targets, 1)]))
    return np.array(found)


def with_mean_rows(form: Served) -> Served:
    """The same with the mean of all users' rows for everybody who is not known."""
    fold, rows = form.get_buffer("fold"), form.get_buffer("rows")
    fold.zero_()
    fold[-1] = rows[:-1].mean(0)
    return form


def row(kind: str, rule: str, found: Doubles, estimated: Doubles) -> Mapping[str, object]:
    """A line of the table."""
    differences = found - estimated
    draws = np.random.default_rng(0).integers(0, len(found), (2000, len(found)))
    low, high = np.percentile(differences[draws].mean(1), [2.5, 97.5])
    interval = [round(float(low), 4), round(float(high), 4)]
    means = {"ndcg@10": round(float(found.mean()), 4), "difference": round(float(differences.mean()), 4)}
    return {"case": kind, "name": rule, **means, "interval": interval}


if __name__ == "__main__":
    main()
