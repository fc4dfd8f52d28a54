"""What an experiment is refused for before any work is done."""

from __future__ import annotations

from rankdistill.config import Experiment, RoleConfig, TeacherLists, Teachers
from rankdistill.errors import ConfigError, EvaluationError
from rankdistill.evaluation.metrics import Metric
from rankdistill.members import members_of
from rankdistill.rankings.columns import files_of
from rankdistill.stages import is_model
from rankdistill.teaching import lacks_easier, needs_of


def check_climb(experiment: Experiment) -> None:
    """Refuses a method that climbs from easy lists to hard ones where a teacher will have one list for each query.

    Raises:
        ConfigError: the teacher is a single model of which no earlier epochs are kept, as of one that is given.
    """
    teacher, method = experiment.teacher, experiment.distillation
    if isinstance(teacher, TeacherLists):
        alone = is_model(teacher)
    else:
        alone = isinstance(teacher, RoleConfig) and not members_of(experiment) and not teacher.train.kept_epochs
    if alone and needs_of(method) == "several":
        raise ConfigError(lacks_easier(method, "[teacher]"))


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
        if isinstance(each, TeacherLists) and not is_model(each):
            for path in (each.rankings, *each.easier, each.validation_rankings, each.test_rankings):
                if path is not None:
                    files_of(path)
