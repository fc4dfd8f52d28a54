"""The stages as functions of values: data, models, lists and evaluations in, the next of them out."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import torch

from rankdistill import plugins
from rankdistill.config import DataConfig, Experiment, Section, TrainConfig, flat
from rankdistill.console import progress
from rankdistill.data.events import Events
from rankdistill.data.interactions import Interactions
from rankdistill.data.negatives import NegativeSampler
from rankdistill.data.popularity import popular_items
from rankdistill.data.queries import Queries
from rankdistill.data.sequences import Sequences
from rankdistill.data.splitting import Split, with_windows
from rankdistill.errors import CheckpointError, ConfigError, DataError
from rankdistill.evaluation import halves
from rankdistill.evaluation.evaluate import Evaluation
from rankdistill.evaluation.evaluate import evaluate as evaluate_ranks
from rankdistill.loss import DistillationConfig, Loss, Objective, RankingLossConfig
from rankdistill.ranker import Catalogue, Ranker, index_of, rank
from rankdistill.rankings import ANY_POSITION, Rankings, TargetRanks, pack, unpack
from rankdistill.teaching import Distillation, check_student, needs_of
from rankdistill.training import Callback, Checkpoint, FitResult, Keep, Session, TrainingData, Validate, fit
from rankdistill.types import Json

logger = logging.getLogger(__name__)

_WINDOWS_A_BLOCK = 1 << 15


def read(config: DataConfig) -> Interactions:
    """The interactions that `[data]` names, after `repeats` and the k-core; what was guessed is logged."""
    reader = plugins.find("readers", config.kind)(config)
    data = Interactions.from_events(_noted(reader.read())).repeats(config.repeats)  # no name keeps the events
    data = data.k_core(users=config.min_user_interactions, items=config.min_item_interactions)
    for dropped in data.dropped:
        logger.info("%s: left out: %s", data.source, dropped)
    return data


def _noted(events: Events) -> Events:
    for note in events.notes:
        logger.info(note)
    return events


def prepare(experiment: Experiment) -> Split:
    """From the raw file to training, validation and test data."""
    rule = experiment.split
    data = read(experiment.data)
    split = data.split(rule.kind, rule.fractions, train_on_validation=rule.train_on_validation)
    split = with_windows(split, experiment.windows)
    logger.info(
        "%s: %s users, %s items, %s interactions; %s; %s training queries",
        split.source,
        f"{split.num_users:,}",
        f"{split.num_items:,}",
        f"{len(data):,}",
        split.description,
        f"{len(split.windows):,}",
    )
    unseen = np.isin(split.test.items, split.untrained_items).sum()
    if unseen:
        logger.warning(
            "%s: %s of %s test interactions name an item that never occurs in training; no model can find them",
            split.source,
            f"{unseen:,}",
            f"{len(split.test.items):,}",
        )
    return split


@dataclass(frozen=True, slots=True)
class Settings:
    """How models are trained; the defaults are the published settings.

    Attributes:
        loss: the `Config` of a ranking loss; None is the point-wise loss.
        train: epochs, batch size, optimiser, device.
        seed: of everything random.
        checkpoint: where an unfinished training is kept.
        name: what to call the model in the log.
        exclude_seen: whether validation leaves out what a user has already.
        callbacks: who is told of the training as it goes on.
        keep: keeps the model as it is after one of `TrainConfig.kept_epochs`.
    """

    loss: RankingLossConfig | None = None
    train: TrainConfig = field(default_factory=TrainConfig)
    seed: int = 1234
    checkpoint: Checkpoint | None = None
    name: str = "model"
    exclude_seen: bool = True
    callbacks: tuple[Callback, ...] = ()
    keep: Keep | None = None


def train(model: Section, split: Split, settings: Settings | None = None) -> Ranker:
    """A model of the given `Config`, trained on `split`.

    >>> import rankdistill as rd
    >>> split = rd.read("synthetic", users=60, items=40, length=15).split("leave_last_out")
    >>> popular = rd.train(rd.Popularity.Config(), split)
    """
    settings = settings or Settings()
    warn_of_few_queries(split, settings.train.batch_size)
    return fit_model(model, split, settings)[0]


def distill(
    lists: Rankings,
    model: Section,
    split: Split,
    method: DistillationConfig | None = None,
    settings: Settings | None = None,
    teacher: Ranker | None = None,
) -> Ranker:
    """A student of the given `Config`, trained on `split` and on a teacher's lists for its training queries.

    Args:
        lists: from `label`, or `Rankings.read` of anybody's file.
        model: the `Config` of the student.
        split: the data.
        method: the `Config` of a distillation method; None is ranking distillation with the published settings.
        settings: how to train.
        teacher: the teacher itself, for a method that asks it.

    Raises:
        RankingsError: the lists do not fit the data, or lack the scores that the method needs; checked before
            training starts.
        ConfigError: the method needs the teacher itself.
    """
    settings = settings or Settings(name="distilled")
    warn_of_few_queries(split, settings.train.batch_size)
    return fit_model(model, split, settings, Distillation(lists, method, teacher))[0]


def fit_model(
    model: Section, split: Split, settings: Settings, distillation: Distillation | None = None
) -> tuple[Ranker, FitResult]:
    """Builds and trains a model: `train` and `distill` in one."""
    if distillation is not None:
        check_student(model)
    loss = settings.loss or plugins.find("losses", "pointwise").Config()
    items = None if distillation is None else distillation.items_for(split)
    seed = training_seed(settings.seed, distilled=distillation is not None)
    begin = time.perf_counter()
    ranker = build(model, split, seed)
    built = time.perf_counter() - begin
    ranker.ranking_loss = plugins.kind_of(loss) if ranker.learns else None
    sampler = NegativeSampler.of(split.train, split.num_items)
    teacher = distillation.teacher if distillation and needs_of(distillation.config) == "model" else None
    data = TrainingData(split.windows, sampler, loss.negatives, items, teacher)
    if len(data.windows) == 0:
        raise DataError(f"{split.source}: no user has {split.target_length} training items; nothing to learn from")
    if distillation is not None:
        _warn_of_share(settings, distillation)
    session = Session(
        seed,
        settings.name,
        _validator(split, settings),
        settings.checkpoint,
        settings.callbacks,
        settings_of(model, split, settings, distillation),
        settings.keep,
    )
    objective = _objective(loss, distillation)
    objective.prepare(split.train, split.num_items)
    with _threads(settings.train.threads):
        result = fit(ranker, data, objective, settings.train, session)
    if not type(ranker).learns:
        result = replace(result, seconds=built)  # a closed form is solved when the model is built
    ranker.round()
    return ranker, result


def settings_of(model: Section, split: Split, settings: Settings, distillation: Distillation | None = None) -> Json:
    """What a training depends on, flat, in the words of an experiment file."""
    named = {"model": model, "ranking_loss": settings.loss or plugins.find("losses", "pointwise").Config()}
    if distillation is not None:
        named["distillation"] = distillation.config
    kinds = {f"{name}.kind": plugins.kind_of(section) for name, section in named.items()}
    where = {
        "seed": settings.seed,
        "data": split.source,
        "fingerprint": split.fingerprint,
        "windows.history_length": split.history_length,
        "windows.target_length": split.target_length,
    }
    return where | kinds | flat({**named, "train": settings.train})


def training_seed(seed: int, *, distilled: bool) -> int:
    """What a training starts from: the seed itself, or for a distilled student a child of it.

    A student that starts and draws as its teacher did repeats the teacher's errors.
    """
    if not distilled:
        return seed
    return int(np.random.SeedSequence(seed).spawn(1)[0].generate_state(1)[0])


@contextmanager
def _threads(threads: int | None) -> Iterator[None]:
    """Another number of threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def build(model: Section, split: Split, seed: int) -> Ranker:
    """An untrained model for the users and items of `split`."""
    catalogue = Catalogue(split.num_users, split.num_items, split.history_length)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        ranker: Ranker = plugins.behind("models", model)(model, catalogue)
    ranker.prepare(split.train)
    ranker.fingerprint, ranker.split = split.fingerprint, split
    return ranker


def _objective(loss: RankingLossConfig, distillation: Distillation | None) -> Objective:
    ranking: Loss = plugins.behind("losses", loss)(loss)
    if distillation is None:
        return Objective(ranking)
    config = distillation.config
    method = plugins.behind("distillation", config)(config)
    return Objective(ranking, method, alpha=config.alpha, mixing=config.mixing, query_share=config.query_share)


def warn_of_few_queries(split: Split, batch_size: int) -> None:
    """Warns of a share of the training queries that leaves next to nothing; at least one is kept."""
    share = split.query_share
    if share < 1 and (left := len(split.windows)) < batch_size:
        queries = f"{left:,} training quer{'y' if left == 1 else 'ies'}"
        logger.warning(
            "[windows] query_share = %g leaves %s, less than a batch of %d; raise it", share, queries, batch_size
        )


def _warn_of_share(settings: Settings, distillation: Distillation) -> None:
    """Warns of a share of each batch that is next to nothing; at least one query is distilled."""
    batch, share = settings.train.batch_size, distillation.config.query_share
    if share * batch < 1:
        logger.warning(
            "%s: [distillation] query_share = %g is less than a query of each batch of %d, so that one is distilled; "
            "raise it",
            settings.name,
            share,
            batch,
        )


def _validator(split: Split, settings: Settings) -> Validate | None:
    """The metric on the validation users, or None where the data has no validation part."""
    if split.validation is None:
        if settings.train.patience is not None:
            logger.warning(
                "%s: patience has no effect without validation data; set [split] train_on_validation = false",
                settings.name,
            )
        return None
    queries = split.queries("validation", exclude_seen=settings.exclude_seen)
    metric = settings.train.validation_metric
    if len(queries) == 0:
        raise DataError(
            f"{split.source}: no user has a validation item that she does not have already; split otherwise, or set "
            f"[data] repeats or [evaluate] exclude_seen = false"
        )

    return lambda model: measured(model, queries, sorted({metric, "map", "ndcg@10"})).mean()


def label(
    teacher: Ranker,
    split: Split,
    *,
    k: int = 10,
    exclude: Literal["targets", "seen"] = "targets",
    shard: tuple[int, int] = (1, 1),
) -> Rankings:
    """The teacher's top K for every training query.

    Args:
        teacher: a trained model.
        split: the data it was trained on.
        k: K.
        exclude: what a list leaves out: the query's own targets (the published code), or all items that the user
            has in training (the paper).
        shard: (i, n), the i-th of n equal parts of the queries.

    Raises:
        ConfigError: K is larger than the catalogue, or there is no such shard.
    """
    check_list_length(split, k, exclude)
    check_fits(teacher, split)
    never = split.untrained_items
    if not 1 <= shard[0] <= shard[1]:
        raise ConfigError(f"shard {shard[0]}/{shard[1]} does not exist; shards are 1/n to n/n")
    windows = split.windows
    start, stop = (len(windows) * edge // shard[1] for edge in (shard[0] - 1, shard[0]))
    items = np.empty((stop - start, k), dtype=np.int32)
    scores = np.empty((stop - start, k), dtype=np.float32)
    blocks = range(start, stop, _WINDOWS_A_BLOCK)
    index = index_of(teacher, windows.queries(exclude, slice(start, min(start + _WINDOWS_A_BLOCK, stop)), never))
    with progress(len(blocks), "labelling") as advance:
        for first in blocks:
            rows = slice(first, min(first + _WINDOWS_A_BLOCK, stop))
            lists = rank(teacher, windows.queries(exclude, rows, never), k, index=index)
            place = slice(rows.start - start, rows.stop - start)
            items[place], scores[place] = lists.items, lists.scores
            advance()
    name = f"lists of the {type(teacher).__name__} teacher"
    ids = windows.ids[start:stop]
    return Rankings(ids, items, scores, fingerprint=split.fingerprint, source=name, score_scale=teacher.score_scale)


def check_list_length(split: Split, k: int, exclude: Literal["targets", "seen"]) -> None:
    """Refuses lists that no teacher can fill.

    Raises:
        ConfigError: K is not at least 1, or more than the items that every training query leaves to rank.
    """
    if k < 1:
        raise ConfigError(f"k = {k} is no length of a list; ask for at least 1")
    items, left_out = split.num_items - len(split.untrained_items), _left_out(split, exclude)
    longest = items - left_out
    if k > longest:
        raise ConfigError(
            f"k = {k} is more than the catalogue's {split.num_items:,} items give: {items:,} occur in training, and a "
            f"list leaves out up to {left_out:,} of them (exclude = {exclude!r}); lower k to {longest:,}"
        )


def longest_list(split: Split, exclude: Literal["targets", "seen"]) -> int:
    """The largest K that a teacher can fill for every training query."""
    return split.num_items - len(split.untrained_items) - _left_out(split, exclude)


def _left_out(split: Split, exclude: Literal["targets", "seen"]) -> int:
    return split.target_length if exclude == "targets" else int(split.train.distinct().lengths.max())


def check_fits(model: Ranker, split: Split) -> None:
    """Refuses a model that was made for other data, or for windows with another history.

    Raises:
        CheckpointError: it was trained on other data.
        ConfigError: it was made for another history length.
    """
    if model.fingerprint not in (None, split.fingerprint):
        raise CheckpointError(
            f"the {type(model).__name__} was trained on other data (fingerprint {model.fingerprint}, "
            f"{split.source} has {split.fingerprint}); use the data it was trained on"
        )
    trained, asked = model.catalogue.history_length, split.history_length
    if trained != asked:
        raise ConfigError(
            f"the {type(model).__name__} was trained with history_length = {trained} and the data has {asked}; "
            f"set [windows] history_length = {trained}"
        )


def recommend(model: Ranker, queries: Queries, k: int = 10) -> Rankings:
    """The top `k` items of each query, best first, known items left out.

    For `split.test_queries` the exact ranks of the test items come along, so that `evaluate` can give metrics over
    the full catalogue whatever `k` is.
    """
    return rank(model, queries, k)


def evaluate(
    lists: Rankings, targets: Sequences | Queries, metrics: Sequence[str], num_items: int | None = None
) -> Evaluation:
    """One value per test user and metric.

    Args:
        lists: from `recommend`, or `Rankings.read` of anybody's recommendations.
        targets: the relevant items of each user (`split.test`), all of them; or queries (`split.test_queries`),
            whose relevant items leave out what a user has already.
        metrics: names, such as "ndcg@10" or "map".
        num_items: I, which only `coverage@k` needs.

    Raises:
        EvaluationError: an unknown metric, or one that needs deeper lists.
        RankingsError: a test user has no list.
    """
    return evaluate_ranks(_ranks_of(lists, targets), metrics, lists=lists, num_items=num_items)


def measured(
    model: Ranker, queries: Queries, metrics: Sequence[str], depth: int = 10, num_items: int | None = None
) -> Evaluation:
    """One value per user and metric of a model, from the exact ranks of the queries' relevant items.

    Args:
        model: what is measured.
        queries: of a part of the data.
        metrics: by name.
        depth: of its lists, which only `coverage@k` needs.
        num_items: as for `evaluate`.
    """
    lists = rank(model, queries, depth)
    assert lists.target_ranks is not None
    return evaluate_ranks(lists.target_ranks, metrics, lists=lists, num_items=num_items)


def evaluate_halves(lists: Rankings, split: Split, targets: Sequences | Queries | None = None) -> Evaluation:
    """The same for popular and for unpopular items apart; see `rankdistill.evaluation.halves`.

    Args:
        lists: as for `evaluate`.
        split: the data, whose training interactions say which items are popular.
        targets: as for `evaluate`; the test items of `split` when left out.
    """
    popular = popular_items(split.train, split.num_items)
    return halves.evaluate_halves(_ranks_of(lists, split.test if targets is None else targets), popular)


def _ranks_of(lists: Rankings, targets: Sequences | Queries) -> TargetRanks:
    """The ranks that came along with the lists where they are of these targets, else those in the lists."""
    if isinstance(targets, Queries):
        targets = targets.by_user()
    ranks = lists.target_ranks
    if ranks is None or not targets.members()(unpack(ranks.query_ids)[0], ranks.items).all():  # of other targets
        ranks = ranks_in_lists(lists, targets)
    return ranks


def ranks_in_lists(lists: Rankings, targets: Sequences) -> TargetRanks:
    """The rank of each user's targets in her list, known down to the depth of the lists."""
    lists.check_users()
    first_of_user = np.unique(unpack(lists.query_ids)[0], return_index=True)
    users = np.flatnonzero(targets.lengths > 0)
    wanted = pack(users, ANY_POSITION)
    keys = pack(first_of_user[0], ANY_POSITION)
    by_user = replace(lists, query_ids=keys, items=lists.items[first_of_user[1]], scores=None)
    found = by_user.for_queries(wanted)
    relevant = targets.distinct().take(users)
    ranks = found.ranks_of(relevant.users, relevant.items)
    return TargetRanks(wanted[relevant.users], relevant.items, ranks, depth=lists.depth)
