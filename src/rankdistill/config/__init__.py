"""The experiment file: what its sections may hold, how it is read, and how it is written again."""

from rankdistill.config.options import Option, describe
from rankdistill.config.parsing import in_place_of_teacher, load, parse
from rankdistill.config.sections import (
    LATER,
    DataConfig,
    EnsembleConfig,
    EvaluateConfig,
    Experiment,
    ModelConfig,
    Precision,
    RoleConfig,
    Section,
    SplitConfig,
    TeacherConfig,
    TeacherLists,
    Teachers,
    TrainConfig,
    WindowsConfig,
)
from rankdistill.config.toml import flat, to_toml
from rankdistill.config.tuning import Choice, Range, Tunable, Value

__all__ = [
    "LATER",
    "Choice",
    "DataConfig",
    "EnsembleConfig",
    "EvaluateConfig",
    "Experiment",
    "ModelConfig",
    "Option",
    "Precision",
    "Range",
    "RoleConfig",
    "Section",
    "SplitConfig",
    "TeacherConfig",
    "TeacherLists",
    "Teachers",
    "TrainConfig",
    "Tunable",
    "Value",
    "WindowsConfig",
    "describe",
    "flat",
    "in_place_of_teacher",
    "load",
    "parse",
    "to_toml",
]
