"""`rankdistill tune`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from rankdistill.cli.inputs import load_experiment, taught_by, use_processor
from rankdistill.cli.options import Changes, Config, Folder, Output
from rankdistill.errors import ConfigError
from rankdistill.extras import extra
from rankdistill.owners import check_owner

if TYPE_CHECKING:
    from rankdistill.config import Experiment


_TRIALS = 20


@dataclass(frozen=True, slots=True)
class Searching:
    """How long a search goes on, and by what it chooses."""

    minutes: Annotated[
        float | None, typer.Option("--minutes", help="Stop after so many minutes of trials.", show_default=False)
    ] = None
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Trials at once, in processes of their own.")] = 1
    keys: Annotated[
        list[str] | None,
        typer.Option(
            "--key",
            metavar="A.B=LOW..HIGH",
            help="Search a key in another range, or one more; LOW..HIGH:log, or ONE,OTHER. May be repeated.",
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class Tuned:
    """What is searched, and what is to be high."""

    role: Annotated[Literal["teacher", "student", "distilled"], typer.Option("--role", help="Whose settings.")]
    trials: Annotated[
        int | None,
        typer.Option("--trials", min=1, help="Stop after so many trials; 20 without --minutes.", show_default=False),
    ] = None
    metric: Annotated[
        str | None,
        typer.Option(
            "--metric", help="What is to be high; [train] validation_metric when left out.", show_default=False
        ),
    ] = None
    teacher: Annotated[
        Path | None,
        typer.Option(
            "--teacher",
            metavar="FILE.parquet|MODEL_DIR",
            help="For --role distilled: lists, or a model trained without the validation part, in place of [teacher].",
            show_default=False,
        ),
    ] = None


def tune(config: Config, tuned: Tuned, out: Folder, searching: Searching, changes: Changes, output: Output) -> None:
    """Better settings for the teacher, the plain student or the distilled one, found on validation data.

    Each model, loss and method says which of its options are searched and where (`show KIND`). What --set names is
    kept. The settings of CONFIG are the first trial. The same command goes on where it stopped.
    """
    if tuned.teacher is not None and tuned.role != "distilled":
        raise ConfigError(f"--teacher is of no use to --role {tuned.role}; it is for --role distilled")
    experiment, written = with_teacher(config, changes, tuned.teacher)
    from rankdistill.folders import begun
    from rankdistill.tuning import output as found
    from rankdistill.tuning.search import Budget
    from rankdistill.tuning.tune import Asked
    from rankdistill.tuning.tune import tune as search

    extra("optuna", "tune")
    use_processor(experiment)
    asked = Asked(experiment, tuned.role, searching.keys or [], changes.as_overrides(), written=written)
    trials = _TRIALS if searching.minutes is None else None
    budget = Budget(tuned.trials or trials, searching.minutes, searching.jobs)
    check_owner(out, "tune")
    with begun(out, "search"):
        result = search(asked, tuned.metric, budget, out)
    columns, rows = found.table(result)
    lines = [*result["verdict"], f"settings: {out / 'best.toml'}", f"trials: {found.path_of(out)}"]
    output.show(result, columns, rows, *lines, folded=True)


def with_teacher(config: Path, changes: Changes, teacher: Path | None) -> tuple[Experiment, Experiment | None]:
    """The experiment that is searched, and the one that is written with the best settings, where that is another.

    It is where final models learn from the validation part, too: their teacher is then trained anew.

    Raises:
        ConfigError: the given model is not what would be trained, or nothing would be.
        RankDistillError: what is given is no teacher.
    """
    if teacher is None:
        return load_experiment(config, changes), None
    named = load_experiment(config, changes, *taught_by([teacher]))
    from rankdistill.model_folder import CARD

    if not (teacher / CARD).is_file() or not named.split.train_on_validation:
        return named, None
    from rankdistill.tuning.inputs import check_trained_again

    try:
        written = load_experiment(config, changes)
    except ConfigError as error:  # in [teacher], for the rest was read above
        raise ConfigError(
            f"{teacher}: the final run trains [teacher] with the validation part, too, and there is none to train "
            f"({error}); make [teacher] what the model is, or set split.train_on_validation=false, and the run has the "
            f"model itself"
        ) from error
    check_trained_again(teacher, written)
    return named, written
