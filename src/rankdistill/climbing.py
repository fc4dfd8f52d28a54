"""What a method climbs that goes from easy lists to hard ones: whose lists come before those of a teacher."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from rankdistill import plugins, stages
from rankdistill.config import Experiment, RoleConfig, TeacherLists
from rankdistill.data.splitting import Split
from rankdistill.data.teacher_items import lists_for_windows, teacher_items
from rankdistill.errors import ConfigError
from rankdistill.loss import DistillationConfig
from rankdistill.members import members_of
from rankdistill.model_folder import is_model, load_card
from rankdistill.pipeline import label
from rankdistill.rankings import Rankings
from rankdistill.runs import state_of
from rankdistill.teaching import lacks_easier, needs_of

Easier: TypeAlias = Literal["epoch", "member", "easier"]
"""Whose lists are easier to learn: those of the teacher earlier, of one that it is made of, or that are named so."""


@dataclass(frozen=True, slots=True)
class Source:
    """A model or a file with lists that are easier to learn than a teacher's.

    Attributes:
        of: what it is to the teacher.
        number: of the epoch, of the member, or its place among those that are named.
        path: a model folder, or a file of lists.
        given: how a file is read; None of a model.
    """

    of: Easier
    number: int
    path: Path
    given: TeacherLists | None = None

    @property
    def state(self) -> object:
        """What a change of it shows in."""
        if self.given is None:
            return load_card(self.path)["sha256"]
        return [self.given.model_dump(mode="json"), state_of(self.path)]

    def labels(self, beside: Path) -> Path:
        """The file of its lists, beside that of the teacher's."""
        return beside.with_name(f"{beside.stem}-{self.of}-{self.number}.parquet")

    def lists(self, split: Split, method: DistillationConfig, device: str) -> Rankings:
        """Its lists for the training queries, as a method asks for them; those of a file as they are."""
        return _lists_of(self.path, self.given, split, method, device)

    def made(self, split: Split, method: DistillationConfig, device: str) -> Rankings:
        """`lists`, which may be cut like those of the model that they are kept beside, where they are named."""
        lists = self.lists(split, method, device)
        return lists_for_windows(lists, split, method.exclude).cut(method.k) if self.of == "easier" else lists


def _lists_of(
    path: Path, given: TeacherLists | None, split: Split, method: DistillationConfig, device: str
) -> Rankings:
    if given is None:
        return label(stages.load_ranker(path, split, device), split, k=method.k, exclude=method.exclude)
    lists = stages.read_lists(path, split, given.on_unknown, given.least_shared)
    return replace(lists, on_missing=given.on_missing)


def before_given(teacher: TeacherLists) -> list[Source]:
    """Whose lists come before those of a teacher that is not trained here, the easiest first.

    They are those that are named; where none are, those of a model's earlier epochs.
    """
    if teacher.easier:
        return [
            Source("easier", number, path, None if is_model(path) else teacher)
            for number, path in enumerate(teacher.easier, start=1)
        ]
    return _epochs(teacher.rankings) if is_model(teacher.rankings) else []


def to_climb(experiment: Experiment, folder: Path, method: DistillationConfig) -> list[Source]:
    """Whose lists a method climbs before those of an experiment's teacher, the easiest first; for others nobody's.

    Args:
        experiment: names the teacher.
        folder: the teacher's, where it is trained.
        method: how a student is distilled.

    Raises:
        ConfigError: the method climbs, and there are none.
    """
    if needs_of(method) != "several":
        return []
    teacher = experiment.teacher
    if members := members_of(experiment):
        return [
            Source("member", member.number, member.role.rankings, member.role)
            if isinstance(member.role, TeacherLists)
            else Source("member", member.number, member.folder(folder))
            for member in members
        ]
    assert isinstance(teacher, RoleConfig | TeacherLists)
    if isinstance(teacher, TeacherLists):
        sources = before_given(teacher)
    else:
        sources = _epochs(folder) if will_keep(teacher) else []
    if not sources:
        raise ConfigError(lacks_easier(method, "[teacher]", _advice(teacher, folder)))
    return sources


def will_keep(teacher: RoleConfig) -> bool:
    """Whether the training of a teacher keeps earlier epochs."""
    return bool(teacher.train.kept_epochs) and plugins.behind("models", teacher.model).learns


def lists_to_climb(teacher: TeacherLists, split: Split, method: DistillationConfig, device: str) -> Rankings:
    """The lists of a file or of a model folder, with those that come before them; models among these make theirs.

    Raises:
        ConfigError: there are none before them.
        RankDistillError: they do not fit the data.
    """
    before = before_given(teacher)
    if not before:
        raise ConfigError(lacks_easier(method, str(teacher.rankings), _advice(teacher, teacher.rankings)))
    easier = tuple(source.lists(split, method, device) for source in before)
    read = None if is_model(teacher.rankings) else teacher
    lists = _lists_of(teacher.rankings, read, split, method, device)
    return replace(lists, easier=easier, on_missing=teacher.on_missing)


def check_named(teacher: TeacherLists, split: Split, method: DistillationConfig) -> None:
    """Refuses files of easier lists that do not fit the data or a method.

    Raises:
        RankingsError: they do not.
    """
    for source in before_given(teacher) if needs_of(method) == "several" else ():
        if source.given is not None:
            teacher_items(source.lists(split, method, "cpu"), split, method.k, method.exclude)


def all_easier_labels(labels: Path) -> list[Path]:
    """The files that `Source.labels` names and that are there, the easiest first."""
    found = [file for of in get_args(Easier) for file in labels.parent.glob(f"{labels.stem}-{of}-*.parquet")]
    return sorted(found, key=lambda file: int(file.stem.rpartition("-")[2]))


def read_labels(path: Path, split: Split, experiment: Experiment) -> Rankings:
    """The lists of an experiment's teacher that were written, with the easier ones that lie beside them."""
    easier = tuple(stages.read_lists(file, split) for file in all_easier_labels(path))
    return replace(stages.read_lists(path, split), easier=easier, on_missing=on_missing_of(experiment))


def on_missing_of(experiment: Experiment) -> Literal["error", "skip"]:
    """What to do with training queries that lack a list, as files of easier ones beside a model may."""
    return experiment.teacher.on_missing if isinstance(experiment.teacher, TeacherLists) else "error"


def _epochs(folder: Path) -> list[Source]:
    return [Source("epoch", int(model.name), model) for model in stages.kept_models(folder)]


def _advice(teacher: RoleConfig | TeacherLists, folder: Path) -> str:
    """What gives a teacher easier lists that has none."""
    if isinstance(teacher, TeacherLists):
        trained = is_model(teacher.rankings) and load_card(teacher.rankings).get("epochs")
        own = f"{_advice_on_model(teacher.rankings)}, " if trained else ""
        return f"{own}name files in [teacher] easier, give [[teacher]] or --teacher several times"
    if will_keep(teacher):
        return _advice_on_model(folder)
    if not plugins.behind("models", teacher.model).learns:
        return f"{teacher.kind!r} is not trained epoch by epoch: give [[teacher]] several times"
    more = "" if teacher.train.epochs > 1 else f" and more epochs than {teacher.train.epochs}"
    return f"set [teacher.train] checkpoints = 3{more}, give [[teacher]] several times"


def _advice_on_model(folder: Path) -> str:
    """What gives a model easier lists that was trained epoch by epoch."""
    card, kept = load_card(folder), stages.kept_epochs(folder)
    best = int(card["best_epoch"])
    if best == 1:
        return "its best epoch is the first: train it with a lower [teacher.train] learning_rate"
    if kept and best <= kept[0]:
        epochs = ", ".join(map(str, kept))
        settings = card["settings"]
        whole = settings.get("train.schedule_epochs") or settings["train.epochs"]
        enough = whole // best  # so that one is before the best
        return (
            f"none of the epochs to keep ({epochs}) is before its best one, {best}: train it with [teacher.train] "
            f"checkpoints = {enough}, or with fewer epochs than {whole}"
        )
    return "train it with [teacher.train] checkpoints = 3"
