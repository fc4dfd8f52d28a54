"""From nested dicts to an `Experiment`, or to one line that says what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from glob import iglob
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from pydantic import ValidationError

from rankdistill import plugins
from rankdistill.config.mistakes import mistaken_key, reason, shown
from rankdistill.config.sections import (
    DataConfig,
    EnsembleConfig,
    EvaluateConfig,
    Experiment,
    RoleConfig,
    Section,
    SplitConfig,
    TeacherConfig,
    TeacherLists,
    Teachers,
    TrainConfig,
    WindowsConfig,
)
from rankdistill.errors import ConfigError
from rankdistill.types import Json

S = TypeVar("S", bound=Section)
Address: TypeAlias = tuple[str, ...]
"""The place of a key: `("student", "dim")`."""

SET = "--set"
"""The option that changes any key."""

_PLUGINS: dict[str, tuple[plugins.Group, str | None]] = {
    "data": ("readers", None),
    "teacher": ("models", None),
    "student": ("models", None),
    "ranking_loss": ("losses", "pointwise"),
    "distillation": ("distillation", "ranking_distillation"),
    "tracking": ("trackers", None),
}
_OPTIONAL = ("tracking",)
"""Sections without which nothing of their kind is done."""
_FIXED: dict[str, type[Section]] = {
    "split": SplitConfig,
    "windows": WindowsConfig,
    "ensemble": EnsembleConfig,
    "train": TrainConfig,
    "evaluate": EvaluateConfig,
}


_ROLE_KEYS = {"teacher": ("train", "ranking_loss", "members", "weight"), "student": ("train",)}
"""What stands among the options of a model and is not the model's."""


@dataclass
class Checker:
    """One reading of an experiment: notes all the mistakes, reports the first and how many more there are."""

    mapping: Mapping[str, Any]
    source: str
    """What error messages call the origin of `mapping`."""
    folder: Path
    """Where relative paths are looked up first."""
    overridden: Mapping[Address, str] = field(default_factory=dict)
    """What comes from the command line and not from `source`, and the option that says so."""
    mistakes: list[tuple[int, str]] = field(default_factory=list)
    classes: dict[str, type[Section]] = field(default_factory=dict)
    """The class that declares the keys of each section; a section whose kind is unknown is not in it."""
    nested: dict[Address, type[Section]] = field(default_factory=dict)
    """The same of sections in a role's own, other than `train`."""
    number: int | None = None
    """Which of several [[teacher]] this is a reading of."""

    def experiment(self) -> Experiment:
        """The checked experiment.

        Raises:
            ConfigError: a key or value is wrong.
        """
        self.classes = _FIXED | {name: found for name in _PLUGINS if (found := self._class(name))}
        self._check_names()
        train = self._checked(TrainConfig, ("train",), self._table("train")) or TrainConfig()
        data = self._plugin("data")
        sections = {
            "seed": self.mapping.get("seed", Experiment.model_fields["seed"].default),
            "data": data,
            "split": self._split(data),
            "windows": self._checked(WindowsConfig, ("windows",), self._table("windows")),
            "teacher": self._teacher(train),
            "ensemble": self._checked(EnsembleConfig, ("ensemble",), self._table("ensemble")),
            "student": self._role("student", train),
            "ranking_loss": self._plugin("ranking_loss"),
            "distillation": self._plugin("distillation"),
            "train": train,
            "evaluate": self._checked(EvaluateConfig, ("evaluate",), self._table("evaluate")),
            "tracking": self._plugin("tracking"),
        }
        experiment = None if self.mistakes else self._checked(Experiment, (), sections)
        if experiment is None:
            raise ConfigError(self._report())
        return experiment

    def _report(self) -> str:
        _, first = min(self.mistakes, key=lambda each: each[0])
        others = len(self.mistakes) - 1
        return first + (f" (and {others} more mistake{'s' if others > 1 else ''})" if others else "")

    def _add(self, address: Address, reason: str, *, first: bool = False) -> None:
        """Notes a mistake; `first` for a name that is not known: it often is why another one is missing."""
        names = tuple(part.strip("[]").partition("[")[0] for part in address)
        within = (names[:depth] for depth in range(len(names), 0, -1))
        source = next((self.overridden[each] for each in within if each in self.overridden), self.source)
        if self.number is not None:
            address = tuple(part.replace("teacher", f"teacher.{self.number}") for part in address)
        *sections, key = address
        place = f"[{'.'.join(sections)}] " if sections else ""
        if key:  # else the mistake is in the section as a whole
            place += f"{key}: "
        self.mistakes.append((0 if first else 1, f"{source}: {place}{reason}"))

    def _check_names(self) -> None:
        names = [*_PLUGINS, *_FIXED]
        for name, value in self.mapping.items():
            table = isinstance(value, Mapping) or (name == "teacher" and _are_tables(value))
            if name in names and not table:
                self._add((f"[{name}]",), f"{shown(value)} is a value; write a section with keys", first=True)
            elif name not in names and table:
                near = plugins.nearest(name, names)
                hint = f"did you mean [{near}]?" if near else f"there are [{'], ['.join(names)}]"
                self._add((f"[{name}]",), f"unknown section; {hint}", first=True)
            elif name not in (*names, "seed"):
                hint = self._owner(name, ()) or plugins.suggestion(name, ["seed"])
                self._add(
                    (name,),
                    f"unknown key{hint or '; outside of the sections there is seed alone'}",
                    first=True,
                )

    def _unknown(self, address: Address, key: str) -> str:
        own = _keys(self.nested.get(address, TrainConfig) if len(address) > 1 else self.classes[address[0]])
        if len(address) == 1 and (foreign := self._other_kind(*address, key)):
            return foreign
        hint = self._owner(key, address) or plugins.suggestion(key, own)
        return f"unknown key{hint or '; known are ' + ', '.join(own) if own else '; there are none'}"

    def _other_kind(self, name: str, key: str) -> str:
        """What is wrong with a key of another kind: of the other role's, or of the one that `--set` replaced."""
        kind = self._table(name).get("kind")
        if name not in _PLUGINS or not isinstance(kind, str):
            return ""
        near = plugins.suggestion(key, _keys(self.classes[name]))
        if (name, "kind") in self.overridden and (name, key) not in self.overridden:
            return f"{kind!r} has no key {key!r}{near or self._remedy(name, kind)}"
        other = self.classes.get({"teacher": "student", "student": "teacher"}.get(name, ""))
        taken = other is not None and other is not TeacherLists and key in _keys(other)
        return f"{kind!r} has no key {key!r}{near}" if taken else ""

    def _remedy(self, name: str, kind: str) -> str:
        """The end of a message that says how a section of another kind is written on the command line."""
        table = f'{{kind = "{kind}"}}'
        option = f"--set '{name}={table}'" if self.overridden[name, "kind"] == SET else f"--{name} '{table}'"
        remedy = f"{option} drops the keys that {self.source} gives"
        if name == "student" and not plugins.find("models", kind).learns:
            return f"; it learns nothing by gradient, so nothing can be distilled into it (to train it alone, {remedy})"
        return f"; {remedy}"

    def _owner(self, key: str, address: Address) -> str:
        """The end of a message that names the other section to which a key belongs, if there is one."""
        if key == "seed":
            return "; it belongs to the top of the file, before the first section"
        if key in (*_PLUGINS, *_FIXED):
            return f"; [{key}] is a section of its own"
        owners = [name for name, config in self.classes.items() if key in _keys(config) and name not in address]
        places = " or ".join(f"[{name}]" for name in owners)
        if "train" in owners and address in (("teacher",), ("student",)):
            places += f", or [{address[0]}.train] for this model alone"
        return f"; {key} belongs to {places}" if places else ""

    def _table(self, name: str) -> Json:
        value = self.mapping.get(name, {})
        return dict(value) if isinstance(value, Mapping) else {}

    def _class(self, name: str) -> type[Section] | None:
        """The class that declares a section's keys; None, and a mistake noted, where its kind is unknown."""
        (group, default), table = _PLUGINS[name], self._table(name)
        if name == "teacher" and "rankings" in table:
            if "kind" not in table:
                return TeacherLists
            self._add(("teacher", "rankings"), "stands beside 'kind'; drop one of the two")
            return None
        kind = table.get("kind", default)
        if not isinstance(self.mapping.get(name, {}), Mapping):
            return None  # noted among the names, or several tables
        if name in _OPTIONAL and name not in self.mapping:
            return None
        if kind is None:
            self._add((f"[{name}]",), _missing(name, group, there=name in self.mapping))
        else:
            return self._found(group, kind, (name,))
        return None

    def _found(self, group: plugins.Group, kind: object, address: Address) -> type[Section] | None:
        """The class that declares the keys of a kind; None, and a mistake noted, where there is none."""
        if not isinstance(kind, str):
            self._add((*address, "kind"), f"{shown(kind)} is not text (write it in quotes)")
            return None
        try:
            config: type[Section] = plugins.find(group, kind).Config
        except ConfigError as error:
            self._add((*address, "kind"), str(error))
            return None
        return config

    def _plugin(self, name: str) -> Section | None:
        """The checked options of a section whose keys its kind declares."""
        if name not in self.classes:
            return None
        config, (group, default), table = self.classes[name], _PLUGINS[name], self._table(name)
        kind = table.pop("kind", default)
        if "kind" in config.model_fields:
            table["kind"] = kind
        if group == "models" and config is not TeacherLists:
            for key in _ROLE_KEYS[name]:
                table.pop(key, None)
        return self._checked(config, (name,), table)

    def _role(self, name: str, common: TrainConfig) -> Section | None:
        options, table = self._plugin(name), self._table(name)
        if self.classes.get(name) is TeacherLists:
            return options
        own = self._within(name, "train")
        train = None if own is None else self._checked(TrainConfig, (name, "train"), {**common.model_dump(), **own})
        loss = self._own_loss(name) if "ranking_loss" in _ROLE_KEYS[name] and "ranking_loss" in table else None
        if options is None or train is None:
            return None
        role = {"kind": table["kind"], "model": options, "train": train}
        if name == "student":
            return RoleConfig(**role)
        given = {key: table[key] for key in _ROLE_KEYS[name] if key in table}
        return self._checked(TeacherConfig, (name,), given | role | {"ranking_loss": loss})

    def _within(self, name: str, key: str) -> Mapping[str, Any] | None:
        """The section `[name.key]`; None, and a mistake noted, where it is none."""
        own = self._table(name).get(key, {})
        if isinstance(own, Mapping):
            return own
        self._add((name, key), f"{shown(own)} is a value; write a section [{name}.{key}]")
        return None

    def _own_loss(self, name: str) -> Section | None:
        """`[teacher.ranking_loss]`; of the same kind as `[ranking_loss]`, it changes single keys of that."""
        (group, default), address = _PLUGINS["ranking_loss"], (name, "ranking_loss")
        own = self._within(*address)
        if own is None:
            return None
        common = {"kind": default, **self._table("ranking_loss")}
        table = {**(common if own.get("kind", common["kind"]) == common["kind"] else {}), **own}
        config = self._found(group, table["kind"], address)
        if config is None:
            return None
        self.nested[address] = config
        return self._checked(config, address, table)

    def _teacher(self, train: TrainConfig) -> Section | None:
        """`[teacher]`, or what several `[[teacher]]` are together."""
        tables: Any = self.mapping.get("teacher")
        if not _are_tables(tables):
            return self._role("teacher", train)
        each = [self._nth_teacher(number, table, train) for number, table in enumerate(tables, start=1)]
        return None if None in each else Teachers(each=tuple(one for one in each if one is not None))

    def _nth_teacher(self, number: int, table: Json, train: TrainConfig) -> TeacherConfig | TeacherLists | None:
        """One of several `[[teacher]]`, read as if it were the only one."""
        start = ("teacher", str(number))
        own = {("teacher", *each[2:]): option for each, option in self.overridden.items() if each[:2] == start}
        classes = {name: config for name, config in self.classes.items() if name != "teacher"}
        alone = replace(
            self,
            mapping={**self.mapping, "teacher": table},
            overridden=own,
            mistakes=[],
            classes=classes,
            nested={},
            number=number,
        )
        if found := alone._class("teacher"):
            alone.classes["teacher"] = found
        role = alone._role("teacher", train)
        self.mistakes.extend(alone.mistakes)
        return role if isinstance(role, TeacherConfig | TeacherLists) else None

    def _split(self, data: Section | None) -> SplitConfig | None:
        table = self._table("split")
        if isinstance(data, DataConfig):
            kind = table.setdefault("kind", "presplit" if data.presplit else "user_fractions")
            if data.presplit and kind != "presplit":
                self._add(
                    ("split", "kind"),
                    f"{shown(kind)}, but {data.kind!r} brings its own split; leave the key out",
                )
            if kind == "presplit" and not data.presplit:
                self._add(
                    ("split", "kind"),
                    f"'presplit', but {data.kind!r} data brings no split; choose another one",
                )
        return self._checked(SplitConfig, ("split",), table)

    def _checked(self, config: type[S], address: Address, table: Mapping[str, object]) -> S | None:
        """An instance of `config`, or None and its mistakes noted."""
        try:
            return config.model_validate(table, context={"locate": partial(self._locate, address)})
        except ValidationError as error:
            by_key = {each["loc"][:1]: each for each in reversed(error.errors(include_url=False))}
            for each in reversed(by_key.values()):  # the first mistake of each key
                where = (*address, mistaken_key(each))
                if each["type"] == "extra_forbidden":
                    self._add(where, self._unknown(address, where[-1]), first=True)
                else:
                    self._add(where, reason(each))
            return None

    def _locate(self, address: Address, key: str, path: Path) -> Path:
        """The absolute form of a path: beside the file or in the working directory, where it exists first."""
        places = [self.folder / path, Path.cwd() / path]
        if (*address, key) in self.overridden:
            places.reverse()
        return next((place for place in places if _exists(place)), places[0])


def _are_tables(value: object) -> bool:
    """Whether this is `[[name]]`, once or several times."""
    return isinstance(value, list) and bool(value) and all(isinstance(each, Mapping) for each in value)


def _keys(config: type[Section]) -> list[str]:
    return [key for key in config.model_fields if key != "kind"]


def _missing(name: str, group: plugins.Group, *, there: bool) -> str:
    lacks = "has no 'kind'" if there else "is missing"
    known = ", ".join(plugins.kinds(group))
    if name == "teacher":
        lacks = "has neither 'kind' nor 'rankings'" if there else lacks
        return f"{lacks}; name a model to train (kind: {known}) or a file of lists (rankings)"
    return f"{lacks}; name its kind ({known})"


def _exists(path: Path) -> bool:
    """Whether there is a file or folder of that name, or one that fits its wildcards."""
    return path.exists() or any(iglob(str(path)))  # noqa: PTH207 - Path.glob refuses some patterns
