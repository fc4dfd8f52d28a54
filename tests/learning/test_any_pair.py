"""Any teacher, any student, any method: each pair goes the whole way, from labels to finite figures.

Models and methods are found by their files, so that a new one is here by being there.
"""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from typing import Any

import pytest
import torch

import rankdistill as rd
from rankdistill import plugins
from rankdistill.config import Section
from rankdistill.loss import DistillationConfig
from rankdistill.ranker import model_state
from rankdistill.teaching import needs_of

K = 4
SMALL: dict[str, Any] = {"dim": 4, "horizontal_filters": 2, "hidden": 4, "layers": 1, "heads": 1}
SHORT: dict[str, Any] = {"k": K, "student_list": 6, "head": 3, "tail": 3, "adaptive": 3, "items": 4, "warmup_epochs": 1}
METRICS = ["ndcg@10", "recall@10", "map"]
TEACHERS = plugins.kinds("models")
STUDENTS = [kind for kind in TEACHERS if plugins.find("models", kind).learns]
METHODS = plugins.kinds("distillation")


def config_of(group: plugins.Group, kind: str, wanted: dict[str, Any]) -> Any:
    """A small config: of the wanted options those that the kind has."""
    config = plugins.find(group, kind).Config
    return config(**{name: value for name, value in wanted.items() if name in config.model_fields})


def settings(epochs: int = 1) -> rd.Settings:
    return rd.Settings(train=rd.TrainConfig(epochs=epochs, batch_size=64, learning_rate=0.01, device="cpu"), seed=3)


def model_of(kind: str) -> Section:
    config: Section = config_of("models", kind, SMALL)
    return config


@pytest.fixture(scope="module")
def teachers(split: rd.Split) -> dict[str, tuple[rd.Ranker, rd.Rankings]]:
    """A teacher of each kind, and its lists."""
    found = {}
    for kind in TEACHERS:
        teacher = rd.train(model_of(kind), split, settings())
        found[kind] = (teacher, rd.label(teacher, split, k=K))
    easier = (found["popularity"][1], found["item_knn"][1])
    return {kind: (teacher, replace(lists, easier=easier)) for kind, (teacher, lists) in found.items()}


def distilled(
    student: str, method: DistillationConfig, split: rd.Split, known: tuple[rd.Ranker, rd.Rankings]
) -> rd.Ranker:
    teacher, lists = known
    asked = teacher if needs_of(method) == "model" else None
    return rd.distill(lists, model_of(student), split, method, settings(), asked)


def check_figures(model: rd.Ranker, split: rd.Split) -> None:
    lists = rd.recommend(model, split.test_queries, k=10)
    means = rd.evaluate(lists, split.test_queries, METRICS).mean() | rd.evaluate_halves(lists, split).mean()
    assert len(means) == 3 * len(METRICS)
    assert all(math.isfinite(value) and 0 <= value <= 1 for value in means.values())
    assert all(torch.isfinite(tensor).all() for tensor in model_state(model).values() if tensor.is_floating_point())


@pytest.mark.parametrize("student", STUDENTS)
@pytest.mark.parametrize("teacher", TEACHERS)
def test_any_student_is_distilled_from_any_teacher(
    teacher: str,
    student: str,
    split: rd.Split,
    teachers: dict[str, tuple[rd.Ranker, rd.Rankings]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    method = config_of("distillation", "ranking_distillation", SHORT)
    with caplog.at_level(logging.INFO, "rankdistill"):
        model = distilled(student, method, split, teachers[teacher])
    assert "distillation loss" in caplog.text
    assert "nan" not in caplog.text
    check_figures(model, split)


@pytest.mark.parametrize("kind", METHODS)
def test_any_method_distils_into_any_student(
    kind: str, split: rd.Split, teachers: dict[str, tuple[rd.Ranker, rd.Rankings]]
) -> None:
    method = config_of("distillation", kind, SHORT)
    for student in STUDENTS:
        model = distilled(student, method, split, teachers["caser"])
        check_figures(model, split)
        untaught = distilled(student, method.model_copy(update={"alpha": 0.0}), split, teachers["caser"])
        pairs = zip(model_state(model).values(), model_state(untaught).values(), strict=True)
        assert any(not torch.equal(one, other) for one, other in pairs), student
