"""What an exported folder is worth: the same lists as the model's own, how good they are, how fast they come."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from rankdistill.data.queries import Exclude, Queries, last_items
from rankdistill.data.sequences import Sequences
from rankdistill.data.splitting import Split
from rankdistill.errors import ExportError
from rankdistill.latency import QUERIES, percentiles
from rankdistill.pipeline import evaluate
from rankdistill.ranker import Ranker, rank
from rankdistill.rankings import Rankings
from rankdistill.served import Served
from rankdistill.serving import layout
from rankdistill.serving.recommender import Asked, Recommender, Rules
from rankdistill.types import Bools, Floats, Ints, Json

METRICS = ("ndcg@10", "recall@10")
K = 10
_USERS = 20_000
"""Users that parity and quality are measured with, at most: every n-th of them."""
_FEW = 500
"""Users for what takes longer."""
_TOLERANCE = {"float32": 1e-5, "float16": 1e-2, "int8": 5e-2}
"""How far a score may be from the model's own, as a share of the largest score."""
_SWAPPED = 1e-3
"""The share of lists that may differ in float32, items whose scores are equal but for rounding left aside."""


@dataclass(frozen=True, slots=True)
class Lists:
    """Lists of the model itself, to compare others with."""

    asked: Asked
    items: Ints
    scores: Floats

    @classmethod
    def of(cls, model: Ranker, split: Split) -> Lists:
        """The top 10 of real users by what they have in training, that left out."""
        users = _some(np.flatnonzero(split.train.lengths > 0))
        history = last_items(split.train, users, split.train.lengths[users], split.history_length)
        queries = Queries(users, users, history, Exclude(seen=split.train, never=split.untrained_items))
        found = rank(model, queries, K)
        assert found.scores is not None
        return cls(asked_of(users, split.train), found.items.astype(np.int64), found.scores)

    @classmethod
    def of_strangers(cls, served: Served, split: Split) -> Lists:
        """The same of some of them as if the model had never seen them, one after the other."""
        users = _some(np.flatnonzero(split.train.lengths > 0), _FEW)
        asked = Asked(np.full_like(users, split.num_users), asked_of(users, split.train).histories)
        found = [served.best(int(asked.users[row]), history, K) for row, history in enumerate(asked.histories)]
        return cls(asked, np.stack([items for items, _ in found]), np.stack([scores for _, scores in found]))

    def some(self) -> Lists:
        """A few of them."""
        rows = _some(np.arange(len(self.items)), _FEW)
        asked = Asked(self.asked.users[rows], [self.asked.histories[row] for row in rows])
        return Lists(asked, self.items[rows], self.scores[rows])


def _some(users: Ints, most: int = _USERS) -> Ints:
    return users[:: max(1, -(-len(users) // most))]


def asked_of(users: Ints, known: Sequences) -> Asked:
    """Users with what they have in `known`."""
    return Asked(users, [known.of(user) for user in users.tolist()])


def parity(lists: Lists, exported: Recommender, precision: str, *, by_vectors: bool = False) -> Json:
    """Compares lists for real users with the model's own.

    Args:
        lists: the model's.
        exported: what is compared with it.
        precision: of `exported`.
        by_vectors: ask the encoder and the item vectors in the place of the whole graph.

    Raises:
        ExportError: a score is further off than the precision explains, or in float32 more than a few lists differ.
    """
    allow = np.arange(1, len(exported.items) + 1) if by_vectors else None
    items, scores = exported.rank(lists.asked, Rules(K, allow=allow))
    items, scores = items[:, : lists.items.shape[1]], scores[:, : lists.items.shape[1]]
    both = np.isfinite(lists.scores) & np.isfinite(scores)
    largest = float(np.abs(lists.scores[both]).max(initial=0.0))
    off = float(np.abs(lists.scores[both] - scores[both]).max(initial=0.0))
    tolerance = _TOLERANCE[precision] * max(largest, 1e-6)
    equal = (items == lists.items).all(1)
    overlap = (items[:, :, None] == np.where(lists.items > 0, lists.items, -1)[:, None, :]).any(2).sum()
    found = {
        "users": len(items),
        "identical_lists": int(equal.sum()),
        "same_items": int((np.sort(items, axis=1) == np.sort(lists.items, axis=1)).all(1).sum()),
        "overlap": round(float(overlap / max(1, (lists.items > 0).sum())), 6),
        "largest_score_difference": off,
        "tolerance": tolerance,
    }
    ends_differ = not np.array_equal(np.isfinite(lists.scores), np.isfinite(scores))
    swapped = ((items != lists.items) & ~_ties(lists.scores, tolerance)).any(1)
    many = precision == "float32" and swapped.mean() > _SWAPPED and int(swapped.sum()) > 1
    if off > tolerance or ends_differ or many:
        raise ExportError(
            f"{layout.ENCODER if by_vectors else layout.MODEL} in {precision} is not the model: "
            f"{found['identical_lists']:,} of {len(items):,} lists are the same, scores differ by up to {off:.3g} "
            f"where {tolerance:.3g} is allowed; nothing was written"
        )
    return found


def _ties(scores: Floats, tolerance: float) -> Bools:
    """Where [Q, K] an item's score is that of a neighbour of the list but for rounding; the last one's is unknown."""
    near = np.isclose(scores[:, 1:], scores[:, :-1], rtol=0, atol=tolerance)
    some, none = np.ones((len(scores), 1), dtype=np.bool_), np.zeros((len(scores), 1), dtype=np.bool_)
    return np.hstack([none, near]) | np.hstack([near, some])


def quality(exported: Recommender, split: Split, *, known: bool) -> Json:
    """Metrics of the test users: by who they are, or by their histories alone."""
    queries = split.test_queries
    rows = _some(np.arange(len(queries)))
    users, seen = queries.users[rows], queries.exclude.seen
    assert seen is not None
    asked = asked_of(users, seen)
    if not known:
        asked = Asked(np.full_like(users, split.num_users), asked.histories)
    items, _ = exported.rank(asked, Rules(K))
    order = np.argsort(queries.ids[rows])
    lists = Rankings(queries.ids[rows][order], items[order].astype(np.int32), source="exported")
    assert queries.relevant is not None
    relevant = queries.relevant.take(rows)
    targets = Sequences.from_pairs(users[relevant.users], relevant.items, split.num_users)
    return evaluate(lists, targets, METRICS).mean()


def change(before: Json, after: Json) -> Json:
    """What becomes of each metric, as a share of what it was."""
    return {name: round(after[name] / value - 1, 6) if value else 0.0 for name, value in before.items()}


def latency(exported: Recommender, split: Split) -> Json:
    """Milliseconds of one query with its list of 10, on as many threads as `exported` has."""
    users = _some(np.flatnonzero(split.train.lengths > 0))[:QUERIES]
    queries = [asked_of(users[row : row + 1], split.train) for row in range(len(users))]
    p50, p99 = percentiles([partial(exported.rank, query, Rules(K)) for query in queries])
    return {"p50": p50, "p99": p99}
