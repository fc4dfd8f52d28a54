"""The experiment file: what its sections may hold, how it is read, and how it is written again."""

from rankdistill.config.options import Option, describe
from rankdistill.config.parsing import load, parse
from rankdistill.config.sections import (
    LATER,
    DataConfig,
    EvaluateConfig,
    Experiment,
    ModelConfig,
    Precision,
    RoleConfig,
    Section,
    SplitConfig,
    TeacherLists,
    TrainConfig,
    WindowsConfig,
)
from rankdistill.config.toml import flat, to_toml

__all__ = [
    "LATER",
    "DataConfig",
    "EvaluateConfig",
    "Experiment",
    "ModelConfig",
    "Option",
    "Precision",
    "RoleConfig",
    "Section",
    "SplitConfig",
    "TeacherLists",
    "TrainConfig",
    "WindowsConfig",
    "describe",
    "flat",
    "load",
    "parse",
    "to_toml",
]
