"""The training loop: teacher, plain student and distilled student all go through `fit`."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rankdistill.config import TrainConfig
from rankdistill.console import progress as progress_bar
from rankdistill.data.negatives import NegativeSampler
from rankdistill.data.segments import Segments
from rankdistill.data.teacher_items import TeacherItems
from rankdistill.data.windows import Windows
from rankdistill.errors import TrainingError
from rankdistill.loss import Batch, Objective, Shared, Step
from rankdistill.ranker import Ranker, device_named, model_state
from rankdistill.seen import SeenItems
from rankdistill.training.callback import Callback, FitResult, StopTraining
from rankdistill.training.checkpoint import Checkpoint, Progress
from rankdistill.training.optimizers import Adam
from rankdistill.types import Ints, Json

logger = logging.getLogger(__name__)

Validate: TypeAlias = Callable[[Ranker], dict[str, float]]
Keep: TypeAlias = Callable[[Ranker, int], None]
_STEPS_A_CHECK = 50
_WINDOWS_A_BLOCK = 1024
_MOST_KEPT_BYTES = 2**31
"""Of the teacher's vectors."""


@dataclass(frozen=True, slots=True, eq=False)
class TrainingData:
    """What an epoch runs over.

    Attributes:
        windows: the training queries.
        sampler: draws items that a user does not have.
        negatives: negatives per target.
        taught: the teacher's list for each window, or None.
        teacher: the teacher itself, for methods that ask it.
        teacher_queries: [n, E], its vector of each window; None to have it encode them as they come.
    """

    windows: Windows
    sampler: NegativeSampler
    negatives: int
    taught: TeacherItems | None = None
    teacher: Ranker | None = None
    teacher_queries: Tensor | None = None

    def asking(self, device: torch.device) -> TrainingData:
        """With the teacher ready to be asked, and its vectors of the windows, as long as they fit into memory.

        It does not learn any more, so that each window is encoded once for all epochs.
        """
        if self.teacher is None:
            return self
        self.teacher.to(device).eval()
        found: Tensor | None = None
        with torch.no_grad():
            for start in range(0, len(self.windows), _WINDOWS_A_BLOCK):
                rows = np.arange(start, min(start + _WINDOWS_A_BLOCK, len(self.windows)))
                users, history = _moved(self.windows.users[rows], device), _moved(self.windows.history(rows), device)
                queries = self.teacher.encode_together(users, history)
                if found is None:
                    size = (len(self.windows), queries.shape[1])
                    if math.prod(size) * queries.element_size() > _MOST_KEPT_BYTES:
                        return self
                    found = torch.empty(size, dtype=queries.dtype, device=device)
                found[start : start + len(rows)] = queries
        return replace(self, teacher_queries=found)

    def batches(
        self, size: int, generator: np.random.Generator, device: torch.device, causal: bool = False
    ) -> Iterator[Batch]:
        """One epoch in random order, with its negatives drawn at once.

        For a causal model, the windows of a user that lie side by side stay together: see `Segments`.
        """
        windows = self.windows
        parts = self._parts(size, generator, causal)
        negatives = self.sampler.draw(windows.users, self.negatives * windows.target_length, generator)
        nothing = np.zeros((len(windows), 0), dtype=np.int32)
        items = nothing if self.taught is None else self.taught.items
        scores = None if self.taught is None else self.taught.scores
        easier = () if self.taught is None else self.taught.easier
        listed = None if self.taught is None else self.taught.listed

        def move(array: NDArray[Any]) -> Tensor:
            return _moved(array, device)

        asked = self.teacher_queries
        for rows, segments in parts:
            shared = None
            if segments is not None:
                shared = Shared(move(segments.users), move(segments.items()), *map(move, segments.places()))
            yield Batch(
                move(windows.users[rows]),
                move(windows.history(rows)),
                move(windows.targets(rows)),
                move(negatives[rows]),
                move(items[rows]),
                None if scores is None else torch.from_numpy(scores[rows]).to(device),
                shared,
                move(np.stack([each[rows] for each in easier], axis=1)) if easier else None,
                None if asked is None else asked[move(rows)],
                None if listed is None else torch.from_numpy(listed[rows]).to(device),
            )

    def _parts(self, size: int, generator: np.random.Generator, causal: bool) -> Iterator[tuple[Ints, Segments | None]]:
        """The windows of each batch; all that is random is drawn at once."""
        if causal:
            return ((part.rows, part) for part in Segments.of(self.windows, generator).batches(size, generator))
        order = generator.permutation(len(self.windows))
        return ((order[start : start + size], None) for start in range(0, len(order), size))


def _moved(indices: NDArray[Any], device: torch.device) -> Tensor:
    return torch.from_numpy(indices.astype(np.int64, copy=False)).to(device)


@dataclass(frozen=True, slots=True, eq=False)
class Session:
    """What goes on around a training.

    Attributes:
        seed: of the data order, negatives, dropout and rank samples.
        name: what to call the model in the log.
        validate: metrics by name, of which `validation_metric` chooses the best epoch.
        checkpoint: where an unfinished training is kept.
        callbacks: who is told of the training as it goes on.
        settings: what the callbacks are told that the training depends on, flat.
        keep: keeps the model as it is after one of `TrainConfig.kept_epochs`.
    """

    seed: int
    name: str = "model"
    validate: Validate | None = None
    checkpoint: Checkpoint | None = None
    callbacks: tuple[Callback, ...] = ()
    settings: Json = field(default_factory=dict)
    keep: Keep | None = None


def fit(model: Ranker, data: TrainingData, objective: Objective, config: TrainConfig, session: Session) -> FitResult:
    """Trains `model` in place; with validation, it ends with the numbers of its best epoch.

    A model without anything to learn by gradient has no epochs. The same seed, threads and device give the same
    bits, whether or not the run was stopped and resumed in between.

    Args:
        model: what to train, prepared.
        data: training queries, and the teacher's items where there is a teacher.
        objective: what to minimise.
        config: epochs, batch size, optimiser, device, early stopping.
        session: the seed, validation, checkpoint and callbacks.

    Raises:
        TrainingError: the loss is not a finite number, or the device is not there.
        CheckpointError: the checkpoint is damaged or of another training.
    """
    device = device_named(config.device)
    model.to(device)
    objective.to(device)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        _start(session, Progress(), config, objective.settled_from)
        return _end(session, FitResult([], 0, 0.0))
    optimizer = Adam(model, config)
    name, checkpoint = session.name, session.checkpoint
    progress = checkpoint.load(model, optimizer) if checkpoint else Progress()
    seen, begin = SeenItems(data.windows.sequences, device), time.perf_counter()
    data = data.asking(device)
    asking = round(time.perf_counter() - begin, 3)
    with torch.random.fork_rng(), _by_row(model, optimizer), _told_if_broken_off(session.callbacks):
        _start(session, progress, config, objective.settled_from)
        for number in range(progress.epoch + 1, config.epochs + 1):
            if _stalled(progress, config, objective.settled_from):
                logger.info("%s: no better since epoch %d; stopped early", name, progress.best_epoch)
                break
            row = _train_epoch(model, data, objective, optimizer, _Epoch(number, session, config, device, seen))
            if session.validate is not None and (number % config.validate_every == 0 or number == config.epochs):
                row["validation"] = session.validate(model)
                _remember_best(progress, row, config.validation_metric, model)
            if session.keep is not None and number in config.kept_epochs:
                session.keep(model, number)
            progress.rows.append(row)
            logger.info(_line(name, row, config))
            if checkpoint:
                checkpoint.save(model, optimizer, progress)
            try:
                for callback in session.callbacks:
                    callback.on_epoch(row)
            except StopTraining:
                logger.info("%s: stopped after epoch %d", name, number)
                break
    if progress.best_state:
        model.load_state_dict(progress.best_state)
    seconds = asking + sum(float(row["seconds"]) for row in progress.rows)
    warnings = () if data.taught is None else data.taught.warnings
    return _end(session, FitResult(progress.rows, progress.best_epoch or progress.epoch, seconds, warnings))


def _start(session: Session, progress: Progress, config: TrainConfig, settled_from: int) -> None:
    """Says what begins, to the log and to the callbacks."""
    if progress.epoch:
        logger.info("%s: goes on after epoch %d of %d", session.name, progress.epoch, config.epochs)
    if settled_from > config.epochs > 0:
        logger.warning(
            "%s: all %d epochs are warm-up (to epoch %d); lower [distillation] warmup_epochs or train longer",
            session.name,
            config.epochs,
            settled_from - 1,
        )
    for callback in session.callbacks:
        callback.on_start(session.name, session.settings, tuple(progress.rows))


def _end(session: Session, result: FitResult) -> FitResult:
    for callback in session.callbacks:
        callback.on_end(result)
    return result


@contextmanager
def _told_if_broken_off(callbacks: tuple[Callback, ...]) -> Iterator[None]:
    """The callbacks learn of a training that an exception ends."""
    try:
        yield
    except BaseException:
        for callback in callbacks:
            callback.on_end(None)
        raise


@contextmanager
def _by_row(model: Ranker, optimizer: Adam) -> Iterator[None]:
    """The model's tables are read for this optimiser for a while."""
    model.updates = optimizer
    try:
        yield
    finally:
        model.updates = None


@dataclass(frozen=True, slots=True)
class _Epoch:
    number: int
    session: Session
    config: TrainConfig
    device: torch.device
    seen: SeenItems

    @property
    def name(self) -> str:
        return self.session.name


def _train_epoch(model: Ranker, data: TrainingData, objective: Objective, optimizer: Adam, epoch: _Epoch) -> Json:
    """One pass over the training queries; returns its log row."""
    generator = np.random.default_rng([epoch.session.seed, epoch.number])
    torch.manual_seed(int(generator.integers(1 << 62)))  # dropout
    samples = torch.Generator(epoch.device).manual_seed(int(generator.integers(1 << 62)))
    begin = time.perf_counter()
    model.train()
    optimizer.set_learning_rate(epoch.config.learning_rate_in(epoch.number))
    objective.start_epoch(model, epoch.number)
    sums: dict[str, Tensor] = {}
    size = epoch.config.batch_size
    steps = -(-len(data.windows) // size)
    with progress_bar(steps, f"{epoch.name} epoch {epoch.number}/{epoch.config.epochs}") as advance:
        for number, batch in enumerate(data.batches(size, generator, epoch.device, model.causal), start=1):
            step = Step(batch, batch.encoded_by(model), model, epoch.number, samples, epoch.seen, data.teacher)
            terms = objective(step)
            optimizer.zero_grad()
            torch.autograd.backward(objective.total(terms))
            optimizer.step()
            for term, value in terms.items():
                sums[term] = sums.get(term, torch.zeros((), device=epoch.device)) + value.detach() * len(batch.users)
            if number % _STEPS_A_CHECK == 0:
                _refuse_nan(sums, epoch, number)
            advance()
        _refuse_nan(sums, epoch, number)
    optimizer.bring_all_up()
    means = {term: float(value) / len(data.windows) for term, value in sums.items()}
    return {"epoch": epoch.number, "seconds": round(time.perf_counter() - begin, 3), **means}


def _refuse_nan(sums: dict[str, Tensor], epoch: _Epoch, step: int) -> None:
    for term, value in sums.items():
        if not bool(torch.isfinite(value)):
            raise TrainingError(
                f"{epoch.name}: {term} is {float(value)} by step {step} of epoch {epoch.number}; nothing was saved of "
                f"this epoch; try a lower [train] learning_rate (now {epoch.config.learning_rate:g})"
            )


def _remember_best(progress: Progress, row: Json, metric: str, model: Ranker) -> None:
    value = float(row["validation"][metric])
    if value > progress.best_value or not progress.best_epoch:
        progress.best_value, progress.best_epoch = value, row["epoch"]
        progress.best_state = {name: tensor.clone() for name, tensor in model_state(model).items()}


def _stalled(progress: Progress, config: TrainConfig, settled_from: int) -> bool:
    """Whether `patience` validations in a row have brought nothing better, those of a warm-up not counted."""
    if config.patience is None or not progress.best_epoch:
        return False
    start = max(progress.best_epoch, settled_from - 1)
    since = [row for row in progress.rows[start:] if "validation" in row]
    return len(since) >= config.patience


def _line(name: str, row: Json, config: TrainConfig) -> str:
    terms = {key.replace("_", " "): row[key] for key in row if key.endswith("_loss")}
    losses = "  ".join(f"{term} {value:.4f}" if value < 1e4 else f"{term} {value:.3e}" for term, value in terms.items())
    value = row.get("validation", {}).get(config.validation_metric)
    validation = "" if value is None else f"  validation {config.validation_metric} {value:.4f}"
    return f"{name:9} epoch {row['epoch']:>3}/{config.epochs}  {losses}{validation}  {row['seconds']:.1f} s"
