"""How large a student is at a point of a search, before anything is trained."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rankdistill import plugins
from rankdistill.config import Choice, Experiment, Range, RoleConfig, Section, TeacherLists
from rankdistill.config.toml import to_value
from rankdistill.config.tuning import declared
from rankdistill.data.splitting import Split
from rankdistill.latency import median_latency
from rankdistill.members import Company, has_model
from rankdistill.model_folder import bytes_of, load_model
from rankdistill.pipeline import build
from rankdistill.ranker import Ranker
from rankdistill.tuning.goal import Model
from rankdistill.tuning.search import is_whole
from rankdistill.tuning.space import Point, Space, at, is_valid

_STEPS = 48
"""Of the ladder."""
_TIMED = 130
"""Queries that an untrained model is timed with."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """The sizes of untrained models; each is built once.

    Attributes:
        experiment: whose settings hold where a point says nothing.
        split: the data.
        timed: whether queries are timed.
    """

    experiment: Experiment
    split: Split
    timed: bool
    _known: dict[str, Model] = field(default_factory=dict)

    def at(self, point: Point) -> Model | None:
        """The student at a point; None where there is none: its values do not go together."""
        return self.of(at(self.experiment, point).student.model) if is_valid(self.experiment, point) else None

    def of(self, config: Section) -> Model:
        """The model of a `Config`."""
        key = config.model_dump_json()
        if key not in self._known:
            self._known[key] = self._weighed(self._built(config), name_of(config))
        return self._known[key]

    def _built(self, config: Section) -> Ranker:
        return build(config, self.split, self.experiment.seed)

    def _weighed(self, model: Ranker, name: str) -> Model:
        queries = self.split.queries("validation", exclude_seen=self.experiment.evaluate.exclude_seen)
        latency = median_latency(model, queries.rows(0, _TIMED)) if self.timed else None
        return Model(name, bytes_of(model), latency)

    def teacher(self) -> Model | None:
        """The teacher, or all that it is made of together; None where there are lists in it, which have no size."""
        teacher, company = self.experiment.teacher, Company.of(self.experiment, Path())
        if isinstance(teacher, TeacherLists) and has_model(self.experiment):
            return self._weighed(load_model(teacher.rankings)[0], teacher.rankings.name)
        if company is None:
            return self.of(teacher.model) if isinstance(teacher, RoleConfig) else None
        roles = [member.role for member in company.members if isinstance(member.role, RoleConfig)]
        if len(roles) < len(company.members):
            return None
        name = f"{len(roles)} models together"
        if company.is_model:
            return self._weighed(company.joined([self._built(role.model) for role in roles]), name)
        models = [self.of(role.model) for role in roles]
        latency = sum(model.latency_ms or 0.0 for model in models) if self.timed else None
        return Model(name, sum(model.bytes for model in models), latency)

    def least(self, space: Space, own: Point) -> Iterator[Model]:
        """The least students of the space; the smallest is one of them, and so is the quickest."""
        for point in self._least(space, own):
            yield self.of(at(self.experiment, point).student.model)

    def starts(self, space: Space, own: Point) -> Iterator[Point]:
        """Where to begin if the own form fits in no size: the least students, first with the own other options."""
        sized = {address for address, each in space.items() if each.size}
        for point in self._least(space, own):
            yield {**own, **{address: value for address, value in point.items() if address in sized}}
            yield point

    def _least(self, space: Space, own: Point) -> Iterator[Point]:
        """The model's ranges at their low ends, with each pick of the sizes that are chosen from.

        Where the low ends do not go together, one of the ranges is as far above its end as they need.
        """
        of_model = {
            address: each for address, each in space.items() if address.count(".") == 1 and "student." in address
        }
        ranges = {address: each for address, each in of_model.items() if isinstance(each, Range)}
        lows = {address: each.low for address, each in ranges.items()}
        chosen = {address: each.values for address, each in of_model.items() if isinstance(each, Choice) and each.size}
        for values in itertools.product(*chosen.values()):
            low = {**own, **_typed({**lows, **dict(zip(chosen, values, strict=True))}, own)}
            nearest = next((point for point in _raised(low, ranges) if is_valid(self.experiment, point)), None)
            if nearest is not None:
                yield nearest

    def largest_that(self, fits: Callable[[Model], bool], ladder: list[Point]) -> int:
        """The last step of a ladder whose student fits; -1 where none does. What fits makes all smaller ones fit."""
        low, high = -1, len(ladder) - 1
        while low < high:
            middle = (low + high + 1) // 2
            model = self.at(ladder[middle])
            if model is not None and fits(model):
                low = middle
            else:
                high = middle - 1
        return low


def name_of(config: Section) -> str:
    """A model in words: its kind, and what decides its size."""
    sizes = []
    for key, option in type(config).model_fields.items():
        tunable, value = declared(option), getattr(config, key)
        if tunable is not None and tunable.size and (isinstance(tunable, Range) or value != option.default):
            sizes.append(f"{key} = {to_value(value)}")
    return plugins.kind_of(config) + (f" with {', '.join(sizes)}" if sizes else "")


def _typed(values: Point, own: Point) -> Point:
    return {address: type(own[address])(value) for address, value in values.items()}


def _raised(low: Point, ranges: Mapping[str, Range]) -> Iterator[Point]:
    """The point, then it with larger and larger values of one size that is a whole number, of each in turn."""
    yield low
    for address, each in ranges.items():
        if each.size and is_whole(low[address], each):
            yield from ({**low, address: value} for value in range(int(each.low) + 1, int(each.high) + 1))


def ladder_of(experiment: Experiment, space: Space, own: Point) -> list[Point]:
    """The point itself made smaller and larger, in its ranges of sizes alone, from the smallest to the largest."""
    ranges = {address: each for address, each in space.items() if isinstance(each, Range) and each.size}
    steps: list[Point] = []
    for step in range(_STEPS + 1):
        values = {name: _between(each, step / _STEPS, whole=is_whole(own[name], each)) for name, each in ranges.items()}
        if (point := {**own, **values}) not in steps and is_valid(experiment, point):
            steps.append(point)
    if own not in steps:
        steps.append(own)
    return sorted(steps, key=lambda point: [point[name] for name in ranges])


def _between(tunable: Range, share: float, *, whole: bool) -> float:
    low, high = tunable.low, tunable.high
    value = low * (high / low) ** share if tunable.log else low + share * (high - low)
    return round(value) if whole else value
