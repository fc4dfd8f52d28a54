"""What every loss sees, and the objective that a training minimises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, TypeAlias, cast

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from rankdistill.config import LATER, Range, Section, Tunable
from rankdistill.data.sequences import Sequences
from rankdistill.listwise import best_columns
from rankdistill.ranker import Ranker
from rankdistill.seen import SeenItems


@dataclass(frozen=True, slots=True)
class Shared:
    """What a causal model reads once for many queries.

    Attributes:
        users: [M].
        sequences: [M, S], PAD on the right.
        rows: [B], the sequence of each query.
        columns: [B], where in it the query's history ends.
    """

    users: Tensor
    sequences: Tensor
    rows: Tensor
    columns: Tensor

    def take(self, queries: Tensor) -> Shared:
        """The same sequences for some of the queries [n]."""
        return replace(self, rows=self.rows[queries], columns=self.columns[queries])


@dataclass(frozen=True, slots=True)
class Batch:
    """Training queries and the items their losses speak of.

    Attributes:
        users: [B].
        history: [B, L].
        targets: [B, T].
        negatives: [B, N].
        teacher_items: [B, K], the teacher's list, best first; K = 0 without a teacher.
        teacher_scores: [B, K], the teacher's own scores of that list, where they are known.
        shared: the sequences that the queries are parts of, for a causal model; None where each is encoded by itself.
        easier_items: [B, M - 1, K], lists that are easier to learn, the easiest first, where there are some.
        teacher_queries: [B, E], the teacher's vectors of the queries, where they are kept.
        listed: [B], whether the teacher has a list for the query; None where it has one for all.
    """

    users: Tensor
    history: Tensor
    targets: Tensor
    negatives: Tensor
    teacher_items: Tensor
    teacher_scores: Tensor | None = None
    shared: Shared | None = None
    easier_items: Tensor | None = None
    teacher_queries: Tensor | None = None
    listed: Tensor | None = None

    def encoded_by(self, model: Ranker) -> Tensor:
        """The vectors [B, D] of the queries."""
        if self.shared is None:
            return model.encode(self.users, self.history)
        at_each_place = model.encode_sequences(self.shared.users, self.shared.sequences)
        return at_each_place[self.shared.rows, self.shared.columns]

    def take(self, queries: Tensor) -> Batch:
        """The batch of some of the queries [n]."""
        known = {field.name: getattr(self, field.name) for field in fields(self)}
        taken: dict[str, Any] = {
            name: each[queries] if isinstance(each, Tensor) else each.take(queries)
            for name, each in known.items()
            if each is not None
        }
        return replace(self, **taken)


@dataclass(frozen=True, slots=True)
class Sample:
    """Items drawn uniformly, the same for all queries of a batch.

    Attributes:
        items: [n], ascending; an item can occur more than once.
        scores: [B, n], the student's.
        unseen: [B, n], whether the user does not have the item in training.
    """

    items: Tensor
    scores: Tensor
    unseen: Tensor


@dataclass(frozen=True)
class Step:
    """All that a loss may look at.

    Attributes:
        batch: the queries.
        queries: [B, D], their vectors.
        student: the model in training.
        epoch: from 1.
        generator: the source of all randomness.
        seen: what the users have in training; None where nothing needs to be known of it.
        teacher: the teacher itself, in evaluation mode, where it is at hand.
    """

    batch: Batch
    queries: Tensor
    student: Ranker
    epoch: int
    generator: torch.Generator
    seen: SeenItems | None = None
    teacher: Ranker | None = None

    @cached_property
    def _scores(self) -> tuple[Tensor, ...]:
        """Targets, negatives and teacher items, gathered and scored at once, with gradient whoever asks first."""
        groups = (self.batch.targets, self.batch.negatives, self.batch.teacher_items)
        with torch.enable_grad():
            scores = self.score(torch.cat(groups, dim=1))
            return torch.split(scores, [group.shape[1] for group in groups], dim=1)

    @property
    def target_scores(self) -> Tensor:
        """[B, T]."""
        return self._scores[0]

    @property
    def negative_scores(self) -> Tensor:
        """[B, N]."""
        return self._scores[1]

    @property
    def teacher_item_scores(self) -> Tensor:
        """[B, K], the student's scores of the teacher's items."""
        return self._scores[2]

    def score(self, items: Tensor | None) -> Tensor:
        """The student's scores of other items, or of the whole catalogue; see `Ranker.score` and `Ranker.adjust`."""
        return self.student.adjust(self.student.score(self.queries, items), self.batch.users, items)

    @torch.no_grad()
    def ask_teacher(self, items: Tensor | None) -> Tensor:
        """The teacher's scores of items, or of the whole catalogue; as `score`."""
        assert self.teacher is not None
        return self.teacher.adjust(self.teacher.score(self._teacher_queries, items), self.batch.users, items)

    @cached_property
    def _teacher_queries(self) -> Tensor:
        assert self.teacher is not None
        kept = self.batch.teacher_queries
        return self.teacher.encode(self.batch.users, self.batch.history) if kept is None else kept

    def some(self, share: float) -> Step:
        """The step of a share of the queries with a list, drawn at random; all queries are this step."""
        listed, device = self.batch.listed, self.queries.device
        if share == 1 and listed is None:
            return self
        rows = torch.arange(len(self.queries), device=device) if listed is None else listed.nonzero().flatten()
        if share < 1:
            number = max(1, round(share * len(rows)))
            rows = rows[torch.randperm(len(rows), generator=self.generator, device=device)[:number]]
        return replace(self, batch=self.batch.take(rows), queries=self.queries[rows])

    def unlisted(self) -> Step:
        """The step without the teacher's lists, which nothing then scores."""
        return replace(self, batch=replace(self.batch, teacher_items=self.batch.teacher_items[:, :0]))

    def draw(self, size: int) -> Tensor:
        """Items [n] drawn uniformly from the catalogue, ascending; an item can occur more than once."""
        device, num_items = self.queries.device, self.student.catalogue.num_items
        return torch.randint(1, num_items + 1, (size,), generator=self.generator, device=device).sort().values

    def draw_by_weight(self, weights: Tensor, size: int, *, replacement: bool = False) -> Tensor:
        """Columns [B, n] drawn by their weights [B, K], which need not sum to 1; a weight of 0 comes last."""
        if replacement:
            return torch.multinomial(weights, size, replacement=True, generator=self.generator)
        noise = torch.empty_like(weights).exponential_(generator=self.generator)
        return torch.topk(weights / noise, size, dim=1).indices  # the race of exponential clocks

    @torch.no_grad()
    def best(self, size: int, exclude: Literal["targets", "seen"] = "targets", scores: Tensor | None = None) -> Tensor:
        """The student's own list [B, n] as it is now, best first, without what the teacher's lists leave out.

        Scores the whole catalogue, where its `scores` [B, I + 1] are not at hand.
        """
        if scores is None:
            scores = self.student.adjust(self.student.score(self.queries.detach()), self.batch.users)
        left_out = torch.cat([torch.zeros_like(self.batch.targets[:, :1]), self.batch.targets], dim=1)
        if exclude == "seen" and self.seen is not None:
            everything = torch.arange(scores.shape[1], device=scores.device)
            scores = scores.masked_fill(self.seen.among(self.batch.users, everything), -torch.inf)
        return best_columns(scores, min(size, self.student.catalogue.num_items), left_out)

    @torch.no_grad()
    def sample(self, size: int) -> Sample:
        """A sample of the catalogue, scored by the student in one matrix product, without gradient."""
        items = self.draw(size)
        scores = self.student.score(self.queries.detach(), items)
        if self.seen is None:
            scores = self.student.adjust(scores, self.batch.users, items)
            return Sample(items, scores, torch.ones_like(scores, dtype=torch.bool))
        return Sample(items, scores, ~self.seen.among(self.batch.users, items))


class RankingLossConfig(Section):
    """What every ranking loss has to say of itself."""

    kind: str
    negatives: Annotated[int, Range(1, 20, log=True)] = Field(
        3, ge=0, description="negatives per target, drawn anew every epoch"
    )


class DistillationConfig(Section):
    """What every distillation method has to say of itself."""

    kind: str
    k: Annotated[int, Range(3, 50, log=True)] = Field(10, ge=1, description="K, the length of the teacher's list")
    alpha: Annotated[float, Range(0.01, 10.0, log=True)] = Field(
        1.0, ge=0, description="the weight of the distillation loss"
    )
    mixing: Literal["sum", "convex"] = Field(
        "sum", description="sum: L_R + alpha L_D; convex: (1 - alpha) L_R + alpha L_D"
    )
    exclude: Literal["targets", "seen"] = Field(
        "targets", description="what the teacher's lists leave out: a query's targets, or all the user's items"
    )
    query_share: float = Field(
        1.0,
        gt=0,
        le=1,
        description="the share of each batch's queries, drawn at random, that are distilled",
        json_schema_extra=LATER,
    )

    def search_space(self) -> dict[str, Tunable]:
        """See `Section.search_space`; a convex alpha is a share, and no factor."""
        found = super().search_space()
        if self.mixing == "convex" and "alpha" in found:
            found["alpha"] = Range(min(0.05, self.alpha), max(0.95, self.alpha))
        return found

    @model_validator(mode="after")
    def _alpha_fits_the_mixing(self) -> DistillationConfig:
        if self.mixing == "convex" and self.alpha > 1:
            raise ValueError(f"alpha: {self.alpha:g} is out of range (0 to 1 with mixing = 'convex')")
        return self


Needs: TypeAlias = Literal["lists", "several", "scores", "model"]
"""What a distillation method has to have of the teacher: its lists, easier ones besides (`Rankings.easier`), their
scores as well, or the model itself."""


class Loss(nn.Module, ABC):
    """A ranking or distillation loss: one file, with a nested `Config`."""

    Config: ClassVar[type[Section]]
    needs: ClassVar[Needs] = "lists"
    """Of the teacher; ranking losses need nothing of it."""
    reads_log_odds: ClassVar[bool] = False
    """Whether it takes the scores of the teacher's lists for log-odds."""

    def start_epoch(self, student: Ranker, epoch: int) -> None:
        """Called before each epoch, counted from 1."""

    @property
    def settled_from(self) -> int:
        """The first epoch in which this loss is what it stays; a later one where it warms up."""
        return 1

    def prepare(self, train: Sequences, num_items: int) -> None:
        """Sees the training sequences once, before the first epoch."""

    @abstractmethod
    def forward(self, step: Step) -> Tensor:
        """The loss of one batch: summed over a query's items, averaged over the queries."""


class Objective(nn.Module):
    """The ranking loss, and beside it the distillation loss where there is a teacher.

    `mixing` is the convention for alpha: `"sum"` is L_R + alpha L_D (the published code), `"convex"` is
    (1 - alpha) L_R + alpha L_D (the paper). The distillation loss is the mean over a `query_share` of the queries; one
    for which the teacher has no list counts as one of loss 0.
    """

    def __init__(
        self,
        ranking: Loss,
        distillation: Loss | None = None,
        *,
        alpha: float = 1.0,
        mixing: Literal["sum", "convex"] = "sum",
        query_share: float = 1.0,
    ) -> None:
        super().__init__()
        self.ranking, self.distillation = ranking, distillation
        self.alpha, self.query_share = alpha, query_share
        self.ranking_share = 1.0 - alpha if mixing == "convex" and distillation is not None else 1.0

    def prepare(self, train: Sequences, num_items: int) -> None:
        """Shows both losses the training sequences."""
        for loss in self.children():
            assert isinstance(loss, Loss)
            loss.prepare(train, num_items)

    def start_epoch(self, student: Ranker, epoch: int) -> None:
        """Tells both losses that an epoch begins."""
        for loss in self.children():
            assert isinstance(loss, Loss)
            loss.start_epoch(student, epoch)

    def forward(self, step: Step) -> dict[str, Tensor]:
        """The two terms, not yet mixed, for the log."""
        taught = step if self.distillation is None else step.some(self.query_share)
        terms = {"ranking_loss": self.ranking(step if taught is step else step.unlisted())}
        if self.distillation is not None:
            terms["distillation_loss"] = self._distilled(taught, step.batch.listed)
        return terms

    def _distilled(self, taught: Step, listed: Tensor | None) -> Tensor:
        assert self.distillation is not None
        if listed is None:
            return cast(Tensor, self.distillation(taught))
        if not len(taught.queries):
            return taught.queries.sum()  # 0
        loss = cast(Tensor, self.distillation(taught))
        return loss * listed.to(loss.dtype).mean()

    @property
    def settled_from(self) -> int:
        """The first epoch in which both losses are what they stay."""
        return max(loss.settled_from for loss in self.children() if isinstance(loss, Loss))

    def total(self, terms: dict[str, Tensor]) -> Tensor:
        """What is minimised."""
        total = self.ranking_share * terms["ranking_loss"]
        if self.distillation is not None:
            total = total + self.alpha * terms["distillation_loss"]
        return total
