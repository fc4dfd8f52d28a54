"""Reads run folders and model folders; nothing is computed here but means."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from rankdistill.errors import CheckpointError, ConfigError
from rankdistill.owners import owner_of
from rankdistill.report.doubts import doubts
from rankdistill.report.pairing import paired
from rankdistill.report.run import LIST_DEPTH, ROLES, Comparison, Model, Report, Run, finite
from rankdistill.runs import EVALUATION, RANKINGS
from rankdistill.types import Json


def build(folders: Sequence[Path]) -> Report:
    """The report of run folders and model folders.

    A run folder brings its teacher, student and distilled student. A model folder that lies in a run folder
    is shown with that run's data and comparisons; model folders that lie elsewhere are shown together.

    Raises:
        ConfigError: no folder was given, or one is neither a run folder nor a model folder; that of another verb is
            named with where it has what it found.
        CheckpointError: a file of a folder is damaged.
    """
    if not folders:
        raise ConfigError("report: no folder was given; name a run folder or model folders")
    asked: dict[Path | None, list[Path]] = {}
    for folder in folders:
        for model in _model_folders(folder):
            home = model.resolve().parent
            asked.setdefault(home if _is_run(home) else None, []).append(model)
    names = _names([home for home in asked if home is not None])
    runs = [_run(home, models, names) for home, models in asked.items()]
    return Report(tuple(replace(run, warnings=doubts(run)) for run in runs))


def together(folders: Sequence[Path]) -> Run:
    """Model folders as one run, wherever they lie."""
    run = _run(None, folders, {})
    return replace(run, warnings=doubts(run))


def _names(homes: Sequence[Path]) -> dict[Path, str]:
    """The runs' names: their folders', with as many of the folders above as tell them apart."""
    depth = 1
    while len({home.parts[-depth:] for home in homes}) < len(homes):
        depth += 1
    return {home: "/".join(home.parts[-depth:]) for home in homes}


def _is_run(folder: Path) -> bool:
    return (folder / "data.json").is_file() or (folder / "comparisons.json").is_file()


def _model_folders(folder: Path) -> list[Path]:
    if (folder / "model.json").is_file():
        return [folder]
    owner = owner_of(folder)
    if owner is not None and owner.found:
        found = next((folder / name for name in owner.found if (folder / name).exists()), None)
        raise ConfigError(
            f"{folder}: is the folder of a {owner.name}, which is no run; "
            + (f"what it found is in {found}" if found else "its results are not in it: start it again to have them")
        )
    inside = [folder / role for role in ROLES if (folder / role / "model.json").is_file()]
    if not inside:
        wrong = "no such folder" if not folder.exists() else "neither a run folder nor a model folder"
        looked = ", ".join(f"{role}/model.json" for role in ROLES)
        raise ConfigError(f"{folder}: {wrong}; expected one of {looked} (a run) or model.json (a model)")
    return inside


def _run(home: Path | None, folders: Sequence[Path], names: Mapping[Path, str]) -> Run:
    models = tuple(_model(folder) for folder in dict.fromkeys(folders))
    if home is None:
        name = ", ".join(model.folder.name for model in models)
        return Run(name=name, models=models, comparisons=paired(models))
    config_text = _text(home / "config.toml")
    roles = {model.role for model in models}
    made = _comparisons(home / "comparisons.json")
    if made is None:
        made = paired(models)
    return Run(
        name=names[home],
        models=models,
        comparisons=tuple(one for one in made if {one.a, one.b} <= roles),
        data=_object(home / "data.json"),
        config=_toml(config_text, home / "config.toml"),
        config_text=config_text,
        made=_object(home / "run.json"),
        activity=_frame(home / "data" / "activity.parquet"),
        items=_frame(home / "data" / "items.parquet"),
        targets=_frame(home / "targets.parquet"),
    )


def _model(folder: Path) -> Model:
    facts = _object(folder / "model.json")
    evaluation = _frame(folder / EVALUATION)
    halves = _frame(folder / "evaluation-halves.parquet") if evaluation is not None else None
    rankings = _frame(folder / RANKINGS, depth=LIST_DEPTH)
    metrics = {} if evaluation is None else _means(evaluation)
    metrics |= {name: float(value) for name, value in (facts.get("totals") or {}).items() if value is not None}
    return Model(
        role=str(facts.get("role") or folder.name),
        folder=folder.resolve(),
        facts=facts,
        epochs=_epochs(folder / "metrics.jsonl"),
        metrics=metrics,
        users=0 if evaluation is None else len(evaluation),
        lists=None if rankings is None else rankings.select("user_id", "rank", "item_id"),
        halves={} if halves is None else _means(halves),
    )


def _means(evaluation: pl.DataFrame) -> dict[str, float]:
    """Means [metrics] over the users for whom a metric is defined; NaN where it is for none."""
    names = [name for name in evaluation.columns if name != "user_id"]
    if not names:
        return {}
    row = evaluation.select(pl.col(names).cast(pl.Float64).fill_nan(None).mean()).row(0, named=True)
    return {name: float("nan") if value is None else value for name, value in row.items()}


def _comparisons(path: Path) -> tuple[Comparison, ...] | None:
    rows = _json(path)
    if rows is None:
        return None
    if not isinstance(rows, list):
        raise _not_what_was_written(path, rows, "a list of comparisons")
    return tuple(_comparison(path, row) for row in rows)


def _comparison(path: Path, row: object) -> Comparison:
    if not isinstance(row, dict) or not all(isinstance(row.get(key), str) for key in ("a", "b", "metric")):
        raise _not_what_was_written(path, row, "a comparison with a, b and metric")
    numbers = {key: finite(row.get(key)) for key in ("difference", "low", "high", "p_value")}
    return Comparison(a=row["a"], b=row["b"], metric=row["metric"], **numbers)


def _epochs(path: Path) -> tuple[Json, ...]:
    lines = [line for line in _text(path).splitlines() if line.strip()]
    try:
        epochs = [json.loads(line) for line in lines]
    except json.JSONDecodeError as error:
        raise CheckpointError(f"{path}: a line is no JSON ({error}); was the file cut off?") from error
    for epoch in epochs:
        if not isinstance(epoch, dict):
            raise _not_what_was_written(path, epoch, "a JSON object")
    return tuple(epochs)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8") if path.is_file() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path}: cannot be read ({error})") from error


def _object(path: Path) -> Json:
    """The JSON object of a file, empty where there is no file."""
    value = _json(path)
    if value is not None and not isinstance(value, dict):
        raise _not_what_was_written(path, value, "a JSON object")
    return value or {}


def _not_what_was_written(path: Path, found: object, expected: str) -> CheckpointError:
    text = json.dumps(found)
    shown = text if len(text) <= 60 else f"{text[:57]}..."
    return CheckpointError(
        f"{path}: {shown} stands where {expected} belongs; was the file changed? run the experiment again"
    )


def _json(path: Path) -> Any:
    text = _text(path)
    try:
        return json.loads(text) if text.strip() else None
    except json.JSONDecodeError as error:
        raise CheckpointError(f"{path}: no valid JSON ({error}); was the file cut off?") from error


def _toml(text: str, path: Path) -> Json:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CheckpointError(f"{path}: no valid TOML ({error})") from error


def _frame(path: Path, depth: int | None = None) -> pl.DataFrame | None:
    """A parquet file with its ids as text (files of one run may hold them in different types)."""
    if not path.is_file():
        return None
    try:
        rows = pl.scan_parquet(path, glob=False)
        ids = [name for name in rows.collect_schema().names() if name in ("user_id", "item_id")]
        if depth is not None:
            rows = rows.filter(pl.col("rank") <= depth)
        return rows.with_columns(pl.col(ids).cast(pl.String)).collect()
    except (OSError, pl.exceptions.PolarsError) as error:
        raise CheckpointError(
            f"{path}: cannot be read ({str(error).splitlines()[0]}); was the file cut off?"
        ) from error
