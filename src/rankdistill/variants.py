"""Variants of an experiment: students with other settings, plain or distilled, from the same data and labels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rankdistill import measuring, plugins, stages
from rankdistill.checks import check_climb, check_metrics, teachers_given
from rankdistill.climbing import read_labels
from rankdistill.config import Experiment, TeacherLists
from rankdistill.data.splitting import Split
from rankdistill.data.storage import read_split
from rankdistill.errors import RankDistillError
from rankdistill.files import read_object, write_json
from rankdistill.loss import DistillationConfig
from rankdistill.members import Company, has_model, kind_of
from rankdistill.model_folder import CARD, WEIGHTS, load_card, load_model
from rankdistill.ranker import Ranker
from rankdistill.rankings import Rankings
from rankdistill.runs import EVALUATION, RANKINGS, Role, RunFolder, are_as_left, noted, stamp_of, state_of
from rankdistill.teaching import check_student, needs_of
from rankdistill.types import Json
from rankdistill.workflow import Run

_SHARED = "shared"
_DIGITS = 8
"""Of a hash, in the name of a folder."""
_OPENED: dict[tuple[Path, str, str | None], Shared] = {}
"""What was opened last in this process: by its folder, the state of that, and the name of the lists."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A student: the experiment with its settings, and whether it is distilled or learns from the data alone."""

    experiment: Experiment
    distilled: bool

    @property
    def role(self) -> Role:
        """What the student is called in its folder."""
        return "distilled" if self.distilled else "student"

    @property
    def method(self) -> DistillationConfig:
        """How it is distilled, where it is."""
        method = self.experiment.distillation
        assert isinstance(method, DistillationConfig)
        return method

    @property
    def settings(self) -> Json:
        """What tells it from the other variants of an experiment; the device and the threads do not."""
        student, loss = self.experiment.student, self.experiment.ranking_loss
        return {
            "seed": self.experiment.seed,
            "student": {"kind": student.kind, **student.model.model_dump(mode="json")},
            "train": student.train.model_dump(mode="json", exclude=set(stages.FREE)),
            "ranking_loss": {"kind": plugins.kind_of(loss), **loss.model_dump(mode="json")},
            "distillation": self.method.model_dump(mode="json") if self.distilled else None,
        }

    @property
    def name(self) -> str:
        """A short name, the same for the same settings whatever else is tried: what it is and a hash."""
        student = self.experiment.student
        dim = getattr(student.model, "dim", None)
        parts = [student.kind, dim, self.method.kind if self.distilled else "plain", f"seed-{self.experiment.seed}"]
        words = "-".join(str(part) for part in parts if part is not None)
        return f"{words}-{stamp_of(**self.settings)[:_DIGITS]}"

    def check(self) -> None:
        """Refuses what could not be trained or measured.

        Raises:
            EvaluationError: there is no such metric.
            ConfigError: nothing can be distilled into this kind of student, or its method lacks easier lists, or asks
                the teacher itself where there are lists alone.
        """
        check_metrics(self.experiment)
        if self.distilled:
            Company.of(self.experiment, Path())
            check_climb(self.experiment)
            check_student(self.experiment.student.model)


@dataclass(frozen=True, slots=True, eq=False)
class Shared:
    """What the variants have in common: the data, the teacher and its lists; all of it lies in a folder, too.

    Attributes:
        folder: where.
        split: the data.
        teacher: the teacher's folder; None where only its lists are known.
        lists: what is learnt from, by `name_of_lists`.
        fused_at: see `depth_added_up`.
    """

    folder: RunFolder
    split: Split
    teacher: Path | None
    lists: Mapping[str, Rankings] = field(default_factory=dict)
    fused_at: int | None = None
    _loaded: dict[str, Ranker] = field(default_factory=dict)

    @classmethod
    def make(
        cls,
        experiment: Experiment,
        variants: Sequence[Variant],
        out: Path,
        *,
        one_length: bool = False,
        checked: Callable[[], None] = lambda: None,
    ) -> Shared:
        """Prepares the data, trains the teacher and makes its lists, once and as long as any variant needs them.

        What is there already and did not change is taken as it is; a training that was stopped goes on.

        Args:
            experiment: names the data and the teacher. A teacher whose `rankings` are a model folder is that model.
            variants: what will be trained.
            out: the folder to write; `config.toml`, `data/`, `teacher/` and the lists.
            one_length: lists by what they leave out alone, as deep as the longest, also where several teachers' lists
                are added up and depend on it.
            checked: called when nothing is left to be checked before anything is trained.

        Raises:
            RankDistillError: something does not fit; found before anything is written, where that can be.
        """
        folder = RunFolder(out)
        work = Run(experiment, folder, resume=True, starts_over=True)
        methods = [each.method for each in variants if each.distilled]

        def fits() -> None:
            checked()
            if not folder.is_done(_SHARED, _stamp(experiment)):
                folder.forget(_SHARED)

        split, given = work.begin(methods, fits)
        fused_at = None if one_length else depth_added_up(experiment)
        lists = {}
        for name, asked in _by_lists(methods, fused_at).items():
            climbing = next((each for each in asked if needs_of(each) == "several"), asked[0])
            longest = climbing.model_copy(update={"k": max(each.k for each in asked)})
            lists[name] = work.label(split, longest, _labels(folder, name)) if given is None else given
        folder.done(_SHARED, _stamp(experiment))
        return cls(folder, split, folder.model("teacher") if has_model(experiment) else None, lists, fused_at)

    @staticmethod
    def check(experiment: Experiment, variants: Sequence[Variant], out: Path) -> Split:
        """The data, once all is checked that `make` checks before anything is trained; writes nothing.

        Raises:
            RankDistillError: something does not fit.
        """
        methods = [each.method for each in variants if each.distilled]
        return Run(experiment, RunFolder(out), resume=True).check(methods)[0]

    @classmethod
    def found(cls, experiment: Experiment, variants: Sequence[Variant], out: Path) -> Shared | None:
        """What `make` has left in a folder, where nothing that it depends on has changed since; writes nothing.

        Lists that are not there are left out; see `has_lists`.
        """
        folder, fused_at = RunFolder(out), depth_added_up(experiment)
        if not folder.is_done(_SHARED, _stamp(experiment)):
            return None
        methods = [each.method for each in variants if each.distilled]
        names = [
            name
            for name in _by_lists(methods, fused_at)
            if kind_of(experiment) == "lists" or _labels(folder, name).exists()
        ]
        try:
            opened = [cls.open(experiment, out, name) for name in names] or [cls.open(experiment, out, None)]
        except RankDistillError:
            return None
        lists = {name: each for shared in opened for name, each in shared.lists.items()}
        return replace(opened[0], lists=lists)

    @classmethod
    def open(cls, experiment: Experiment, out: Path, name: str | None) -> Shared:
        """What `make` has left in a folder, for another process.

        Args:
            experiment: that `make` was given.
            out: the folder.
            name: of the lists that are asked for; None for a student that learns from none.
        """
        folder, teacher = RunFolder(out), experiment.teacher
        split = read_split(folder.data)
        lists = {}
        if name is not None and kind_of(experiment) == "lists":
            assert isinstance(teacher, TeacherLists)
            lists[name] = stages.read_teacher(teacher, split)
        elif name is not None:
            lists[name] = read_labels(_labels(folder, name), split, experiment)
        model = folder.model("teacher") if has_model(experiment) else None
        return cls(folder, split, model, lists, depth_added_up(experiment))

    def has_lists(self, variant: Variant) -> bool:
        """Whether a variant's lists are there, as long as it needs them."""
        if not variant.distilled:
            return True
        lists = self.lists.get(name_of_lists(variant.method, self.fused_at))
        return lists is not None and lists.depth >= variant.method.k

    def lists_for(self, variant: Variant) -> Rankings | None:
        """What a variant learns from, so that others do not matter.

        Lists of our teacher are no longer than it needs; those of several are what a run of it alone has.
        """
        if not variant.distilled:
            return None
        lists = self.lists[name_of_lists(variant.method, self.fused_at)]
        return lists if self.teacher is None else lists.cut(variant.method.k)

    def teacher_for(self, variant: Variant) -> Ranker | None:
        """The teacher itself, where the variant's method asks it."""
        return self.teacher_asked_by(variant.method, variant.experiment) if variant.distilled else None

    def teacher_asked_by(self, method: DistillationConfig, experiment: Experiment) -> Ranker | None:
        """The teacher itself, on the student's device, where a method asks it; loaded once."""
        if self.teacher is None or needs_of(method) != "model":
            return None
        device = experiment.student.train.device
        if device not in self._loaded:
            self._loaded[device] = load_model(self.teacher, device)[0]
        return self._loaded[device]

    def stamp(self, variant: Variant, folder: Path) -> str:
        """A hash of all that a variant's figures depend on."""
        task = _task(variant, folder)
        trained = stages.settings_of(task, self.split, self.lists_for(variant))
        return stamp_of(trained=trained, evaluate=variant.experiment.evaluate.model_dump(mode="json"))


def _stamp(experiment: Experiment) -> str:
    """What the data and the teacher depend on."""
    free: dict[str, Any] = {"train": set(stages.FREE)}
    others = dict.fromkeys(("student", "distillation", "tracking"), True)
    dump = experiment.model_dump(
        mode="json", exclude={**others, **free, "teacher": {**free, "each": {"__all__": free}}}
    )
    files = [path for each in teachers_given(experiment) for path in (each.rankings, *each.easier)]
    given = [state for path in files for state in state_of(path)] or None
    return stamp_of(experiment=dump, data=state_of(experiment.data.path), teacher=given)


def opened(experiment: Experiment, out: Path, name: str | None) -> Shared:
    """`Shared.open`, read once for students that follow one another in a process, while the folder stays as it is."""
    key = (out, RunFolder(out).state, name)
    if key not in _OPENED:
        _OPENED.clear()
        _OPENED[key] = Shared.open(experiment, out, name)
    return _OPENED[key]


def opened_for(experiment: Experiment, out: Path, variant: Variant) -> Shared:
    """`opened`, with the lists that a variant learns from."""
    name = name_of_lists(variant.method, depth_added_up(experiment)) if variant.distilled else None
    return opened(experiment, out, name)


def name_of_lists(method: DistillationConfig, fused_at: int | None) -> str:
    """Which of the shared lists a method learns from: what they leave out, and K where they depend on it.

    Of one teacher, shorter lists are the beginnings of longer ones. Those of several are added up at least `fused_at`
    deep, and are others where they are added up deeper; and a method that climbs has those of each beside them.
    """
    depends = fused_at is not None and (method.k > fused_at or needs_of(method) == "several")
    return f"{method.exclude}-{method.k}" if depends else method.exclude


def _by_lists(methods: Iterable[DistillationConfig], fused_at: int | None) -> dict[str, list[DistillationConfig]]:
    """The methods that learn from the same lists, by the name of these."""
    found: dict[str, list[DistillationConfig]] = {}
    for method in methods:
        found.setdefault(name_of_lists(method, fused_at), []).append(method)
    return found


def depth_added_up(experiment: Experiment) -> int | None:
    """How deep several teachers' lists are at least before they are added up; None where none are."""
    return experiment.ensemble.depth if kind_of(experiment) == "fusion" else None


def _labels(folder: RunFolder, name: str) -> Path:
    return folder.path / f"labels-{name}.parquet"


def _task(variant: Variant, folder: Path) -> stages.Assignment:
    return stages.Assignment(variant.role, variant.experiment.student, variant.experiment, folder)


def train_variant(variant: Variant, shared: Shared, folder: Path) -> Json:
    """Trains a variant into a model folder and measures it; what is done there already is taken as it is.

    The latency is left out, since others may be training: see `measuring.time_model`.

    Args:
        variant: what to train.
        shared: the data, and the lists that it learns from.
        folder: where to.

    Returns:
        The content of `model.json`: parameters, bytes, seconds, `metrics` on the test part, `validation` metrics or
        None, a `stamp` of all that they depend on, and in which state the `files` are.
    """
    stamp = shared.stamp(variant, folder)
    if is_done(folder, stamp):
        return load_card(folder)
    lists, teacher = shared.lists_for(variant), shared.teacher_for(variant)
    model = stages.go_on_training(_task(variant, folder), shared.split, lists, teacher)
    settings = variant.experiment.evaluate
    measuring.evaluate_model(folder, model, shared.split, settings, timed=False)
    validation = measuring.validate_model(model, shared.split, settings)
    files = noted(folder, (folder / WEIGHTS, *measuring.measured_files(folder)))
    card = {**load_card(folder), "validation": validation, "stamp": stamp, "files": files}
    write_json(folder / CARD, card)
    stages.track_test(variant.experiment, folder)
    return card


def is_done(folder: Path, stamp: str) -> bool:
    """Whether a folder holds a variant with this stamp, trained and measured, whose files are as they were written."""
    card = read_object(folder / CARD)
    if card.get("stamp") != stamp or not all((folder / name).exists() for name in (WEIGHTS, EVALUATION, RANKINGS)):
        return False
    # an earlier version noted the content of the weights alone
    return are_as_left(folder.name, folder, card.get("files") or {WEIGHTS: [None, None, card.get("sha256")]})
