"""What an experiment is refused for before any work is done."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rankdistill.climbing import to_climb, will_keep
from rankdistill.config import EvaluateConfig, Experiment, RoleConfig, TeacherLists, Teachers
from rankdistill.errors import ConfigError, EvaluationError
from rankdistill.evaluation.metrics import Metric
from rankdistill.loss import DistillationConfig
from rankdistill.model_folder import CARD, check_model, is_model
from rankdistill.owners import check_not_replaced, lists_in, owner_of
from rankdistill.rankings.columns import files_of
from rankdistill.runs import RunFolder


def check_climb(experiment: Experiment) -> None:
    """Refuses a method that climbs from easy lists to hard ones where a teacher will have one list for each query.

    Raises:
        ConfigError: nothing comes before its lists: no epochs are or will be kept, no other teachers or files named.
        CheckpointError: what is given as a model is none.
    """
    teacher, method = experiment.teacher, experiment.distillation
    assert isinstance(method, DistillationConfig)
    if isinstance(teacher, TeacherLists) and (teacher.rankings / CARD).is_file():
        check_model(teacher.rankings)
    if not (isinstance(teacher, RoleConfig) and will_keep(teacher)):
        to_climb(experiment, Path(), method)  # what is trained is in no folder yet


def check_metrics(experiment: Experiment) -> None:
    """Refuses a metric that does not exist, or that is not to be had where it is asked for.

    Raises:
        EvaluationError: one is; the section is named.
    """
    check_measured(experiment.evaluate)
    trainings = [("train", experiment.train), *((f"{name}.train", role.train) for name, role in experiment.roles())]
    for section, train in trainings:
        key = f"[{section}] validation_metric"
        metric = _metric(key, train.validation_metric)
        if metric.name == "coverage":
            raise EvaluationError(f"{key}: {metric} is no value of a user; take one such as 'ndcg@10'")


def check_measured(evaluate: EvaluateConfig) -> None:
    """Refuses a metric of `[evaluate]` that does not exist, or for which the lists are not deep enough.

    Raises:
        EvaluationError: one is.
    """
    for name in evaluate.metrics:
        metric = _metric("[evaluate] metrics", name)
        if metric.name == "coverage" and (metric.k or 0) > evaluate.depth:
            raise EvaluationError(
                f"[evaluate] metrics: {metric} needs lists at least {metric.k} deep; raise [evaluate] depth "
                f"(now {evaluate.depth})"
            )


def _metric(key: str, name: str) -> Metric:
    """The metric that a key names."""
    try:
        return Metric.parse(name)
    except EvaluationError as error:
        raise EvaluationError(f"{key}: {error}") from error


def check_lists_are_there(experiment: Experiment) -> None:
    """Refuses a teacher that names what is none, or whose files of lists are not there.

    Raises:
        RankDistillError: see `check_given`.
    """
    for teacher in teachers_given(experiment):
        check_given(_named(teacher))


def check_kept(experiment: Experiment, folder: RunFolder) -> None:
    """Refuses lists and models in the place of a teacher that work in a folder would replace.

    The model of the folder's own teacher is none of them: it is taken as it is.

    Raises:
        ConfigError: there are such.
    """
    own = folder.model("teacher").resolve()
    for teacher in teachers_given(experiment):
        for named in _named(teacher):
            model = is_model(named)
            if not (model and named == teacher.rankings and named.resolve() == own):
                for path in [named] if model else files_of(named):
                    check_not_replaced(folder.path, path)


def teachers_given(experiment: Experiment) -> list[TeacherLists]:
    """The teachers that take part and are not trained here: files of lists, or the folder of a model."""
    teacher = experiment.teacher
    every = teacher.taking_part.values() if isinstance(teacher, Teachers) else (teacher,)
    return [each for each in every if isinstance(each, TeacherLists)]


def _named(teacher: TeacherLists) -> list[Path]:
    """The models, files or folders of lists that are read of a teacher."""
    measured = () if is_model(teacher.rankings) else (teacher.validation_rankings, teacher.test_rankings)
    return [path for path in (teacher.rankings, *measured, *teacher.easier) if path is not None]


def check_given(teachers: Iterable[Path]) -> None:
    """Refuses what is neither a model folder nor lists.

    Raises:
        ConfigError: one is the folder of a run.
        CheckpointError: one is the folder of a teacher that is lists, and no model.
        RankingsError: one is not there.
    """
    for path in teachers:
        if (path / CARD).is_file():
            check_model(path)
        else:
            refuse_run(path)
            files_of(path)


def refuse_run(folder: Path) -> None:
    """Refuses the folder of a run, sweep, search or `compress` as a teacher, which it has and is not.

    Raises:
        ConfigError: it is one.
    """
    owner = owner_of(folder)
    places = (folder / place / "teacher" for place in ("", *(owner.kept if owner else ())))
    teacher = next((place for place in places if (place / CARD).is_file()), None)
    if (folder / CARD).is_file() or teacher is None:
        return
    own, lists = f"its teacher, {teacher}", ", ".join(map(str, lists_in(teacher.parent)))
    if not is_model(teacher):
        own = f"its teacher's lists, {lists}" if lists else "the lists that it was given as a teacher"
    raise ConfigError(f"{folder}: is the folder of a {owner.name if owner else 'run'}; name {own}")
