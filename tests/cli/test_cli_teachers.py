"""Teachers from the command line: several of ours, anybody's lists, and what the data does not know of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from commands import EXPERIMENT, Command

import rankdistill as rd
from rankdistill.errors import CheckpointError

TWO = EXPERIMENT.replace("[teacher]", "[[teacher]]").replace(
    "[student]", '[[teacher]]\nkind = "matrix_factorization"\ndim = 3\nweight = 0.5\n[student]'
)


@pytest.fixture
def two(desk: Path) -> Path:
    (desk / "two.toml").write_text(TWO)
    return Path("two.toml")


def test_several_teachers_are_run_and_their_folder_is_a_teacher_for_every_verb(two: Path, cli: Command) -> None:
    cli.done("run", two, "--out", "run", "--set", "teacher.2.dim=5")
    card = json.loads(Path("run/teacher/model.json").read_text())
    assert [each["weight"] for each in card["members"]] == [1.0, 0.5]
    assert json.loads(Path("run/teacher/members/2/model.json").read_text())["config"]["dim"] == 5
    labels = pl.read_parquet("run/labels.parquet")
    cli.done("label", "run/teacher", "--out", "again.parquet")
    assert pl.read_parquet("again.parquet").equals(labels)
    cli.done("evaluate", "run/teacher")
    cli.done("distill", two, "--teacher", "run/teacher", "--out", "student")
    distilled = Path("run/distilled/model.safetensors").read_bytes()
    assert Path("student/model.safetensors").read_bytes() == distilled
    cli.done("label", "run/teacher/members/2", "--out", "second.parquet")
    assert "member 2" in Path("run/report.md").read_text()
    cli.done("run", "run/config.toml", "--out", "run")
    assert {"member 1", "member 2", "teacher"} <= set(json.loads(Path("run/run.json").read_text())["skipped"])


def test_seeds_of_one_model_are_trained_alone_too(desk: Path, cli: Command) -> None:
    cli.done("train", "e.toml", "--role", "teacher", "--set", "teacher.members=2", "--out", "teacher")
    card = json.loads(Path("teacher/model.json").read_text())
    assert (card["kind"], len(card["members"])) == ("ensemble", 2)
    assert 0 < card["metrics"]["ndcg@10"] <= 1
    before = [Path(f"teacher/members/{number}/model.safetensors").stat().st_mtime_ns for number in (1, 2)]
    cli.done("train", "e.toml", "--role", "teacher", "--set", "teacher.members=2", "--out", "teacher", "--resume")
    after = [Path(f"teacher/members/{number}/model.safetensors").stat().st_mtime_ns for number in (1, 2)]
    assert before == after
    cli.done("export", "teacher", "--out", "exported")
    pl.DataFrame({"user_id": ["u3", "u7"]}).write_csv("users.csv")
    cli.done("recommend", "exported", "--users", "users.csv", "--k", "5", "--out", "lists.parquet")
    ranked = pl.read_parquet("teacher/rankings.parquet").filter(pl.col("rank") <= 5)
    found = pl.read_parquet("lists.parquet").sort("user_id", "rank")
    wanted = ranked.filter(pl.col("user_id").is_in(["u3", "u7"])).sort("user_id", "rank")
    assert found["item_id"].to_list() == wanted["item_id"].to_list()
    np.testing.assert_allclose(found["score"], wanted["score"], rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ("teacher.dim=3", "--set 'teacher.dim=3': there are 2 [[teacher]]; write teacher.1.dim for the first of them"),
        (
            "teacher.3.dim=3",
            "--set 'teacher.3.dim=3': there are 2 [[teacher]]; write teacher.1.dim for the first of them",
        ),
        ("teacher.2.dimm=3", "--set: [teacher.2] dimm: unknown key; did you mean 'dim'?"),
        ("teacher.1.kind=casr", "--set: [teacher.1] kind: 'casr' is no model; did you mean 'caser'? (there are: "),
        ("teacher.2.weight=-1", "--set: [teacher.2] weight: -1 is out of range (at least 0)"),
        ("teacher.1.members=0", "--set: [teacher.1] members: 0 is out of range (at least 1)"),
        ("ensemble.combine=mean", "--set: [ensemble] combine: 'mean' is not "),
        ("student.members=2", "--set: [student] members: unknown key"),
    ],
)
def test_mistakes_in_several_teachers_are_one_line(change: str, line: str, two: Path, cli: Command) -> None:
    assert cli.refusal("run", two, "--out", "run", "--set", change).startswith(line)
    assert not Path("run").exists()


def test_a_teacher_of_lists_alone_is_nothing_to_train(two: Path, cli: Command) -> None:
    line = cli.refusal("train", two, "--role", "teacher", "--out", "teacher", "--set", "ensemble.combine=ranks")
    assert (
        line
        == "two.toml: [teacher] is known by its lists alone; there is no one model to train, only to run or distill"
    )


def test_teachers_that_are_lists_added_up_are_no_model_and_their_lists_are_named(two: Path, cli: Command) -> None:
    climbing = ("--set", "distillation={kind='hetcomp',k=3}")
    added_up = ("--set", "ensemble.combine=ranks", "--set", "distillation={kind='hetcomp',k=3}")
    cli.done("run", two, "--out", "run", *added_up, "--set", "train.epochs=1")
    line = (
        "run/teacher: is a teacher that is several teachers' lists added up, and no model; its lists are in "
        "run/labels.parquet"
    )
    for command in (
        ("distill", "e.toml", "--teacher", "run/teacher", "--set", "distillation.kind=rrd", "--out", "x"),
        ("distill", "e.toml", "--teacher", "run/teacher", *climbing, "--out", "x"),
        ("sweep", "e.toml", "--student.dim", "2,3", "--teacher", "run/teacher", "--out", "x"),
        ("label", "run/teacher", "--out", "x.parquet"),
        ("label", "run/student", "run/teacher", "--out", "x.parquet"),
        ("evaluate", "run/teacher"),
        ("bench", "latency", "run/teacher"),
    ):
        assert cli.refusal(*command) == line
    named = cli.refusal("run", "e.toml", "--set", "teacher={rankings='run/teacher'}", *climbing, "--out", "x")
    assert named == line.replace("run/", f"{Path('run').absolute()}/")
    with pytest.raises(CheckpointError, match="added up, and no model; its lists are in"):
        rd.load_model("run/teacher")
    Path("run/labels.parquet").rename("run/labels-targets-3.parquet")  # as a sweep has them
    Path("run/sweep.toml").touch()
    line = "run: is the folder of a sweep; name its teacher's lists, run/labels-targets-3.parquet"
    assert cli.refusal("distill", "e.toml", "--teacher", "run", "--out", "x") == line
    assert not Path("x").exists()


@pytest.fixture
def bare(desk: Path) -> Path:
    """An experiment without a teacher."""
    start, _, rest = EXPERIMENT.partition("[teacher]")
    (desk / "bare.toml").write_text(start + "[student]" + rest.partition("[student]")[2])
    return Path("bare.toml")


@pytest.mark.parametrize("positions", [True, False])
@pytest.mark.parametrize("scores", [True, False])
def test_lists_of_any_form_are_all_that_has_to_be_known_of_a_teacher(
    positions: bool, scores: bool, done: Path, bare: Path, cli: Command
) -> None:
    lists = pl.read_parquet(done / "labels.parquet")
    if not positions:
        cli.done("label", done / "teacher", "--k", "11", "--out", "long.parquet")
        lists = pl.read_parquet("long.parquet").filter(pl.col("position") == pl.col("position").max().over("user_id"))
        lists = lists.drop("position")
    if not scores:
        lists = lists.drop("score")
    lists.sample(fraction=1.0, shuffle=True, seed=0).write_parquet("lists.parquet")
    command = ("distill", bare, "--teacher", "lists.parquet", "--out", "student")
    cli.done(*command)
    if positions:
        assert Path("student/model.safetensors").read_bytes() == (done / "distilled/model.safetensors").read_bytes()
    needs_scores = (*command[:-1], "other", "--set", "distillation.kind=rankdistil", "--set", "distillation.k=5")
    kinds = {row["kind"]: row["needs"] for row in json.loads(cli.done("show", "distillation", "--json").out)}
    assert kinds["rankdistil"] == "scores"
    if scores:
        cli.done(*needs_scores)
    else:
        assert "lists.parquet: has no column 'score'" in cli.refusal(*needs_scores)


def renamed(lists: pl.DataFrame, share: float) -> pl.DataFrame:
    """The lists with a share of their items under names that the data does not know."""
    items = lists["item_id"].unique().sort()
    foreign = items.head(round(share * len(items)))
    name = (
        pl.when(pl.col("item_id").is_in(foreign.implode())).then(pl.format("other {}", "item_id")).otherwise("item_id")
    )
    return lists.with_columns(name.alias("item_id"))


def test_a_teacher_over_another_catalogue_is_told_of_used_and_refused_by_its_share(
    done: Path, bare: Path, cli: Command
) -> None:
    cli.done("label", done / "teacher", "--k", "25", "--out", "long.parquet")
    lists = pl.read_parquet("long.parquet")
    renamed(lists, 0.3).write_parquet("some.parquet")
    renamed(lists, 0.6).write_parquet("most.parquet")
    command = ("distill", bare, "--out", "student", "--set", "distillation.k=3")
    drop = ("--set", "teacher.on_unknown=drop")
    line = cli.refusal(*command, "--teacher", "some.parquet")
    assert line.startswith("some.parquet: 9 of 30 items are not in the data (first: 'other ")
    told = cli.done(*command, "--teacher", "some.parquet", *drop).err
    assert "some.parquet: 21 of 30 items are in the data (first that is not: 'other " in told
    line = cli.refusal(*command, "--teacher", "most.parquet", *drop)
    assert line.startswith("most.parquet: 12 of 30 items are in the data (first that is not: 'other ")
    assert line.endswith(
        "and a share of 0.5 is the least; made from other data? lower least_shared if it is not (--set "
        "teacher.least_shared=0.1, of the second [[teacher]] teacher.2.least_shared; of fuse --least-shared 0.1)"
    )
    cli.done(*command, "--teacher", "most.parquet", *drop, "--set", "teacher.least_shared=0.3")


def test_lists_a_user_with_her_own_items_are_fused_without_the_targets_of_each_query(
    done: Path, bare: Path, cli: Command
) -> None:
    single = pl.read_parquet(done / "labels.parquet")
    items = single["item_id"].unique().sort()
    known = [pl.DataFrame({"user_id": user, "item_id": items, "rank": range(1, len(items) + 1)}) for user in users_of()]
    pl.concat(known).filter(pl.col("user_id") != "u3").write_parquet("users.parquet")
    command = ("fuse", done / "labels.parquet", "users.parquet", "--weights", "1,9")
    cli.done(*command, "--out", "plain.parquet")
    distill = ("distill", bare, "--out", "student", "--set", "teacher.on_missing=skip")
    line = cli.refusal(*distill, "--teacher", "plain.parquet")
    assert "lists hold the query's own target" in line
    assert line.endswith("where lists a user were fused, `fuse --data DIR` does")
    cli.done(*command, "--data", done / "data", "--out", "fused.parquet")
    assert set(pl.read_parquet("fused.parquet")["user_id"].unique()) == set(users_of()) - {"u3"}
    cli.done(*distill, "--teacher", "fused.parquet")


def test_lists_over_another_catalogue_are_fused_for_the_data(done: Path, bare: Path, cli: Command) -> None:
    labels = done / "labels.parquet"
    cli.done("label", done / "teacher", "--k", "25", "--out", "long.parquet")
    renamed(pl.read_parquet("long.parquet"), 0.3).write_parquet("some.parquet")
    command = ("fuse", labels, "some.parquet", "--out", "fused.parquet", "--on-unknown", "drop")
    assert cli.refusal(*command) == "--on-unknown drop: leaves out what the data does not have; name that with --data"
    command = (*command, "--data", done / "data")
    line = cli.refusal(*command[:-4], "--data", done / "data")
    assert line.endswith(
        "(--set teacher.on_unknown=drop, of the second [[teacher]] teacher.2.on_unknown; of evaluate and fuse "
        "--on-unknown drop)"
    )
    assert "some.parquet: 21 of 30 items are in the data" in cli.done(*command).err
    assert not pl.read_parquet("fused.parquet")["item_id"].str.starts_with("other").any()
    cli.done("distill", bare, "--teacher", "fused.parquet", "--out", "student")
    line = cli.refusal(*command, "--least-shared", "0.9")
    assert line.startswith("some.parquet: 21 of 30 items are in the data (first that is not: 'other ")


def test_teachers_that_are_left_out_are_not_counted(done: Path, cli: Command) -> None:
    labels = done / "labels.parquet"
    for weights, count in (("1,0,2", 2), ("0,0,1", 1), ("1,1,1", 3)):
        fused = cli.done("fuse", labels, labels, labels, "--weights", weights, "--out", "fused.parquet", "--json").out
        assert json.loads(fused)["teachers"] == count


def test_a_method_that_needs_scores_refuses_lists_that_were_fused_by_their_ranks(
    done: Path, bare: Path, cli: Command
) -> None:
    labels = done / "labels.parquet"
    for by in ("ranks", "scores"):
        cli.done("fuse", labels, labels, "--by", by, "--out", f"{by}.parquet")
    distill = ("distill", bare, "--out", "student", "--set", "distillation.kind=cd", "--set", "distillation.k=5")
    assert cli.refusal(*distill, "--teacher", "ranks.parquet").startswith(
        "ranks.parquet: has no column 'score', and [distillation] kind = 'cd' learns from the teacher's scores; "
    )
    cli.done(*distill, "--teacher", "scores.parquet")


def users_of() -> list[str]:
    return [f"u{number}" for number in range(20)]


@pytest.mark.parametrize("kind", ["ranking_distillation", "rankdistil", "hetcomp"])
def test_a_teacher_that_knows_some_of_the_users_alone_is_skipped_for_the_others(
    done: Path, bare: Path, cli: Command, kind: str
) -> None:
    lists = pl.read_parquet(done / "labels.parquet")
    few = lists.filter(~pl.col("user_id").is_in(["u3", "u4"]))
    few.write_parquet("few.parquet")
    teachers = ("--teacher", done / "labels.parquet") if kind == "hetcomp" else ()
    command = ("distill", bare, *teachers, "--teacher", "few.parquet", "--set", f"distillation.kind={kind}")
    command = (*command, "--set", "distillation.k=5")
    assert "few.parquet: no list for 10 of 100 training queries, of 2 of" in cli.refusal(*command, "--out", "refused")
    told = cli.done(*command, "--out", "student", "--set", "teacher.on_missing=skip").err
    assert "of 2 of 20 users (first: user 'u3', position 5); they learn from the data alone" in told
    assert told.count("they learn from the data alone") == 1
    if kind != "hetcomp":
        cli.done("fuse", "few.parquet", done / "labels.parquet", "--out", "both.parquet")
        cli.done(*command[:2], "--teacher", "both.parquet", "--out", "other", "--set", "teacher.on_missing=skip")


def test_a_run_with_a_teacher_that_knows_some_of_the_users_alone(done: Path, bare: Path, cli: Command) -> None:
    pl.read_parquet(done / "labels.parquet").filter(pl.col("user_id") != "u3").write_parquet("few.parquet")
    command = ("run", bare, "--out", "run", "--set", "teacher={rankings='few.parquet', on_missing='skip'}")
    cli.done(*command)
    assert 'on_missing = "skip"' in Path("run/config.toml").read_text()
    assert Path("run/distilled/model.safetensors").read_bytes() != (Path("run/student/model.safetensors").read_bytes())
    cli.done(*command)
    assert "distilled" in json.loads(Path("run/run.json").read_text())["skipped"]


def test_a_teacher_that_knows_some_of_the_test_users_alone_is_not_measured(
    done: Path, bare: Path, cli: Command
) -> None:
    pl.read_parquet(done / "labels.parquet").filter(pl.col("user_id") != "u3").write_parquet("few.parquet")
    pl.read_parquet(done / "student/rankings.parquet").filter(pl.col("user_id") != "u3").write_parquet("test.parquet")
    teacher = "teacher={rankings='few.parquet', on_missing='skip', test_rankings='test.parquet'}"
    assert cli.refusal("run", bare, "--out", "run", "--set", teacher) == (
        "test.parquet: no list for 1 of 20 queries (first: user 'u3', position 10); made from another split? If not, "
        "give the others lists, too, for instance of popular items: all test users are measured, whatever on_missing "
        "says; or leave out [teacher] test_rankings, where it names this file"
    )
    assert not Path("run").exists()


def test_a_teacher_of_other_users_is_refused_even_where_they_may_be_dropped(
    done: Path, bare: Path, cli: Command
) -> None:
    lists = pl.read_parquet(done / "labels.parquet").with_columns(pl.format("x{}", "user_id").alias("user_id"))
    lists.write_parquet("lists.parquet")
    line = cli.refusal(
        "distill", bare, "--teacher", "lists.parquet", "--out", "student", "--set", "teacher.on_unknown=drop"
    )
    assert line.startswith("lists.parquet: 0 of 20 users are in the data (first that is not: 'xu")


def test_the_training_rows_are_written_for_other_libraries(desk: Path, cli: Command) -> None:
    cli.done("prepare", "e.toml", "--out", "data", "--training-rows", "train.parquet")
    rows = pl.read_parquet("train.parquet")
    assert rows.columns == ["user_id", "position", "item_id"]
    events = pl.read_csv("events.csv").sort("uid", "ts", maintain_order=True)
    for (user,), mine in rows.group_by("user_id"):
        items = events.filter(pl.col("uid") == user)["poi"].head(len(mine)).to_list()
        assert mine.sort("position")["item_id"].to_list() == items
    np.testing.assert_array_equal(rows.group_by("user_id").len()["len"], 10)
    line = cli.refusal("prepare", "e.toml", "--out", "data", "--training-rows", "train.csv")
    assert line == "--training-rows train.csv: parquet is written; name a file that ends in .parquet"


def test_a_goal_by_the_quality_of_fused_teachers_is_refused(two: Path, cli: Command) -> None:
    line = cli.refusal("compress", two, "--within", "5%", "--out", "found", "--set", "ensemble.combine=ranks")
    assert line.endswith(
        "[[teacher]] combined by their lists are not measured on the validation users; take [ensemble] combine = "
        "'z_score' where all of them are models, or ask with --under-mb or --under-ms alone"
    )
