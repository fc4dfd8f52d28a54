"""Distillation methods from the command line: what each needs of the teacher."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from commands import Command

from rankdistill import plugins

METHODS = {kind: plugins.find("distillation", kind).needs for kind in plugins.kinds("distillation")}
SMALL = {"k": 5, "student_list": 6, "head": 3, "tail": 3, "adaptive": 3, "items": 4}


def options(kind: str) -> list[str]:
    known = plugins.find("distillation", kind).Config.model_fields
    small = [f"distillation.{name}={value}" for name, value in SMALL.items() if name in known]
    return [part for each in (f"distillation.kind={kind}", *small) for part in ("--set", each)]


def without_scores(done: Path) -> Path:
    pl.read_parquet(done / "labels.parquet").drop("score").write_parquet("lists.parquet")
    return Path("lists.parquet")


def test_the_table_of_methods_says_what_each_needs(cli: Command) -> None:
    rows = json.loads(cli.done("show", "distillation", "--json").out)
    assert {row["kind"]: row["needs"] for row in rows} == METHODS
    assert cli.done("show", "distillation").out.split()[:4] == ["group", "kind", "needs", "description"]


@pytest.mark.parametrize("kind", METHODS)
def test_a_method_gets_what_it_needs_of_lists_or_is_refused(kind: str, done: Path, cli: Command) -> None:
    lists = {"lists": without_scores(done), "scores": done / "labels.parquet", "model": done / "teacher"}
    for given, path in lists.items():
        command = ("distill", "e.toml", "--teacher", path, "--out", f"from {given}", *options(kind))
        if list(lists).index(given) >= list(lists).index(METHODS[kind]):
            cli.done(*command)
        else:
            wants = "the teacher's scores" if METHODS[kind] == "scores" else "asks the teacher itself"
            assert wants in cli.refusal(*command)
            assert not Path(f"from {given}").exists()


def test_a_teacher_that_is_given_itself_makes_its_lists_first(done: Path, cli: Command) -> None:
    cli.done("distill", "e.toml", "--teacher", done / "teacher", "--out", "model")
    assert Path("model/model.safetensors").read_bytes() == (done / "distilled" / "model.safetensors").read_bytes()


@pytest.mark.parametrize("kind", ["cd", "margin_mse"])
def test_a_run_asks_its_own_teacher_and_knows_when_it_is_done(kind: str, desk: Path, cli: Command) -> None:
    command = ("run", "e.toml", "--out", "run", *options(kind))
    cli.done(*command)
    before = Path("run/distilled/model.safetensors").read_bytes()
    cli.done(*command)
    skipped = json.loads(Path("run/run.json").read_text())["skipped"]
    assert "distilled" in skipped
    assert Path("run/distilled/model.safetensors").read_bytes() == before
