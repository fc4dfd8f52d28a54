"""`rankdistill evaluate`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rankdistill.cli.inputs import experiment_of, load_data, load_experiment, use_processor
from rankdistill.cli.options import Changes, OnUnknown, OtherConfig, Output, PreparedData, check_parquet
from rankdistill.cli.results import half_lines, metric_rows
from rankdistill.errors import ConfigError

if TYPE_CHECKING:
    from rankdistill.config import Experiment
    from rankdistill.data.splitting import Split
    from rankdistill.evaluation.evaluate import Evaluation


@dataclass(frozen=True, slots=True)
class Test:
    """What is measured, on which data, and where it is written."""

    config: OtherConfig = None
    data: PreparedData = None
    metrics: Annotated[
        str | None,
        typer.Option("--metrics", metavar="A,B,C", help="Such as ndcg@10,map; [evaluate] metrics when left out."),
    ] = None
    on_unknown: Annotated[
        OnUnknown,
        typer.Option(
            "--on-unknown", help="Refuse users and items of a file that the data does not have, or drop them."
        ),
    ] = OnUnknown.error
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE.parquet", help="Where to write the values; evaluation.parquet when left out."
        ),
    ] = None


def evaluate(
    what: Annotated[
        Path, typer.Argument(metavar="MODEL_DIR|FILE.parquet", help="A model, or recommendations from anywhere.")
    ],
    test: Test,
    changes: Changes,
    output: Output,
) -> None:
    """Lists and test split to metrics.

    Writes one value per test user and metric, and prints their means. A file of recommendations has the columns
    user_id, rank, item_id and perhaps score; --config names the data it is for.
    """
    is_file = what.is_file() or what.suffix == ".parquet"
    experiment = _experiment_of_lists(what, test, changes) if is_file else experiment_of(what, test.config, changes)
    if test.out is not None:
        check_parquet(test.out, experiment.data.path, what)
    if test.metrics is not None:
        names = tuple(name.strip() for name in test.metrics.split(",") if name.strip())
        if not names:
            raise ConfigError(f"--metrics {test.metrics!r}: name at least one, such as ndcg@10,map")
        chosen = experiment.evaluate.model_copy(update={"metrics": names})
        experiment = experiment.model_copy(update={"evaluate": chosen})
    from rankdistill.checks import check_measured
    from rankdistill.evaluation.halves import means_of

    check_measured(experiment.evaluate)
    use_processor(experiment)
    split = load_data(experiment, test.data)
    measure = _measure_lists if is_file else _measure_model
    evaluation, parts, written = measure(what, experiment, split, test)
    means, halves = evaluation.mean(), means_of(parts)
    about = {"metrics": means, "halves": halves, "users": len(evaluation.query_ids), "file": written}
    lines = [f"{len(evaluation.query_ids):,} users: {written}", *half_lines(halves)]
    output.show(about, ("metric", "test"), metric_rows(means), *lines)


def _experiment_of_lists(path: Path, test: Test, changes: Changes) -> Experiment:
    config = test.config or path.parent / "config.toml"
    if test.config is None and not config.exists():
        raise ConfigError(f"{path}: whose test users are these? name the experiment file with --config")
    return load_experiment(config, changes)


def _measure_model(
    folder: Path, experiment: Experiment, split: Split, test: Test
) -> tuple[Evaluation, Evaluation, Path]:
    """Ranks again; the figures go into the model folder where they are the ones that belong there."""
    from rankdistill import measuring, pipeline, stages
    from rankdistill.config import load
    from rankdistill.evaluation.halves import beside
    from rankdistill.ranker import rank
    from rankdistill.runs import EVALUATION

    model = stages.load_ranker(folder, split, experiment.train.device)
    settings = experiment.evaluate
    as_trained = test.data is None and test.config is None and settings == load(folder / "config.toml").evaluate
    if test.out is None and as_trained:
        evaluation, written = measuring.evaluate_model(folder, model, split, settings), folder / EVALUATION
        return evaluation, type(evaluation).read(beside(written), split.user_ids), written
    pipeline.check_fits(model, split)
    lists = rank(model, split.queries("test", exclude_seen=settings.exclude_seen), settings.depth)
    evaluation = pipeline.evaluate(lists, split.test, settings.metrics, split.num_items)
    parts = pipeline.evaluate_halves(lists, split)
    out = test.out or folder / "other-evaluation.parquet"
    measuring.write_evaluation(evaluation, parts, out, split.user_ids)
    return evaluation, parts, out


def _measure_lists(path: Path, experiment: Experiment, split: Split, test: Test) -> tuple[Evaluation, Evaluation, Path]:
    from rankdistill import measuring
    from rankdistill.runs import EVALUATION

    exactly = test.metrics is not None
    evaluation, parts, _ = measuring.evaluate_lists(
        path, split, experiment.evaluate, exactly=exactly, on_unknown=test.on_unknown.value
    )
    name = EVALUATION
    if (path.parent / "model.json").exists():  # the model's own evaluation knows more than its lists do
        name = f"{path.stem}-evaluation.parquet"
    out = test.out or path.with_name(name)
    measuring.write_evaluation(evaluation, parts, out, split.user_ids)
    return evaluation, parts, out
