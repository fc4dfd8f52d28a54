"""What a compression came to, as JSON, Markdown and sentences."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rankdistill.evaluation.compare import bootstrap_means, compare
from rankdistill.evaluation.evaluate import Evaluation
from rankdistill.ids import IdMap
from rankdistill.model_folder import load_card
from rankdistill.report.numerals import interval, metric_name, p_value, percent, portion
from rankdistill.report.numerals import metric as figure
from rankdistill.runs import EVALUATION
from rankdistill.tuning.goal import MEGABYTE, Goal
from rankdistill.tuning.output import differing, settings_in_words
from rankdistill.tuning.space import Point, Space
from rankdistill.tuning.trials import Ledger, Trial
from rankdistill.types import Json

if TYPE_CHECKING:
    from rankdistill.tuning.smallest import Smallest

_RESAMPLES = 10_000


def of_search(ledger: Ledger, strategy: Smallest, space: Space, own: Point, teacher: float | None) -> Json:
    """The goal, the trials from the smallest student on, and what was chosen or came closest."""
    chosen = strategy.chosen(ledger.trials)
    finite = strategy.teacher_bytes < float("inf")
    trials = sorted((each for each in ledger.trials if each.bytes is not None), key=lambda each: each.bytes or 0)
    return {
        "goal": {"asked": str(strategy.goal), **strategy.goal.as_json()},
        "met": chosen is not None,
        "teacher": {"validation": teacher, "bytes": int(strategy.teacher_bytes) if finite else None},
        "needed": strategy.least,
        "space": {address: str(tunable) for address, tunable in space.items()},
        "given": own,
        "seconds": round(ledger.seconds, 1),
        "chosen": _row(chosen or strategy.closest(ledger.trials), strategy),
        "trials": [_row(trial, strategy) for trial in trials],
        "failed": sum(trial.state == "failed" for trial in ledger.trials),
    }


def _row(trial: Trial, strategy: Smallest) -> Json:
    return {
        "number": trial.number,
        "state": trial.state,
        "validation": trial.value,
        "parameters": trial.parameters,
        "bytes": trial.bytes,
        "latency_ms": trial.latency_ms,
        "epochs": trial.epochs,
        "best_epoch": trial.best_epoch,
        "seconds": trial.seconds,
        "met": strategy.meets(trial),
        "missed": strategy.missed(trial),
        "settings": trial.point,
    }


def of_run(folder: Path, goal: Goal, least: float | None, users: IdMap) -> Json:
    """The figures of the final run, and how sure it is that each of the two students is within the goal.

    `sure` and `plain` are None where the test users have no lists of the teacher; `gained` is there always.

    Args:
        folder: of the run.
        goal: what the student is to be.
        least: what its metric must reach on the validation users, where it is asked for any.
        users: their ids.
    """
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    rows = [{key: row.get(key) for key in _KEPT} for row in report["rows"]]
    distilled, student = (Evaluation.read(folder / role / EVALUATION, users) for role in ("distilled", "student"))
    sure = plain = None
    if (known := folder / "teacher" / EVALUATION).exists():
        teacher = Evaluation.read(known, users)
        sure, plain = (sureness(each, teacher, goal) for each in (distilled, student))
    card = load_card(folder / "distilled")
    return {
        "test": rows,
        "sha256": card["sha256"],
        "sure": sure,
        "plain": plain,
        "gained": gained(distilled, student, goal.metric),
        "warnings": [*lacking(card, goal, least), *report["runs"][0]["warnings"]],
        "report": str(folder / "report.html"),
    }


def lacking(card: Json, goal: Goal, least: float | None) -> list[str]:
    """What the final student, as it was trained and measured at last, lacks of what its trial had."""
    name, found, needed = metric_name(goal.metric), (card.get("validation") or {}).get(goal.metric), least
    lines = []
    if found is not None and needed is not None and found < needed:
        lines.append(f"the final student has {name} {found:.4g} on the validation users, and {needed:.4g} is needed")
    latency = card["latency_ms"]["p50"]
    if goal.under_ms is not None and latency > goal.under_ms:
        lines.append(f"the final student took {latency:.3f} ms a query when it was measured again")
    return lines


def looks(earlier: Json, found: Json) -> int:
    """How many students the test users have been shown in a folder whose last outcome was `earlier`."""
    before: int = earlier.get("looks", 0)
    return before if before and earlier.get("sha256") == found["sha256"] else before + 1


_KEPT = ("role", "kind", "parameters", "bytes", "metrics", "halves", "latency_ms", "train_seconds")


def sureness(distilled: Evaluation, teacher: Evaluation, goal: Goal) -> Json:
    """How much of the teacher's metric is lost on the test users, from 10,000 paired resamples of them.

    `probability` is the share of resamples in which the student is within the goal.
    """
    pairs = np.stack([each.values[goal.metric] for each in (distilled, teacher)], axis=1)
    means = bootstrap_means(pairs, _RESAMPLES, np.random.default_rng(0))
    lost = 1 - means[:, 0] / means[:, 1]
    low, high = np.quantile(lost, [0.025, 0.975])
    whole = pairs.mean(0)
    return {
        "metric": goal.metric,
        "lost": float(1 - whole[0] / whole[1]),
        "low": float(low),
        "high": float(high),
        "probability": None if goal.within is None else float((lost <= goal.within).mean()),
        "users": len(pairs),
    }


def gained(distilled: Evaluation, student: Evaluation, metric: str) -> Json:
    """How much better on the test users the student is that was distilled, from 10,000 paired resamples of them."""
    means = {"distilled": distilled.mean()[metric], "plain": student.mean()[metric]}
    return means | asdict(compare(distilled, student, metric, samples=_RESAMPLES))


def sentences(found: Json, out: Path) -> list[str]:
    """What came of it, for somebody who reads nothing else."""
    name, chosen = metric_name(found["goal"]["metric"]), found["chosen"]
    size = _size(chosen, found["teacher"]["bytes"])
    quality = f"{name} {figure(chosen['validation'])} on the validation users{_share(chosen, found)}"
    if not found["met"]:
        trials = f"{len(found['trials'])} trial{'' if len(found['trials']) == 1 else 's'}"
        return [
            f"no student met {found['goal']['asked']} in {trials}; the closest is trial {chosen['number']}: "
            f"{size}, {quality}" + (f"; {figure(found['needed'])} is needed" if found["needed"] is not None else ""),
            _missed(chosen, name),
            _settings(chosen, found),
            "give it more --minutes or --trials, a larger student, another method, or a goal that is less tight",
            f"`rankdistill run {out / 'closest.toml'}` makes it",
        ]
    sought = "the best student that fits" if found["goal"]["within"] is None else "the smallest student that meets"
    lines = [
        f"{sought} {found['goal']['asked']}: {size}, {quality} (trial {chosen['number']} of {len(found['trials'])})",
        _settings(chosen, found),
    ]
    lines += _on_test(found)
    return [*lines, *(f"warning: {warning}" for warning in found.get("warnings", ()))]


def _missed(row: Json, name: str) -> str:
    """Which part of the goal a trial misses, and by how much; `name` is that of the metric."""
    of = {"--within": f" of the {name} that is needed"}
    parts = [f"{option} by {portion(share, 1)}{of.get(option, '')}" for option, share in row["missed"].items()]
    return f"it misses {' and '.join(parts)}" if parts else "it was cut short, and so does not count"


def _on_test(found: Json) -> list[str]:
    """What the two students reach on the test users: beside the teacher, or each other where it is not known there."""
    sure, gained, trials = found["sure"], found["gained"], len(found["trials"])
    times = "once" if found["looks"] == 1 else f"{found['looks']} times, for as many students"
    seen = f"on the {gained['users']:,} test users, looked at {times}, its {metric_name(gained['metric'])} is"
    if sure is None:
        return [f"{seen} {figure(gained['distilled'])}", _beside_plain(gained)]
    lines = [f"{seen} {_against(sure)}"]
    if sure["probability"] is not None:
        lines.append(
            f"it is within {100 * found['goal']['within']:.4g}% with a probability of {sure['probability']:.2f} "
            f"(10,000 paired resamples of these users alone: {_left_out(trials)} left out)"
        )
    return [*lines, _of_plain(found)]


def _beside_plain(gained: Json) -> str:
    """How the student that was distilled differs from the one of the same size and settings that was not."""
    difference, ends = figure(gained["difference"], sign=True), interval(gained["low"], gained["high"])
    return (
        f"the plain student of that size, which has no teacher, has {figure(gained['plain'])}: distilling makes a "
        f"difference of {difference} {ends}, {p_value(gained['p_value'])}, paired over these users"
    )


def _settings(row: Json, found: Json) -> str:
    changed = settings_in_words(differing(row["settings"], found["given"]))
    return f"its settings, where they are not the experiment's: {changed or 'nowhere'}"


def _left_out(trials: int) -> str:
    seed = "what another seed would give"
    return f"{seed} is" if trials == 1 else f"{seed}, and that it is the choice among {trials} trials, is"


def _against(sure: Json) -> str:
    gained, low, high = (-sure[key] for key in ("lost", "high", "low"))
    side = "above" if gained > 0 else "below"
    interval = ", ".join(percent(each, sign=True, decimals=1) for each in (low, high))
    return f"{percent(abs(gained), decimals=1)} {side} the teacher's [{interval}]"


def _of_plain(found: Json) -> str:
    """What the student of the same size and settings reaches that learned from no teacher."""
    plain, within = found["plain"], found["goal"]["within"]
    line = f"the plain student of that size, which has no teacher, is {_against(plain)}"
    if within is None:
        return line
    met = plain["lost"] <= within
    return f"{line} and is within {100 * within:.4g}%, too" if met else f"{line} and is not within {100 * within:.4g}%"


def _share(chosen: Json, found: Json) -> str:
    teacher = found["teacher"]["validation"]
    return "" if not teacher else f", {100 * chosen['validation'] / teacher:.1f}% of the teacher's {figure(teacher)}"


def _size(row: Json, teacher: int | None) -> str:
    of_teacher = f" ({100 * row['bytes'] / teacher:.1f}% of the teacher's)" if teacher else ""
    latency = "" if row["latency_ms"] is None else f", {row['latency_ms']:.3f} ms a query"
    return f"{row['parameters']:,} parameters in {row['bytes'] / MEGABYTE:.3g} MB{of_teacher}{latency}"


def markdown(found: Json) -> str:
    """The same as a page."""
    name = metric_name(found["goal"]["metric"])
    page = [f"# {found['goal']['asked']}", "", *(f"- {line}" for line in found["sentences"]), ""]
    if "test" in found:
        metric = found["goal"]["metric"]
        page += [
            f"| on the test users | {name} | nDCG@10, popular items | unpopular | parameters | bytes |",
            "|---|---:|---:|---:|---:|---:|",
        ]
        page += [
            f"| {row['role']} | {_cell(row['metrics'].get(metric))} | {_half(row, 'head')} | {_half(row, 'tail')} | "
            f"{_whole(row['parameters'])} | {_whole(row['bytes'])} |"
            for row in found["test"]
        ]
        page += ["", "The plain student has the settings of the distilled one, which were chosen for that one.", ""]
    page += [
        f"| trial | {name} on validation users | met | ended | bytes | parameters | epochs | s | other settings |",
        "|---:|---:|---|---|---:|---:|---:|---:|---|",
    ]
    page += [
        f"| {row['number']} | {_cell(row['validation'])} | {'yes' if row['met'] else 'no'} | {row['state']} | "
        f"{_whole(row['bytes'])} | {_whole(row['parameters'])} | {row['epochs']} | {row['seconds']:.0f} | "
        f"{settings_in_words(differing(row['settings'], found['given']))} |"
        for row in found["trials"]
    ]
    page += ["", f"The experiment's own settings: {settings_in_words(found['given'])}."]
    return "\n".join([*page, ""])


def _half(row: Json, half: str) -> str:
    return _cell(((row["halves"] or {}).get(half) or {}).get("ndcg@10"))


def _whole(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
