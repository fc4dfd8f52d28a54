"""From the students that are done to the rows of the report."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from rankdistill.evaluation.compare import compare_all
from rankdistill.evaluation.evaluate import Evaluation, averaged
from rankdistill.evaluation.halves import HALVES, beside, compare_halves
from rankdistill.files import read_object
from rankdistill.model_folder import CARD
from rankdistill.report.run import finite, main_metric
from rankdistill.runs import EVALUATION
from rankdistill.sweep.pareto import front
from rankdistill.sweep.plan import Point
from rankdistill.sweep.students import Students
from rankdistill.types import Json

_DIGITS = 2
"""In which latencies have to differ to count as different."""


def gather(students: Students) -> Json:
    """All that is known by now: the teacher's row, one a student, and which of them nothing beats.

    Quality is that of the validation part, where the data has one: by it students are chosen.
    """
    plan, split = students.plan, students.shared.split
    metrics = list(plan.base.evaluate.metrics)
    part = "test" if split.validation is None else "validation"
    quality = main_metric(metrics)
    assert quality is not None
    rows = [_row(students, point) for point in plan.points]
    of = partial(_quality, part=part, metric=quality)
    for name, costs in (("bytes", [_bytes(row) for row in rows]), ("latency", _latencies(rows))):
        for row, cost, first in zip(rows, costs, front(costs, [of(row) for row in rows]), strict=True):
            row["costs"][name], row["front"][name] = finite(cost), first
    return {
        "axes": {axis.key: list(axis.values) for axis in plan.axes},
        "seeds": list(plan.seeds),
        "metrics": metrics,
        "quality": {"metric": quality, "part": part},
        "rows": [_teacher(students), *rows],
    }


def _quality(row: Json, part: str, metric: str) -> float:
    values = row["metrics"] if part == "test" else row["validation"]
    value = finite((values or {}).get(metric))
    return math.nan if value is None else value


def _bytes(row: Json) -> float:
    return math.nan if row["bytes"] is None else float(row["bytes"])


def _latencies(rows: Sequence[Json]) -> list[float]:
    """The medians that the front is made of: one for all students that compute the same, the lowest that was measured.

    What tells plain and distilled students of the same settings apart is noise; so is what two digits do not show.
    """
    models = [json.dumps([row["kind"], row["config"]], sort_keys=True) for row in rows]
    lowest: dict[str, float] = {}
    for model, row in zip(models, rows, strict=True):
        if (value := row["latency_ms"]["p50"]) is not None:
            lowest[model] = min(float(f"{value:.{_DIGITS}g}"), lowest.get(model, math.inf))
    return [lowest.get(model, math.nan) for model in models]


def _teacher(students: Students) -> Json:
    """The teacher's row; of lists from elsewhere as much as is known."""
    card = read_object(students.shared.folder.model("teacher") / CARD)
    costs = _costs([card])
    measured = {"metrics": card.get("metrics") or {}, "validation": card.get("validation"), "halves": _halves([card])}
    return {"role": "teacher", "kind": card.get("kind"), "settings": {}, **costs, **measured}


def _row(students: Students, point: Point) -> Json:
    done = [variant for variant in point.variants if students.is_done(variant)]
    cards = [students.card(variant) for variant in done]
    failed = {each.experiment.seed: reason for each in point.variants if (reason := students.failed(each))}
    first = point.variants[0]
    return {
        "role": first.role,
        "kind": first.experiment.student.kind,
        "method": first.method.kind if point.distilled else None,
        "settings": dict(point.settings),
        "config": first.experiment.student.model.model_dump(mode="json"),
        **_costs(cards),
        "metrics": _mean([card["metrics"] for card in cards]),
        "spread": _spread([card["metrics"] for card in cards]),
        "halves": _halves(cards),
        "validation": _mean([card["validation"] for card in cards if card["validation"]]) or None,
        "validation_spread": _spread([card["validation"] for card in cards if card["validation"]]),
        "against": _against(students, point),
        "costs": {},
        "front": {},
        "seeds": [variant.experiment.seed for variant in done],
        "warnings": list(dict.fromkeys(said for card in cards for said in card.get("warnings") or ())),
        "failed": failed,
        "folders": [str(students.folder(variant).relative_to(students.out)) for variant in done],
    }


def _costs(cards: Sequence[Json]) -> Json:
    """Sizes and speeds, of the model that was timed; the seconds of training of all of them on average."""
    timed = next((card for card in cards if "latency_ms" in card), cards[0] if cards else {})
    latency = timed.get("latency_ms") or {}
    seconds = [card["train_seconds"] for card in cards if "train_seconds" in card]
    return {
        "parameters": timed.get("parameters"),
        "bytes": timed.get("bytes"),
        "latency_ms": {name: latency.get(name) for name in ("p50", "p99")},
        "users_per_second": timed.get("users_per_second"),
        "train_seconds": float(np.mean(seconds)) if seconds else None,
    }


def _by_metric(values: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    names = list(dict.fromkeys(name for each in values for name in each))
    return {name: [float(each[name]) for each in values if name in each] for name in names}


def _mean(values: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: float(np.mean(each)) for name, each in _by_metric(values).items()}


def _halves(cards: Sequence[Json]) -> dict[str, dict[str, float]]:
    """The metrics among popular and among unpopular items, as far as they were measured."""
    measured = [card.get("halves") or {} for card in cards]
    return {half: _mean([each[half]["metrics"] for each in measured if half in each]) for half in HALVES}


def _spread(values: Sequence[Mapping[str, float]]) -> dict[str, list[float]] | None:
    """The lowest and the highest value over the seeds; None for one seed."""
    return {name: [min(each), max(each)] for name, each in _by_metric(values).items()} if len(values) > 1 else None


def _against(students: Students, point: Point) -> Json:
    """The paired differences to the plain student and to the teacher, of each user's mean over the seeds."""
    own = [variant for variant in point.variants if students.is_done(variant)]
    found: Json = {}
    if point.distilled:
        plain = {v.experiment.seed: v for v in students.plan.plain_of(point).variants if students.is_done(v)}
        both = [(each, plain[each.experiment.seed]) for each in own if each.experiment.seed in plain]
        if both:
            mine, theirs = ([students.folder(each) for each in side] for side in zip(*both, strict=True))
            found["plain"] = _compared(students, mine, theirs)
    teacher = students.shared.folder.model("teacher")
    if own and (teacher / EVALUATION).exists():
        found["teacher"] = _compared(students, [students.folder(each) for each in own], [teacher])
    return found


def _compared(students: Students, own: Sequence[Path], others: Sequence[Path]) -> dict[str, Any]:
    """Each metric of some model folders against that of others, over all items and in either half."""
    samples = students.plan.base.evaluate.bootstrap_samples
    a, b = ([folder / EVALUATION for folder in folders] for folders in (own, others))
    mine, theirs = _averaged(students, a), _averaged(students, b)
    made = compare_all(mine, theirs, [name for name in mine.values if name in theirs.values], samples=samples)
    if all(beside(file).exists() for file in (*a, *b)):
        mine, theirs = (_averaged(students, map(beside, files)) for files in (a, b))
        made += compare_halves(mine, theirs, samples=samples)
    keys = ("difference", "low", "high", "p_value")
    return {each.metric: {key: finite(getattr(each, key)) for key in keys} for each in made}


def _averaged(students: Students, files: Iterable[Path]) -> Evaluation:
    return averaged([Evaluation.read(file, students.shared.split.user_ids) for file in files])
