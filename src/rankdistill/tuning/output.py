"""What a search found, as JSON and Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rankdistill.config.toml import to_value
from rankdistill.evaluation.compare import Comparison, compare
from rankdistill.evaluation.evaluate import Evaluation
from rankdistill.ids import IdMap
from rankdistill.report.numerals import interval, metric_name
from rankdistill.report.numerals import metric as figure
from rankdistill.tuning.space import Space, point_of
from rankdistill.tuning.trials import Ledger, Trial
from rankdistill.tuning.work import Job
from rankdistill.types import Json

_SURE = 0.05
"""The p-value below which two trials are told apart."""
_TRIALS_SHOWN = 10


def of_trials(ledger: Ledger, space: Space, best: Trial, template: Job) -> Json:
    """The trials, the best first, each with its difference to the best one over the validation users."""
    counted = [trial for trial in ledger.trials if trial.counts and trial.value is not None]
    order = sorted(counted, key=lambda trial: -(trial.value or 0.0))
    users = template.shared.split.user_ids
    behind = {trial.number: _difference(trial, best, template, users) for trial in order if trial is not best}
    near = [number for number, each in behind.items() if not each.p_value < _SURE]
    ended = {state: sum(trial.state == state for trial in ledger.trials) for state in ("stopped", "pruned", "failed")}
    return {
        "role": template.role,
        "metric": template.metric,
        "space": {address: str(tunable) for address, tunable in space.items()},
        "given": point_of(template.base, space),
        "seconds": round(ledger.seconds, 1),
        "trials": len(ledger.trials),
        **ended,
        "best": {"number": best.number, "value": best.value, "best_epoch": best.best_epoch, "settings": best.point},
        "as_given": next(({"number": each.number, "value": each.value} for each in counted if each.number == 1), None),
        "ranking": [
            {
                "number": trial.number,
                "value": trial.value,
                "epochs": trial.epochs,
                "seconds": trial.seconds,
                "settings": trial.point,
                **({} if trial is best else _shown(behind[trial.number])),
            }
            for trial in order
        ],
        "verdict": _verdict(best, behind, near, template, len(ledger.trials)),
    }


def _difference(trial: Trial, best: Trial, template: Job, users: IdMap) -> Comparison:
    one, other = (Evaluation.read(template.values_of(each.number), users) for each in (trial, best))
    return compare(one, other, template.metric, samples=1000)


def _shown(difference: Comparison) -> Json:
    return {
        "difference": difference.difference,
        "low": difference.low,
        "high": difference.high,
        "p_value": difference.p_value,
    }


def _verdict(best: Trial, behind: dict[int, Comparison], near: Sequence[int], template: Job, tried: int) -> list[str]:
    """How far apart the best ones are, in sentences."""
    name = metric_name(template.metric)
    lines = [f"best: trial {best.number}, {name} {figure(best.value or 0.0)} on the validation users"]
    if tried == 1:
        return [*lines, "the settings as they were given are all that was tried; more --trials or --minutes try others"]
    if best.number == 1:
        lines.append("nothing tried is better than the settings as they were given")
    elif 1 in behind:
        gain = behind[1]
        spread = interval(-gain.high, -gain.low)
        sure = "" if gain.p_value < _SURE else ", which may be chance"
        lines.append(f"that is {figure(-gain.difference, sign=True)} {spread} over the settings as given{sure}")
    numbers = f"trial{'s' if len(near) > 1 else ''} {', '.join(map(str, near))}"
    if near and len(behind) > 1:
        lines.append(
            f"{len(near)} of the other {len(behind)} cannot be told from it by these users (paired t-test, p >= .05): "
            f"{numbers}"
        )
    elif near:
        lines.append(f"{numbers} cannot be told from it by these users (paired t-test, p >= .05)")
    elif behind:
        others = f"each of the other {len(behind)}" if len(behind) > 1 else f"trial {next(iter(behind))}"
        lines.append(f"{others} is worse by more than chance among these users (p < .05)")
    lines.append("the best of many is a little lucky: its value on new users will be lower, which a run's test shows")
    return lines


def markdown(found: Json) -> str:
    """The trials as a page."""
    best = found["best"]["settings"]
    rows = [
        f"| {row['number']} | {figure(row['value'])} | {_to_best(row)} | {row['epochs']} | {row['seconds']:.0f} | "
        f"{settings_in_words(differing(row['settings'], found['given']))} |"
        for row in found["ranking"]
    ]
    trials = f"{found['trials']} trial{'' if found['trials'] == 1 else 's'}"
    counts = ", ".join(f"{found[state]} {state}" for state in ("stopped", "pruned", "failed") if found[state])
    return "\n".join(
        [
            f"# Settings of the {found['role']}",
            "",
            *(f"- {line}" for line in found["verdict"]),
            f"- {trials} in {found['seconds']:.0f} s{f' ({counts})' if counts else ''}",
            "",
            "| setting | searched | given | best |",
            "|---|---|---|---|",
            *(
                f"| `{key}` | {_cell(each)} | {_short(found['given'][key])} | {_short(best[key])} |"
                for key, each in found["space"].items()
            ),
            "",
            f"| trial | {metric_name(found['metric'])} | to the best | epochs | s | other settings |",
            "|---:|---:|---:|---:|---:|---|",
            *rows,
            "",
        ]
    )


def _to_best(row: Json) -> str:
    if "difference" not in row:
        return ""
    return f"{figure(row['difference'], sign=True)} {interval(row['low'], row['high'])}"


def differing(point: Json, given: Json) -> Json:
    """The settings of a point that are not the experiment's own."""
    return {key: value for key, value in point.items() if value != given[key]}


def settings_in_words(point: Json) -> str:
    """A point as a person reads it."""
    return ", ".join(f"{key} = {_short(value)}" for key, value in point.items())


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else to_value(value)


def _cell(text: str) -> str:
    return text.replace("|", "or")


def table(found: Json) -> tuple[list[str], list[list[object]]]:
    """Headings and rows of the best trials, for the command line."""
    names = _short_names(list(found["space"]))
    rows: list[list[object]] = [
        [
            row["number"],
            figure(row["value"]),
            row["epochs"],
            _in_short(differing(row["settings"], found["given"]), names),
        ]
        for row in found["ranking"][:_TRIALS_SHOWN]
    ]
    return ["trial", metric_name(found["metric"]), "epochs", "other settings"], rows


def _short_names(addresses: Sequence[str]) -> dict[str, str]:
    """The last part of each address, where no other one ends alike."""
    ends = [address.rpartition(".")[2] for address in addresses]
    return {address: end if ends.count(end) == 1 else address for address, end in zip(addresses, ends, strict=True)}


def _in_short(point: Json, names: Mapping[str, str]) -> str:
    """A point in a narrow column, which is folded between its settings."""
    told = (f"{names[key]}={value if isinstance(value, str) else _short(value)}" for key, value in point.items())
    return ", ".join(told) or "as given"


def path_of(out: Path) -> Path:
    """Where the page is."""
    return out / "trials.md"
