"""The facts in rows and columns, already in words: shared by the page and the Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rankdistill.report.numerals import (
    HALF_NAMES,
    MISSING,
    count,
    duration,
    interval,
    kind_name,
    megabytes,
    metric,
    metric_name,
    milliseconds,
    p_value,
    whole,
)
from rankdistill.report.run import PAIRS, ROLES, Comparison, Model, Run, main_metric, role_name
from rankdistill.types import Json


@dataclass(frozen=True, slots=True)
class Difference:
    """A comparison as a table shows it."""

    mark: str
    """▲ significantly better, ▼ significantly worse, ≈ neither."""
    value: str
    interval: str
    p_value: str
    verdict: str
    """The mark in a word: better, worse, same."""


@dataclass(frozen=True, slots=True)
class Quality:
    """A metric's row: a value a model, a difference a pair."""

    name: str
    values: tuple[str, ...]
    best: frozenset[int]
    """The places of the highest value as it is written; none where all values are written alike."""
    differences: tuple[Difference | None, ...]


@dataclass(frozen=True, slots=True)
class Card:
    """A titled list of settings."""

    title: str
    role: str
    name: str
    facts: tuple[tuple[str, str], ...]


def cost_heads(run: Run) -> tuple[str, ...]:
    """The heads of the columns of `costs`."""
    main = run.main_metric()
    sizes = ("Parameters", "Size", "ms a query", "99th percentile", "Users a second", "Training", "Epochs")
    return ("Kind", metric_name(main) if main else "Quality", *sizes)


def costs(run: Run) -> list[tuple[Model, tuple[str, ...]]]:
    """How well each model ranks, and what it costs, in the columns `cost_heads`."""
    return [(model, _cost(run, model)) for model in run.models]


def standing(run: Run) -> tuple[tuple[Difference, str], ...]:
    """How the distilled student stands to the other models in the main metric."""
    found = [(difference(run.comparison("distilled", other, run.main_metric())), other) for other in ROLES]
    return tuple((one, role_name(other).lower()) for one, other in found if one is not None)


def _cost(run: Run, model: Model) -> tuple[str, ...]:
    main = run.main_metric()
    epochs = model.facts.get("epochs")
    best = model.facts.get("best_epoch")
    kept = f"{best} of {epochs}" if best and epochs and best != epochs else str(epochs) if epochs else MISSING
    return (
        kind_name(model.kind),
        metric(model.metric(main) if main else None),
        count(model.number("parameters")),
        megabytes(model.number("bytes")),
        milliseconds(model.number("latency_ms", "p50")),
        milliseconds(model.number("latency_ms", "p99")),
        count(model.number("users_per_second")),
        duration(model.number("train_seconds")),
        kept,
    )


def pairs(run: Run) -> list[tuple[str, str]]:
    """The pairs of roles that were compared."""
    made = {(comparison.a, comparison.b) for comparison in run.comparisons}
    return [pair for pair in PAIRS if pair in made]


def pair_name(pair: tuple[str, str]) -> str:
    """A pair as a table head."""
    return f"{role_name(pair[0])} − {role_name(pair[1]).lower()}"


def qualities(run: Run) -> list[Quality]:
    """All metrics, the models in the run's order and the pairs in the order of `pairs`."""
    return [_quality(run, name, metric_name(name)) for name in run.metric_names()]


def halves(run: Run) -> list[Quality]:
    """The metrics of popular and of unpopular items, as `qualities`."""
    rows = []
    for name in run.half_metric_names():
        half, _, measure = name.partition("/")
        half = HALF_NAMES.get(half, half).removesuffix(" items")
        rows.append(_quality(run, name, f"{metric_name(measure)}, {half}"))
    return rows


def halves_words(data: Json) -> str:
    """What the halves of some data are."""
    popular, items = data.get("popular_items"), data.get("items")
    known = f" ({whole(popular)} of {whole(items)})" if popular is not None and items is not None else ""
    return (
        f"Popular are the most popular items{known} that together hold half of all training interactions. In each half "
        f"a user’s targets of that half count, at their ranks in the whole catalogue; users without one are left out."
    )


def _quality(run: Run, name: str, title: str) -> Quality:
    values = [model.metric(name) for model in run.models]
    differences = tuple(difference(run.comparison(*pair, name)) for pair in pairs(run))
    return Quality(title, tuple(metric(value) for value in values), _best(values), differences)


def _best(values: Sequence[float | None]) -> frozenset[int]:
    known = {place: value for place, value in enumerate(values) if value is not None}
    if len({metric(value) for value in known.values()}) < 2:
        return frozenset()
    highest = metric(max(known.values()))
    return frozenset(place for place, value in known.items() if metric(value) == highest)


def difference(made: Comparison | None) -> Difference | None:
    """A comparison in words, None where there is none."""
    if made is None or made.difference is None:
        return None
    better = made.difference > 0
    mark, word = ("▲", "better") if better else ("▼", "worse")
    if not made.significant:
        mark, word = "≈", "same"
    value = metric(made.difference, sign=True)
    return Difference(mark, value, interval(made.low, made.high), p_value(made.p_value), word)


def cards(run: Run) -> list[Card]:
    """What was distilled from what: the data, the teacher, the method, the student."""
    found = [_data_card(run)] if run.data else []
    teacher, student = run.model("teacher"), run.model("distilled") or run.model("student")
    if teacher is not None:
        given = run.config.get("teacher")
        own = given.get("ranking_loss") if isinstance(given, dict) else None
        card = _model_card("Teacher", "teacher", teacher)
        found.append(replace(card, facts=(*card.facts, ("ranking loss", _described(own)))) if own else card)
    method = run.config.get("distillation") or {}
    if method and run.model("distilled") is not None:
        settings = {key: value for key, value in method.items() if key != "kind"}
        name = kind_name(str(method.get("kind", "ranking_distillation")))
        loss = run.config.get("ranking_loss") or {}
        about = {"ranking loss": _described(loss)} if loss else {}
        found.append(Card("Method", "method", name, tuple(_settings(settings | about))))
    if student is not None:
        found.append(_model_card("Student", student.role, student))
    return found


def _data_card(run: Run) -> Card:
    data = run.data
    counts = [(key, whole(data[key])) for key in ("users", "items", "interactions") if data.get(key) is not None]
    parts = [whole(data[key]) for key in ("train", "validation", "test") if data.get(key) is not None]
    rows = [*counts, ("split", str(data.get("split") or MISSING))]
    if len(parts) == 3:
        rows.append(("train / validation / test", " / ".join(parts)))
    if data.get("targets") is not None:
        rows.append(("test", f"{whole(data['targets'])} targets of {whole(data.get('test_users'))} users"))
    if data.get("unseen_targets"):
        rows.append(("targets never seen in training", whole(data["unseen_targets"])))
    if data.get("history_length") is not None:
        fewest = f"{data['min_history']} to " if data.get("min_history") is not None else ""
        rows.append(("window", f"{fewest}{data['history_length']} items → {data.get('target_length', 1)}"))
    return Card("Data", "data", str(data.get("name") or "unnamed"), tuple(rows))


def _model_card(title: str, role: str, model: Model) -> Card:
    rows = []
    if model.number("parameters") is not None:
        rows.append(("parameters", whole(model.number("parameters"))))
    members = model.facts.get("members") or []
    settings = {key: value for key, value in (model.facts.get("config") or {}).items() if key != "kind"}
    if members:
        settings = {"combined by": str(model.facts.get("combine")).replace("_", " ")}
    facts = (*rows, *_settings(settings), *(_member(each) for each in members))
    return Card(title, role, kind_name(model.kind), facts)


def _member(member: Json) -> tuple[str, str]:
    """One of several teachers: what it is, how much it counts, and what it reaches and costs alone."""
    told = [kind_name(str(member.get("kind"))), f"weight {_written(member.get('weight'))}"]
    main = main_metric(member.get("metrics") or {})
    if main is not None:
        told.append(f"{metric_name(main)} {metric(member['metrics'][main])}")
    if member.get("parameters") is not None:
        told += [f"{count(member['parameters'])} parameters", megabytes(member.get("bytes"))]
    return f"member {member.get('number')}", ", ".join(told)


def _settings(mapping: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for key, value in mapping.items():
        if value is not None and not isinstance(value, dict):
            yield key.replace("_", " "), _written(value)


def _described(section: Json) -> str:
    rest = ", ".join(f"{key.replace('_', ' ')} {_written(value)}" for key, value in section.items() if key != "kind")
    return f"{section.get('kind', '')}{f' ({rest})' if rest else ''}"


def _written(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    return ", ".join(_written(part) for part in value) if isinstance(value, list | tuple) else str(value)


def provenance(run: Run) -> list[tuple[str, str]]:
    """What is needed to make the run again, and to know that it is the same one."""
    facts = [model.facts for model in run.models]
    versions = {name: str(v) for one in facts for name, v in (one.get("versions") or {}).items()}
    seconds = [model.number("train_seconds") for model in run.models]
    known = [value for value in seconds if value is not None]
    marks = [run.data.get("fingerprint"), *(one.get("fingerprint") for one in facts)]
    rows = [
        ("Seed", str(run.config["seed"]) if "seed" in run.config else None),
        ("Data fingerprint", _distinct(marks)),
        ("Device", _distinct(one.get("device") for one in facts)),
        ("Threads", _distinct(one.get("threads") for one in facts)),
        ("Training time", f"{duration(sum(known))} in all" if known else None),
        ("Last run", _last_run(run)),
        ("Versions", ", ".join(f"{name} {version}" for name, version in versions.items()) or None),
        ("Again with", "rankdistill run config.toml --out DIR" if run.config else None),
    ]
    return [(name, value) for name, value in rows if value]


def _last_run(run: Run) -> str | None:
    """Wall time and memory of the last `rankdistill run`, and whether it found stages already done."""
    seconds, memory = run.made.get("seconds"), run.made.get("peak_memory_bytes")
    if seconds is None or memory is None:
        return None
    skipped = run.made.get("skipped") or []
    rest = f" ({', '.join(skipped)} done before)" if skipped else ""
    return f"{duration(seconds)}, at most {megabytes(memory)} of memory{rest}"


def _distinct(values: Iterable[object]) -> str | None:
    return ", ".join(dict.fromkeys(str(value) for value in values if value is not None)) or None
