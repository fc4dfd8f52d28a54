"""The rows of `sweep.json` in words: shared by the page and the Markdown."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rankdistill.report.doubts import ALIKE, head_alone, teacher_no_better
from rankdistill.report.numerals import (
    HALF_NAMES,
    MISSING,
    count,
    kind_name,
    megabytes,
    metric,
    metric_name,
    milliseconds,
    percent,
    portion,
    whole,
)
from rankdistill.report.run import Comparison, finite
from rankdistill.report.tables import Difference, difference
from rankdistill.types import Json

FRONTS = {"bytes": "size", "latency": "latency"}
"""What a student may be on the front of, and the word for it."""


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the main table.

    Attributes:
        role: teacher, student or distilled.
        name: the settings that it has, in short.
        cells: in the columns `heads`, without the differences.
        spread: the lowest and highest value over the seeds, where there are several.
        differences: to its own plain student, and to the teacher.
        fronts: what it is on the front of, in a word each.
    """

    role: str
    name: str
    cells: tuple[str, ...]
    spread: str
    differences: tuple[Difference | None, ...]
    fronts: tuple[str, ...]


def name_of(row: Json) -> str:
    """A student's settings in short.

    >>> name_of({"role": "distilled", "kind": "caser", "settings": {"student.dim": 8, "distillation.kind": "rrd"}})
    'dim 8, rrd'
    >>> name_of({"role": "student", "kind": "caser", "settings": {"student.dim": 8}})
    'dim 8, plain'
    >>> name_of({"role": "distilled", "kind": "caser", "settings": {"student.dim": 8}})
    'dim 8, distilled'
    """
    if row["role"] == "teacher":
        return f"Teacher, {kind_name(str(row['kind']))}"
    parts = [_setting(key, value) for key, value in row["settings"].items()]
    if row["role"] == "student":
        parts.append("plain")
    elif not any(key.partition(".")[0] == "distillation" for key in row["settings"]):
        parts.append("distilled")
    return ", ".join(parts)


def _setting(key: str, value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(_setting(each, one) for each, one in value.items())
    name, shown = key.rpartition(".")[2], f"{value:g}" if isinstance(value, float) else str(value)
    return shown if name == "kind" else f"{name.replace('_', ' ')} {shown}"


def quality_of(found: Json, row: Json) -> float | None:
    """The figure that students are compared by: of the validation part where there is one."""
    values = row["validation"] if found["quality"]["part"] == "validation" else row["metrics"]
    return finite((values or {}).get(found["quality"]["metric"]))


def test_of(found: Json, row: Json) -> float | None:
    """The same metric on the test part."""
    return finite(row["metrics"].get(found["quality"]["metric"]))


def heads(found: Json) -> tuple[str, ...]:
    """The heads of the columns `Line.cells`."""
    name = metric_name(found["quality"]["metric"])
    qualities = (f"{name}, validation", f"{name}, test") if _validated(found) else (name,)
    return ("Parameters", "Size", "ms a query", "99th percentile", "Users a second", *qualities)


def lines(found: Json) -> list[Line]:
    """The main table: the teacher, then each plain student with those that are distilled into it."""
    return [_line(found, row) for row in found["rows"]]


def _validated(found: Json) -> bool:
    return bool(found["quality"]["part"] == "validation")


def _line(found: Json, row: Json) -> Line:
    name, latency = found["quality"]["metric"], row["latency_ms"]
    qualities = [metric(quality_of(found, row))] if _validated(found) else []
    cells = (
        count(row["parameters"]),
        megabytes(row["bytes"]),
        milliseconds(latency["p50"]),
        milliseconds(latency["p99"]),
        count(row["users_per_second"]),
        *qualities,
        metric(test_of(found, row)),
    )
    spread = (row.get("spread") or {}).get(name)
    ends = f"{metric(spread[0])}–{metric(spread[1])}" if spread else ""
    against = tuple(_difference(row, other, name) for other in ("plain", "teacher"))
    fronts = tuple(word for cost, word in FRONTS.items() if row.get("front", {}).get(cost))
    return Line(row["role"], name_of(row), cells, ends, against, fronts)


def comparison(row: Json, other: str, name: str) -> Comparison | None:
    """A student against its plain one, or against the teacher; None where that was not compared."""
    made = row.get("against", {}).get(other, {}).get(name)
    return None if made is None else Comparison(row["role"], other, name, **made)


def _difference(row: Json, other: str, name: str) -> Difference | None:
    return difference(comparison(row, other, name))


def metric_rows(found: Json) -> list[tuple[str, ...]]:
    """All metrics on the test part, a row a student."""
    return [
        (name_of(row), *(metric(finite(row["metrics"].get(name))) for name in found["metrics"]))
        for row in found["rows"]
    ]


def half_heads(found: Json) -> tuple[str, ...]:
    """The heads of `half_rows`."""
    name = metric_name(_half_metric(found))
    return tuple(f"{name}, {half.removesuffix(' items')}" for half in HALF_NAMES.values())


def half_rows(found: Json) -> list[tuple[str, str, list[tuple[str, Difference | None]]]]:
    """A row a model: role and name, then for popular and for unpopular items a value and the difference to plain."""
    measure = _half_metric(found)
    return [
        (
            row["role"],
            name_of(row),
            [
                (metric(finite(values.get(measure))), _difference(row, "plain", f"{half}/{measure}"))
                for half, values in row["halves"].items()
            ],
        )
        for row in found["rows"]
        if any((row.get("halves") or {}).values())
    ]


def _half_metric(found: Json) -> str:
    """What the halves are compared by: the main metric where it is measured in them."""
    name = str(found["quality"]["metric"])
    known = {each for row in found["rows"] for half in (row.get("halves") or {}).values() for each in half}
    return name if name in known else "ndcg@10"


def failures(found: Json) -> list[str]:
    """The students that could not be trained, and why."""
    return [
        f"{name_of(row)}, seed {seed}: {reason}"
        for row in found["rows"]
        for seed, reason in (row.get("failed") or {}).items()
    ]


def headline(found: Json) -> str:
    """The best student beside its teacher."""
    students = [row for row in found["rows"][1:] if quality_of(found, row) is not None]
    if not students:
        return "No student has been trained."
    best = max(students, key=lambda row: quality_of(found, row) or 0.0)
    teacher, name = found["rows"][0], metric_name(found["quality"]["metric"])
    size = f" with {portion(best['bytes'] / teacher['bytes'])} of its bytes" if teacher["bytes"] else ""
    base, value = test_of(found, teacher), test_of(found, best)
    if not base or value is None:
        return f"The best student, {name_of(best)}, reaches {name} {metric(value)}."
    return f"The best student, {name_of(best)}, reaches {percent(value / base)} of the teacher’s {name}{size}."


def summary(found: Json) -> list[str]:
    """What was found and what speaks against it, in sentences."""
    return [*findings(found), *doubts(found)]


def findings(found: Json) -> list[str]:
    """How many students distillation made better, and by what they are compared."""
    name = found["quality"]["metric"]
    made = [one for row in found["rows"] if (one := comparison(row, "plain", name))]
    better = sum(one.significant and (one.difference or 0) > 0 for one in made)
    worse = sum(one.significant and (one.difference or 0) < 0 for one in made)
    told = [
        f"Distilled students that rank significantly better than the same student without a teacher: {better} of "
        f"{len(made)}; significantly worse: {worse} (p < .05 each; of many comparisons, some come out so by chance)."
    ]
    if _validated(found):
        told.append("Students are compared by the validation part; the test part had no say in which ones are marked.")
    return told


def doubts(found: Json) -> list[str]:
    """What speaks against the result, in sentences; the `warnings` of `sweep.json`."""
    told = [_teacher_no_better(found), *_popular_alone(found), _as_large(found), *_from_training(found)]
    if not _validated(found):
        told.append(
            "There is no validation part: whoever picks a student here picks it by the test data, and its figures are "
            "too good. Set [split] train_on_validation = false to choose by validation figures."
        )
    return [one for one in told if one]


def _teacher_no_better(found: Json) -> str:
    """Whether there was anything to learn from the teacher, by the plain student that would be chosen."""
    name, students = found["quality"]["metric"], [row for row in found["rows"] if row["role"] == "student"]
    best = max(students, key=lambda row: quality_of(found, row) or 0.0)
    base, value = test_of(found, found["rows"][0]), test_of(found, best)
    if base is None or value is None:
        return ""
    student = f"the best plain student ({name_of(best)}) on the test part"
    return teacher_no_better(student, name, base, value, comparison(best, "teacher", name))


def _popular_alone(found: Json) -> list[str]:
    """How many distilled students gain in popular items and nowhere else."""
    measure = _half_metric(found)
    rows = [row for row in found["rows"] if comparison(row, "plain", found["quality"]["metric"])]
    gains = [head_alone(*(comparison(row, "plain", f"{half}/{measure}") for half in HALF_NAMES)) for row in rows]
    return [
        f"Distilled students whose gain over the plain one {does} popular items alone: {popular} of {len(rows)}."
        for does in ("sits in", "is shown for")
        if (popular := gains.count(does))
    ]


def _as_large(found: Json) -> str:
    """How many students are no smaller than their teacher."""
    size, sized = found["rows"][0]["bytes"], [row for row in found["rows"][1:] if row["bytes"]]
    large = sum(row["bytes"] >= size * (1 - ALIKE) for row in sized) if size else 0
    return f"Students that are as large as their teacher, or larger: {large} of {len(sized)}." if large else ""


def _from_training(found: Json) -> list[str]:
    """What was said of the teacher's lists when students learned from them, and how many of them it is about."""
    learned = [row.get("warnings") or () for row in found["rows"] if row["role"] == "distilled" and row["metrics"]]
    said = Counter(itertools.chain(*learned))
    return [f"{warning} ({times} of {len(learned)} distilled students)." for warning, times in said.items()]


def caption(found: Json) -> str:
    """What the main table shows."""
    seeds, part = found["seeds"], found["quality"]["part"]
    several = f" Means over {len(seeds)} seeds, with the lowest and the highest value." if len(seeds) > 1 else ""
    return (
        f"Differences on the test part, paired by user, with 95 % intervals: ▲ better and ▼ worse at p < .05, "
        f"≈ no significant difference.{several} On the front: no other student is as small (or as "
        f"quick) and as good by {metric_name(found['quality']['metric'])} on the {part} part. Latency of one query on "
        f"one thread, each query with the quickest of three passes, measured one model after another when none was "
        f"being trained; for the front, students that compute the same count with the lowest of their medians, and two "
        f"digits count."
    )


def provenance(found: Json) -> list[tuple[str, str]]:
    """What is needed to make the sweep again."""
    data, machine = found["data"], found["machine"]
    rows = [
        ("Data", f"{data['name']}: {whole(data['users'])} users, {whole(data['items'])} items; {data['split']}"),
        ("Data fingerprint", str(data["fingerprint"])),
        ("Varied", "; ".join(f"{key}: {_listed(values)}" for key, values in found["axes"].items()) or MISSING),
        ("Seeds", _listed(found["seeds"])),
        ("Processor", f"{machine['processor']}, {machine['cores']} cores"),
        ("Versions", ", ".join(f"{name} {version}" for name, version in machine["versions"].items())),
    ]
    return rows


def _listed(values: Sequence[Any]) -> str:
    return ", ".join(_setting("kind", value) for value in values)
