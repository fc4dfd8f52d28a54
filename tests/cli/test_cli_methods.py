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


def test_two_teachers_are_fused_and_distilled_from(done: Path, cli: Command) -> None:
    cli.done("train", "e.toml", "--role", "teacher", "--set", "teacher.dim=6", "--out", "other")
    cli.done("label", "other", "--out", "other.parquet")
    both = ("fuse", done / "labels.parquet", "other.parquet", "--weights", "2,1")
    outcome = cli.done(*both, "--out", "both.parquet", "--json")
    assert json.loads(outcome.out)["lists"] == pl.read_parquet("both.parquet").select("user_id", "position").n_unique()
    cli.done("distill", "e.toml", "--teacher", "both.parquet", "--set", "distillation.k=8", "--out", "model")
    cli.done("fuse", done / "labels.parquet", done / "labels.parquet", "--out", "same.parquet", "--by", "scores")
    columns = ["user_id", "position", "rank", "item_id"]
    same, labels = (pl.read_parquet(path)[columns].sort(columns) for path in ("same.parquet", done / "labels.parquet"))
    assert same.equals(labels)


def test_several_models_are_one_teacher(done: Path, cli: Command) -> None:
    both = (done / "teacher", done / "student")
    cli.done("label", *both, "--out", "both.parquet")
    cli.done("distill", "e.toml", "--teacher", "both.parquet", "--out", "from lists")
    cli.done("distill", "e.toml", "--teacher", both[0], "--teacher", both[1], "--out", "from models")
    models = [Path(f"from {what}/model.safetensors").read_bytes() for what in ("lists", "models")]
    assert models[0] == models[1] != (done / "distilled" / "model.safetensors").read_bytes()
    cli.done(
        "distill", "e.toml", *("--teacher", both[0], "--teacher", both[1]), "--out", "ce", *options("cross_entropy")
    )
    line = cli.refusal("distill", "e.toml", "--teacher", "both.parquet", "--teacher", "both.parquet", "--out", "x")
    assert line == "--teacher: several files of lists are made one by `rankdistill fuse`; give that one"


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (("--weights", "2,x"), "--weights '2,x': write numbers with commas between, for example 2,1"),
        (("--weights", "2"), "weights [2.0]: give one number from 0 on for each of the 2 teachers"),
        (("--out", "both.csv"), "--out both.csv: parquet is written; name a file that ends in .parquet"),
    ],
)
def test_what_cannot_be_fused_is_one_line(change: tuple[str, ...], line: str, done: Path, cli: Command) -> None:
    lists = done / "labels.parquet"
    assert cli.refusal("fuse", lists, lists, *(() if "--out" in change else ("--out", "o.parquet")), *change) == line


def test_lists_over_another_catalogue_are_refused(done: Path, cli: Command) -> None:
    renamed = pl.format("other {}", "item_id").alias("item_id")
    pl.read_parquet(done / "labels.parquet").with_columns(renamed).write_parquet("other.parquet")
    line = cli.refusal("fuse", done / "labels.parquet", "other.parquet", "--out", "both.parquet")
    assert line.startswith("0 items are in the lists of all teachers (labels.parquet ")
    assert not Path("both.parquet").exists()


def test_what_is_read_is_not_overwritten_however_it_is_named(done: Path, cli: Command) -> None:
    lists = done / "labels.parquet"
    before = lists.read_bytes()
    Path("link.parquet").symlink_to(lists)
    for out in (done / ".." / done / "labels.parquet", Path("link.parquet")):
        assert "that file is read; name another one to write" in cli.refusal("fuse", lists, "--out", out)
    assert lists.read_bytes() == before
