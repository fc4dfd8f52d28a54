"""The sections of an experiment file as frozen values, each option declared once."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    SerializeAsAny,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic.fields import FieldInfo

from rankdistill import plugins
from rankdistill.config.tuning import Choice, Range, Tunable, declared

Count = Annotated[int, Field(ge=1)]
LATER: dict[str, JsonValue] = {"later": True}
"""`json_schema_extra` of an option that came after others were released: a dump leaves it out where it has its default.

Stamps, checkpoints and model cards that were made before thus stay those of the same settings.
"""


class Section(BaseModel):
    """Base of every section, and of the nested `Config` of every plug-in.

    Types are not bent (`"50"` is no integer), except for what TOML cannot say: a list stands for a tuple,
    text for a path, an integer for a float. A plug-in may declare its `kind`.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _from_toml(cls, value: Any, info: ValidationInfo) -> Any:
        annotation = cls.model_fields[str(info.field_name)].annotation
        if isinstance(value, list) and _takes(annotation, tuple):
            paths = Path in get_args(annotation)
            return tuple(_located(each, info) if paths and isinstance(each, str) else each for each in value)
        if isinstance(value, str) and _takes(annotation, Path) and not _takes(annotation, str):
            return _located(value, info)
        return value

    @model_serializer(mode="wrap")
    def _without_later(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = dump(self)
        fields = type(self).model_fields
        return {name: value for name, value in values.items() if not _is_new(fields[name], getattr(self, name))}

    def search_space(self) -> dict[str, Tunable]:
        """What is searched around these options, by key; this point of it is one of them."""
        found: dict[str, Tunable] = {}
        for key, field in type(self).model_fields.items():
            tunable = declared(field)
            wide = None if tunable is None else tunable.including(getattr(self, key))
            if wide is not None:
                found[key] = wide
        return found


def _is_new(field: FieldInfo, value: object) -> bool:
    extra = field.json_schema_extra
    return isinstance(extra, dict) and bool(extra.get("later")) and value == field.default


def _located(text: str, info: ValidationInfo) -> Path:
    locate = (info.context or {}).get("locate")
    path = Path(text).expanduser()
    located: Path = locate(info.field_name, path) if locate else path
    return located


def _takes(annotation: object, wanted: type) -> bool:
    if wanted in (annotation, get_origin(annotation)):
        return True
    if get_origin(annotation) in (tuple, list, dict, Literal):
        return False
    return any(_takes(part, wanted) for part in get_args(annotation))


class DataConfig(Section):
    """`[data]`: where the interactions come from. Base of every reader's `Config`."""

    kind: str = Field(description="how to read the data: a kind of file, or a public set by name")
    path: Path | None = Field(default=None, description="the file or folder")
    min_user_interactions: Count = Field(default=5, description="users with fewer interactions are dropped")
    min_item_interactions: Count = Field(default=5, description="items with fewer interactions are dropped")
    repeats: Literal["all", "first", "last"] = Field(
        default="last", description="which of a user's repeat visits to an item to keep"
    )

    @property
    def presplit(self) -> bool:
        """Whether this data brings its own split; a reader of such data overrides it."""
        return False


class SplitConfig(Section):
    """`[split]`: which interactions are learnt from, and which ones are the test."""

    kind: Literal["user_fractions", "leave_last_out", "time", "presplit"] = Field(
        default="user_fractions",
        description="how to split; 'presplit' only for data that brings its own split",
    )
    fractions: tuple[float, float, float] = Field(
        default=(0.7, 0.1, 0.2), description="shares of train, validation and test, with the sum 1"
    )
    train_on_validation: bool = Field(
        default=True, description="whether the final models learn from train and validation together"
    )

    @field_validator("fractions")
    @classmethod
    def _sum_to_one(cls, fractions: tuple[float, float, float]) -> tuple[float, float, float]:
        train, validation, test = fractions
        if not math.isclose(sum(fractions), 1.0, abs_tol=1e-6):
            raise ValueError(f"{list(fractions)} has the sum {sum(fractions):g}; it must be 1")
        if train <= 0 or validation < 0 or test <= 0:
            raise ValueError(f"{list(fractions)}: train and test must be above 0, validation at least 0")
        return fractions


class WindowsConfig(Section):
    """`[windows]`: how a user's sequence becomes queries."""

    history_length: Count = Field(default=5, description="items of history in a query (L)")
    target_length: Count = Field(default=1, description="next items to learn from a query (T)")
    min_history: Count | None = Field(
        default=None,
        description="items before a training query at least; history_length when left out",
        json_schema_extra=LATER,
    )
    query_share: float = Field(default=1.0, gt=0, le=1, description="share of the training queries to learn from")


class TrainConfig(Section):
    """`[train]`: the loop, the same for teacher and student; `[teacher.train]` overrides it for one role."""

    epochs: int = Field(default=50, ge=0, description="passes over the training queries")
    batch_size: Annotated[Count, Range(128, 2048, log=True)] = Field(default=512, description="queries in a step")
    learning_rate: Annotated[float, Range(1e-4, 3e-2, log=True)] = Field(
        default=1e-3, gt=0, description="step size of Adam"
    )
    schedule: Literal["constant", "linear", "cosine"] = Field(
        default="constant",
        description="the step size from epoch to epoch: the same, or falling, to reach nothing after the last",
        json_schema_extra=LATER,
    )
    schedule_epochs: Count | None = Field(
        default=None,
        description="epochs over which the step size falls and those to keep are spaced, where training ends before; "
        "epochs when left out",
        json_schema_extra=LATER,
    )
    weight_decay: Annotated[float, Range(1e-8, 1e-3, log=True)] = Field(
        default=1e-6, ge=0, description="L2 penalty of the weights"
    )
    device: str = Field(
        default="auto",
        description="'cpu', 'cuda', 'cuda:1', ...; 'auto' is cuda where there is one, else cpu",
    )
    threads: Count | None = Field(default=None, description="CPU threads; all cores when left out")
    patience: Count | None = Field(
        default=None, description="validations without progress before training stops; never when left out"
    )
    validate_every: Count = Field(default=1, description="epochs between two validations")
    validation_metric: str = Field(default="map", description="the metric that picks the best epoch")
    checkpoints: int = Field(
        default=0,
        ge=0,
        description="models of earlier epochs to keep, evenly spaced, whose lists a method may climb",
        json_schema_extra=LATER,
    )

    def learning_rate_in(self, epoch: int) -> float:
        """The step size in an epoch, counted from 1."""
        done = (epoch - 1) / (self.schedule_epochs or self.epochs)
        shares = {"constant": 1.0, "linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2}
        return self.learning_rate * shares[self.schedule]

    @property
    def kept_epochs(self) -> list[int]:
        """The epochs whose models are kept, without the last; a training that ends before has those up to there."""
        parts, whole = self.checkpoints + 1, self.schedule_epochs or self.epochs
        spaced = {whole * part // parts for part in range(1, parts)}
        return sorted(epoch for epoch in spaced if 0 < epoch < self.epochs)

    @model_validator(mode="after")
    def _schedule_is_long_enough(self) -> TrainConfig:
        if self.schedule_epochs is not None and self.schedule_epochs < self.epochs:
            raise ValueError(
                f"schedule_epochs: {self.schedule_epochs} is less than epochs = {self.epochs}; raise it or drop it"
            )
        return self

    @field_validator("device")
    @classmethod
    def _known_device(cls, device: str) -> str:
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", device):
            near = plugins.suggestion(device, ["auto", "cpu", "cuda"])
            raise ValueError(f"{device!r} is not 'auto', 'cpu', 'cuda' or 'cuda:N'{near}")
        return device


class EvaluateConfig(Section):
    """`[evaluate]`: what is measured on the test users, over the full catalogue."""

    metrics: tuple[str, ...] = Field(
        default=(
            *("precision@3", "precision@5", "precision@10"),
            *("ndcg_kdd18@3", "ndcg_kdd18@5", "ndcg_kdd18@10", "map"),
            *("ndcg@10", "recall@10", "hit@10", "mrr@10", "coverage@10"),
        ),
        min_length=1,
        description="metrics by name",
    )
    exclude_seen: bool = Field(default=True, description="whether items that the user has in training are left out")
    bootstrap_samples: Count = Field(default=2000, description="resamples of the users for an interval")
    depth: Count = Field(default=100, description="items a user in rankings.parquet")


class TeacherLists(Section):
    """`[teacher] rankings = ...`: somebody's lists in place of a teacher that is trained here."""

    rankings: Path = Field(
        description="parquet file of the teacher's lists for the training queries, or a model's folder"
    )
    test_rankings: Path | None = Field(
        default=None, description="parquet file of its lists for the test users, for the report"
    )
    validation_rankings: Path | None = Field(
        default=None, description="parquet file of its lists for the validation users, for compress --within"
    )
    on_unknown: Literal["error", "drop"] = Field(
        default="error", description="what to do with users or items that the data does not have"
    )
    on_missing: Literal["error", "skip"] = Field(
        default="error",
        description="what to do with training queries without a list: refuse them, or have them learn from the data "
        "alone",
        json_schema_extra=LATER,
    )
    easier: tuple[Path, ...] = Field(
        default=(),
        description="files of lists that are easier to learn, the easiest first, for a method that climbs them",
        json_schema_extra=LATER,
    )
    least_shared: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="share of the file's users, and of its items, that the data has to have where others are dropped",
        json_schema_extra=LATER,
    )
    weight: float = Field(default=1.0, ge=0, description="of one of several teachers", json_schema_extra=LATER)


Precision = Literal["float32", "float16", "int8"]


class ModelConfig(Section):
    """Base of the `Config` of a model that learns: what all of them can be told."""

    precision: Annotated[Precision, Choice(size=True)] = Field(
        default="float32",
        description="how the trained numbers are kept: rounded to 16 bits, or tables to 8 with a scale a row",
        json_schema_extra=LATER,
    )


class RoleConfig(Section):
    """`[teacher]` or `[student]`: a model and how it is trained.

    `model` is an instance of the model's own `Config`; `train` is `[train]` with the role's own keys.
    """

    kind: str = Field(description="the model")
    model: SerializeAsAny[Section] = Field(description="the model's options")
    train: TrainConfig = Field(default=TrainConfig(), description="how it is trained")


class TeacherConfig(RoleConfig):
    """`[teacher]` with a model."""

    members: Count = Field(
        default=1, description="trainings of it with seeds of their own, together one teacher", json_schema_extra=LATER
    )
    weight: float = Field(default=1.0, ge=0, description="of one of several teachers", json_schema_extra=LATER)
    ranking_loss: SerializeAsAny[Section] | None = Field(
        default=None,
        description="what it learns from the data by; [ranking_loss] when left out",
        json_schema_extra=LATER,
    )


class Teachers(Section):
    """`[[teacher]]`, several times: together they are one teacher."""

    each: tuple[TeacherConfig | TeacherLists, ...] = Field(min_length=1, description="the tables in their order")

    @property
    def taking_part(self) -> dict[int, TeacherConfig | TeacherLists]:
        """Those with a weight above 0, by their place from 1."""
        return {place: table for place, table in enumerate(self.each, start=1) if table.weight}


class EnsembleConfig(Section):
    """`[ensemble]`: how several teachers become one."""

    combine: Literal["log_sigmoid", "log_softmax", "z_score", "ranks", "scores"] | None = Field(
        default=None,
        description="what is added up: scores of models, made comparable, or what is in lists (ranks, scores); left "
        "out, what fits the teachers",
    )
    depth: Count = Field(default=50, description="items of each teacher's list where lists are added up")
    least_shared: float = Field(
        default=0.5, ge=0, le=1, description="share of users, queries and items that all lists have to know"
    )


def _pointwise() -> Section:
    config: Section = plugins.find("losses", "pointwise").Config()
    return config


def _ranking_distillation() -> Section:
    config: Section = plugins.find("distillation", "ranking_distillation").Config()
    return config


class Experiment(Section):
    """A whole experiment file, every default filled in and every path absolute."""

    seed: int = Field(default=1234, ge=0, lt=2**63, description="start of every random generator")
    data: SerializeAsAny[DataConfig] = Field(description="the reader's options")
    split: SplitConfig = Field(default=SplitConfig(), description="train, validation and test")
    windows: WindowsConfig = Field(default=WindowsConfig(), description="histories and targets")
    teacher: TeacherConfig | TeacherLists | Teachers = Field(description="the model to distil, or its lists")
    ensemble: EnsembleConfig = Field(
        default=EnsembleConfig(), description="how several teachers become one", json_schema_extra=LATER
    )
    student: RoleConfig = Field(description="the compact model")
    ranking_loss: SerializeAsAny[Section] = Field(default_factory=_pointwise, description="learns from the data")
    distillation: SerializeAsAny[Section] = Field(
        default_factory=_ranking_distillation, description="learns from the teacher"
    )
    train: TrainConfig = Field(default=TrainConfig(), description="the training loop")
    evaluate: EvaluateConfig = Field(default=EvaluateConfig(), description="the test")
    tracking: SerializeAsAny[Section] | None = Field(default=None, description="where trainings are logged as well")

    def loss_of(self, role: RoleConfig) -> Section:
        """The ranking loss by which a model learns: its own, or the one of the experiment."""
        own = role.ranking_loss if isinstance(role, TeacherConfig) else None
        return own or self.ranking_loss

    def roles(self) -> list[tuple[str, RoleConfig]]:
        """The models that are trained, each with the section that it is written in; of several teachers `teacher.2`."""
        if isinstance(self.teacher, Teachers):
            teachers = [(f"teacher.{place}", each) for place, each in self.teacher.taking_part.items()]
        else:
            teachers = [("teacher", self.teacher)]
        return [(name, each) for name, each in (*teachers, ("student", self.student)) if isinstance(each, RoleConfig)]

    @model_validator(mode="after")
    def _several_are_combined(self) -> Experiment:
        copies = self.teacher.members if isinstance(self.teacher, TeacherConfig) else 1
        if not isinstance(self.teacher, Teachers) and copies == 1 and self.ensemble != EnsembleConfig():
            raise ValueError(
                "[ensemble]: says how several teachers become one, and there is one [teacher]; write [[teacher]] for "
                "each of them, set [teacher] members, or drop it"
            )
        return self

    @model_validator(mode="after")
    def _histories_are_long_enough(self) -> Experiment:
        for name, role in self.roles():
            items = getattr(role.model, "history_length", None)
            if items is not None and items > self.windows.history_length:
                raise ValueError(
                    f"[{name}] history_length: {items} is more than [windows] history_length = "
                    f"{self.windows.history_length}; lower it, or leave it out for the whole history"
                )
        return self
