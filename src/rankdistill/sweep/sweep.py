"""`rankdistill sweep`: from the shared data and labels to the report, in a folder that it can go on from."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from rankdistill.config import Experiment, RoleConfig
from rankdistill.estimate import Training, seconds_of
from rankdistill.folders import begun
from rankdistill.members import members_of
from rankdistill.model_folder import versions
from rankdistill.owners import check_owner
from rankdistill.parallel import Processors, execute
from rankdistill.processor import cores, processor_name
from rankdistill.report.numerals import duration
from rankdistill.report.sweep import write_sweep
from rankdistill.report.sweep.facts import doubts
from rankdistill.stages import describe_data
from rankdistill.sweep.gather import gather
from rankdistill.sweep.plan import Plan
from rankdistill.sweep.request import Request
from rankdistill.sweep.students import Students
from rankdistill.sweep.work import do
from rankdistill.types import Json
from rankdistill.variants import Shared, Variant

logger = logging.getLogger(__name__)


def sweep(request: Request, plan: Plan, out: Path, processors: Processors) -> Path:
    """Trains and measures what is not done yet, and writes the report.

    Args:
        request: what was asked for; kept in the folder.
        plan: the students that it takes.
        out: the folder; `students/` has a model folder for each of them.
        processors: how many trainings at once.

    Returns:
        The path of `sweep.html`.

    Raises:
        ConfigError: the folder is that of something else.
        StorageError: another sweep is at work in it.
        RankDistillError: data, teacher or lists do not fit.
    """
    check_owner(out, "sweep")
    with begun(out, "sweep"):
        shared = Shared.make(plan.base, plan.variants, out, checked=lambda: request.write(out))
        students = Students(plan, shared)
        todo = students.todo()
        logger.info("%s", _announced(students, todo, processors))
        execute([students.task(variant) for variant in todo], do, processors)
        for variant in plan.variants:
            if reason := students.failed(variant):
                logger.warning("%s: left out: %s", variant.name, reason)
        students.measure()
        found = {
            "command": request.command(),
            "data": describe_data(students.shared.split, plan.base),
            **gather(students),
            "machine": {"processor": processor_name(), "cores": cores(), "versions": versions()},
        }
        page = write_sweep(found, out)
    for warning in doubts(found):
        logger.warning("%s", warning)
    return page


def _announced(students: Students, todo: list[Variant], processors: Processors) -> str:
    known = len(students.plan.variants) - len(todo)
    if not todo:
        return f"all {known} students are trained already"
    seconds = seconds_of({each.name: students.training(each) for each in todo}, processors.threads)
    before = f", {known} are done" if known else ""
    return (
        f"{len(todo)} student{'' if len(todo) == 1 else 's'} to train{before}; about "
        f"{duration(sum(seconds.values()) / processors.jobs)}: {processors}"
    )


def outlook(plan: Plan, out: Path, threads: int) -> list[Json]:
    """What a sweep trains: which of it is done, and about how many seconds the rest takes. Writes nothing.

    Raises:
        RankDistillError: as `sweep` does.
    """
    check_owner(out, "sweep")
    base, distilled = plan.base, any(each.distilled for each in plan.variants)
    split = Shared.check(base, plan.variants, out)
    shared = Shared.found(base, plan.variants, out)
    todo = plan.variants if shared is None else Students(plan, shared).todo()
    trainings = {each.name: Training(each.experiment, split, each.distilled, labels=False) for each in todo}
    rows: list[tuple[str, str, int]] = []
    for name, teacher in _teachers(base).items():
        rows.append((name, "teacher", teacher.train.epochs))
        if shared is None:
            alike = base.model_copy(update={"student": teacher})
            trainings[name] = Training(alike, split, distilled=False, labels=distilled)
    rows += [(each.name, each.role, each.experiment.student.train.epochs) for each in plan.variants]
    seconds: Mapping[str, float] = seconds_of(trainings, threads)
    return [
        {
            "name": name,
            "role": role,
            "epochs": epochs,
            "done": name not in seconds,
            "seconds": round(seconds.get(name, 0.0), 1),
        }
        for name, role, epochs in rows
    ]


def _teachers(base: Experiment) -> dict[str, RoleConfig]:
    """The models that are trained as the teacher, by what to call them."""
    members = members_of(base)
    if not members:
        return {"teacher": base.teacher} if isinstance(base.teacher, RoleConfig) else {}
    return {f"teacher {each.number}": each.role for each in members if isinstance(each.role, RoleConfig)}
