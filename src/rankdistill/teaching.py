"""What a student is distilled from, and by which method; checked before anything is trained."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import numpy as np

from rankdistill import plugins
from rankdistill.config import Section
from rankdistill.data.splitting import Split
from rankdistill.data.teacher_items import TeacherItems, teacher_items
from rankdistill.errors import ConfigError, RankingsError
from rankdistill.loss import DistillationConfig, Needs
from rankdistill.ranker import Ranker
from rankdistill.rankings import Rankings
from rankdistill.types import Floats

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Distillation:
    """What is distilled and how.

    `method` None is ranking distillation with the published settings, K no longer than the lists are. `teacher` is the
    teacher itself, for a method that asks it.
    """

    lists: Rankings
    method: DistillationConfig | None = None
    teacher: Ranker | None = None

    @property
    def config(self) -> DistillationConfig:
        """The method's `Config`."""
        if self.method is not None:
            return self.method
        kind = plugins.find("distillation", "ranking_distillation").Config
        config: DistillationConfig = kind()
        return config if self.lists.depth >= config.k else kind(k=self.lists.depth)

    def items_for(self, split: Split) -> TeacherItems:
        """The checked teacher items of the training queries; what is left out and not used is logged.

        Raises:
            RankingsError: the lists do not fit the data, or lack the scores that the method needs.
            ConfigError: the method needs the teacher itself, or several lists for each query.
        """
        found = self.check(split)
        for level, line in found.notes:
            logger.log(level, "%s", line)
        return found

    def check(self, split: Split) -> TeacherItems:
        """What `items_for` gives and raises, before anything is trained; logs nothing, since the training does."""
        config, needs = self.config, needs_of(self.config)
        if needs == "scores" and self.lists.scores is None:
            raise RankingsError(
                f"{self.lists.source}: has no column 'score', and [distillation] kind = {plugins.kind_of(config)!r} "
                f"learns from the teacher's scores; add them, or take a method that needs lists alone "
                f"({', '.join(_methods_that_need('lists'))})"
            )
        if needs == "model" and self.teacher is None:
            served: tuple[Needs, ...] = ("lists",) if self.lists.scores is None else ("lists", "scores")
            raise ConfigError(
                f"[distillation] kind = {plugins.kind_of(config)!r} asks the teacher itself while the student learns; "
                f"give its model folder in place of its lists, or take another method "
                f"({', '.join(_methods_that_need(*served))})"
            )
        lists = self.lists if needs == "scores" else replace(self.lists, scores=None)
        found = teacher_items(lists, split, config.k, config.exclude)
        if needs == "scores":
            found = _as_read(found, lists, config)
        if needs != "several":
            return found
        if not lists.easier:
            raise ConfigError(lacks_easier(config, lists.source, "give it some that are easier (`Rankings.easier`)"))
        plain = (replace(each, scores=None, on_missing=lists.on_missing) for each in lists.easier)
        easier = [teacher_items(each, split, config.k, config.exclude) for each in plain]
        known = [each.listed for each in (found, *easier) if each.listed is not None]
        listed = np.logical_and.reduce(known) if known else None
        notes = tuple(note for each in (*easier, found) for note in each.notes)
        return replace(found, easier=tuple(each.items for each in easier), listed=listed, notes=notes)


def _as_read(found: TeacherItems, lists: Rankings, method: Section) -> TeacherItems:
    """The teacher's items, with their scores as a method takes them, or with a warning where they cannot be had so."""
    if are_converted(lists, method):
        assert found.scores is not None
        return replace(found, scores=_log_odds(found.scores))
    if lists.score_scale in (None, "log_odds") or not _reads_log_odds(method):
        return found
    note = (
        f"{lists.source}: scores that are no log-odds, which [distillation] kind = {plugins.kind_of(method)!r} takes "
        f"them for; choose its scale and shift by trial, or take a teacher that learns by pointwise or gbce"
    )
    return replace(found, notes=(*found.notes, (logging.WARNING, note)))


def are_converted(lists: Rankings, method: Section) -> bool:
    """Whether a method learns from other scores than those of the lists: the log-odds of log-probabilities."""
    return lists.score_scale == "log_probability" and _reads_log_odds(method)


def _reads_log_odds(method: Section) -> bool:
    return bool(plugins.behind("distillation", method).reads_log_odds)


def _log_odds(scores: Floats) -> Floats:
    """log(p / (1 - p)) [n, K] of log p; -inf stays."""
    below = np.minimum(scores, -np.finfo(np.float32).tiny)
    odds: Floats = below - np.log(-np.expm1(below))
    return odds


def needs_of(method: Section) -> Needs:
    """What the method of a `Config` has to have of the teacher."""
    needs: Needs = plugins.behind("distillation", method).needs
    return needs


def lacks_easier(method: Section, source: str, advice: str) -> str:
    """What is wrong with one list a query where a method climbs from easy lists to hard ones, and what to do."""
    return (
        f"{source}: one list for each query, and [distillation] kind = {plugins.kind_of(method)!r} climbs from easy "
        f"lists to hard ones; {advice}, or take another method ({', '.join(_methods_that_need('lists'))})"
    )


def check_added_up(method: Section, by: str) -> None:
    """Refuses a method that needs what lists of several teachers, added up by their ranks or scores, have not.

    Raises:
        ConfigError: it does.
    """
    kind, needs = plugins.kind_of(method), needs_of(method)
    if needs == "model":
        raise ConfigError(
            f"[distillation] kind = {kind!r} asks the teacher itself while the student learns, and [[teacher]] are "
            f"combined by their lists ([ensemble] combine = {by!r}); take another method, or models that can be "
            f"combined by their scores"
        )
    if needs == "scores" and by == "ranks":
        raise ConfigError(
            f"[distillation] kind = {kind!r} learns from the teacher's scores, and [[teacher]] are combined by their "
            f"ranks ([ensemble] combine = 'ranks'), which are none; take combine = 'scores', where all of them have "
            f"scores, or a method that needs lists alone ({', '.join(_methods_that_need('lists'))})"
        )


def _methods_that_need(*needs: Needs) -> list[str]:
    kinds = plugins.kinds("distillation")
    return [kind for kind in kinds if plugins.find("distillation", kind).needs in needs]


def check_student(model: Section) -> None:
    """Refuses a student of the given `Config` that nothing can be distilled into.

    Raises:
        ConfigError: it learns nothing by gradient.
    """
    if not plugins.behind("models", model).learns:
        able = [kind for kind in plugins.kinds("models") if plugins.find("models", kind).learns]
        raise ConfigError(
            f"[student] kind = {plugins.kind_of(model)!r} learns nothing by gradient, so nothing can be distilled into "
            f"it; take one of {', '.join(able)}"
        )
