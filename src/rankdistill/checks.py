"""What an experiment is refused for before any work is done."""

from __future__ import annotations

from pathlib import Path

from rankdistill.climbing import to_climb, will_keep
from rankdistill.config import Experiment, RoleConfig, TeacherLists, Teachers
from rankdistill.errors import EvaluationError
from rankdistill.evaluation.metrics import Metric
from rankdistill.loss import DistillationConfig
from rankdistill.rankings.columns import files_of
from rankdistill.stages import is_model


def check_climb(experiment: Experiment) -> None:
    """Refuses a method that climbs from easy lists to hard ones where a teacher will have one list for each query.

    Raises:
        ConfigError: nothing comes before its lists: no epochs are or will be kept, no other teachers or files named.
    """
    teacher, method = experiment.teacher, experiment.distillation
    assert isinstance(method, DistillationConfig)
    if not (isinstance(teacher, RoleConfig) and will_keep(teacher)):
        to_climb(experiment, Path(), method)  # what is trained is in no folder yet


def check_metrics(experiment: Experiment) -> None:
    """Refuses an unknown metric before anything is trained.

    Raises:
        EvaluationError: there is no such metric; the nearest one is named.
    """
    named = [("[evaluate] metrics", name) for name in experiment.evaluate.metrics]
    for key, name in (*named, ("[train] validation_metric", experiment.train.validation_metric)):
        try:
            metric = Metric.parse(name)
        except EvaluationError as error:
            raise EvaluationError(f"{key}: {error}") from error
        if metric.name == "coverage" and (metric.k or 0) > experiment.evaluate.depth:
            raise EvaluationError(
                f"[evaluate] metrics: {metric} needs lists at least {metric.k} deep; raise [evaluate] depth "
                f"(now {experiment.evaluate.depth})"
            )
    if metric.name == "coverage":
        raise EvaluationError(f"[train] validation_metric: {metric} is no value of a user; take one such as 'ndcg@10'")


def check_lists_are_there(experiment: Experiment) -> None:
    """Refuses a teacher whose files of lists are not there.

    Raises:
        RankingsError: one is not.
    """
    teacher = experiment.teacher
    for each in teacher.each if isinstance(teacher, Teachers) else (teacher,):
        if isinstance(each, TeacherLists):
            own = () if is_model(each) else (each.rankings, each.validation_rankings, each.test_rankings)
            for path in (*own, *each.easier):
                if path is not None:
                    files_of(path)
