"""What every plug-in says of its search: a model that learns and a method have a space, all of which is valid."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from forms import FORMS

from rankdistill import plugins
from rankdistill.config import Choice, Range, Section, TrainConfig, Tunable, Value, describe
from rankdistill.loss import DistillationConfig

PLUGINS = [(group, kind) for group in ("models", "losses", "distillation") for kind in plugins.kinds(group)]
EVERY = [
    *(pytest.param(plugins.find(group, kind).Config, id=f"{group}-{kind}") for group, kind in PLUGINS),
    pytest.param(TrainConfig, id="train"),
]
each_section = pytest.mark.parametrize("config", EVERY)
DRAWN = 50


def values(tunable: Tunable, whole: bool, generator: np.random.Generator) -> list[Value]:
    """The ends of a range, or all of a choice, and some values between."""
    if isinstance(tunable, Choice):
        return list(tunable.values)
    between = generator.uniform(tunable.low, tunable.high, 3)
    cast = int if whole else float
    return [cast(value) for value in (tunable.low, tunable.high, *between)]


def points(config: Section) -> list[dict[str, Value]]:
    """Points of the space around `config`: every option at each of its ends, and drawn at random."""
    generator, space = np.random.default_rng(0), config.search_space()
    by_key = {key: values(each, type(getattr(config, key)) is int, generator) for key, each in space.items()}
    alone = [{key: value} for key, found in by_key.items() for value in found]
    low, high = ({key: found[place] for key, found in by_key.items()} for place in (0, 1))
    drawn = [{key: found[generator.integers(len(found))] for key, found in by_key.items()} for _ in range(DRAWN)]
    return [*alone, low, high, *drawn]


def check_all(config: Section) -> None:
    for point in points(config):
        made = type(config).model_validate({**dict(config), **point})
        assert {key: getattr(made, key) for key in point} == point


@each_section
def test_every_point_of_its_space_is_a_valid_config(config: type[Section]) -> None:
    check_all(config())


@pytest.mark.parametrize(
    "form", [form for form, config in FORMS.items() if getattr(config, "item_table", "full") != "full"]
)
def test_every_point_around_a_model_with_keys_of_a_table_is_valid(form: str) -> None:
    check_all(FORMS[form])


@each_section
def test_its_defaults_lie_within_what_is_declared(config: type[Section]) -> None:
    own = config()
    for key, tunable in own.search_space().items():
        value = getattr(own, key)
        assert tunable.including(value) == tunable, f"{key}: {value} is not in {tunable}"


@each_section
def test_show_prints_the_range_beside_the_option(config: type[Section]) -> None:
    searched = {option.key: option.searched for option in describe(config) if option.searched}
    space = config().search_space()
    assert searched == {key: f"{tunable} (size)" if tunable.size else str(tunable) for key, tunable in space.items()}


@pytest.mark.parametrize("kind", plugins.kinds("models"))
def test_a_model_that_learns_has_sizes_and_settings_to_search(kind: str) -> None:
    model = plugins.find("models", kind)
    space = model.Config().search_space()
    if model.learns:
        assert [key for key, tunable in space.items() if tunable.size]
        assert isinstance(space["dim"], Range)


@pytest.mark.parametrize("kind", plugins.kinds("distillation"))
def test_a_methods_weight_is_searched_by_its_magnitude(kind: str) -> None:
    config = plugins.find("distillation", kind).Config()
    alpha = config.search_space()["alpha"]
    assert isinstance(alpha, Range)
    assert alpha.log
    assert alpha.high / alpha.low >= 100


@pytest.mark.parametrize("kind", plugins.kinds("distillation"))
def test_a_convex_alpha_is_searched_as_a_share(kind: str) -> None:
    config = plugins.find("distillation", kind).Config(mixing="convex", alpha=0.5)
    assert config.search_space()["alpha"] == Range(0.05, 0.95)
    check_all(config)


@pytest.mark.parametrize("preset", ["kdd18-code", "kdd18-paper"])
def test_both_presets_of_ranking_distillation_have_a_valid_space(preset: str) -> None:
    check_all(plugins.find("distillation", "ranking_distillation").Config(preset=preset))


@pytest.mark.parametrize(("value", "found"), [(1e-9, Range(1e-9, 1e-3, log=True)), (0.0, None)])
def test_a_space_reaches_to_what_is_given_and_leaves_alone_what_is_off(value: float, found: Any) -> None:
    assert TrainConfig(weight_decay=value).search_space().get("weight_decay") == found


def test_an_outside_plug_in_declares_its_space_in_the_same_way() -> None:
    from typing import Annotated, Literal

    from pydantic import Field

    class Config(DistillationConfig):
        kind: Literal["mine"] = "mine"
        heat: Annotated[float, Range(1.0, 9.0)] = Field(2.0, gt=0, description="heat")
        form: Annotated[Literal["a", "b"], Choice()] = Field("a", description="form")
        on: Annotated[bool, Choice(size=True)] = Field(False, description="on")

    space = Config().search_space()
    assert (space["heat"], space["form"], space["on"]) == (
        Range(1, 9),
        Choice("a", "b"),
        Choice(False, True, size=True),
    )


@pytest.mark.parametrize(
    "make",
    [lambda: Range(2, 1), lambda: Range(0, 1, log=True), lambda: Choice("a"), lambda: Choice("a", "a")],
)
def test_a_range_or_choice_of_nothing_is_a_mistake_of_its_author(make: Any) -> None:
    with pytest.raises(ValueError, match=r"is no (range|choice)"):
        make()
