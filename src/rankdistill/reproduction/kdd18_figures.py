"""The figures of the KDD 2018 paper: MAP against epochs, model size, alpha, K and training instances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rankdistill.reproduction.cells import Figure, Series
from rankdistill.reproduction.datasets import Family
from rankdistill.reproduction.trainings import ONE_SEED, Trainings, Variant
from rankdistill.types import Json

_LONG = 2
"""The learning curves go on for this many times the published epochs."""


@dataclass(frozen=True, slots=True)
class Points:
    """How densely the figures are drawn, in the full version and in the quick one."""

    dims: Sequence[int]
    shares: Sequence[float]
    alphas: Sequence[float]
    lengths: Sequence[int]


FULL = Points(dims=(10, 25, 50), shares=(0.25, 0.5), alphas=(0.1, 0.3, 0.5, 0.7, 0.9), lengths=(3, 10, 30))
QUICK = Points(dims=(25, 50), shares=(0.5,), alphas=(0.3, 0.5), lengths=(3, 10))


def figures(family: Family, trainings: Trainings) -> list[Figure]:
    """All figures, of one family."""
    points = QUICK if trainings.quick else FULL
    drawn = (size, alpha, lengths, instances)
    return [epochs(family, trainings), *(each(family, trainings, points) for each in drawn)]


def epochs(family: Family, trainings: Trainings) -> Figure:
    """Validation curves of the three, and of the tuned one: the teacher peaks and over-fits."""
    last: int = family.sections.get("train", {}).get("epochs", 50)
    sections: Json = {
        "split": {"train_on_validation": False},
        "train": {"epochs": last * (1 if trainings.quick else _LONG), "validate_every": 2},
    }
    long = Variant("-curve", sections)
    teacher, student = (trainings.plain(family, dim, long) for dim in family.dims)
    distilled = trainings.distilled(family, teacher, {}, long)
    curves = _trio_of_series([{0.0: key} for key in (teacher, student, distilled)])
    if family.chosen:
        tuned = trainings.distilled(family, teacher, family.chosen, long)
        curves.append(Series("distilled, tuned", "tuned", {0.0: tuned}))
    return Figure(
        "epochs",
        "MAP against epochs",
        "epoch",
        f"Of {family.name}, on the validation data; the test data is not looked at.",
        curves,
        by_epoch=True,
    )


def size(family: Family, trainings: Trainings, points: Points) -> Figure:
    """Plain and distilled models by dimension."""
    teacher = trainings.trio(family)[0]
    dims = sorted({*points.dims, family.dims[1]} - {family.dims[0]})
    plain = {float(dim): trainings.plain(family, dim, ONE_SEED) for dim in (*dims, family.dims[0])}
    distilled = {float(dim): trainings.distilled(family, teacher, {}, ONE_SEED, dim) for dim in dims}
    return Figure(
        "size",
        "MAP against model size",
        "dimension d",
        f"Plain {family.name} and {family.name} distilled from the teacher of d = {family.dims[0]}, by dimension.",
        [Series("plain", "student", plain), Series("distilled", "distilled", distilled)],
    )


def alpha(family: Family, trainings: Trainings, points: Points) -> Figure:
    """By the weight of the distillation loss."""
    teacher, student, _ = trainings.trio(family)
    curve = {0.0: student}
    for share in points.alphas:
        code = share / (1 - share)
        method: Json = {} if code == 1 else {"alpha": round(code, 4)}
        curve[share] = trainings.distilled(family, teacher, method, ONE_SEED)
    return Figure(
        "alpha",
        "MAP against alpha",
        "alpha, as in the paper: a / (1 + a) for the weight a of the published code",
        f"The share of the distillation loss; 0 is the plain student. Of {family.name}.",
        [Series("distilled", "distilled", curve), Series("teacher", "teacher", {0.0: teacher}, line=True)],
    )


def lengths(family: Family, trainings: Trainings, points: Points) -> Figure:
    """By the length of the teacher's lists."""
    teacher, student, _ = trainings.trio(family)
    curve = {
        float(k): trainings.distilled(family, teacher, {} if k == 10 else {"k": k}, ONE_SEED) for k in points.lengths
    }
    return Figure(
        "k",
        "MAP against K",
        "K, the length of the teacher's lists",
        f"The paper leaves this one out. Of {family.name}.",
        [
            Series("distilled", "distilled", curve),
            Series("teacher", "teacher", {0.0: teacher}, line=True),
            Series("plain student", "student", {0.0: student}, line=True),
        ],
        log=True,
    )


def instances(family: Family, trainings: Trainings, points: Points) -> Figure:
    """By the share of the training queries that is learnt from."""
    whole = trainings.trio(family)
    curves: list[dict[float, str]] = [{1.0: key} for key in whole]
    for share in points.shares:
        part = Variant(f"-share-{share:g}", {"windows": {"query_share": share}})
        teacher, student = (trainings.plain(family, dim, part) for dim in family.dims)
        distilled = trainings.distilled(family, teacher, {}, part)
        for curve, key in zip(curves, (teacher, student, distilled), strict=True):
            curve[share] = key
    return Figure(
        "instances",
        "MAP against the number of training instances",
        "training queries",
        f"All three, of {family.name}, learn from the same random part of the training queries.",
        _trio_of_series(curves),
        of_queries=True,
    )


def _trio_of_series(curves: Sequence[Mapping[float, str]]) -> list[Series]:
    names = (("teacher", "teacher"), ("plain student", "student"), ("distilled", "distilled"))
    return [Series(name, role, curve) for (name, role), curve in zip(names, curves, strict=True)]
