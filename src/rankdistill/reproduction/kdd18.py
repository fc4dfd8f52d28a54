"""The plan of the KDD 2018 paper: which trainings its tables and figures are made of, on each data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rankdistill.config import parse
from rankdistill.reproduction import published
from rankdistill.reproduction.cells import Cell, Figure, Plan, Row, RowRole, Series, Trial
from rankdistill.reproduction.datasets import Dataset, Family
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
_LONG = 2
"""The learning curves go on for this many times the published epochs."""


@dataclass(frozen=True, slots=True)
class Points:
    """How densely the figures are drawn, in the full version and in the quick one."""

    dims: Sequence[int]
    shares: Sequence[float]
    alphas: Sequence[float]
    lengths: Sequence[int]


@dataclass(frozen=True, slots=True)
class Variant:
    """A way in which trainings differ from those of the main table: part of their keys, settings, number of seeds."""

    suffix: str = ""
    sections: Json = field(default_factory=dict)
    one_seed: bool = True


EVERY_SEED, ONE_SEED = Variant(one_seed=False), Variant()
FULL = Points(dims=(10, 25, 50), shares=(0.25, 0.5), alphas=(0.1, 0.3, 0.5, 0.7), lengths=(3, 10, 30))
QUICK = Points(dims=(25, 50), shares=(0.5,), alphas=(0.3, 0.5), lengths=(3, 10))


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
    return _Builder(dataset, quick, seeds[:1] if quick else seeds, changes).plan()


@dataclass(slots=True)
class _Builder:
    dataset: Dataset
    quick: bool
    seeds: Sequence[int]
    changes: Sequence[str]
    cells: dict[tuple[str, int], Cell] = field(default_factory=dict)

    def plan(self) -> Plan:
        main, pairs = self._main()
        weighting, more = self._weighting()
        presets, still_more = self._presets()
        figures = [self._epochs(), self._size(), self._alpha(), self._lengths(), self._instances()]
        search = self._search()
        return Plan(
            paper="kdd18",
            dataset=self.dataset.name,
            title=self.dataset.title,
            quick=self.quick,
            epochs=self._caser_cell().model.train.epochs,
            seeds=self.seeds,
            cells=list(self.cells.values()),
            tables={"main": main, "weighting": weighting, "presets": presets},
            pairs=[*pairs, *more, *still_more],
            figures=figures,
            search=search,
            remarks=self.dataset.remarks,
            inference=self.dataset.inference,
        )

    def _caser_cell(self) -> Cell:
        return self.cells[f"{self._caser.kind}-{self._caser.dims[1]}", self.seeds[0]]

    @property
    def _caser(self) -> Family:
        """The family of the figures."""
        return self.dataset.families[-1]

    @property
    def _points(self) -> Points:
        return QUICK if self.quick else FULL

    def _add(self, key: str, sections: Json, teacher: str | None = None, *, one: bool = False) -> str:
        """Notes a training for every seed, or for the first one; returns its key."""
        for seed in self.seeds[:1] if one else self.seeds:
            if (key, seed) not in self.cells:
                evaluate = {"metrics": published.MEASURED, "depth": 10}
                base: Json = {"seed": seed, "data": {"kind": self.dataset.kind}, "evaluate": evaluate}
                mapping = _merged(base, sections)
                mapping["teacher"] = mapping["student"]  # each cell is of one model; its lists come from another cell
                experiment = parse(self._shortened(mapping), self.dataset.name, self.changes)
                self.cells[key, seed] = Cell(key, experiment, teacher)
        return key

    def _shortened(self, mapping: Json) -> Json:
        """The quick version: fewer epochs, and a warm-up that is the same share of them."""
        if not self.quick:
            return mapping
        epochs = min(self.dataset.quick_epochs, mapping.get("train", {}).get("epochs", 50))
        short = {"train": {"epochs": epochs}, "distillation": {"warmup_epochs": max(1, epochs // 5)}}
        return _merged(mapping, short)

    def _plain(self, family: Family, dim: int, variant: Variant = EVERY_SEED) -> str:
        """A model that learns from the data alone."""
        own = {"student": {"kind": family.kind, "dim": dim}}
        sections = _merged(family.sections, own, variant.sections)
        return self._add(f"{family.kind}-{dim}{variant.suffix}", sections, one=variant.one_seed)

    def _distilled(
        self,
        family: Family,
        teacher: str,
        method: Json,
        variant: Variant = EVERY_SEED,
        dim: int | None = None,
    ) -> str:
        """A student with the given keys of `[distillation]`."""
        dim = dim or family.dims[1]
        own = {"student": {"kind": family.kind, "dim": dim}, "distillation": method}
        key = f"{family.kind}-{dim}-rd{_slug(method)}{variant.suffix}"
        return self._add(key, _merged(family.sections, own, variant.sections), teacher, one=variant.one_seed)

    def _trio(self, family: Family) -> tuple[str, str, str]:
        """Teacher, plain student, student distilled with the published settings."""
        teacher, student = (self._plain(family, dim) for dim in family.dims)
        return teacher, student, self._distilled(family, teacher, {})

    def _main(self) -> tuple[list[Row], list[tuple[str, str, str]]]:
        rows: list[Row] = []
        pairs: list[tuple[str, str, str]] = []
        known = self.dataset.published
        for family in self.dataset.families:
            teacher, student, distilled = self._trio(family)
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
                tuned = self._distilled(family, teacher, family.chosen)
                words = f"chosen on validation data: {_words(family.chosen)}"
                rows.append(Row(tuned, f"{of}-RD, tuned", "distilled", of, words, False, known.get(f"{of}-RD", {})))
                names.append(f"{of}-RD, tuned")
            pairs += [("main", name, f"{of}-{other}") for name in names for other in ("S", "T")]
            pairs.append(("main", f"{of}-S", f"{of}-T"))
        for name, key, sections in self.dataset.baselines:
            self._add(key, sections)
            rows.append(Row(key, name, "baseline", settings="the usual ones", published=known.get(name, {})))
        return rows, pairs

    def _weighting(self) -> tuple[list[Row], list[tuple[str, str, str]]]:
        family = self._caser
        teacher = self._trio(family)[0]
        rows = [
            Row(
                self._distilled(family, teacher, {} if name == "hybrid" else {"weighting": name}),
                name,
                "distilled",
                family.name,
                published=self.dataset.weighting.get(name, {}),
            )
            for name in WEIGHTINGS
        ]
        claims = [("hybrid", other) for other in WEIGHTINGS[:-1]]
        claims += [("position", "uniform"), ("position", "discrepancy")]
        return rows, [("weighting", *claim) for claim in claims]

    def _presets(self) -> tuple[list[Row], list[tuple[str, str, str]]]:
        family = self._caser
        teacher, student, _ = self._trio(family)
        rows = [Row(student, "no teacher", "student", family.name)]
        for name, method in PRESETS.items():
            key = self._distilled(family, teacher, method, ONE_SEED if name in SINGLE_CHOICES else EVERY_SEED)
            known = self.dataset.published.get(f"{family.name}-RD", {})
            rows.append(Row(key, name, "distilled", family.name, published=known))
        first, *others = PRESETS
        return rows, [
            ("presets", first, "no teacher"),
            *(("presets", name, other) for name in others for other in (first, "no teacher")),
        ]

    def _size(self) -> Figure:
        family = self._caser
        teacher = self._trio(family)[0]
        dims = sorted({*self._points.dims, family.dims[1]} - {family.dims[0]})
        plain = {float(dim): self._plain(family, dim, ONE_SEED) for dim in (*dims, family.dims[0])}
        distilled = {float(dim): self._distilled(family, teacher, {}, ONE_SEED, dim) for dim in dims}
        return Figure(
            "size",
            "MAP against model size",
            "dimension d",
            f"Plain {family.name} and {family.name} distilled from the teacher of d = {family.dims[0]}, by dimension.",
            [Series("plain", "student", plain), Series("distilled", "distilled", distilled)],
        )

    def _instances(self) -> Figure:
        family = self._caser
        whole = self._trio(family)
        curves: list[dict[float, str]] = [{1.0: key} for key in whole]
        for share in self._points.shares:
            part = Variant(f"-share-{share:g}", {"windows": {"query_share": share}})
            teacher, student = (self._plain(family, dim, part) for dim in family.dims)
            distilled = self._distilled(family, teacher, {}, part)
            for curve, key in zip(curves, (teacher, student, distilled), strict=True):
                curve[share] = key
        return Figure(
            "instances",
            "MAP against the number of training instances",
            "share of the training queries",
            "All three learn from the same random share of the training queries.",
            self._trio_of_series(curves),
        )

    def _epochs(self) -> Figure:
        family = self._caser
        epochs: int = family.sections.get("train", {}).get("epochs", 50)
        sections: Json = {
            "split": {"train_on_validation": False},
            "train": {"epochs": epochs * (1 if self.quick else _LONG), "validate_every": 2},
        }
        long = Variant("-curve", sections)
        teacher, student = (self._plain(family, dim, long) for dim in family.dims)
        distilled = self._distilled(family, teacher, {}, long)
        curves = self._trio_of_series([{0.0: key} for key in (teacher, student, distilled)])
        if family.chosen:
            tuned = self._distilled(family, teacher, family.chosen, long)
            curves.append(Series("distilled, tuned", "tuned", {0.0: tuned}))
        return Figure(
            "epochs",
            "MAP against epochs",
            "epoch",
            "On the validation data, of models that learn from the first 70 %; the test data is not looked at.",
            curves,
            by_epoch=True,
        )

    def _alpha(self) -> Figure:
        family = self._caser
        teacher, student, _ = self._trio(family)
        points = {0.0: student}
        for alpha in self._points.alphas:
            code = alpha / (1 - alpha)
            method: Json = {} if code == 1 else {"alpha": round(code, 4)}
            points[alpha] = self._distilled(family, teacher, method, ONE_SEED)
        return Figure(
            "alpha",
            "MAP against alpha",
            "alpha, as in the paper: a / (1 + a) for the weight a of the published code",
            "The share of the distillation loss; 0 is the plain student.",
            [Series("distilled", "distilled", points), Series("teacher", "teacher", {0.0: teacher}, line=True)],
        )

    def _lengths(self) -> Figure:
        family = self._caser
        teacher, student, _ = self._trio(family)
        points = {
            float(k): self._distilled(family, teacher, {} if k == 10 else {"k": k}, ONE_SEED)
            for k in self._points.lengths
        }
        return Figure(
            "k",
            "MAP against K",
            "K, the length of the teacher's lists",
            "The paper leaves this one out.",
            [
                Series("distilled", "distilled", points),
                Series("teacher", "teacher", {0.0: teacher}, line=True),
                Series("plain student", "student", {0.0: student}, line=True),
            ],
            log=True,
        )

    def _trio_of_series(self, curves: Sequence[Mapping[float, str]]) -> list[Series]:
        names = (("teacher", "teacher"), ("plain student", "student"), ("distilled", "distilled"))
        return [Series(name, role, curve) for (name, role), curve in zip(names, curves, strict=True)]

    def _search(self) -> dict[str, list[Trial]]:
        """What the tuned settings were chosen from, on the validation data; nothing in the quick version."""
        if self.quick:
            return {}
        found: dict[str, list[Trial]] = {}
        sections: Json = {"split": {"train_on_validation": False}, "train": {"validate_every": 5}}
        on_validation = Variant("-validation", sections)
        for family in self.dataset.families:
            if not family.trials:
                continue
            teacher = self._plain(family, family.dims[0], on_validation)
            fits = self._fits(family)
            if fits:
                found[f"{family.name}-T"] = fits
            found[f"{family.name}-RD"] = [
                Trial(
                    self._distilled(family, teacher, method, on_validation),
                    _words(method) or "published settings",
                    chosen=method == family.chosen,
                    published=not method,
                )
                for method in family.trials
            ]
        return found

    def _fits(self, family: Family) -> list[Trial]:
        """A teacher with each of the settings of `fits`, a while longer than it is trained in the end."""
        epochs = family.sections.get("train", {}).get("epochs", 50) * 3 // 2
        base: Json = {"split": {"train_on_validation": False}, "train": {"epochs": epochs, "validate_every": 3}}
        trials = []
        for changes in family.fits:
            flat = {key: value for section in changes.values() for key, value in section.items()}
            key = self._plain(family, family.dims[0], Variant(f"{_slug(flat)}-fit", _merged(base, changes)))
            trials.append(Trial(key, _words(flat), chosen=_merged(family.sections, changes) == family.sections))
        return trials


def _merged(*mappings: Mapping[str, Any]) -> Json:
    """Nested mappings as one; what comes later counts."""
    merged: Json = {}
    for mapping in mappings:
        for key, value in mapping.items():
            known = merged.get(key)
            merged[key] = _merged(known, value) if isinstance(known, dict) and isinstance(value, Mapping) else value
    return merged


def _slug(method: Json) -> str:
    """Settings as a part of a folder's name.

    >>> _slug({"weighting": "position", "alpha": 3.0}), _slug({})
    ('-position-alpha-3', '')
    """
    plain = ("weighting", "preset", "kind")
    return "".join(f"-{value}" if key in plain else f"-{key}-{_shown(value)}" for key, value in method.items())


def _words(method: Json) -> str:
    """Settings in words.

    >>> _words({"weighting": "position", "alpha": 2.0})
    'weighting = position, alpha = 2'
    """
    return ", ".join(_shown(value) if key == "kind" else f"{key} = {_shown(value)}" for key, value in method.items())


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
