"""`compress`: the smallest student that is good enough, or the best one that is small enough."""

from __future__ import annotations

import logging
import shutil
from dataclasses import replace
from pathlib import Path

from rankdistill import workflow
from rankdistill.checks import check_kept, check_lists_are_there
from rankdistill.config import EvaluateConfig, Experiment, TeacherLists, to_toml
from rankdistill.data.splitting import Split
from rankdistill.errors import ConfigError
from rankdistill.extras import extra
from rankdistill.files import read_kept, replacing, write_json, write_text
from rankdistill.measuring import evaluate_lists
from rankdistill.members import kind_of
from rankdistill.model_folder import load_model
from rankdistill.pipeline import measured
from rankdistill.runs import RunFolder
from rankdistill.tuning import goal as goals
from rankdistill.tuning import outcome
from rankdistill.tuning.final import settled
from rankdistill.tuning.goal import Goal, Model
from rankdistill.tuning.inputs import fingerprints_of, prepare_data, prepare_teacher
from rankdistill.tuning.search import Budget, Search
from rankdistill.tuning.sizes import Sizes
from rankdistill.tuning.smallest import Smallest
from rankdistill.tuning.space import Space, point_of
from rankdistill.tuning.trials import Ledger, Trial
from rankdistill.tuning.tune import Asked, begun_with, check_metric, template_of
from rankdistill.types import Json

logger = logging.getLogger(__name__)


def compress(asked: Asked, goal: Goal, budget: Budget, out: Path) -> Json:
    """Searches sizes and settings on validation data, then runs the student that was found.

    Goes on where an earlier call in the same folder stopped. Writes `compress.json`, `compress.md`, `search/` and,
    where the goal was met, `final/`, a run folder; else `closest.toml`. Both have the teacher of `asked.written`, where
    that is given.

    Args:
        asked: what is searched; sizes are.
        goal: what the student is to be.
        budget: how long.
        out: the folder.

    Returns:
        The content of `compress.json`.

    Raises:
        ConfigError: Optuna is not installed, the goal contradicts itself, the experiment or the budget, or what is to
            be learned from would be replaced.
        StorageError: what an earlier call left is of another search, or cannot be read.
        TrainingError: every trial failed.
    """
    extra("optuna", "tune")
    experiment = asked.experiment
    check_metric(goal.metric)
    asked.check()
    goals.check_alone(goal, budget.jobs)
    check_lists_are_there(experiment)
    _check_teacher(experiment, goal)
    check_kept(experiment, RunFolder(out))
    search, earlier = out / "search", read_kept(out / "compress.json")
    begun = begun_with(asked, asked.space(), goal.metric)
    ledger = Ledger.open(search / "trials.json", begun | {f"goal {key}": each for key, each in goal.as_json().items()})
    split = prepare_data(experiment, search)
    ledger.hold_to(fingerprints_of(experiment, asked.role, split))
    sizes = Sizes(experiment, split, timed=goal.under_ms is not None)
    if sizes.timed:
        logger.info("%s: timing the teacher and the students that may be quick enough, before any is trained", goal)
    teacher = sizes.teacher()
    _check_sizes(sizes, goal, asked.space(), teacher)
    folder, space = prepare_teacher(experiment, asked.role, asked.space(), split, search)
    quality = _quality_of_teacher(experiment, goal.metric, split, folder)
    goals.check_teacher(goal, quality)
    own = point_of(experiment, space)
    most = float("inf") if teacher is None else teacher.bytes
    strategy = Smallest.of(sizes, goal, goal.bar(quality), space, own, most)
    _log_goal(goal, quality, strategy.least)
    template = replace(template_of(asked, goal.metric, search), timed=sizes.timed)
    Search(space, experiment, strategy, experiment.seed, template).run(ledger, budget)
    found = outcome.of_search(ledger, strategy, space, own, quality)
    chosen, written = strategy.chosen(ledger.trials), asked.final(search)
    closest = out / "closest.toml"
    if chosen is None:
        write_text(closest, to_toml(_final(written, strategy.closest(ledger.trials), goal)))
    else:
        _take_over(out, experiment)
        workflow.run(_final(written, chosen, goal), out / "final", resume=True, starts_over=True)
        found |= outcome.of_run(out / "final", goal, strategy.least, split.user_ids)
        found["looks"] = outcome.looks(earlier, found)
        closest.unlink(missing_ok=True)  # of a smaller search
    found["sentences"] = outcome.sentences(found, out)
    write_json(out / "compress.json", found)
    write_text(out / "compress.md", outcome.markdown(found))
    return found


def _check_teacher(experiment: Experiment, goal: Goal) -> None:
    """Refuses a share of a quality that is not known.

    Raises:
        ConfigError: of a teacher that is lists, those for the validation or test users are missing, or they are those
            of several.
    """
    teacher, kind = experiment.teacher, kind_of(experiment)
    if goal.within is not None and kind == "fusion":
        raise ConfigError(
            f"{goal}: [[teacher]] combined by their lists are not measured on the validation users; take [ensemble] "
            f"combine = 'z_score' where all of them are models, or ask with --under-mb or --under-ms alone"
        )
    if goal.within is None or kind != "lists":
        return
    assert isinstance(teacher, TeacherLists)
    for key, part in (("validation_rankings", "validation"), ("test_rankings", "test")):
        if getattr(teacher, key) is None:
            raise ConfigError(
                f"{goal}: how good the teacher is cannot be known of {teacher.rankings.name} alone; name its lists for "
                f"the {part} users in [teacher] {key}, or ask with --under-mb or --under-ms alone"
            )


def _check_sizes(sizes: Sizes, goal: Goal, space: Space, teacher: Model | None) -> None:
    experiment = sizes.experiment
    least = sizes.least(space, point_of(experiment, space))
    goals.check(goal, least, sizes.of(experiment.student.model), teacher)


def _quality_of_teacher(experiment: Experiment, metric: str, split: Split, folder: Path | None) -> float | None:
    """The teacher's metric on the validation users; None where it is not known."""
    exclude_seen = experiment.evaluate.exclude_seen
    if folder is not None:
        queries = split.queries("validation", exclude_seen=exclude_seen)
        return measured(load_model(folder)[0], queries, [metric]).mean()[metric]
    teacher = experiment.teacher
    if not isinstance(teacher, TeacherLists) or teacher.validation_rankings is None:
        return None
    settings = EvaluateConfig(metrics=(metric,), exclude_seen=exclude_seen)
    path = teacher.validation_rankings
    return evaluate_lists(path, split, settings, exactly=True, on_unknown=teacher.on_unknown, part="validation")[
        0
    ].mean()[metric]


def _log_goal(goal: Goal, teacher: float | None, least: float | None) -> None:
    if least is None:
        logger.info("%s: searching the best student that fits, by %s on validation users", goal, goal.metric)
    else:
        logger.info(
            "%s: the teacher has %s %.4f on validation users; a student needs %.4f", goal, goal.metric, teacher, least
        )


def _final(experiment: Experiment, trial: Trial, goal: Goal) -> Experiment:
    """The experiment that is run with a trial's settings; it measures the goal's metric."""
    found = settled(experiment, trial, "distilled", goal.metric)
    metrics = found.evaluate.metrics
    if goal.metric in metrics:
        return found
    return found.model_copy(update={"evaluate": found.evaluate.model_copy(update={"metrics": (*metrics, goal.metric)})})


def _take_over(out: Path, experiment: Experiment) -> None:
    """Where the final models learn from the same data, the teacher of the search is that of the run, too."""
    search, final = out / "search", out / "final"
    if experiment.split.train_on_validation or final.exists() or kind_of(experiment) == "lists":
        return
    with replacing(final) as place:
        for name in ("data", "teacher"):
            shutil.copytree(search / name, place / name)
        shutil.copy2(search / "stages.json", place)
