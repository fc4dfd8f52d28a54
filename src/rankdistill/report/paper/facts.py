"""The rest of the tables: size and speed, the settings that were tried, where the numbers come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rankdistill.report.numerals import (
    count,
    duration,
    megabytes,
    metric,
    metric_name,
    milliseconds,
    percent,
    seconds,
    whole,
)
from rankdistill.report.paper.results import Results, listed, number, objects, section, word
from rankdistill.types import Json

COST_HEADS = ("Parameters", "of its teacher’s", "Size", "All users", "of its teacher’s", "A query", "99th percentile")


@dataclass(frozen=True, slots=True)
class Cost:
    """What a model weighs and how fast it answers: pairs of ours and published, the latter often empty."""

    name: str
    role: str
    cells: tuple[tuple[str, str], ...]


def costs(results: Results) -> tuple[Cost, ...]:
    """A row a model, in the columns `COST_HEADS`; those other than the teachers as shares of their teacher."""
    rows = objects(results.data, "inference")
    return tuple(_cost(row, _teacher(row, rows)) for row in rows)


def _teacher(row: Json, rows: Sequence[Json]) -> Json | None:
    if row.get("role") == "teacher" or not row.get("family"):
        return None
    family = [one for one in rows if one.get("family") == row["family"] and one.get("role") == "teacher"]
    return family[0] if family else None


def _cost(row: Json, teacher: Json | None) -> Cost:
    theirs = number(row, "published", "parameters")
    took = number(row, "published", "seconds")
    cells = (
        (whole(number(row, "parameters")), "" if theirs is None else count(theirs)),
        _ratio(row, teacher, "parameters", "parameters"),
        (megabytes(number(row, "bytes")), ""),
        (seconds(number(row, "seconds_all_users")), "" if took is None else seconds(took)),
        _ratio(row, teacher, "seconds_all_users", "seconds"),
        (milliseconds(number(row, "p50_ms")), ""),
        (milliseconds(number(row, "p99_ms")), ""),
    )
    return Cost(word(row, "name") or "unnamed", word(row, "role") or "baseline", cells)


def _ratio(row: Json, teacher: Json | None, ours: str, published: str) -> tuple[str, str]:
    if teacher is None:
        return "", ""
    mine = _share(number(row, ours), number(teacher, ours))
    theirs = _share(number(row, "published", published), number(teacher, "published", published))
    return percent(mine, decimals=1), "" if theirs is None else percent(theirs, decimals=1)


def _share(part: float | None, whole_: float | None) -> float | None:
    return part / whole_ if part is not None and whole_ else None


def cost_users(results: Results) -> str:
    """For how many users the lists were timed."""
    return " or ".join(dict.fromkeys(whole(number(row, "users")) for row in objects(results.data, "inference")))


@dataclass(frozen=True, slots=True)
class Try:
    """Settings that were tried on validation data."""

    settings: str
    value: str
    epoch: str
    tags: tuple[str, ...]
    """`chosen`, `published`."""


@dataclass(frozen=True, slots=True)
class Search:
    """All that was tried for a family."""

    family: str
    tries: tuple[Try, ...]


def search_metric(results: Results) -> str:
    """What the settings were chosen by: the metric and the part of the data."""
    search = section(results.data, "search")
    return f"{metric_name(word(search, 'metric') or 'map')} on the {word(search, 'part') or 'validation'} part"


def searches(results: Results) -> tuple[Search, ...]:
    """The families for which settings were tried."""
    families = objects(section(results.data, "search"), "families")
    found = [Search(word(one, "family"), tuple(_try(row) for row in objects(one, "rows"))) for one in families]
    return tuple(one for one in found if one.tries)


def _try(row: Json) -> Try:
    tags = tuple(tag for tag in ("chosen", "published") if row.get(tag) is True)
    return Try(word(row, "settings"), metric(number(row, "value")), whole(number(row, "epoch")), tags)


def provenance(results: Results) -> list[tuple[str, str]]:
    """What is needed to make the results again, and to know that they are the same."""
    given = results.data
    made, data = section(given, "made"), section(given, "data")
    machine = section(made, "machine")
    versions = section(made, "versions")
    rows = [
        ("Again with", word(given, "command")),
        ("Seeds", ", ".join(str(seed) for seed in listed(given, "seeds"))),
        ("Epochs", word(given, "epochs")),
        ("Data", _data(data)),
        ("Split", word(data, "split")),
        ("Data fingerprint", word(data, "fingerprint")),
        ("Machine", _machine(machine)),
        ("Trainings", _trainings(made)),
        ("Training time", _time(number(made, "train_seconds"), "in all trainings together")),
        ("Wall time", _time(number(made, "wall_seconds"), "")),
        ("Made on", word(made, "date")),
        ("Versions", ", ".join(f"{name} {version}" for name, version in versions.items())),
    ]
    return [(name, value) for name, value in rows if value]


def _data(data: Json) -> str:
    names = ("users", "items", "interactions", "training_queries", "test_users")
    counts = [f"{whole(number(data, key))} {key.replace('_', ' ')}" for key in names if number(data, key) is not None]
    parts = [whole(number(data, key)) for key in ("train", "test")]
    split = [f"{' / '.join(parts)} train / test"] if number(data, "train") and number(data, "test") else []
    name = word(data, "name")
    return f"{name}{': ' if name and counts else ''}{', '.join(counts + split)}"


def _machine(machine: Json) -> str:
    device = word(machine, "device")
    units = [(number(machine, key), key) for key in ("cores", "jobs", "threads")]
    told = [word(machine, "processor"), *(_counted(value, key) for value, key in units if value is not None)]
    return ", ".join(one for one in (*told, f"device {device}" if device else "") if one)


def _trainings(made: Json) -> str:
    count, taken = number(made, "trainings"), number(made, "taken_from_earlier_results")
    told = f", of which {whole(taken)} were taken from an earlier run with the same settings and data" if taken else ""
    return "" if count is None else f"{whole(count)}{told}"


def _counted(value: float, plural: str) -> str:
    return f"{whole(value)} {plural.removesuffix('s') if value == 1 else plural}"


def _time(value: float | None, note: str) -> str:
    return "" if value is None else f"{duration(value)} {note}".strip()
