"""The whole way, in one run folder: data, teacher, labels, plain student, distilled student, evaluation, report."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from rankdistill import measuring, stages
from rankdistill.checks import check_climb, check_kept, check_lists_are_there, check_metrics
from rankdistill.climbing import all_easier_labels, check_named, on_missing_of, to_climb
from rankdistill.config import Experiment, RoleConfig, TeacherLists, TrainConfig, to_toml
from rankdistill.data.splitting import Split
from rankdistill.data.storage import read_split, write_split
from rankdistill.errors import RankDistillError
from rankdistill.evaluation.evaluate import Evaluation
from rankdistill.evaluation.halves import means_of
from rankdistill.files import write_json, write_text
from rankdistill.folders import begun
from rankdistill.loss import DistillationConfig
from rankdistill.members import Company, clear_members
from rankdistill.model_folder import CARD, clear_model, is_model, load_card, load_model, origin_of, save_model
from rankdistill.owners import check_made_by
from rankdistill.pipeline import check_list_length, label, prepare, training_seed, warn_of_few_queries
from rankdistill.ranker import Ranker
from rankdistill.rankings import Rankings
from rankdistill.report import build, write
from rankdistill.runs import EVALUATION, RANKINGS, ROLES, Role, RunFolder, peak_memory_bytes, stamp_of, state_of
from rankdistill.teaching import Distillation, check_student, needs_of

logger = logging.getLogger(__name__)

T = TypeVar("T")


def run(experiment: Experiment, out: Path, *, resume: bool = False, starts_over: bool = False) -> Path:
    """Runs an experiment into the folder `out`; stages whose inputs did not change are skipped.

    Args:
        experiment: what to do.
        out: the run folder.
        resume: go on with a training that was interrupted, instead of starting it over.
        starts_over: see `Run`.

    Returns:
        The path of `report.html`.

    Raises:
        StorageError: another run is at work in the folder.
        RankDistillError: something does not fit. What can be checked beforehand is, and nothing is changed then; a new
            folder is taken away again.
    """
    begin = time.perf_counter()
    check_made_by(out, "run")
    check_metrics(experiment)
    check_student(experiment.student.model)
    check_climb(experiment)
    with begun(out, "run"):
        work = Run(experiment, RunFolder(out), resume, starts_over)
        work.models()
        seconds, memory = time.perf_counter() - begin, peak_memory_bytes()
        made = {"seconds": round(seconds, 1), "peak_memory_bytes": memory, "skipped": work.skipped}
        write_json(out / "run.json", made)
        logger.info("the run took %.0f s%s", seconds, f" and at most {memory / 1e6:.0f} MB of memory" if memory else "")
        page = out / "report.html"
        report = build([out])
        write(report, page)
    for warning in report.runs[0].warnings:
        logger.warning(warning)
    return page


def _evaluation_of(stage: str) -> str:
    """What the evaluation of a stage's model is called."""
    return f"{stage} evaluation"


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """A teacher that was not trained here: a model, or lists and nothing else.

    Attributes:
        teacher: what the experiment says of it.
        model: what it is, if it is one.
        lists: for the training queries, if it is lists.
        measured: those for the test users, see `measuring.evaluate_lists`; None where they are not known.
    """

    teacher: TeacherLists
    model: Ranker | None
    lists: Rankings | None
    measured: tuple[Evaluation, Evaluation, Rankings] | None


@dataclass(slots=True)
class Run:
    """The stages of an experiment in a folder, each of them skipped where its inputs did not change.

    Attributes:
        experiment: what to do.
        folder: where.
        resume: go on with a training that was interrupted.
        starts_over: start one over that was begun with other settings; else that is an error.
        skipped: the stages that were up to date.
    """

    experiment: Experiment
    folder: RunFolder
    resume: bool
    starts_over: bool = False
    skipped: list[str] = field(default_factory=list)

    def models(self) -> None:
        """All that is trained and measured; checked first, as far as that can be, and then written."""
        experiment, method = self.experiment, self._method
        split, lists = self.begin([method])
        if lists is None:
            lists = self.label(split, method, self.folder.labels)
        self.train("student", experiment.student, split)
        self.train("distilled", experiment.student, split, lists)
        self.compare(split)

    def begin(
        self, methods: Sequence[DistillationConfig], checked: Callable[[], None] = lambda: None
    ) -> tuple[Split, Rankings | None]:
        """The data and the teacher, in the folder once all is checked that can be.

        Args:
            methods: by which students will learn.
            checked: called when nothing is left to be checked, before anything is written.

        Returns:
            The data; and the teacher's lists, where nothing else is known of it.

        Raises:
            RankDistillError: something does not fit; found before anything is written, where that can be.
        """
        split, given = self.check(methods)
        checked()
        write_text(self.folder.config, to_toml(self.experiment))
        self.keep(split)
        warn_of_few_queries(split, max(role.train.batch_size for _, role in self.experiment.roles()))
        company = self.company()
        if company is not None:
            self._assemble(company, split)
        elif given is not None:
            self._take(given, split)
        else:
            assert isinstance(self.experiment.teacher, RoleConfig)
            self.train("teacher", self.experiment.teacher, split)
        if given is None or given.teacher.rankings.resolve() != self.folder.model("teacher").resolve():
            clear_members(self.experiment, self.folder.model("teacher"))
        return split, None if given is None else given.lists

    def check(self, methods: Sequence[DistillationConfig]) -> tuple[Split, Given | None]:
        """The data, and a teacher that is not trained here, once all is checked that can be; writes nothing.

        Raises:
            RankDistillError: something does not fit.
        """
        split = self.read()
        self._check(split, methods)
        return split, self._given(split, methods)

    def _result(self, stage: str, stamp: str, read: Callable[[], T], *files: Path) -> T | None:
        """What a finished stage made; None, and its old results no longer count, where it has to be done (again)."""
        known = self._known(stage, stamp, read, *files)
        if known is None:
            self.folder.forget(stage)
        return known

    def _known(self, stage: str, stamp: str, read: Callable[[], T], *files: Path) -> T | None:
        """What a finished stage made; None where it has to be done (again)."""
        if self.folder.is_done(stage, stamp, *files):
            try:
                result = read()
            except RankDistillError as error:
                logger.warning("%s: made again: %s", stage, error)
            else:
                logger.info("%s: up to date", stage)
                self.skipped.append(stage)
                return result
        return None

    def prepare(self) -> Split:
        """The data, also in the folder; see `read`."""
        split = self.read()
        self.keep(split)
        return split

    def read(self) -> Split:
        """The data, read again only when the file or its settings changed; writes nothing.

        Raises:
            RankDistillError: it cannot be read, the members of the teacher cannot be combined, or a file of lists is
                not there, or would be replaced.
        """
        self.company()
        check_lists_are_there(self.experiment)
        check_kept(self.experiment, self.folder)
        folder = self.folder.data
        known = self._known("data", self._data_stamp(), lambda: read_split(folder), folder)
        return prepare(self.experiment) if known is None else known

    def _data_stamp(self) -> str:
        experiment = self.experiment
        return stamp_of(
            data=experiment.data.model_dump(mode="json"),
            split=experiment.split.model_dump(),
            windows=experiment.windows.model_dump(),
            files=state_of(experiment.data.path),
        )

    def keep(self, split: Split) -> None:
        """Writes the data that `read` gave."""
        experiment, folder = self.experiment, self.folder
        if "data" not in self.skipped:
            folder.forget("data")
            write_split(split, folder.data, stages.data_settings(experiment))
            folder.done("data", self._data_stamp(), folder.data)
        write_json(folder.path / "data.json", stages.describe_data(split, experiment))
        stages.write_targets(split, experiment, folder.path / "targets.parquet")

    def _check(self, split: Split, methods: Sequence[DistillationConfig]) -> None:
        """Refuses what could not be distilled, as far as it can be known before anything is trained; writes nothing.

        Raises:
            ConfigError: lists are to be longer than the catalogue gives.
            RankingsError: the lists of one of several teachers do not fit the data.
        """
        for method in methods:
            check_list_length(split, method.k, method.exclude)
        company = self.company()
        if company is not None:
            company.check(split, methods)

    def _given(self, split: Split, methods: Sequence[DistillationConfig]) -> Given | None:
        """A teacher that is not trained here, fit for all of the methods; writes nothing.

        Raises:
            RankDistillError: it does not fit the data or a method, or lists for the test users cannot be measured.
        """
        teacher = self.experiment.teacher
        if not isinstance(teacher, TeacherLists):
            return None
        if is_model(teacher.rankings):
            device = self.experiment.student.train.device
            model = stages.load_ranker(teacher.rankings, split, device)
            for method in methods:
                check_named(teacher, split, method)
            return Given(teacher, model, None, None)
        lists = stages.read_teacher(teacher, split)
        for method in methods:
            Distillation(lists, method).check(split)
        path, settings = teacher.test_rankings, self.experiment.evaluate
        measured = path and measuring.evaluate_lists(path, split, settings, on_unknown=teacher.on_unknown)
        return Given(teacher, None, lists, measured or None)

    def company(self) -> Company | None:
        """The members of the teacher, where it is several.

        Raises:
            ConfigError: they cannot be combined as the experiment says.
        """
        return Company.of(self.experiment, self.folder.model("teacher"))

    def train(self, role: Role, model: RoleConfig, split: Split, lists: Rankings | None = None) -> None:
        """Trains and evaluates the model of one role."""
        task = stages.Assignment(role, model, self.experiment, self.folder.model(role), self.resume)
        self._train(task, split, lists)

    def _train(self, task: stages.Assignment, split: Split, lists: Rankings | None = None) -> None:
        experiment, model, path, stage = task.experiment, task.model, task.folder, task.name or task.role
        trained = stamp_of(
            data=split.content,
            windows=split.window_settings,
            validation=None if split.validation is None else experiment.evaluate.exclude_seen,
            model=model.model_dump(mode="json", exclude={"train": set(stages.FREE)}),
            loss=experiment.loss_of(model).model_dump(mode="json"),
            seed=training_seed(experiment.seed, distilled=lists is not None),
            method=None if lists is None else experiment.distillation.model_dump(mode="json"),
            lists=None if lists is None else stages.digest_of(lists, experiment.distillation),
        )
        ranker = self._result(stage, trained, lambda: load_model(path, model.train.device)[0], path / CARD)
        if ranker is None:
            asked = lists is not None and needs_of(experiment.distillation) == "model"
            teacher = load_model(self.folder.model("teacher"), model.train.device)[0] if asked else None
            self.folder.forget(_evaluation_of(stage))  # its figures go with the card of the model before
            train = stages.go_on_training if self.starts_over else stages.train_model
            ranker = train(task, split, lists, teacher)
            self.folder.done(stage, trained, path / CARD)
        self._evaluate(stage, trained, path, ranker, split)

    def _evaluate(self, name: str, trained: str, path: Path, ranker: Ranker, split: Split) -> None:
        """Measures a model on the test users."""
        settings = self.experiment.evaluate
        evaluated = stamp_of(trained=trained, evaluate=settings.model_dump(mode="json"))
        stage = _evaluation_of(name)
        values, files = path / EVALUATION, measuring.measured_files(path)
        if self._result(stage, evaluated, lambda: Evaluation.read(values, split.user_ids), *files):
            return
        means = measuring.evaluate_model(path, ranker, split, settings).mean()
        stages.track_test(self.experiment, path)
        self.folder.done(stage, evaluated, *files)
        logger.info("%-9s test  %s", name, "  ".join(f"{metric} {value:.4f}" for metric, value in means.items()))

    def _assemble(self, company: Company, split: Split) -> None:
        """A teacher that is several: its members, and what they are together."""
        company.train(lambda task: self._train(task, split), resume=self.resume)
        path, settings = company.folder, self.experiment.evaluate
        stamp = stamp_of(combine=company.combine, members=company.digests(), data=split.content)
        if company.is_model:
            ranker = self._result("teacher", stamp, lambda: load_model(path)[0], path / CARD)
            if ranker is None:
                self._clear_teacher()
                ranker = company.join(split)
                self.folder.done("teacher", stamp, path / CARD)
            self._evaluate("teacher", stamp, path, ranker, split)
            write_json(path / CARD, {**load_card(path), **company.about()})  # the members may have been measured anew
            return
        stamp = stamp_of(members=stamp, evaluate=settings.model_dump(mode="json"), files=company.files())
        if self._result("teacher", stamp, lambda: load_card(path), path / CARD) is None:
            measured = company.evaluate(split)
            self._clear_teacher()
            company.write_card(measured, split)
            self.folder.done("teacher", stamp, path / CARD, *measuring.measured_files(path))

    def _adopt(self, source: Path, model: Ranker, split: Split) -> None:
        """Takes the model of a folder that was trained on the same data as the teacher, and measures it.

        The folder may be the teacher's own: then it stays as it is.
        """
        card, path, settings = load_card(source), self.folder.model("teacher"), self.experiment.evaluate
        stamp = stamp_of(model=card.get("sha256"), data=split.content, evaluate=settings.model_dump(mode="json"))
        if self._result("teacher", stamp, lambda: load_model(path)[0], path / CARD, path / EVALUATION):
            return
        if source.resolve() != path.resolve():
            self._clear_teacher()
            about = {"role": "teacher", "from": str(source), **origin_of(card)}
            save_model(path, model, split.user_ids, split.item_ids, about)
        measuring.evaluate_model(path, model, split, settings)
        self.folder.done("teacher", stamp, path / CARD, *measuring.measured_files(path))
        logger.info("teacher: the %s of %s", type(model).__name__, source)

    def label(self, split: Split, method: DistillationConfig, path: Path) -> Rankings:
        """The teacher's lists for the training queries, as a method asks for them, into the file `path`.

        Raises:
            RankDistillError: several teachers' lists do not fit, or nothing comes before them and the method climbs.
        """
        company, teacher = self.company(), self.folder.model("teacher")
        easier = {source.labels(path): source for source in to_climb(self.experiment, teacher, method)}
        if company is None or company.is_model:
            lists = self._label(teacher, split, method, path)
        else:
            stamp = [company.digests(), company.files(), self.experiment.ensemble.model_dump(mode="json")]
            lists = self._lists(stamp, split, method, path, lambda: company.lists(split, method))
        for other in set(all_easier_labels(path)) - set(easier):
            other.unlink()  # of an earlier teacher or method
        made = [
            self._lists(source.state, split, method, file, partial(source.made, split, method, self._device))
            for file, source in easier.items()
        ]
        lists = replace(lists, easier=tuple(made), on_missing=on_missing_of(self.experiment))
        if company is not None and not company.is_model:
            Distillation(lists, method).check(split)
        return lists

    def _label(self, model: Path, split: Split, method: DistillationConfig, path: Path) -> Rankings:
        def make() -> Rankings:
            return label(load_model(model, self._device)[0], split, k=method.k, exclude=method.exclude)

        return self._lists(load_card(model)["sha256"], split, method, path, make)

    def _lists(
        self, teacher: object, split: Split, method: DistillationConfig, path: Path, make: Callable[[], Rankings]
    ) -> Rankings:
        """The lists of a file, made anew where the teacher, as far as `teacher` tells, or what is asked has changed."""
        stamp = stamp_of(
            teacher=teacher,
            data=split.fingerprint,
            windows=split.window_settings,
            k=method.k,
            exclude=method.exclude,
        )
        known = self._result(path.stem, stamp, lambda: stages.read_lists(path, split), path)
        if known is not None:
            return known
        begin = time.perf_counter()
        lists = make()
        lists.write(path, split.user_ids, split.item_ids, positions=not lists.per_user)
        self.folder.done(path.stem, stamp, path)
        logger.info(
            "%s: %s lists of %d in %.1f s", path.stem, f"{len(lists):,}", lists.depth, time.perf_counter() - begin
        )
        return lists

    @property
    def _device(self) -> str:
        """Where a teacher makes its lists."""
        train: TrainConfig = getattr(self.experiment.teacher, "train", self.experiment.student.train)
        return train.device

    @property
    def _method(self) -> DistillationConfig:
        method = self.experiment.distillation
        assert isinstance(method, DistillationConfig)
        return method

    def _take(self, given: Given, split: Split) -> None:
        """What is known of a teacher that was not trained here."""
        teacher, lists, folder = given.teacher, given.lists, self.folder.model("teacher")
        if given.model is not None:
            self._adopt(teacher.rankings, given.model, split)
        if lists is None:
            return
        self._clear_teacher()
        card = {"role": "teacher", "kind": "lists", "config": teacher.model_dump(mode="json"), "queries": len(lists)}
        if given.measured is not None:
            evaluation, parts, recommended = given.measured
            measuring.write_evaluation(evaluation, parts, folder / EVALUATION, split.user_ids)
            recommended.write(folder / RANKINGS, split.user_ids, split.item_ids)
            card |= {"metrics": evaluation.mean(), "totals": evaluation.totals, "halves": means_of(parts)}
        write_json(folder / CARD, card)
        logger.info("teacher: %s lists of %d from %s", f"{len(lists):,}", lists.depth, teacher.rankings)

    def _clear_teacher(self) -> None:
        """What an earlier teacher left in the folder speaks of another one."""
        for stage in ("teacher", "teacher evaluation", "labels"):
            self.folder.forget(stage)
        clear_model(self.folder.model("teacher"))
        for lists in (self.folder.labels, *all_easier_labels(self.folder.labels)):
            lists.unlink(missing_ok=True)

    def compare(self, split: Split) -> None:
        """The paired comparisons of the models."""
        folders = {role: self.folder.model(role) for role in ROLES}
        rows = measuring.compare_models(folders, split, self.experiment.evaluate.bootstrap_samples)
        write_json(self.folder.path / "comparisons.json", rows)
