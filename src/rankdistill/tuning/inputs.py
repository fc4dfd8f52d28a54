"""What a search learns from: the data with its validation part kept apart, the teacher, and its lists."""

from __future__ import annotations

from pathlib import Path

from rankdistill.checksums import sha256
from rankdistill.config import Experiment, TeacherLists, Teachers
from rankdistill.data.splitting import Split
from rankdistill.errors import DataError
from rankdistill.loss import DistillationConfig
from rankdistill.model_folder import CARD, WEIGHTS
from rankdistill.pipeline import longest_list
from rankdistill.rankings.columns import files_of
from rankdistill.runs import Role, RunFolder, stamp_of
from rankdistill.stages import read_teacher
from rankdistill.tuning.space import Space, at, limited
from rankdistill.types import Json
from rankdistill.variants import Shared, Variant, is_model
from rankdistill.workflow import Run

_K = "distillation.k"


def validation_only(experiment: Experiment) -> Experiment:
    """The experiment with its validation part kept apart: settings are chosen by nothing else."""
    apart = experiment.split.model_copy(update={"train_on_validation": False})
    return experiment.model_copy(update={"split": apart})


def prepare_data(experiment: Experiment, out: Path) -> Split:
    """The data with its validation part kept apart, also as `data/` in a folder.

    Raises:
        DataError: there is no validation part.
    """
    experiment = validation_only(experiment)
    split = Run(experiment, RunFolder.at(out), resume=True).prepare()
    if split.validation is None or not len(split.queries("validation", exclude_seen=experiment.evaluate.exclude_seen)):
        raise DataError(
            f"{split.source}: there is no validation part, and settings are chosen by nothing else; split with [split] "
            f"fractions such as [0.7, 0.1, 0.2], or bring one"
        )
    return split


def fingerprints_of(experiment: Experiment, role: Role, split: Split) -> Json:
    """What the data and the teacher's files are known by, whenever they were written."""
    given = teachers_given(experiment) if role == "distilled" else []
    paths = {path for each in given for path in (each.rankings, *each.easier, each.validation_rankings) if path}
    return {"fingerprint of the data": split.content} | {f"fingerprint of {path}": _digest(path) for path in paths}


def _digest(path: Path) -> str:
    """A short hash of a model folder, or of one or several files of lists."""
    files = [path / WEIGHTS] if (path / CARD).is_file() else files_of(path)
    return stamp_of(files=[sha256(file) for file in files])


def teachers_given(experiment: Experiment) -> list[TeacherLists]:
    """The teachers that are not trained here: files of lists, or the folder of a model."""
    teacher = experiment.teacher
    every = teacher.each if isinstance(teacher, Teachers) else (teacher,)
    return [each for each in every if isinstance(each, TeacherLists)]


def prepare_teacher(
    experiment: Experiment, role: Role, space: Space, split: Split, out: Path
) -> tuple[Path | None, Space]:
    """For a distilled student the teacher and its lists, as long as any trial needs them.

    Returns:
        The teacher's folder, where it is a model; and the space, in which no list is longer than there is.
    """
    experiment = validation_only(experiment)
    if role != "distilled":
        return None, space
    method, teacher = experiment.distillation, experiment.teacher
    assert isinstance(method, DistillationConfig)
    most = longest_list(split, method.exclude)
    if isinstance(teacher, TeacherLists) and not is_model(teacher):
        lists = read_teacher(teacher, split)
        most = min(most, lists.depth - (split.target_length if lists.per_user and method.exclude == "targets" else 0))
    space = limited(space, _K, max(most, method.k))
    longest = at(experiment, {_K: int(getattr(space.get(_K), "high", method.k))})
    return Shared.make(longest, [Variant(longest, distilled=True)], out).teacher, space
