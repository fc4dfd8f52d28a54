"""What is searched of an experiment, and the experiment at a point of it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from pydantic import ValidationError

from rankdistill import plugins
from rankdistill.config import (
    Choice,
    Experiment,
    Range,
    RoleConfig,
    Section,
    TeacherConfig,
    Teachers,
    Tunable,
    Value,
)
from rankdistill.config.mistakes import mistaken_key, reason
from rankdistill.errors import ConfigError
from rankdistill.runs import Role

Space: TypeAlias = dict[str, Tunable]
"""By address, such as `student.train.learning_rate`."""
Point: TypeAlias = dict[str, Value]
"""A value for each address."""


def space_of(experiment: Experiment, role: Role, *, sizes: bool) -> Space:
    """What is worth searching for the model of one role, as the models, losses and methods say.

    Args:
        experiment: its own point is in the space.
        role: whose settings.
        sizes: whether the options that decide the model's size are searched, too.
    """
    return {
        f"{place}.{key}": tunable
        for place, section in sections_of(experiment, role).items()
        for key, tunable in section.search_space().items()
        if sizes or not tunable.size
    }


def sections_of(experiment: Experiment, role: Role) -> dict[str, Section]:
    """The sections that decide what the model of one role becomes, and nothing else, by their places.

    The ranking loss is left alone where a teacher that is trained with it is distilled: it would be another teacher.
    One that has its own is another matter.
    """
    name, model = place_of(role), role_config(experiment, role)
    learns = plugins.behind("models", model.model).learns
    sections: dict[str, Section] = {name: model.model}
    if learns:
        sections[f"{name}.train"] = model.train
    loss = experiment.loss_of(model)
    if learns and loss is not experiment.ranking_loss:
        sections[f"{name}.ranking_loss"] = loss
    elif learns and (role != "distilled" or not _teaches_with(experiment)):
        sections["ranking_loss"] = loss
    if role == "distilled":
        sections["distillation"] = experiment.distillation
    return sections


def _teaches_with(experiment: Experiment) -> bool:
    """Whether a teacher is trained with `[ranking_loss]`."""
    teacher = experiment.teacher
    every = teacher.taking_part.values() if isinstance(teacher, Teachers) else (teacher,)
    return any(isinstance(each, TeacherConfig) and each.ranking_loss is None for each in every)


def place_of(role: Role) -> str:
    """The section of the model that is trained for a role."""
    return "teacher" if role == "teacher" else "student"


def role_config(experiment: Experiment, role: Role) -> RoleConfig:
    """The model that is trained for a role.

    Raises:
        ConfigError: the teacher is several, or none that is trained.
    """
    found = getattr(experiment, place_of(role))
    if isinstance(found, Teachers):
        raise ConfigError("[[teacher]] are several, and one is tuned at a time; name that one as [teacher]")
    if not isinstance(found, RoleConfig):
        raise ConfigError(
            "[teacher] rankings names what is not trained here and has no settings; name a kind of model, or tune the "
            "student"
        )
    return found


def address_of(name: str, role: Role) -> str:
    """The address of a key as it is written: `train.learning_rate` is that of the role's model.

    >>> address_of("train.learning_rate", "distilled"), address_of("distillation.k", "distilled")
    ('student.train.learning_rate', 'distillation.k')
    """
    return f"{place_of(role)}.{name}" if name.startswith("train.") else name


def changed(space: Space, keys: Sequence[str], fixed: Sequence[str], experiment: Experiment, role: Role) -> Space:
    """The space without what `fixed` names (`a.b=value`), and with the ranges that `keys` give.

    Raises:
        ConfigError: a key is not known or given twice, its range is none, or a value of it is not allowed.
    """
    held = {address_of(text.partition("=")[0].strip(), role) for text in fixed}
    found, given = {address: each for address, each in space.items() if address not in held}, set[str]()
    sections = sections_of(experiment, role)
    for text in keys:
        name, equals, written = (part.strip() for part in text.partition("="))
        address = address_of(name, role)
        place, dot, key = address.rpartition(".")
        if not equals or not dot or not written:
            raise ConfigError(f"--key {text!r}: write it as a.b=low..high, a.b=low..high:log or a.b=one,other")
        if address in given:
            raise ConfigError(f"--key {text!r}: {address} is given twice; drop one of the two")
        given.add(address)
        section = sections.get(place)
        if section is None:
            others = ", ".join(f"[{each}]" for each in sections)
            raise ConfigError(
                f"--key {text!r}: there is nothing to search at [{place}] for the {role} model; name a key of {others}"
            )
        if key == "kind" and key in type(section).model_fields:
            raise ConfigError(
                f"--key {text!r}: each kind has options of its own, so that none is searched; take one with --set "
                f"{address}=..., or several with `sweep --{address} ...`"
            )
        if key not in type(section).model_fields:
            near = plugins.suggestion(key, type(section).model_fields)
            raise ConfigError(f"--key {text!r}: [{place}] has no key {key!r}{near}")
        tunable = _tunable(text, written, log=getattr(found.get(address), "log", False))
        for value in edges(tunable):
            try:
                at(experiment, {address: value})
            except ConfigError as error:
                raise ConfigError(f"--key {text!r}: {error}") from error
            if meant := _set_by(section, key, value):
                raise ConfigError(
                    f"--key {text!r}: stands for other keys, which a search has by themselves; name them "
                    f"({', '.join(meant)}), or --set {address}"
                )
        found[address] = _with(tunable, getattr(section, key), text)
    return found


def _set_by(section: Section, key: str, value: Value) -> list[str]:
    """The other keys that change with a value where nothing but it is said, as with that of a preset."""
    fields = type(section).model_fields
    least = {name: getattr(section, name) for name, field in fields.items() if field.is_required()}
    try:
        default, with_it = (type(section).model_validate(least | said) for said in ({}, {key: value}))
    except ValidationError:  # it goes with values that are not the defaults, and sets none
        return []
    return [name for name in fields if name != key and getattr(with_it, name) != getattr(default, name)]


def _tunable(text: str, written: str, *, log: bool) -> Tunable:
    ends, _, scale = written.partition(":")
    low, dots, high = ends.partition("..")
    try:
        if not dots:
            return Choice(*(_value(each.strip()) for each in written.split(",")))
        if scale not in ("", "log"):
            raise ValueError(f"{scale!r} is no scale; write log, or leave it out")
        first, last = (_value(end.strip()) for end in (low, high))
        if isinstance(first, bool | str) or isinstance(last, bool | str):
            raise ValueError(f"{ends!r} are no numbers")
        return Range(first, last, log=bool(scale) or (log and first > 0))
    except ValueError as error:
        raise ConfigError(f"--key {text!r}: {error}") from error


def _value(written: str) -> Value:
    try:
        value = tomllib.loads(f"value = {written}")["value"]
    except tomllib.TOMLDecodeError:
        return written
    return value if isinstance(value, bool | int | float | str) else written


def _with(tunable: Tunable, value: object, text: str) -> Tunable:
    wide = tunable.including(value) if isinstance(value, bool | int | float | str) else tunable
    if wide is None:
        raise ConfigError(f"--key {text!r}: the experiment has {value}, which is on no log scale; --set another one")
    return wide


def edges(tunable: Tunable) -> tuple[Value, ...]:
    """The values at the ends of a range, or all of a choice."""
    return (tunable.low, tunable.high) if isinstance(tunable, Range) else tunable.values


def limited(space: Space, address: str, most: int) -> Space:
    """The space with no values above `most` at an address."""
    tunable = space.get(address)
    if not isinstance(tunable, Range) or tunable.high <= most:
        return space
    if tunable.low >= most:
        return {name: each for name, each in space.items() if name != address}
    return {**space, address: replace(tunable, high=most)}


def section_at(experiment: Experiment, place: str) -> Section:
    """The section at one of the places that `sections_of` names."""
    name, _, rest = place.partition(".")
    section = getattr(experiment, name)
    found = getattr(section, rest or "model") if isinstance(section, RoleConfig) else section
    assert isinstance(found, Section)
    return found


def point_of(experiment: Experiment, space: Space) -> Point:
    """The experiment's own values."""
    return {address: getattr(section_at(experiment, address.rpartition(".")[0]), _key(address)) for address in space}


def _key(address: str) -> str:
    return address.rpartition(".")[2]


def at(experiment: Experiment, point: Mapping[str, Value]) -> Experiment:
    """The experiment with the values of a point.

    Raises:
        ConfigError: a value is out of its option's range, or does not go with another one.
    """
    changes: dict[str, dict[str, Value]] = {}
    for address, value in point.items():
        changes.setdefault(address.rpartition(".")[0], {})[_key(address)] = value
    sections: dict[str, Section] = {}
    for place, values in changes.items():
        new = _validated(section_at(experiment, place), values, place)
        name, _, rest = place.partition(".")
        if name in ("teacher", "student"):
            role = sections.get(name, getattr(experiment, name))
            sections[name] = role.model_copy(update={rest or "model": new})
        else:
            sections[name] = new
    return experiment.model_copy(update=sections)


def is_valid(experiment: Experiment, point: Mapping[str, Value]) -> bool:
    """Whether the values of a point are allowed, and go together."""
    try:
        at(experiment, point)
    except ConfigError:
        return False
    return True


def _validated(section: Section, values: dict[str, Value], place: str) -> Section:
    try:
        return type(section).model_validate({**dict(section), **values})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = mistaken_key(first)
        raise ConfigError(f"[{place}] {key + ': ' if key else ''}{reason(first)}") from error
