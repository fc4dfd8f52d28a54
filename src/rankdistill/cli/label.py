"""`rankdistill label`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rankdistill.cli.inputs import experiment_of, load_data, use_processor
from rankdistill.cli.options import Changes, OtherConfig, Output, PreparedData, check_parquet
from rankdistill.errors import ConfigError, RankingsError

if TYPE_CHECKING:
    from rankdistill.ensemble import Combine


class Exclude(StrEnum):
    """What the lists leave out."""

    targets = "targets"
    seen = "seen"


class Added(StrEnum):
    """How the scores of models are made comparable; see `Ensemble`."""

    log_sigmoid = "log_sigmoid"
    log_softmax = "log_softmax"
    z_score = "z_score"


@dataclass(frozen=True, slots=True)
class Lists:
    """Which lists to make, and from which data."""

    k: Annotated[
        int | None,
        typer.Option("--k", min=1, help="The length of a list; [distillation] k when left out.", show_default=False),
    ] = None
    shard: Annotated[str, typer.Option("--shard", metavar="I/N", help="One part of N alone, from 1/N to N/N.")] = "1/1"
    exclude: Annotated[
        Exclude | None,
        typer.Option("--exclude", help="What a list leaves out; [distillation] exclude else.", show_default=False),
    ] = None
    combine: Annotated[
        Added | None,
        typer.Option(
            "--combine",
            help="How the scores of several models are added up; as their losses have it else.",
            show_default=False,
        ),
    ] = None
    config: OtherConfig = None
    data: PreparedData = None


def label(
    models: Annotated[
        list[Path],
        typer.Argument(metavar="MODEL_DIR...", help="The teacher: a folder that train or run made, or several."),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FILE.parquet", help="The file to write.")],
    lists: Lists,
    changes: Changes,
    output: Output,
) -> None:
    """Teacher to its lists.

    Several models are one teacher: the mean of their log-probabilities where their ranking losses make the scores
    such, and else of their scores with mean 0 and deviation 1, unless --combine says otherwise. The data is that of
    the first model's own config.toml, unless --config or --data names it.
    """
    shard = _shard(lists.shard)
    if lists.combine is not None and len(models) == 1:
        raise ConfigError(f"--combine: says how several models become one, and {models[0]} is alone; leave it out")
    from rankdistill.checks import refuse_run
    from rankdistill.model_folder import check_model

    for each in models:
        refuse_run(each)
        check_model(each)
    experiment = experiment_of(models[0], lists.config, changes)
    check_parquet(out, experiment.data.path)
    _check_replaced(out)
    from rankdistill import pipeline
    from rankdistill.loss import DistillationConfig
    from rankdistill.single import load_teacher

    method = experiment.distillation
    assert isinstance(method, DistillationConfig)
    use_processor(experiment)
    split = load_data(experiment, lists.data)
    combine: Combine | None = None if lists.combine is None else lists.combine.value
    teacher = load_teacher(models, split, experiment.train.device, combine)
    k = method.k if lists.k is None else lists.k
    exclude = method.exclude if lists.exclude is None else lists.exclude.value
    made = pipeline.label(teacher, split, k=k, exclude=exclude, shard=shard)
    made.write(out, split.user_ids, split.item_ids, positions=True)
    about = {"file": out, "lists": len(made), "k": k, "exclude": exclude, "fingerprint": split.fingerprint}
    rows = [(f"{len(made):,}", k, exclude, str(out))]
    output.show(about, ("lists", "k", "without", "file"), rows)


def _check_replaced(out: Path) -> None:
    """Refuses to replace a file that holds anything but a teacher's lists for training queries.

    Raises:
        ConfigError: it does.
    """
    from rankdistill.rankings.columns import columns_of

    if not out.is_file():
        return
    try:
        columns, _ = columns_of(out, [out])
    except RankingsError:  # no lists, or not to be read
        columns = []
    if "position" not in columns:
        raise ConfigError(
            f"--out {out}: is there already and holds no lists for training queries (user_id, position, rank, "
            f"item_id); name another one to write"
        )


def _shard(text: str) -> tuple[int, int]:
    number, slash, count = text.partition("/")
    if not (slash and number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise ConfigError(f"--shard {text!r}: write it as I/N with I from 1 to N, for example 2/8")
    return int(number), int(count)
