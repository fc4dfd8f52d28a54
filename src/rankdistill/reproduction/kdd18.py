"""The plan of the KDD 2018 paper: which trainings its tables and figures are made of, on each data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from rankdistill import plugins
from rankdistill.reproduction.cells import Plan, Row, RowRole, Trial
from rankdistill.reproduction.datasets import Dataset, Family
from rankdistill.reproduction.kdd18_figures import figures
from rankdistill.reproduction.settings import merged, slug, words
from rankdistill.reproduction.trainings import EVERY_SEED, ONE_SEED, Trainings, Variant
from rankdistill.types import Json

SEEDS = (1234, 1, 2, 3, 4, 5, 6, 7, 8, 9)
WEIGHTINGS = ("uniform", "reciprocal", "position", "discrepancy", "hybrid")
PRESETS: Mapping[str, Json] = {
    "kdd18-code, the published code": {},
    "code, but lists leave out all that the user has": {"exclude": "seen"},
    "code, but hybrid weights sum to 1": {"renormalize": True},
    "kdd18-paper, the paper's text": {"preset": "kdd18-paper"},
}
SINGLE_CHOICES = list(PRESETS)[1:-1]
"""What tells the presets apart, one by one; for one seed."""
Pair: TypeAlias = tuple[str, str, str]
"""A table and two of its rows that are tested against each other."""


def plan(dataset: Dataset, *, quick: bool, seeds: Sequence[int], changes: Sequence[str] = ()) -> Plan:
    """All trainings for a data set.

    Args:
        dataset: the data set and its models.
        quick: one seed, fewer epochs and fewer points.
        seeds: of the tables; the figures have the first one alone.
        changes: `section.key=value`, as for `--set`, for every training.

    Raises:
        ConfigError: a change is none.
    """
    trainings = Trainings(dataset, quick, seeds[:1] if quick else seeds, changes)
    tables: dict[str, list[Row]] = {}
    pairs: list[Pair] = []
    for name, table in (("main", _main), ("weighting", _weighting), ("presets", _presets)):
        tables[name], tested = table(trainings)
        pairs += [(name, *pair) for pair in tested]
    family = dataset.families[-1]
    drawn = figures(family, trainings)
    searched = _search(trainings)
    of_figures = trainings.cells[trainings.trio(family)[1], trainings.seeds[0]]
    return Plan(
        paper="kdd18",
        dataset=dataset.name,
        title=dataset.title,
        quick=quick,
        epochs=of_figures.model.train.epochs,
        seeds=trainings.seeds,
        figure_seeds=trainings.seeds if dataset.every_seed else trainings.seeds[:1],
        cells=list(trainings.cells.values()),
        tables=tables,
        pairs=pairs,
        figures=drawn,
        search=searched,
        remarks=dataset.remarks,
        inference=dataset.inference,
    )


def _main(trainings: Trainings) -> tuple[list[Row], list[tuple[str, str]]]:
    rows: list[Row] = []
    pairs: list[tuple[str, str]] = []
    known = trainings.dataset.published
    for family in trainings.dataset.families:
        teacher, student, distilled = trainings.trio(family)
        of = family.name
        trio: tuple[tuple[str, RowRole, str], ...] = (
            (teacher, "teacher", "T"),
            (student, "student", "S"),
            (distilled, "distilled", "RD"),
        )
        rows += [
            Row(key, f"{of}-{short}", role, of, family.settings, True, known.get(f"{of}-{short}", {}))
            for key, role, short in trio
        ]
        names = [f"{of}-RD"]
        if family.chosen:
            tuned = trainings.distilled(family, teacher, family.chosen)
            how = f"chosen on validation data: {words(family.chosen)}"
            rows.append(Row(tuned, f"{of}-RD, tuned", "distilled", of, how, False, known.get(f"{of}-RD", {})))
            names.append(f"{of}-RD, tuned")
        pairs += [(name, f"{of}-{other}") for name in names for other in ("S", "T")]
        pairs.append((f"{of}-S", f"{of}-T"))
    for each in trainings.dataset.baselines:
        learns = plugins.find("models", each.sections["student"]["kind"]).learns
        trainings.add(each.key, each.sections, one=not learns)  # without randomness one seed is as good as many
        rows.append(Row(each.key, each.name, "baseline", settings=each.settings, published=known.get(each.name, {})))
    return rows, pairs


def _weighting(trainings: Trainings) -> tuple[list[Row], list[tuple[str, str]]]:
    family = trainings.dataset.families[-1]
    teacher = trainings.trio(family)[0]
    rows = [
        Row(
            trainings.distilled(family, teacher, {} if name == "hybrid" else {"weighting": name}),
            name,
            "distilled",
            family.name,
            published=trainings.dataset.weighting.get(name, {}),
        )
        for name in WEIGHTINGS
    ]
    claims = [("hybrid", other) for other in WEIGHTINGS[:-1]]
    claims += [("position", "uniform"), ("position", "discrepancy")]
    return rows, claims


def _presets(trainings: Trainings) -> tuple[list[Row], list[tuple[str, str]]]:
    family = trainings.dataset.families[-1]
    teacher, student, _ = trainings.trio(family)
    rows = [Row(student, "no teacher", "student", family.name)]
    for name, method in PRESETS.items():
        single = name in SINGLE_CHOICES and not trainings.dataset.every_seed
        key = trainings.distilled(family, teacher, method, ONE_SEED if single else EVERY_SEED)
        known = trainings.dataset.published.get(f"{family.name}-RD", {})
        seeds = "one seed" if single and len(trainings.seeds) > 1 else ""
        rows.append(Row(key, name, "distilled", family.name, seeds, published=known))
    first, *others = PRESETS
    return rows, [
        (first, "no teacher"),
        *((name, other) for name in others for other in (first, "no teacher")),
    ]


def _search(trainings: Trainings) -> dict[str, list[Trial]]:
    """What the tuned settings were chosen from, on the validation data; nothing in the quick version."""
    if trainings.quick:
        return {}
    found: dict[str, list[Trial]] = {}
    sections: Json = {"split": {"train_on_validation": False}, "train": {"validate_every": 5}}
    on_validation = Variant("-validation", sections)
    for family in trainings.dataset.families:
        if not family.trials:
            continue
        teacher = trainings.plain(family, family.dims[0], on_validation)
        fits = _fits(trainings, family)
        if fits:
            found[f"{family.name}-T"] = fits
        found[f"{family.name}-RD"] = [
            Trial(
                trainings.distilled(family, teacher, method, on_validation),
                words(method) or "hybrid, as published",
                chosen=method == family.chosen,
                published=not method,
            )
            for method in family.trials
        ]
    return found


def _fits(trainings: Trainings, family: Family) -> list[Trial]:
    """A teacher with each of the settings of `fits`, a while longer than it is trained in the end."""
    epochs = family.sections.get("train", {}).get("epochs", 50) * 3 // 2
    base: Json = {"split": {"train_on_validation": False}, "train": {"epochs": epochs, "validate_every": 3}}
    trials = []
    for changes in family.fits:
        flat = {key: value for section in changes.values() for key, value in section.items()}
        key = trainings.plain(family, family.dims[0], Variant(f"{slug(flat)}-fit", merged(base, changes)))
        trials.append(Trial(key, words(flat), chosen=merged(family.sections, changes) == family.sections))
    return trials
