"""The whole way, in one run folder: data, teacher, plain student, labels, distilled student, evaluation, report."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from rankdistill import stages
from rankdistill.config import Experiment, RoleConfig, TeacherLists, to_toml
from rankdistill.data.splitting import Split
from rankdistill.data.storage import read_split, write_split
from rankdistill.errors import ConfigError, EvaluationError, RankDistillError
from rankdistill.evaluation.evaluate import Evaluation
from rankdistill.evaluation.halves import beside, means_of
from rankdistill.evaluation.metrics import Metric
from rankdistill.files import write_json, write_text
from rankdistill.loss import DistillationConfig
from rankdistill.model_folder import CARD, WEIGHTS, load_card, load_model, save_model
from rankdistill.pipeline import check_list_length, label, prepare, training_seed
from rankdistill.rankings import Rankings
from rankdistill.report import build, together, write
from rankdistill.runs import ROLES, Role, RunFolder, peak_memory_bytes, stamp_of, state_of
from rankdistill.teaching import Distillation, check_student, lacks_easier, needs_of
from rankdistill.types import Json

logger = logging.getLogger(__name__)

T = TypeVar("T")


def run(experiment: Experiment, out: Path, *, resume: bool = False) -> Path:
    """Runs an experiment into the folder `out`; stages whose inputs did not change are skipped.

    Args:
        experiment: what to do.
        out: the run folder.
        resume: go on with a training that was interrupted, instead of starting it over.

    Returns:
        The path of `report.html`.
    """
    begin = time.perf_counter()
    folder = RunFolder.at(out)
    work = Run(experiment, folder, resume)
    check_metrics(experiment)
    check_student(experiment.student.model)
    write_text(folder.config, to_toml(experiment))
    split = work.prepare()
    method = experiment.distillation
    assert isinstance(method, DistillationConfig)
    check_list_length(split, method.k, method.exclude)
    check_climb(experiment)
    if isinstance(experiment.teacher, TeacherLists):
        lists = work.read_lists(experiment.teacher, split)
        work.train("student", experiment.student, split)
    else:
        work.train("teacher", experiment.teacher, split)
        work.train("student", experiment.student, split)
        lists = work.label(split, method, folder.labels)
    work.train("distilled", experiment.student, split, lists)
    work.compare(split)
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


def warn_of(folder: Path, teacher: Path | None) -> None:
    """Logs what speaks against a distilled student, as far as what is at hand can tell.

    That is its teacher, where it is one model folder, and the plain student of the same data in a folder `student`
    beside its own.
    """
    beside_it = [folder.parent / "student", *([] if teacher is None else [teacher])]
    data = load_card(folder)["fingerprint"]
    known = [each for each in beside_it if (each / CARD).is_file() and load_card(each).get("fingerprint") == data]
    for warning in together([folder, *known]).warnings:
        logger.warning(warning)


def check_climb(experiment: Experiment) -> None:
    """Refuses a method that climbs from easy lists to hard ones where a teacher will have one list for each query.

    Raises:
        ConfigError: the teacher is a model of which no earlier epochs are kept.
    """
    teacher, method = experiment.teacher, experiment.distillation
    alone = isinstance(teacher, RoleConfig) and not teacher.train.kept_epochs
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


@dataclass(slots=True)
class Run:
    """The stages of an experiment in a folder, each of them skipped where its inputs did not change."""

    experiment: Experiment
    folder: RunFolder
    resume: bool
    skipped: list[str] = field(default_factory=list)

    def _result(self, stage: str, stamp: str, read: Callable[[], T], *files: Path) -> T | None:
        """What a finished stage made; None, and its old results no longer count, where it has to be done (again)."""
        if self.folder.is_done(stage, stamp, *files):
            try:
                result = read()
            except RankDistillError as error:
                logger.warning("%s: made again: %s", stage, error)
            else:
                logger.info("%s: up to date", stage)
                self.skipped.append(stage)
                return result
        self.folder.forget(stage)
        return None

    def prepare(self) -> Split:
        """The data, read again only when the file or its settings changed."""
        experiment, folder = self.experiment, self.folder
        stamp = stamp_of(
            data=experiment.data.model_dump(mode="json"),
            split=experiment.split.model_dump(),
            windows=experiment.windows.model_dump(),
            files=state_of(experiment.data.path),
        )
        split = self._result("data", stamp, lambda: read_split(folder.data), folder.data)
        if split is None:
            split = prepare(experiment)
            write_split(split, folder.data, stages.data_settings(experiment))
            folder.done("data", stamp)
        write_json(folder.path / "data.json", stages.describe_data(split, experiment))
        stages.write_targets(split, experiment, folder.path / "targets.parquet")
        return split

    def train(self, role: Role, model: RoleConfig, split: Split, lists: Rankings | None = None) -> None:
        """Trains and evaluates the model of one role."""
        experiment, path = self.experiment, self.folder.model(role)
        trained = stamp_of(
            data=split.content,
            windows=split.window_settings,
            validation=None if split.validation is None else experiment.evaluate.exclude_seen,
            model=model.model_dump(mode="json"),
            loss=experiment.ranking_loss.model_dump(mode="json"),
            seed=training_seed(experiment.seed, distilled=lists is not None),
            method=None if lists is None else experiment.distillation.model_dump(mode="json"),
            lists=None if lists is None else stages.digest_of(lists, experiment.distillation),
        )
        evaluated = stamp_of(trained=trained, evaluate=experiment.evaluate.model_dump(mode="json"))
        ranker = self._result(role, trained, lambda: load_model(path, model.train.device)[0], path / CARD)
        if ranker is None:
            task = stages.Assignment(role, model, experiment, path, self.resume)
            asked = lists is not None and needs_of(experiment.distillation) == "model"
            teacher = load_model(self.folder.model("teacher"), model.train.device)[0] if asked else None
            ranker = stages.train_model(task, split, lists, teacher)
            self.folder.done(role, trained)
        stage = f"{role} evaluation"
        values, lists_file = path / "evaluation.parquet", path / "rankings.parquet"
        files = (values, beside(values), lists_file)
        if self._result(stage, evaluated, lambda: Evaluation.read(values, split.user_ids), *files):
            return
        means = stages.evaluate_model(path, ranker, split, experiment.evaluate).mean()
        stages.track_test(experiment, path)
        self.folder.done(stage, evaluated)
        logger.info("%-9s test  %s", role, "  ".join(f"{name} {value:.4f}" for name, value in means.items()))

    def adopt(self, source: Path, split: Split) -> None:
        """Takes a model that was trained elsewhere on the same data as the teacher, and measures it."""
        card, path, settings = load_card(source), self.folder.model("teacher"), self.experiment.evaluate
        stamp = stamp_of(model=card.get("sha256"), data=split.content, evaluate=settings.model_dump(mode="json"))
        if self._result("teacher", stamp, lambda: load_model(path)[0], path / CARD, path / "evaluation.parquet"):
            return
        model = stages.load_ranker(source, split, self.experiment.student.train.device)
        self._clear_teacher()
        about = {key: value for key, value in card.items() if key not in ("bytes", "sha256")}
        save_model(path, model, split.user_ids, split.item_ids, {**about, "role": "teacher", "from": str(source)})
        stages.evaluate_model(path, model, split, settings)
        self.folder.done("teacher", stamp)
        logger.info("teacher: the %s of %s", type(model).__name__, source)

    def label(self, split: Split, method: DistillationConfig, path: Path) -> Rankings:
        """The teacher's lists for the training queries, as a method asks for them, into the file `path`."""
        teacher = self.folder.model("teacher")
        lists = self._label(teacher, split, method, path)
        files = {stages.labels_of_epoch(path, model.name): model for model in stages.kept_models(teacher)}
        for other in set(path.parent.glob(stages.labels_of_epoch(path, "*").name)) - set(files):
            other.unlink()  # of an earlier teacher
        easier = (self._label(model, split, method, file) for file, model in files.items())
        return replace(lists, easier=tuple(easier))

    def _label(self, model: Path, split: Split, method: DistillationConfig, path: Path) -> Rankings:
        folder, own = self.folder, getattr(self.experiment.teacher, "train", self.experiment.student.train)
        teacher, card = load_model(model, own.device)
        stamp = stamp_of(
            teacher=card["sha256"],
            data=split.fingerprint,
            windows=split.window_settings,
            k=method.k,
            exclude=method.exclude,
        )
        known = self._result(path.stem, stamp, lambda: stages.read_lists(path, split), path)
        if known is not None:
            return known
        begin = time.perf_counter()
        lists = label(teacher, split, k=method.k, exclude=method.exclude)
        lists.write(path, split.user_ids, split.item_ids, positions=True)
        folder.done(path.stem, stamp)
        logger.info("%s: %s lists of %d in %.1f s", path.stem, f"{len(lists):,}", method.k, time.perf_counter() - begin)
        return lists

    def read_lists(self, teacher: TeacherLists, split: Split) -> Rankings:
        """Somebody else's lists, checked before anything is trained."""
        method = self.experiment.distillation
        assert isinstance(method, DistillationConfig)
        lists = stages.read_teacher(teacher, split)
        Distillation(lists, method).items_for(split)
        self._clear_teacher()
        card = {"role": "teacher", "kind": "lists", "config": teacher.model_dump(mode="json"), "queries": len(lists)}
        if teacher.test_rankings is not None:
            self._evaluate_lists(teacher, teacher.test_rankings, split, card)
        write_json(self.folder.model("teacher") / CARD, card)
        logger.info("teacher: %s lists of %d from %s", f"{len(lists):,}", lists.depth, teacher.rankings)
        return lists

    def _clear_teacher(self) -> None:
        """What an earlier teacher left in the folder speaks of another one."""
        for stage in ("teacher", "teacher evaluation", "labels"):
            self.folder.forget(stage)
        for name in (
            WEIGHTS,
            "evaluation.parquet",
            "evaluation-halves.parquet",
            "rankings.parquet",
            "metrics.jsonl",
            "config.toml",
        ):
            (self.folder.model("teacher") / name).unlink(missing_ok=True)
        self.folder.labels.unlink(missing_ok=True)

    def _evaluate_lists(self, teacher: TeacherLists, path: Path, split: Split, card: Json) -> None:
        """The foreign teacher's own lists for the test users, measured like those of a model."""
        folder = self.folder.model("teacher")
        settings = self.experiment.evaluate
        evaluation, parts, lists = stages.evaluate_lists(path, split, settings, on_unknown=teacher.on_unknown)
        stages.write_evaluation(evaluation, parts, folder / "evaluation.parquet", split.user_ids)
        lists.write(folder / "rankings.parquet", split.user_ids, split.item_ids)
        card |= {"metrics": evaluation.mean(), "totals": evaluation.totals, "halves": means_of(parts)}

    def compare(self, split: Split) -> None:
        """The paired comparisons of the models."""
        folders = {role: self.folder.model(role) for role in ROLES}
        rows = stages.compare_models(folders, split, self.experiment.evaluate.bootstrap_samples)
        write_json(self.folder.path / "comparisons.json", rows)
