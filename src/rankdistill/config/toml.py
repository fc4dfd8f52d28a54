"""An experiment as TOML: complete, resolved, and itself a valid input; and its options, flat."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from rankdistill import plugins
from rankdistill.config.sections import (
    EnsembleConfig,
    Experiment,
    RoleConfig,
    Section,
    TeacherConfig,
    TeacherLists,
    Teachers,
    TrainConfig,
)
from rankdistill.errors import ConfigError
from rankdistill.types import Json


def to_toml(experiment: Experiment) -> str:
    """The experiment as the text of an experiment file; `load` of it gives the same experiment.

    Raises:
        ConfigError: an option holds what TOML cannot say.
    """
    blocks = [f"seed = {experiment.seed}"]
    for name in type(experiment).model_fields:
        section = getattr(experiment, name)
        if isinstance(section, Teachers):
            blocks.extend(block for each in section.each for block in _role(f"[{name}]", each, experiment.train))
        elif isinstance(section, RoleConfig):
            blocks.extend(_role(name, section, experiment.train))
        elif isinstance(section, EnsembleConfig) and section == EnsembleConfig():
            continue  # it says nothing where there is one teacher
        elif name in ("ranking_loss", "distillation", "tracking") and section is not None:
            blocks.append(_plugin_block(name, section))
        elif isinstance(section, Section):
            blocks.append(_block(name, _values(name, section)))
    return "\n\n".join(blocks) + "\n"


def to_value(value: object) -> str:
    """One value in TOML's notation.

    >>> to_value((0.5, "a", True))
    '[0.5, "a", true]'
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str | Path):
        return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(to_value, value))}]"
    if isinstance(value, BaseModel):
        value = {key: getattr(value, key) for key in type(value).model_fields}
    if isinstance(value, Mapping):
        pairs = (f"{to_value(key)} = {to_value(each)}" for key, each in value.items() if each is not None)
        return f"{{{', '.join(pairs)}}}"
    raise ConfigError(f"{value!r}: a {type(value).__name__} cannot be written to an experiment file")


def flat(sections: Mapping[str, Section]) -> Json:
    """The options of sections under one roof: `{"student.dim": 50, ...}`, in values that JSON knows."""
    return {
        f"{name}.{key}": value
        for name, section in sections.items()
        for key, value in section.model_dump(mode="json").items()
    }


def _block(name: str, values: Mapping[str, object]) -> str:
    return "\n".join([f"[{name}]", *(f"{key} = {to_value(value)}" for key, value in values.items())])


def _plugin_block(name: str, section: Section) -> str:
    return _block(name, {"kind": plugins.kind_of(section)} | _values(name, section))


def _role(name: str, role: RoleConfig | TeacherLists, common: TrainConfig) -> list[str]:
    """The blocks of `[teacher]`, `[student]` or one of several `[[teacher]]`."""
    if isinstance(role, TeacherLists):
        return [_block(name, _values(name, role))]
    several = _values(name, role) if isinstance(role, TeacherConfig) else {}
    own = {key: several[key] for key in ("members", "weight") if key in several and several[key] != 1}
    loss = several.get("ranking_loss")
    return [
        _block(name, {"kind": role.kind} | _values(name, role.model) | own),
        *_own_train(name.strip("[]"), role.train, common),
        *([] if loss is None else [_plugin_block(f"{name.strip('[]')}.ranking_loss", loss)]),
    ]


def _values(name: str, section: Section) -> dict[str, Any]:
    values = {}
    for key, field in type(section).model_fields.items():
        value = getattr(section, key)
        if value is not None:
            values[key] = value.absolute() if isinstance(value, Path) else value
        elif not field.is_required() and field.get_default() is not None:
            raise ConfigError(f"[{name}] {key}: None cannot be written to an experiment file; choose a value")
    return values


def _own_train(name: str, own: TrainConfig, common: TrainConfig) -> list[str]:
    different = {key: value for key, value in _values(name, own).items() if value != getattr(common, key)}
    return [_block(f"{name}.train", different)] if different else []
