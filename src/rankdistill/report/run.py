"""What a report speaks of: models, the comparisons between them, and the run they belong to."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from rankdistill.types import Json

ROLES = ("teacher", "student", "distilled")
"""The roles in the order in which tables show them."""

PAIRS = (("distilled", "student"), ("distilled", "teacher"), ("student", "teacher"))
"""The pairs of roles that are compared."""

LIST_DEPTH = 10
"""Lists are compared and shown this deep."""

SIGNIFICANCE = 0.05

HALVES = ("head", "tail")
"""The popular items, which hold half of all training interactions, and the others."""


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """One model folder: what it is, what it cost, how well it ranks."""

    role: str
    folder: Path
    facts: Json
    """`model.json`."""
    epochs: tuple[Json, ...]
    """`metrics.jsonl`, a line an epoch; empty for a model that was not trained here."""
    metrics: Mapping[str, float]
    """Means over the test users, and the totals (coverage)."""
    users: int
    """Test users with a row in `evaluation.parquet`."""
    lists: pl.DataFrame | None
    """`user_id`, `rank`, `item_id` down to `LIST_DEPTH`; ids as text."""
    halves: Mapping[str, float] = field(default_factory=dict)
    """Means over the users with targets among popular (`head/ndcg@10`) and unpopular items (`tail/ndcg@10`)."""

    @property
    def kind(self) -> str:
        """The model's kind, `lists` for a foreign teacher."""
        return str(self.facts.get("kind") or "unknown")

    def number(self, *keys: str) -> float | None:
        """A number of `model.json` under nested keys, None where it is missing or not finite."""
        value: Any = self.facts
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        return finite(value)

    def metric(self, name: str) -> float | None:
        """The mean of a metric, of one half of the items too, None where it is missing or undefined."""
        return finite(self.metrics.get(name, self.halves.get(name)))

    def row(self) -> Json:
        """The model's row of `report.json`."""
        latency = {key: self.number("latency_ms", key) for key in ("p50", "p99")}
        members = {"members": self.facts["members"]} if "members" in self.facts else {}
        return {
            "role": self.role,
            "kind": self.kind,
            "parameters": self.facts.get("parameters"),
            "bytes": self.facts.get("bytes"),
            "metrics": {name: finite(value) for name, value in self.metrics.items()},
            "halves": {
                half: {
                    name.partition("/")[2]: finite(self.halves[name]) for name in self.halves if name.startswith(half)
                }
                for half in HALVES
            },
            "train_seconds": self.number("train_seconds"),
            "latency_ms": latency,
            "users_per_second": self.number("users_per_second"),
            "folder": self.folder.name,
            "epochs": self.facts.get("epochs"),
            "best_epoch": self.facts.get("best_epoch"),
            "config": self.facts.get("config") or {},
            **members,
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """A paired comparison over users: metric of `a` less metric of `b`."""

    a: str
    b: str
    metric: str
    difference: float | None
    low: float | None
    high: float | None
    p_value: float | None

    @property
    def significant(self) -> bool:
        """Whether the difference is significant at the five per cent level."""
        return self.p_value is not None and self.p_value < SIGNIFICANCE

    def turned(self) -> Comparison:
        """The same comparison the other way round: metric of `b` less metric of `a`."""
        difference, low, high = (None if one is None else -one for one in (self.difference, self.high, self.low))
        return Comparison(self.b, self.a, self.metric, difference, low, high, self.p_value)

    def row(self) -> Json:
        """The comparison's row of `report.json`."""
        return {
            "a": self.a,
            "b": self.b,
            "metric": self.metric,
            "difference": self.difference,
            "low": self.low,
            "high": self.high,
            "p_value": self.p_value,
        }


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """Models that were made from the same data and are measured on the same test users."""

    name: str
    models: tuple[Model, ...]
    comparisons: tuple[Comparison, ...] = ()
    data: Json = field(default_factory=dict)
    config: Json = field(default_factory=dict)
    config_text: str = ""
    made: Json = field(default_factory=dict)
    """Seconds and memory of the run (`run.json`)."""
    activity: pl.DataFrame | None = None
    """`user_id`, `interactions` in training."""
    items: pl.DataFrame | None = None
    """`item_id`, `interactions` in training, `title` where the data has titles."""
    targets: pl.DataFrame | None = None
    """`user_id`, `item_id` of the test."""
    warnings: tuple[str, ...] = ()
    """What speaks against the result, a sentence each; see `rankdistill.report.doubts`."""

    def model(self, role: str) -> Model | None:
        """The first model of a role."""
        return next((model for model in self.models if model.role == role), None)

    def metric_names(self) -> list[str]:
        """All metrics of all models, in the order in which they were asked for."""
        return list(dict.fromkeys(name for model in self.models for name in model.metrics))

    def half_metric_names(self) -> list[str]:
        """All metrics of popular and unpopular items, as they are compared: `head/ndcg@10`, ..., `tail/map`."""
        return list(dict.fromkeys(name for model in self.models for name in model.halves))

    def main_metric(self) -> str | None:
        """The metric that headlines speak of."""
        return main_metric(self.metric_names())

    def comparison(self, a: str, b: str, metric: str | None) -> Comparison | None:
        """The comparison of two roles in a metric, None where it was not made."""
        for made in self.comparisons:
            if (made.a, made.b, made.metric) == (a, b, metric) and made.difference is not None:
                return made
        return None

    def label(self, model: Model) -> str:
        """A model's name in tables and plots, with its folder where its role occurs more than once."""
        name = role_name(model.role)
        several = sum(other.role == model.role for other in self.models) > 1
        return f"{name}, {model.folder.name}" if several else name


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """All that the page, the Markdown and the JSON are made from."""

    runs: tuple[Run, ...]

    def json(self) -> Json:
        """The content of `report.json`: the data, one row a model, the comparisons."""
        first = self.runs[0]
        several = len(self.runs) > 1
        data = {key: first.data.get(key) for key in ("users", "items", "interactions")} | first.data
        return {
            "data": data,
            "rows": [_named(run, model.row(), several) for run in self.runs for model in run.models],
            "comparisons": [_named(run, made.row(), several) for run in self.runs for made in run.comparisons],
            "runs": [
                {
                    "name": run.name,
                    "data": run.data,
                    "seed": run.config.get("seed"),
                    "warnings": list(run.warnings),
                    **run.made,
                }
                for run in self.runs
            ],
        }


def main_metric(names: Collection[str]) -> str | None:
    """The metric that headlines speak of: nDCG@10 where it was measured, else the nearest to it.

    >>> main_metric(["map", "ndcg_kdd18@5", "ndcg@5"]), main_metric([])
    ('ndcg@5', None)
    """
    likely = [
        *[n for n in names if n.startswith("ndcg@")],
        *[n for n in names if n.startswith("ndcg")],
        "map",
    ]
    return next((name for name in ["ndcg@10", *likely, *names] if name in names), None)


def role_name(role: str) -> str:
    """The word for a role in running text and labels."""
    return {"teacher": "Teacher", "student": "Plain student", "distilled": "Distilled"}.get(role, role)


def finite(value: object) -> float | None:
    """A number, None for anything that is not a finite one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def _named(run: Run, row: Json, several: bool) -> Json:
    return {**row, "run": run.name} if several else row
