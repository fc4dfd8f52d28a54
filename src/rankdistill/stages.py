"""One stage of a run each: from folders to folders, for `run` and for the single verbs alike."""

from __future__ import annotations

import hashlib
import logging
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
import torch

from rankdistill.config import Experiment, RoleConfig, Section, TeacherLists, TrainConfig, flat, to_toml
from rankdistill.data.popularity import popular_items
from rankdistill.data.splitting import Split
from rankdistill.errors import CheckpointError, DataError
from rankdistill.files import replacing, write_text
from rankdistill.loss import DistillationConfig, RankingLossConfig
from rankdistill.model_folder import CARD, is_model, load_card, load_ids, load_model, save_model
from rankdistill.pipeline import Settings, fit_model, training_seed
from rankdistill.ranker import Ranker
from rankdistill.rankings import Rankings
from rankdistill.runs import Role, stamp_of, state_of
from rankdistill.teaching import Distillation, are_converted, needs_of
from rankdistill.tracker import tracker_of
from rankdistill.training import Checkpoint, Keep
from rankdistill.types import Json

logger = logging.getLogger(__name__)


FREE = frozenset({"device", "threads"})
"""Keys of `[train]` on which nothing depends that a training finds."""
_READ: dict[str, Rankings] = {}
"""Lists that were read since the last training began, for what is checked is used then."""
EPOCHS = "epochs"
"""In a model's folder: a folder for each earlier epoch that was kept."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """One model to train: for which role, with which settings, into which folder."""

    role: Role
    model: RoleConfig
    experiment: Experiment
    folder: Path
    resume: bool = False
    name: str = ""
    """What to call it in the log, where it is one of several of its role."""


def train_model(task: Assignment, split: Split, lists: Rankings | None = None, teacher: Ranker | None = None) -> Ranker:
    """Trains a model into its folder; with `lists` by distillation, from the `teacher` itself where the method asks it.

    An unfinished training is kept in the folder as `checkpoint.safetensors`, and the log as `metrics.jsonl`. With
    `resume`, a model that was finished with the same settings is taken as it is, and one that is damaged trained again.

    Raises:
        CheckpointError: with `resume`, an unfinished training was begun with other settings, or its file is damaged.
        DataError: there is nobody to test the model on.
    """
    experiment = task.experiment
    loss = experiment.loss_of(task.model)
    assert isinstance(loss, RankingLossConfig)
    assert isinstance(experiment.distillation, DistillationConfig)
    if not len(split.queries("test", exclude_seen=experiment.evaluate.exclude_seen)):
        raise DataError(
            f"{split.source}: no user has a test item that she does not have already; split otherwise, or set [data] "
            f"repeats or [evaluate] exclude_seen = false"
        )
    made_with = settings_of(task, split, lists)
    if task.resume and (finished := _finished(task, made_with)):
        return finished
    distillation = None if lists is None else Distillation(lists, experiment.distillation, teacher)
    checkpoint = Checkpoint(task.folder, made_with, resume=task.resume)
    tracker = tracker_of(experiment.tracking, task.folder)
    if not checkpoint.goes_on:
        shutil.rmtree(task.folder / EPOCHS, ignore_errors=True)  # of an earlier training
    write_text(task.folder / "config.toml", to_toml(experiment))
    _READ.clear()
    model, result = fit_model(
        task.model.model,
        split,
        Settings(
            loss=loss,
            train=task.model.train,
            seed=experiment.seed,
            checkpoint=checkpoint,
            name=task.name or task.role,
            exclude_seen=experiment.evaluate.exclude_seen,
            callbacks=() if tracker is None else (tracker,),
            keep=_keeper(task, split),
        ),
        distillation,
    )
    about = {
        "role": task.role,
        "fingerprint": split.fingerprint,
        "train_seconds": round(result.seconds, 3),
        "best_epoch": result.best_epoch,
        "epochs": len(result.rows),
        "device": str(model.device),
        "threads": torch.get_num_threads(),
        "seed": experiment.seed,
        "warnings": result.warnings,
        "distillation": None if distillation is None else experiment.distillation.model_dump(mode="json"),
        "settings": made_with,
    }
    save_model(task.folder, model, split.user_ids, split.item_ids, about)
    checkpoint.finish(result.rows)
    return model


def go_on_training(task: Assignment, split: Split, lists: Rankings | None, teacher: Ranker | None = None) -> Ranker:
    """Takes a finished model as it is, goes on with an unfinished one, and starts one over that is of no use.

    Of no use is what was begun with other settings, and what is damaged. The arguments are those of `train_model`.
    """
    try:
        return train_model(replace(task, resume=True), split, lists, teacher)
    except CheckpointError as error:
        logger.warning("%s; started over", error)
        return train_model(replace(task, resume=False), split, lists, teacher)


def _keeper(task: Assignment, split: Split) -> Keep:
    """Saves the model of an epoch as a model folder `epochs/N`."""

    def keep(model: Ranker, epoch: int) -> None:
        about = {"role": task.role, "fingerprint": split.fingerprint, "epoch": epoch}
        save_model(task.folder / EPOCHS / str(epoch), model, split.user_ids, split.item_ids, about)

    return keep


def kept_epochs(folder: Path) -> list[int]:
    """The epochs that the training of a model was to keep, by its card."""
    settings = load_card(folder).get("settings", {})
    train = {key: settings.get(f"train.{key}", 0) for key in ("epochs", "checkpoints")}
    return TrainConfig(**train, schedule_epochs=settings.get("train.schedule_epochs")).kept_epochs


def kept_models(folder: Path) -> list[Path]:
    """The model folders of earlier epochs that a model's training has kept, the earliest first.

    Those after its best epoch, whose numbers the model has, are left out: they know the training data better, and are
    no easier.
    """
    best = load_card(folder).get("best_epoch", 0)
    models = [folder / EPOCHS / str(epoch) for epoch in kept_epochs(folder) if epoch < best]
    return [model for model in models if is_model(model)]


def _finished(task: Assignment, settings: Json) -> Ranker | None:
    """The model of the folder, where it is whole and was made with the same settings."""
    name, folder = task.name or task.role, task.folder
    try:
        if not (folder / CARD).exists() or load_card(folder).get("settings") != settings:
            return None
        model = load_model(folder, task.model.train.device)[0]
    except CheckpointError as error:
        logger.warning("%s: trained again: %s", name, error)
        return None
    logger.info("%s: trained already", name)
    return model


def settings_of(task: Assignment, split: Split, lists: Rankings | None) -> Json:
    """All that the numbers of a training depend on, flat; the device and the threads are free to change."""
    experiment = task.experiment
    sections: dict[str, Section] = {
        "model": task.model.model,
        "train": task.model.train,
        "ranking_loss": experiment.loss_of(task.model),
    }
    if lists is not None:
        sections["distillation"] = experiment.distillation
    free = [f"train.{key}" for key in FREE]
    teacher = {} if lists is None else {"teacher lists": digest_of(lists, task.experiment.distillation)}
    validation = split.validation
    return {
        "seed": training_seed(experiment.seed, distilled=lists is not None),
        "data": split.fingerprint,
        "windows.history_length": split.history_length,
        "windows.target_length": split.target_length,
        "validation": None if validation is None else [len(validation.items), split.content],
        "evaluate.exclude_seen": experiment.evaluate.exclude_seen,
        **({} if split.query_share == 1 else {"windows.query_share": split.query_share}),
        **({} if split.min_history is None else {"windows.min_history": split.min_history}),
        **{key: value for key, value in flat(sections).items() if key not in free},
        **teacher,
    }


def digest_of(lists: Rankings, method: Section) -> str:
    """A short hash of what a method learns from lists: their scores, too, where it needs more than the lists."""
    digest = hashlib.sha256(np.ascontiguousarray(lists.query_ids).data)
    digest.update(np.ascontiguousarray(lists.items).data)
    if needs_of(method) in ("scores", "model") and lists.scores is not None:
        digest.update(np.ascontiguousarray(lists.scores).data)
        if are_converted(lists, method):
            digest.update(b"log_odds")
    for easier in lists.easier if needs_of(method) == "several" else ():
        digest.update(np.ascontiguousarray(easier.items).data)
    return digest.hexdigest()[:16]


def load_ranker(folder: Path, split: Split, device: str) -> Ranker:
    """The model of a folder, which must have been trained on `split`.

    Raises:
        CheckpointError: the model is damaged, or was trained on other data, or its ids were changed.
        DataError: its ids are damaged.
    """
    model, card = load_model(folder, device)
    trained_on = card.get("fingerprint")
    if trained_on != split.fingerprint:
        raise CheckpointError(
            f"{folder}: trained on other data (fingerprint {trained_on}, {split.source} has {split.fingerprint}); "
            f"take the [data] and [split] that it was trained with (they are in its config.toml), or train it on this "
            f"data"
        )
    for raw, ids in zip(load_ids(folder), (split.user_ids, split.item_ids), strict=True):
        if not raw.values.cast(str).equals(ids.values.cast(str)):
            raise CheckpointError(f"{folder / 'ids'}: not the ids that the model was trained with; train it again")
    return model


def track_test(experiment: Experiment, folder: Path) -> None:
    """Tells the tracker of an experiment what the model of a folder reaches, and what it costs."""
    tracker = tracker_of(experiment.tracking, folder)
    if tracker is not None:
        tracker.on_test(load_card(folder))


def read_lists(
    path: Path, split: Split, on_unknown: Literal["error", "drop"] = "error", least_shared: float = 0.0
) -> Rankings:
    """Anybody's lists for this data; see `Rankings.read`. Until something is trained, a file is read once."""
    key = stamp_of(
        path=str(path), files=state_of(path), data=split.fingerprint, on_unknown=on_unknown, least_shared=least_shared
    )
    if key not in _READ:
        _READ[key] = Rankings.read(
            path,
            split.item_ids,
            split.user_ids,
            on_unknown=on_unknown,
            fingerprint=split.fingerprint,
            least_shared=least_shared,
        )
    return _READ[key]


def read_teacher(teacher: TeacherLists, split: Split) -> Rankings:
    """The lists that an experiment names in the place of a teacher, with the easier ones that it names.

    Raises:
        RankingsError: they do not fit the data, or are of another one by the most part.
    """
    paths = (teacher.rankings, *teacher.easier)
    lists, *easier = (read_lists(path, split, teacher.on_unknown, teacher.least_shared) for path in paths)
    return replace(lists, easier=tuple(easier), on_missing=teacher.on_missing)


def data_settings(experiment: Experiment) -> Json:
    """`[data]` and `[split]`, flat: what prepared data depends on; of the path its name, since folders move."""
    path = experiment.data.path
    return flat({"data": experiment.data, "split": experiment.split}) | {"data.path": path and path.name}


def describe_data(split: Split, experiment: Experiment) -> Json:
    """What the report says of the data."""
    queries = split.queries("test", exclude_seen=experiment.evaluate.exclude_seen)
    assert queries.relevant is not None
    parts = {"train": split.train, "validation": split.validation, "test": split.test}
    rows = {name: 0 if part is None else len(part.items) for name, part in parts.items()}
    return {
        "name": split.source,
        "fingerprint": split.fingerprint,
        "users": split.num_users,
        "items": split.num_items,
        "interactions": sum(rows.values()),
        **rows,
        "training_queries": len(split.windows),
        "test_users": len(queries),
        "targets": len(queries.relevant.items),
        "popular_items": int(popular_items(split.train, split.num_items).sum()),
        "unseen_targets": int(np.isin(queries.relevant.items, split.untrained_items).sum()),
        "split": split.description,
        "history_length": split.history_length,
        "target_length": split.target_length,
        "min_history": split.min_history,
        "notes": [f"left out: {each}" for each in split.dropped],
    }


def write_targets(split: Split, experiment: Experiment, path: Path) -> None:
    """Writes the test targets, `user_id, item_id`, for the report."""
    queries = split.queries("test", exclude_seen=experiment.evaluate.exclude_seen)
    assert queries.relevant is not None
    users = split.user_ids.decode(queries.users[queries.relevant.users])
    items = split.item_ids.decode(queries.relevant.items.astype(np.int64))
    with replacing(path) as temporary:
        pl.DataFrame([users.alias("user_id"), items.alias("item_id")]).write_parquet(temporary)


def write_training_rows(split: Split, path: Path) -> None:
    """Writes the training part, `user_id, position, item_id`, by user and time: what another library may learn from."""
    train = split.train
    positions = np.arange(len(train.items)) - np.repeat(train.starts[:-1], train.lengths)
    users, items = split.user_ids.decode(train.users), split.item_ids.decode(train.items.astype(np.int64))
    position = pl.Series("position", positions.astype(np.int32))
    with replacing(path) as temporary:
        pl.DataFrame([users.alias("user_id"), position, items.alias("item_id")]).write_parquet(temporary)
