"""What `results.json` holds, read with care: any part may be missing, null or empty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rankdistill.report.run import Comparison, finite
from rankdistill.types import Json

PUBLISHED = "published"
"""The name of the settings of the paper."""

PARTS = ("main", "weighting", "presets")
"""The parts that are rows of models with their metrics."""


def section(value: Json, key: str) -> Json:
    """A nested object, empty where there is none."""
    found = value.get(key)
    return found if isinstance(found, dict) else {}


def objects(value: Json, key: str) -> tuple[Json, ...]:
    """A list of objects, empty where there is none."""
    return tuple(one for one in listed(value, key) if isinstance(one, dict))


def listed(value: Json, key: str) -> list[Any]:
    """A list, empty where there is none."""
    found = value.get(key)
    return found if isinstance(found, list) else []


def number(value: Json, *keys: str) -> float | None:
    """A finite number under nested keys, None where there is none."""
    for key in keys[:-1]:
        value = section(value, key)
    return finite(value.get(keys[-1]))


def word(value: Json, key: str) -> str:
    """A text, empty where there is none."""
    found = value.get(key)
    return "" if found is None else str(found)


@dataclass(frozen=True, slots=True)
class Seed:
    """A row's metrics with one seed."""

    seed: str
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Row:
    """A model as trained with one or more seeds, beside what was published for it."""

    name: str
    family: str
    role: str
    settings: str
    parameters: float | None
    mean: Mapping[str, float]
    deviation: Mapping[str, float]
    published: Mapping[str, float]
    seeds: tuple[Seed, ...]

    @classmethod
    def of(cls, value: Json) -> Row:
        """A row of `results.json`."""
        return cls(
            word(value, "name") or word(value, "key") or "unnamed",
            word(value, "family"),
            word(value, "role") or "baseline",
            word(value, "settings"),
            number(value, "parameters"),
            _numbers(section(value, "mean")),
            _numbers(section(value, "deviation")),
            _numbers(section(value, "published")),
            tuple(Seed(word(one, "seed"), _numbers(section(one, "metrics"))) for one in objects(value, "seeds")),
        )


@dataclass(frozen=True, slots=True)
class Contrast:
    """Two rows compared over the users: with all seeds together, and with each."""

    part: str
    whole: Comparison
    users: float | None
    seeds: Mapping[str, Comparison]

    @classmethod
    def of(cls, value: Json) -> Contrast:
        """A comparison of `results.json`."""
        names = (word(value, "a"), word(value, "b"), word(value, "metric"))
        seeds = {word(one, "seed"): _comparison(names, one) for one in objects(value, "seeds")}
        return cls(word(value, "part") or "main", _comparison(names, value), number(value, "users"), seeds)


@dataclass(frozen=True, slots=True)
class Results:
    """All that the tables and figures are made from."""

    data: Json

    @property
    def title(self) -> str:
        """The data set's name."""
        return word(self.data, "title") or word(self.data, "dataset") or "unnamed data"

    @property
    def quick(self) -> bool:
        """Whether this is the quick version, too short to be compared with the paper."""
        return self.data.get("quick") is True

    def rows(self, part: str) -> tuple[Row, ...]:
        """The rows of one of `PARTS`."""
        return tuple(Row.of(value) for value in objects(self.data, part))

    def metrics(self) -> tuple[str, ...]:
        """All metrics, in the order in which tables show them."""
        named = [str(name) for name in listed(self.data, "metrics")]
        measured = [name for part in PARTS for row in self.rows(part) for name in (*row.mean, *row.published)]
        return tuple(named or dict.fromkeys(measured))

    def main_metric(self) -> str:
        """The metric that the page speaks of first: MAP where it was measured."""
        names = self.metrics()
        return "map" if "map" in names or not names else names[-1]

    def contrasts(self, part: str) -> tuple[Contrast, ...]:
        """The comparisons between rows of a part."""
        made = (Contrast.of(value) for value in objects(self.data, "comparisons"))
        return tuple(one for one in made if one.part == part)


def _numbers(values: Json) -> dict[str, float]:
    known = {name: finite(value) for name, value in values.items()}
    return {name: value for name, value in known.items() if value is not None}


def _comparison(names: tuple[str, str, str], value: Json) -> Comparison:
    a, b, metric = names
    found = [number(value, key) for key in ("difference", "low", "high", "p_value")]
    return Comparison(a, b, metric, *found)
