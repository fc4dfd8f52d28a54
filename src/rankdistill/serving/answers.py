"""From what is wanted to lists."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from rankdistill.errors import RequestError
from rankdistill.serving.recommender import Asked, Recommender, Rules
from rankdistill.serving.refused import RefusedError
from rankdistill.serving.reload import Loaded
from rankdistill.serving.requests import Query, Wanted
from rankdistill.types import PAD, UNKNOWN, Floats, Ints, Json

_DIGITS = 7
"""Of a score: as many as float32 has."""
_QUICK_ITEMS, _QUICK_HISTORY = 200_000, 200


def is_quick(query: Query, model: Loaded) -> bool:
    """Whether the answer takes no longer than handing the question to another thread and back."""
    wanted = query.wanted[0] if len(query.wanted) == 1 else None
    return (
        wanted is not None
        and wanted.allow is None
        and len(wanted.block) + len(wanted.history or ()) <= _QUICK_HISTORY
        and len(model.recommender.items) <= _QUICK_ITEMS
        and not (query.titles or query.teacher)
    )


def answer(query: Query, student: Loaded, teacher: Loaded | None) -> Json:
    """The answer to a body.

    Raises:
        RefusedError: a user or an item is not known, or there is no teacher.
    """
    if query.teacher and teacher is None:
        raise RefusedError(422, "bad_request", "this server has no teacher; start it with --teacher")
    found = _answer(query, student, query.wanted)
    if query.teacher and teacher is not None:
        found["teacher"] = _answer(query, teacher, [_for_teacher(each, student, teacher) for each in query.wanted])
    return found


def _for_teacher(wanted: Wanted, student: Loaded, teacher: Loaded) -> Wanted:
    """With what the student knows of a user whom the teacher does not know."""
    if wanted.history is not None:
        return wanted
    assert wanted.user is not None
    if UNKNOWN not in teacher.recommender.users.indices([wanted.user]):
        return wanted
    (known,) = student.recommender.known([wanted.user]).histories
    return replace(wanted, history=student.recommender.items.raw(known))


def _answer(query: Query, model: Loaded, wanted: Sequence[Wanted]) -> Json:
    start = time.perf_counter()
    lists = _lists(wanted, model, titles=query.titles)
    seconds = time.perf_counter() - start
    shown = {"lists": [{"items": items} for items in lists]} if query.many else {"items": lists[0]}
    return {**shown, "model": model.version, "milliseconds": round(seconds * 1e3, 3)}


def _lists(wanted: Sequence[Wanted], model: Loaded, *, titles: bool) -> list[list[Json]]:
    """A list for each; those of equal rules are ranked together."""
    asked = [_asked(model.recommender, each) for each in wanted]
    groups: dict[object, list[int]] = {}
    for place, each in enumerate(wanted):
        groups.setdefault(each.rules, []).append(place)
    lists: list[list[Json]] = [[] for _ in wanted]
    for places in groups.values():
        together = Asked(
            np.concatenate([asked[place].users for place in places]),
            [history for place in places for history in asked[place].histories],
        )
        ranked = model.recommender.rank(together, _rules(model.recommender, wanted[places[0]]))
        for place, items, scores in zip(places, *ranked, strict=True):
            lists[place] = _entries(model, items, scores, titles=titles)
    return lists


def _asked(model: Recommender, wanted: Wanted) -> Asked:
    """Who asks, in indices."""
    user, history = wanted.user, wanted.history
    try:
        if history is not None:
            return model.asked(None if user is None else [user], [history])
        assert user is not None
        return model.known([user])
    except RequestError as error:
        line = f"{wanted.where}{error}"
        if history is None:
            raise RefusedError(404, "unknown_user", line) from error
        raise RefusedError(422, "unknown_item", line) from error


def _rules(model: Recommender, wanted: Wanted) -> Rules:
    try:
        allow = None if wanted.allow is None else model.item_indices(wanted.allow)
        block = model.item_indices(wanted.block) if len(wanted.block) else None
    except RequestError as error:
        raise RefusedError(422, "unknown_item", f"{wanted.where}{error}") from error
    return Rules(
        min(wanted.k, len(model.items)),
        wanted.exclude_seen,
        None if allow is None else np.unique(allow),
        None if block is None else np.unique(block),
    )


def _entries(model: Loaded, items: Ints, scores: Floats, *, titles: bool) -> list[Json]:
    kept = items[items != PAD]
    values = [float(f"{score:.{_DIGITS}g}") for score in scores[: len(kept)].tolist()]
    raw = model.recommender.items.raw(kept)
    if not titles:
        return [{"item": item, "score": value} for item, value in zip(raw, values, strict=True)]
    return [
        {"item": item, "title": model.catalogue.title(index), "score": value}
        for item, index, value in zip(raw, kept.tolist(), values, strict=True)
    ]
