"""A teacher that is several: its members, how they are combined, and where each of them is kept."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from rankdistill import measuring, plugins, stages
from rankdistill.config import EnsembleConfig, Experiment, RoleConfig, TeacherConfig, TeacherLists, Teachers, to_toml
from rankdistill.data.splitting import Split
from rankdistill.data.teacher_items import lists_for_windows, targets_within, teacher_items, to_be_added_up
from rankdistill.ensemble import Combine, Ensemble, summed_as
from rankdistill.errors import ConfigError
from rankdistill.evaluation.evaluate import Evaluation
from rankdistill.evaluation.halves import means_of
from rankdistill.files import write_json, write_text
from rankdistill.loss import DistillationConfig
from rankdistill.model_folder import CARD, clear_model, is_model, load_card, load_model, save_model
from rankdistill.pipeline import label, longest_list
from rankdistill.ranker import Ranker, rank
from rankdistill.rankings import Rankings
from rankdistill.rankings.fusion import By, check, fuse
from rankdistill.runs import EVALUATION, RANKINGS, state_of
from rankdistill.teaching import check_added_up, needs_of
from rankdistill.types import Json

logger = logging.getLogger(__name__)

Train: TypeAlias = Callable[[stages.Assignment], object]
Kind: TypeAlias = Literal["trained", "given", "lists", "ensemble", "fusion"]
"""What a teacher is: a model that is trained here; a model that is there already; a file of lists; several models that
are one; several teachers whose lists are added up."""
_MEMBERS = 1
"""The spawn key of the members' seeds; 0 is that of a distilled student."""


@dataclass(frozen=True, slots=True)
class Member:
    """One of the models or lists that are a teacher together.

    Attributes:
        number: from 1.
        role: what to train, or whose lists to read.
        weight: how much it counts.
        seed: what its training starts from; the first member's is the experiment's.
    """

    number: int
    role: RoleConfig | TeacherLists
    weight: float
    seed: int

    def folder(self, teacher: Path) -> Path:
        """Where it is kept."""
        return teacher / "members" / str(self.number)

    @property
    def name(self) -> str:
        """What messages call it."""
        if isinstance(self.role, TeacherLists):
            return f"member {self.number} ({self.role.rankings.name})"
        return f"member {self.number} ({self.role.kind})"

    def alone(self, experiment: Experiment) -> Experiment:
        """The experiment with this member as its teacher."""
        return experiment.model_copy(update={"teacher": self.role, "ensemble": EnsembleConfig(), "seed": self.seed})


def members_of(experiment: Experiment) -> list[Member]:
    """The members of an experiment's teacher, those of weight 0 left out; none where it is one model or file of lists.

    Raises:
        ConfigError: all weights are 0.
    """
    named = _named(experiment)
    members = [member for member in named if member.weight]
    if named and not members:
        raise ConfigError("[[teacher]] weight: is 0 for all of them; give one of them a weight above 0")
    return members


def _named(experiment: Experiment) -> list[Member]:
    """What an experiment names as members, of whatever weight, numbered by their places."""
    teacher = experiment.teacher
    if not isinstance(teacher, Teachers) and (isinstance(teacher, TeacherLists) or teacher.members == 1):
        return []
    members: list[Member] = []
    for each in teacher.each if isinstance(teacher, Teachers) else (teacher,):
        copies = each.members if isinstance(each, TeacherConfig) else 1
        alone = each if isinstance(each, TeacherLists) else each.model_copy(update={"members": 1, "weight": 1.0})
        for _ in range(copies):
            number = len(members) + 1
            members.append(Member(number, alone, each.weight / copies, _seed(experiment.seed, number)))
    return members


def clear_members(experiment: Experiment, teacher: Path) -> None:
    """Removes from a teacher's folder the models of members that the experiment does not name."""
    named = {member.folder(teacher) for member in _named(experiment) if isinstance(member.role, RoleConfig)}
    for folder in (teacher / "members").glob("*"):
        if folder.name.isdecimal() and folder not in named and not folder.is_symlink():
            clear_model(folder)
    with suppress(OSError):  # it is not there, or there is something in it
        (teacher / "members").rmdir()


def _seed(seed: int, number: int) -> int:
    if number == 1:
        return seed
    return int(np.random.SeedSequence(seed, spawn_key=(_MEMBERS, number)).generate_state(1)[0])


def combination_of(experiment: Experiment, members: Sequence[Member]) -> Combine | By:
    """How the members become one teacher.

    What is left out is chosen: what the ranking losses make of the scores where all members learn by one, and else the
    ranks in their lists.

    Raises:
        ConfigError: scores of models are asked for and a member has none; or the method needs what lists that are
            added up have not; or a member is to lack lists.
    """
    for member in members:
        if isinstance(member.role, TeacherLists) and member.role.on_missing == "skip":
            raise ConfigError(
                f"[[teacher]] on_missing = 'skip': {member.name} is one of several teachers, each of which has to have "
                f"a list for every training query; `rankdistill fuse` their lists and name that file as [teacher]"
            )
    asked = experiment.ensemble.combine
    without = [member for member in members if not _has_scores(member)]
    chosen: Combine | By = asked or _fitting(experiment, members)
    if chosen in get_args(Combine) and without:
        raise ConfigError(
            f"[ensemble] combine = {chosen!r}: {without[0].name} has no scores that could be added to those of the "
            f"others; take 'ranks' or 'scores', which add up lists"
        )
    if chosen in get_args(By):
        check_added_up(experiment.distillation, chosen)
    return chosen


def _has_scores(member: Member) -> bool:
    """Whether its scores can be added to another model's; see `Ensemble`."""
    if isinstance(member.role, TeacherLists):
        return False
    plugin = plugins.behind("models", member.role.model)
    return bool(plugin.adjust is Ranker.adjust)


def _fitting(experiment: Experiment, members: Sequence[Member]) -> Combine | By:
    learned = all(
        isinstance(member.role, RoleConfig) and plugins.behind("models", member.role.model).learns for member in members
    )
    if not learned or not all(map(_has_scores, members)):
        return "ranks"
    losses = (experiment.loss_of(member.role) for member in members if isinstance(member.role, RoleConfig))
    return summed_as(plugins.kind_of(loss) for loss in losses)


@dataclass(frozen=True, slots=True)
class Company:
    """The members of a teacher in a folder.

    Attributes:
        experiment: as a whole.
        folder: the teacher's, which holds those of the members.
        members: who they are, without those of weight 0.
        combine: how they become one.
    """

    experiment: Experiment
    folder: Path
    members: Sequence[Member]
    combine: Combine | By

    @classmethod
    def of(cls, experiment: Experiment, folder: Path) -> Company | None:
        """The members of an experiment's teacher; None where it is one model or one file of lists.

        Raises:
            ConfigError: all weights are 0, or they cannot be combined as the experiment says.
        """
        members = members_of(experiment)
        return cls(experiment, folder, members, combination_of(experiment, members)) if members else None

    @property
    def is_model(self) -> bool:
        """Whether together they are a model, not lists alone."""
        return self.combine in get_args(Combine)

    @property
    def models(self) -> list[Member]:
        """Those that are trained."""
        return [member for member in self.members if isinstance(member.role, RoleConfig)]

    def train(self, train: Train, *, resume: bool) -> None:
        """Trains the members one after the other, each into its folder, by `train`."""
        out = ", ".join(member.name for member in _named(self.experiment) if not member.weight)
        if out:
            logger.info("left out for a weight of 0: %s", out)
        for member in self.models:
            assert isinstance(member.role, RoleConfig)
            task = stages.Assignment("teacher", member.role, member.alone(self.experiment), self._of(member), resume)
            train(replace(task, name=f"member {member.number}"))

    def join(self, split: Split) -> Ensemble:
        """Makes the trained members one model and saves it as the teacher's folder."""
        experiment = self.experiment
        rankers = [load_model(self._of(member))[0] for member in self.members]
        for ranker in rankers:
            ranker.fingerprint = split.fingerprint
        ensemble = self.joined(rankers)
        write_text(self.folder / "config.toml", to_toml(experiment))
        about = {"role": "teacher", "fingerprint": split.fingerprint, "seed": experiment.seed, **self.about()}
        save_model(self.folder, ensemble, split.user_ids, split.item_ids, about)
        return ensemble

    def joined(self, rankers: Sequence[Ranker]) -> Ensemble:
        """The members, given as models, as one; where `is_model`."""
        combine = self.combine
        assert combine == "log_sigmoid" or combine == "log_softmax" or combine == "z_score"
        return Ensemble.of(rankers, [member.weight for member in self.members], combine)

    def about(self) -> Json:
        """What the card of the teacher says of its members."""
        rows = [self._row(member) for member in self.members]
        seconds = [row["train_seconds"] for row in rows if row.get("train_seconds") is not None]
        return {"combine": self.combine, "members": rows, "train_seconds": round(sum(seconds), 3)}

    def write_card(self, measured: tuple[Evaluation, Evaluation, Rankings] | None, split: Split) -> None:
        """The card of a teacher that is lists alone, and beside it how good those for the test users are."""
        about, path = self.about(), self.folder
        rows = about["members"]
        sums = {
            key: sum(row[key] for row in rows) for key in ("parameters", "bytes") if all(key in row for row in rows)
        }
        card = {"role": "teacher", "kind": "fusion", **sums, **about}
        if measured is not None:
            evaluation, parts, lists = measured
            measuring.write_evaluation(evaluation, parts, path / EVALUATION, split.user_ids)
            lists.write(path / RANKINGS, split.user_ids, split.item_ids)
            card |= {"metrics": evaluation.mean(), "totals": evaluation.totals, "halves": means_of(parts)}
        write_json(path / CARD, card)

    def read_lists(self) -> list[TeacherLists]:
        """Those that are files of lists."""
        return [member.role for member in self.members if isinstance(member.role, TeacherLists)]

    def files(self) -> list[list[list[Any]]]:
        """The state of the files of lists, in which a change of them shows."""
        return [state_of(path) for each in self.read_lists() for path in (each.rankings, each.test_rankings)]

    def digests(self) -> list[Json]:
        """What a change of the teacher shows in."""
        return [
            {"weight": member.weight, "model": load_card(self._of(member))["sha256"]}
            if isinstance(member.role, RoleConfig)
            else {"weight": member.weight, "lists": member.role.model_dump(mode="json")}
            for member in self.members
        ]

    def check(self, split: Split, methods: Sequence[DistillationConfig]) -> None:
        """Refuses files of lists that do not fit the data, each other or a method, before anything is trained.

        Args:
            split: the data.
            methods: by which students will learn.

        Raises:
            RankingsError: they do not.
        """
        longest = {method.exclude: method for method in sorted(methods, key=lambda each: each.k)}
        climbed = [method for method in methods if needs_of(method) == "several"]
        given = [(member, member.role) for member in self.members if isinstance(member.role, TeacherLists)]
        for member, role in given:
            lists = stages.read_teacher(role, split)
            check([replace(lists, source=member.name)], self._by)
            for exclude in longest:
                lists_for_windows(lists, split, exclude)
            for method in climbed:
                teacher_items(replace(lists, scores=None), split, method.k, method.exclude)
        if not self.models:
            for exclude, method in longest.items():
                teacher_items(self.lists(split, method), split, method.k, exclude)
            self.evaluate(split)
        elif all(role.test_rankings for _, role in given):
            for member, role in given:
                check([replace(self._recommended(role, split), source=member.name)], self._by)

    def _recommended(self, given: TeacherLists, split: Split) -> Rankings:
        """A file's lists for the test users."""
        assert given.test_rankings is not None
        queries = split.queries("test", exclude_seen=self.experiment.evaluate.exclude_seen)
        lists = stages.read_lists(given.test_rankings, split, given.on_unknown)
        return measuring.lists_of_users(lists, queries, split, "test")

    def lists(self, split: Split, method: DistillationConfig) -> Rankings:
        """The members' lists for the training queries as one.

        Lists that serve all queries of a user are longer by the targets that a query may find in them.

        Raises:
            RankingsError: lists do not fit the data, or the members have too little in common.
        """
        depth = max(method.k, self.experiment.ensemble.depth)
        depth = min(depth, longest_list(split, method.exclude))
        found = [
            stages.read_teacher(member.role, split)
            if isinstance(member.role, TeacherLists)
            else label(self._model(member, split), split, k=depth, exclude=method.exclude)
            for member in self.members
        ]
        found = to_be_added_up(found, split, method.exclude)
        return self._fused(found, depth + targets_within(found[0], split, method.exclude))

    def evaluate(self, split: Split) -> tuple[Evaluation, Evaluation, Rankings] | None:
        """The lists for the test users, measured; None where they are not known of all members."""
        settings = self.experiment.evaluate
        queries = split.queries("test", exclude_seen=settings.exclude_seen)
        found = []
        for member in self.members:
            if isinstance(member.role, RoleConfig):
                found.append(replace(rank(self._model(member, split), queries, settings.depth), target_ranks=None))
            elif member.role.test_rankings is None:
                return None
            else:
                found.append(self._recommended(member.role, split))
        return measuring.measure_lists(self._fused(found, settings.depth), split, settings)

    def _fused(self, found: Sequence[Rankings], k: int) -> Rankings:
        named = [replace(each, source=member.name) for each, member in zip(found, self.members, strict=True)]
        weights = [member.weight for member in self.members]
        foreign = any(isinstance(member.role, TeacherLists) for member in self.members)
        least = self.experiment.ensemble.least_shared if foreign else 0.0  # our own models are of one catalogue
        return fuse(named, weights=weights, by=self._by, k=k, least_shared=least)

    @property
    def _by(self) -> By:
        """What is added up where together they are lists."""
        return "scores" if self.combine == "scores" else "ranks"

    def _model(self, member: Member, split: Split) -> Ranker:
        return stages.load_ranker(self._of(member), split, self.experiment.student.train.device)

    def _of(self, member: Member) -> Path:
        return member.folder(self.folder)

    def _row(self, member: Member) -> Json:
        row: Json = {"number": member.number, "weight": member.weight}
        if isinstance(member.role, TeacherLists):
            return {**row, "kind": "lists", "file": member.role.rankings.name}
        card = load_card(self._of(member))
        kept = ("kind", "seed", "parameters", "bytes", "train_seconds", "metrics", "latency_ms")
        return {**row, "folder": f"members/{member.number}", **{key: card.get(key) for key in kept}}


def kind_of(experiment: Experiment) -> Kind:
    """What the teacher of an experiment is.

    Raises:
        ConfigError: it is several that cannot be combined as the experiment says.
    """
    teacher, company = experiment.teacher, Company.of(experiment, Path())
    if company is not None:
        return "ensemble" if company.is_model else "fusion"
    if isinstance(teacher, TeacherLists):
        return "given" if is_model(teacher.rankings) else "lists"
    return "trained"


def has_model(experiment: Experiment) -> bool:
    """Whether the teacher can be asked itself, and is not known by its lists alone; see `kind_of`."""
    return kind_of(experiment) not in ("lists", "fusion")
