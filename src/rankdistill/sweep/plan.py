"""From an experiment and its axes to the students that are trained, checked before anything is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from rankdistill.config import Experiment
from rankdistill.config.toml import to_value
from rankdistill.errors import ConfigError, EvaluationError
from rankdistill.sweep.axes import Axis, override, product
from rankdistill.variants import Variant

Load: TypeAlias = Callable[[Sequence[str]], Experiment]
"""Reads the experiment with some overrides (`section.key=value`)."""

_OF_METHOD = "distillation"


@dataclass(frozen=True, slots=True)
class Point:
    """A row of the report: a student with certain settings, once for each seed.

    Attributes:
        settings: the keys that vary, with the values that it has.
        variants: the student, by seed.
    """

    settings: Mapping[str, Any]
    variants: tuple[Variant, ...]

    @property
    def distilled(self) -> bool:
        """Whether it learns from the teacher."""
        return self.variants[0].distilled

    def is_plain_of(self, other: Point) -> bool:
        """Whether this is the same student as the other, without a teacher."""
        plain = [Variant(each.experiment, distilled=False).settings for each in other.variants]
        return not self.distilled and [each.settings for each in self.variants] == plain


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a sweep trains.

    Attributes:
        base: the experiment that names the data and the teacher.
        axes: what varies.
        seeds: of every student.
        points: the plain students, each with those that are distilled into it behind it.
    """

    base: Experiment
    axes: tuple[Axis, ...]
    seeds: tuple[int, ...]
    points: tuple[Point, ...]

    @property
    def variants(self) -> list[Variant]:
        """All students that are trained."""
        return [variant for point in self.points for variant in point.variants]

    def plain_of(self, point: Point) -> Point:
        """The same student without a teacher."""
        return next(other for other in self.points if other.is_plain_of(point))


def plan(load: Load, axes: Sequence[Axis], seeds: Sequence[int] = ()) -> Plan:
    """The students of a sweep: every combination of the values, each for every seed.

    The teacher is that of the experiment; what is said of [student], [distillation], [train] and [ranking_loss] with
    several values holds for the students alone.

    Args:
        load: reads the experiment.
        axes: keys and values; a key with one value is the same as `--set`.
        seeds: left out, the experiment's own.

    Raises:
        ConfigError: a key, a value or a combination is wrong, or nothing varies.
        EvaluationError: there is no such metric.
    """
    fixed = [text for axis in axes if not axis.varies for text in axis.overrides()]
    varied = tuple(axis for axis in axes if axis.varies)
    combinations = product(varied)
    experiments = _loaded(load, fixed, combinations)
    if not varied and len(seeds) < 2:
        raise ConfigError(
            "a sweep of one student; name the keys that vary with their values, such as --student.dim 4,8,16"
        )
    first = [axis.overrides()[0] for axis in varied if axis.key.partition(".")[0] in ("student", _OF_METHOD)]
    base = load([*fixed, *first])
    points: dict[str, Point] = {}
    for settings, experiment in zip(combinations, experiments, strict=True):
        own = {key: value for key, value in settings.items() if key.partition(".")[0] != _OF_METHOD}
        for distilled, shown in ((False, own), (True, dict(settings))):
            by_seed = [experiment.model_copy(update={"seed": seed}) for seed in seeds] or [experiment]
            variants = tuple(Variant(each, distilled) for each in by_seed)
            points.setdefault(variants[0].name, Point(shown, variants))
    plain = [point for point in points.values() if not point.distilled]
    taught = [point for point in points.values() if point.distilled]
    ordered = [each for one in plain for each in (one, *(other for other in taught if one.is_plain_of(other)))]
    for point in ordered:
        point.variants[0].check()
    return Plan(base, varied, tuple(seeds) or (base.seed,), tuple(ordered))


def _loaded(load: Load, fixed: Sequence[str], combinations: Sequence[Mapping[str, Any]]) -> list[Experiment]:
    """The experiment of each combination.

    Raises:
        ConfigError: the first mistake, with the combination that makes it where others do not.
    """
    experiments, mistakes = [], dict[str, list[str]]()
    for combination in combinations:
        try:
            experiment = load([*fixed, *(override(key, value) for key, value in combination.items())])
            Variant(experiment, distilled=True).check()
            experiments.append(experiment)
        except (ConfigError, EvaluationError) as error:
            mistakes.setdefault(str(error), []).append(words(combination))
    if mistakes:
        line, where = next(iter(mistakes.items()))
        if len(where) == len(combinations):
            raise ConfigError(line)
        others = f" (and {len(where) - 1} more of {len(combinations)} combinations)" if len(where) > 1 else ""
        raise ConfigError(f"with {where[0]}{others}: {line}")
    return experiments


def words(settings: Mapping[str, Any]) -> str:
    """Settings in words.

    >>> words({"student.dim": 8, "distillation.kind": "rrd"})
    'student.dim = 8, distillation.kind = "rrd"'
    """
    return ", ".join(f"{key} = {to_value(value)}" for key, value in settings.items())
