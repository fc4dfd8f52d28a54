"""What a search learns from: the data with its validation part kept apart, the teacher, and its lists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rankdistill.checks import teachers_given
from rankdistill.checksums import sha256
from rankdistill.config import Choice, Experiment, RoleConfig, TeacherLists, flat
from rankdistill.data.splitting import Split
from rankdistill.data.teacher_items import targets_within
from rankdistill.errors import CheckpointError, ConfigError, DataError, RankingsError
from rankdistill.loss import DistillationConfig
from rankdistill.members import Company, has_model, kind_of
from rankdistill.model_folder import WEIGHTS, is_model, load_card
from rankdistill.pipeline import longest_list
from rankdistill.rankings import ANY_POSITION, Rankings, unpack
from rankdistill.rankings.columns import files_of
from rankdistill.runs import Role, RunFolder, stamp_of
from rankdistill.stages import read_teacher
from rankdistill.teaching import Distillation
from rankdistill.tuning.space import Space, at, edges, limited
from rankdistill.types import Json
from rankdistill.variants import Shared, Variant, depth_added_up
from rankdistill.workflow import Run

_K, _EXCLUDE = "distillation.k", "distillation.exclude"
_OF_A_MODEL = ("model.", "ranking_loss.")


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
    split = Run(experiment, RunFolder(out), resume=True).prepare()
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
    files = [path / WEIGHTS] if is_model(path) else files_of(path)
    return stamp_of(files=[sha256(file) for file in files])


def check_teachers_given(experiment: Experiment, methods: Sequence[DistillationConfig], split: Split) -> None:
    """Refuses teachers that know the validation part, or of which the run of what is found could not learn.

    Args:
        experiment: as it is run in the end.
        methods: by which it may be distilled.
        split: the data with its validation part kept apart.

    Raises:
        CheckpointError: a model was trained on other data.
        RankingsError: lists reach into the validation part, or do not fit the data of the search or of the run.
        ConfigError: the method needs more than lists.
    """
    for teacher in teachers_given(experiment):
        for path in (teacher.rankings, *teacher.easier):
            if is_model(path):
                _check_model(path, split)
            else:
                _check_reach(_read(path, teacher, split), split)
        if is_model(teacher.rankings):
            continue
        lists = read_teacher(teacher, split)
        learning = methods if isinstance(experiment.teacher, TeacherLists) else ()
        _check_fit(lists, learning, split)
        if experiment.split.train_on_validation:
            try:
                _check_fit(lists, learning, _learnt_in_the_end(split))
            except RankingsError as error:
                raise RankingsError(
                    f"[split] train_on_validation = true: the final student learns from the validation part, too, and "
                    f"the lists do not serve for that ({error}); set split.train_on_validation=false, and it learns "
                    f"from the training part alone"
                ) from error


def check_trained_again(folder: Path, experiment: Experiment) -> None:
    """Refuses a model that is another one than what the experiment trains as its teacher.

    Raises:
        ConfigError: it is.
    """
    card, kind, teacher = load_card(folder), kind_of(experiment), experiment.teacher
    if kind == "ensemble":
        differing = [] if card["kind"] == "ensemble" else ["members"]
    elif kind == "trained":
        assert isinstance(teacher, RoleConfig)
        asked = flat({"model": teacher.model, "ranking_loss": experiment.loss_of(teacher)})
        known = {key: each for key, each in card.get("settings", {}).items() if key.startswith(_OF_A_MODEL)}
        differing = sorted(key for key in {*asked, *known} if asked.get(key) != known.get(key))
    else:
        differing = ["rankings"]
    if differing:
        raise ConfigError(
            f"{folder}: the final run trains [teacher] with the validation part, too, and this model is another one "
            f"({', '.join(differing)}); make [teacher] what the model is, or set split.train_on_validation=false, and "
            f"the run has the model itself"
        )


def _check_model(folder: Path, split: Split) -> None:
    known = load_card(folder).get("fingerprint")
    if known != split.fingerprint:
        raise CheckpointError(
            f"{folder}: trained on other data (fingerprint {known}, the training part of {split.source} has "
            f"{split.fingerprint}); a search keeps the validation part apart: train it with --set "
            f"split.train_on_validation=false"
        )


def _read(path: Path, teacher: TeacherLists, split: Split) -> Rankings:
    """Lists, whatever they were made from."""
    return Rankings.read(
        path, split.item_ids, split.user_ids, on_unknown=teacher.on_unknown, least_shared=teacher.least_shared
    )


def _check_reach(lists: Rankings, split: Split) -> None:
    """Refuses lists for queries whose targets are not in the training part."""
    users, positions = unpack(lists.query_ids)
    behind = (positions != ANY_POSITION) & (positions >= split.train.lengths[users])
    if behind.any():
        first = int(behind.argmax())
        name = split.user_ids.decode(users[first : first + 1])[0]
        raise RankingsError(
            f"{lists.source}: {int(behind.sum()):,} of {len(lists):,} lists are for queries behind the training part "
            f"(first: user {name!r}, position {int(positions[first])}), which a search keeps apart to judge by; make "
            f"them with --set split.train_on_validation=false"
        )


def _check_fit(lists: Rankings, methods: Sequence[DistillationConfig], split: Split) -> None:
    """Refuses lists that the training queries of a split could not learn from, by methods that have no others."""
    for method in methods:
        Distillation(lists, method).check(split)
    if not methods:
        lists.for_queries(split.windows.ids, split.user_ids)


def _learnt_in_the_end(split: Split) -> Split:
    """The data of final models that learn from the validation part, too."""
    assert split.validation is not None
    return replace(split, train=split.train.then(split.validation), validation=None, fingerprint="")


def _lists_given(experiment: Experiment, split: Split, method: DistillationConfig) -> Rankings | None:
    """The lists of a teacher that is files alone, as long as they are, or K where they are added up; else None."""
    teacher, company = experiment.teacher, Company.of(experiment, Path())
    if isinstance(teacher, TeacherLists):
        return None if has_model(experiment) else read_teacher(teacher, split)
    return None if company is None or company.models else company.lists(split, method)


def prepare_teacher(asked: Experiment, role: Role, space: Space, split: Split, out: Path) -> tuple[Path | None, Space]:
    """For a distilled student the teacher and its lists, as long as any trial needs them.

    Returns:
        The teacher's folder, where it is a model; and the space, in which no list is longer than there is.

    Raises:
        RankDistillError: see `check_teachers_given`, and `Shared.make`.
    """
    if role != "distilled":
        return None, space
    method, experiment = asked.distillation, validation_only(asked)
    assert isinstance(method, DistillationConfig)
    excludes = edges(space[_EXCLUDE]) if _EXCLUDE in space else (method.exclude,)
    methods = [method.model_copy(update={"exclude": exclude}) for exclude in excludes]
    check_teachers_given(asked, methods, split)
    most = min(_longest(each, experiment, split) for each in methods)
    space = limited(_with_same_lists(space, method, experiment), _K, max(most, method.k))
    longest = int(max(edges(space[_K]))) if _K in space else method.k
    made = at(experiment, {_K: longest})
    variants = [Variant(at(made, {_EXCLUDE: exclude}), distilled=True) for exclude in excludes]
    return Shared.make(made, variants, out, one_length=True).teacher, space


def _longest(method: DistillationConfig, experiment: Experiment, split: Split) -> int:
    """How long lists can be that leave out what those of a method do."""
    most = longest_list(split, method.exclude)
    lists = _lists_given(experiment, split, method.model_copy(update={"k": most}))
    return most if lists is None else min(most, int(lists.lengths.min()) - targets_within(lists, split, method.exclude))


def _with_same_lists(space: Space, method: DistillationConfig, experiment: Experiment) -> Space:
    """The space without K above the depth at which several teachers' lists are added up.

    Up to it, shorter lists are the beginnings of longer ones; above it, each K has lists of its own.

    Raises:
        ConfigError: the experiment itself or a value that `--key` names is above it.
    """
    depth, searched = depth_added_up(experiment), space.get(_K)
    if depth is None or searched is None:
        return space
    named = edges(searched) if isinstance(searched, Choice) else (method.k,)
    highest = max(int(value) for value in named)
    if highest > depth:
        raise ConfigError(
            f"[distillation] k = {highest}: above [ensemble] depth = {depth} the lists of several teachers are others "
            f"for each k, and a search has one set; --set ensemble.depth={highest}, or search no k above {depth}"
        )
    return limited(space, _K, depth)
