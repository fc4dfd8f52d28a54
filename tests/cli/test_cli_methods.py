"""Distillation methods from the command line: what each needs of the teacher."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from commands import Command

from rankdistill import plugins

METHODS = {kind: plugins.find("distillation", kind).needs for kind in plugins.kinds("distillation")}
CLIMBS = [kind for kind, needs in METHODS.items() if needs == "several"]
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


@pytest.mark.parametrize("kind", [kind for kind in METHODS if kind not in CLIMBS])
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


@pytest.mark.parametrize("served", [("lists",), ("lists", "scores")])
def test_a_method_that_asks_the_teacher_itself_is_refused_with_those_that_its_lists_can_serve(
    served: tuple[str, ...], done: Path, cli: Command
) -> None:
    path = done / "labels.parquet" if "scores" in served else without_scores(done)
    line = cli.refusal("distill", "e.toml", "--teacher", path, "--out", "model", *options("margin_mse"))
    able = ", ".join(kind for kind, needs in METHODS.items() if needs in served)
    assert line.endswith(f"give its model folder in place of its lists, or take another method ({able})")


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
    wanted = (
        "--teacher: several files of lists are made one by `rankdistill fuse`; give that one. Models and files do not "
        "mix: `rankdistill label` the models first"
    )
    assert line == wanted
    assert cli.refusal("distill", "e.toml", "--teacher", both[0], "--teacher", "both.parquet", "--out", "x") == wanted


def test_models_whose_scores_are_no_log_probabilities_are_added_up_by_z_score(done: Path, cli: Command) -> None:
    cli.done("train", "e.toml", "--role", "teacher", "--set", "teacher={kind='ease'}", "--out", "solved")
    told = cli.done("label", done / "teacher", "solved", "--out", "both.parquet").err
    assert "2 models are added up by z_score: done/teacher (pointwise), solved (no known loss)" in told
    chosen = pl.read_parquet("both.parquet")
    cli.done("label", done / "teacher", "solved", "--out", "both.parquet", "--combine", "log_softmax")
    assert not pl.read_parquet("both.parquet").equals(chosen)
    line = cli.refusal("label", "solved", "--out", "both.parquet", "--combine", "z_score")
    assert line == "--combine: says how several models become one, and solved is alone; leave it out"
    told = cli.done("label", done / "teacher", done / "student", "--out", "both.parquet").err
    assert "2 models are added up by log_sigmoid: done/teacher (pointwise), done/student (pointwise)" in told


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


def test_one_teacher_alone_is_not_fused(done: Path, cli: Command) -> None:
    line = cli.refusal("fuse", done / "labels.parquet", "--out", "o.parquet")
    assert line == "done/labels.parquet: one teacher alone; name the lists of the others, too"


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
        assert "that file is read; name another one to write" in cli.refusal("fuse", lists, lists, "--out", out)
    assert lists.read_bytes() == before


@pytest.mark.parametrize("kind", CLIMBS)
def test_a_method_that_climbs_refuses_one_list_a_query_by_name(kind: str, done: Path, cli: Command) -> None:
    without_scores(done)
    said = f"one list for each query, and [distillation] kind = '{kind}' climbs from easy lists to hard ones; "
    for teacher in ("lists.parquet", done / "teacher"):
        assert said in cli.refusal("distill", "e.toml", "--teacher", teacher, "--out", "no", *options(kind))
    assert f"[teacher]: {said}" in cli.refusal("run", "e.toml", "--out", "no", *options(kind))
    lists = "teacher={rankings = 'lists.parquet'}"
    assert said in cli.refusal("run", "e.toml", "--out", "again", "--set", lists, *options(kind))
    assert not Path("no/distilled").exists()


def test_a_run_with_a_given_model_refuses_a_method_that_climbs_before_anything_is_done(
    done: Path, cli: Command
) -> None:
    given = f"teacher={{rankings='{done / 'teacher'}'}}"
    line = cli.refusal("run", "e.toml", "--set", given, "--set", "distillation={kind='hetcomp',k=3}", "--out", "new")
    assert "climbs from easy lists to hard ones" in line
    assert not Path("new").exists()


@pytest.mark.parametrize("kind", CLIMBS)
def test_a_method_that_climbs_takes_files_models_or_both_the_easiest_first(kind: str, done: Path, cli: Command) -> None:
    easy, hard = done / "student", done / "teacher"
    cli.done("label", easy, "--k", "5", "--out", "easy.parquet")
    cli.done("label", hard, "--k", "5", "--out", "hard.parquet")
    for out, first, last in (
        ("files", "easy.parquet", "hard.parquet"),
        ("models", easy, hard),
        ("both", easy, "hard.parquet"),
    ):
        cli.done("distill", "e.toml", "--teacher", first, "--teacher", last, "--out", out, *options(kind))
    cli.done("distill", "e.toml", "--teacher", hard, "--teacher", easy, "--out", "turned", *options(kind))
    weights = {out: Path(out, "model.safetensors").read_bytes() for out in ("files", "models", "both", "turned")}
    assert weights["files"] == weights["models"] == weights["both"] != weights["turned"]


@pytest.mark.parametrize("kind", CLIMBS)
def test_a_run_climbs_the_lists_of_its_teachers_earlier_epochs(kind: str, desk: Path, cli: Command) -> None:
    kept = ("--set", "teacher.train.checkpoints=2", *options(kind))
    cli.done("run", "e.toml", "--out", "run", *kept)
    assert sorted(path.name for path in Path("run/teacher/epochs").iterdir()) == ["1", "2"]
    assert Path("run/labels-epoch-1.parquet").exists()
    weights = Path("run/distilled/model.safetensors").read_bytes()
    cli.done("run", "e.toml", "--out", "run", *kept)
    assert set(json.loads(Path("run/run.json").read_text())["skipped"]) >= {"distilled", "labels", "labels-epoch-2"}
    cli.done("distill", "e.toml", "--teacher", "run/teacher", "--out", "alone", *options(kind))
    files = [part for number in (1, 2) for part in ("--teacher", f"run/labels-epoch-{number}.parquet")]
    cli.done("distill", "e.toml", *files, "--teacher", "run/labels.parquet", "--out", "files", *options(kind))
    easier = "['run/labels-epoch-1.parquet', 'run/labels-epoch-2.parquet']"
    lists = f"teacher={{rankings = 'run/labels.parquet', easier = {easier}}}"
    cli.done("run", "e.toml", "--out", "foreign", "--set", lists, *options(kind))
    for out, teacher in (("named", "run/labels.parquet"), ("both", "run/teacher")):
        named = ("--teacher", teacher, "--set", f"teacher.easier={easier}")
        cli.done("distill", "e.toml", *named, "--out", out, *options(kind))
    cli.done("run", "e.toml", "--out", "given", "--set", "teacher={rankings = 'run/teacher'}", *options(kind))
    for same in ("alone", "files", "foreign/distilled", "named", "both", "given/distilled"):
        assert Path(same, "model.safetensors").read_bytes() == weights, same
