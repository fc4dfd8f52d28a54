"""Models, checkpoints and lists that are damaged, missing or of another data set; nothing that was there is lost."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from commands import Command, snapshot, visits, write_csv

from rankdistill.files import replacing
from rankdistill.folders import alone
from rankdistill.owners import check_owner


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def fingerprint(model: Path) -> str:
    return str(json.loads((model / "model.json").read_text())["fingerprint"])


@pytest.fixture
def other_data(desk: Path, cli: Command) -> tuple[list[str], str]:
    """The options that name another data set, and its fingerprint."""
    write_csv(desk / "other.csv", [*visits(), ("u1", "i999", 5)])
    options = ["--set", "data.path=other.csv"]
    about = json.loads(cli.done("prepare", "e.toml", *options, "--out", "other", "--json").out)
    return options, about["fingerprint"]


@pytest.mark.parametrize(
    ("file", "line"),
    [
        (
            "model.safetensors",
            "done/student/model.safetensors: truncated or changed since it was written (SHA-256 differs); train it ",
        ),
        ("model.json", "done/student/model.json: cannot be read ("),
        ("ids/items.parquet", "done/student/ids/items.parquet: the ids cannot be read ("),
    ],
)
def test_a_truncated_file_of_a_model_is_named(cli: Command, done: Path, file: str, line: str) -> None:
    cut(done / "student" / file)
    before = snapshot(done)
    assert cli.refusal("evaluate", done / "student").startswith(line)
    assert snapshot(done) == before


def test_a_broken_experiment_file_of_a_model_is_named(cli: Command, done: Path) -> None:
    (done / "student" / "config.toml").write_text('[data]\nkind = "deli')
    line = cli.refusal("evaluate", done / "student")
    assert line.startswith("done/student/config.toml: is not valid TOML: ")


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("model.safetensors", "done/student/model.safetensors: no such file; train the model again"),
        ("model.json", "done/student: no model here (model.json is missing); name a folder that train made"),
        ("config.toml", "done/student/config.toml: there is no such file"),
    ],
)
def test_a_missing_file_of_a_model_is_named(cli: Command, done: Path, file: str, line: str) -> None:
    (done / "student" / file).unlink()
    assert cli.refusal("evaluate", done / "student") == line


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("this:Zen", "'this:Zen': 'this' is not imported; import it first if you trust it"),
        ("json:Zen", "'json:Zen': json has no class 'Zen'"),
        (
            "casr",
            "'casr' is no model; did you mean 'caser'? "
            "(there are: caser, ease, fossil, gru4rec, item_knn, lightgcn, matrix_factorization, popularity, sasrec)",
        ),
    ],
)
def test_the_card_of_a_model_makes_nothing_be_imported(cli: Command, done: Path, kind: str, why: str) -> None:
    card = done / "student" / "model.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | {"kind": kind}))
    assert cli.refusal("evaluate", done / "student") == f"done/student/model.json: {why}"
    assert "this" not in sys.modules


@pytest.mark.parametrize("ids", ["users", "items"])
def test_a_model_whose_ids_were_changed_is_refused(cli: Command, done: Path, ids: str) -> None:
    path = done / "student" / "ids" / f"{ids}.parquet"
    pl.read_parquet(path).reverse().write_parquet(path)
    assert cli.refusal("evaluate", done / "student") == (
        "done/student/ids: not the ids that the model was trained with; train it again"
    )


def test_a_folder_without_a_model_is_refused_by_every_verb_that_reads_one(desk: Path, cli: Command) -> None:
    line = "nowhere: no model here (model.json is missing); name a folder that train made"
    assert cli.refusal("label", "nowhere", "--k", 3, "--out", "l.parquet") == line
    assert cli.refusal("evaluate", "nowhere") == line
    assert cli.refusal("report", "nowhere", "--out", "r.html") == (
        "nowhere: no such folder; expected one of teacher/model.json, student/model.json, distilled/model.json (a run) "
        "or model.json (a model)"
    )


@pytest.mark.parametrize("verb", ["label", "evaluate"])
def test_a_model_of_another_data_set_is_refused(
    cli: Command, done: Path, other_data: tuple[list[str], str], verb: str
) -> None:
    options, other = other_data
    out = ("--out", "lists.parquet") if verb == "label" else ()
    before = snapshot(done)
    assert cli.refusal(verb, done / "teacher", "--config", "e.toml", *options, *out) == (
        f"done/teacher: trained on other data (fingerprint {fingerprint(done / 'teacher')}, other.csv has {other}); "
        f"take the [data] and [split] that it was trained with (they are in its config.toml), or train it on this data"
    )
    assert snapshot(done) == before


def test_prepared_data_that_is_missing_or_damaged_is_refused(cli: Command, done: Path) -> None:
    train = ("train", "e.toml", "--role", "student", "--out", "model", "--data")
    assert cli.refusal(*train, "nowhere") == (
        "nowhere: no prepared data here (split.json is missing); `rankdistill prepare` makes it"
    )
    cut(done / "data" / "split.safetensors")
    line = cli.refusal(*train, done / "data")
    assert line.startswith("done/data: prepared data is damaged (")
    assert line.endswith("); prepare it again")


def test_a_truncated_checkpoint_is_refused_and_left_in_place(desk: Path, cli: Command) -> None:
    train = ("train", "e.toml", "--role", "student", "--out", "model")
    checkpoint = desk / "model" / "checkpoint.safetensors"
    checkpoint.parent.mkdir()
    checkpoint.write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00half a header")
    line = cli.refusal(*train, "--resume")
    assert line.startswith("model/checkpoint.safetensors: not a whole checkpoint (")
    assert line.endswith("); remove it to start over")
    assert checkpoint.exists()


def test_truncated_lists_are_refused_before_anything_is_written(desk: Path, cli: Command, done: Path) -> None:
    cut(done / "labels.parquet")
    line = cli.refusal("distill", "e.toml", "--teacher", done / "labels.parquet", "--out", "model")
    assert line.startswith("done/labels.parquet: not a whole parquet file (")
    assert not (desk / "model").exists()


TAUGHT = [
    ("distill", "e.toml"),
    ("tune", "e.toml", "--role", "distilled"),
    ("compress", "e.toml", "--within", "5%"),
    ("sweep", "e.toml", "--student.dim", "2,3"),
    ("sweep", "e.toml", "--student.dim", "2,3", "--dry-run"),
]
"""The verbs that are given a teacher."""


def test_lists_that_are_not_there_are_refused(desk: Path, cli: Command) -> None:
    line = "nowhere.parquet: no such file; name a parquet file with user_id, rank, item_id"
    assert cli.refusal("evaluate", "nowhere.parquet", "--config", "e.toml") == line
    for command in TAUGHT:
        assert cli.refusal(*command, "--teacher", "nowhere.parquet", "--out", "out") == line
    compress = ("compress", "e.toml", "--within", "5%", "--set", "teacher={rankings='nowhere.parquet'}")
    assert cli.refusal(*compress, "--out", "out").endswith(line)
    assert not Path("out").exists()


def test_a_file_without_a_row_is_said_to_hold_no_list(desk: Path, cli: Command, done: Path) -> None:
    labels = done / "labels.parquet"
    pl.read_parquet(labels).clear().write_parquet("empty.parquet")
    line = "empty.parquet: holds no list; name a file that has some"
    for command in (
        ("distill", "e.toml", "--teacher", "empty.parquet"),
        ("fuse", labels, "empty.parquet"),
        ("evaluate", "empty.parquet", "--config", "e.toml"),
    ):
        out = "model" if command[0] == "distill" else "out.parquet"
        assert cli.refusal(*command, "--out", out) == line


def test_lists_of_another_data_set_are_refused(cli: Command, done: Path, other_data: tuple[list[str], str]) -> None:
    options, other = other_data
    line = cli.refusal("distill", "e.toml", "--teacher", done / "labels.parquet", "--out", "model", *options)
    assert line == (
        f"done/labels.parquet: made from other data (fingerprint {fingerprint(done / 'teacher')}, this data has "
        f"{other}); "
        f"make the lists again from this data, or name theirs"
    )


def swapped(lists: pl.DataFrame, rank: int, item: pl.Expr) -> pl.DataFrame:
    return lists.with_columns(item_id=pl.when(pl.col("rank") == rank).then(item).otherwise(pl.col("item_id")))


def with_a_target_inside(lists: pl.DataFrame) -> pl.DataFrame:
    """The first list with its own target at rank 1."""
    user, position = lists.select("user_id", "position").row(0)
    target = [item for owner, item, _ in visits() if owner == user][position]
    own = (pl.col("user_id") == user) & (pl.col("position") == position)
    return lists.with_columns(
        item_id=pl.when(own & (pl.col("rank") == 1)).then(pl.lit(target)).otherwise(pl.col("item_id"))
    )


U3 = pl.col("user_id") == "u3"
MISTAKES: dict[str, tuple[Callable[[pl.DataFrame], pl.DataFrame], str]] = {
    "an unknown user": (
        lambda lists: lists.with_columns(pl.col("user_id").replace({"u3": "stranger"})),
        "bad.parquet: 1 of 20 users are not in the data (first: 'stranger'); made from other data? "
        "on_unknown = 'drop' leaves them out (--set teacher.on_unknown=drop, of the second [[teacher]] "
        "teacher.2.on_unknown; of evaluate and fuse --on-unknown drop)",
    ),
    "an unknown item": (
        lambda lists: swapped(lists, 2, pl.lit("novelty")),
        "items are not in the data (first: 'novelty'); made from other data? on_unknown = 'drop' leaves them out "
        "(--set teacher.on_unknown=drop, of the second [[teacher]] teacher.2.on_unknown; of evaluate and fuse "
        "--on-unknown drop)",
    ),
    "missing queries": (
        lambda lists: lists.filter(~U3),
        "bad.parquet: no list for 5 of 100 training queries, of 1 of 20 users (first: user 'u3', position 5); made "
        "from another split? If it is not, on_missing = 'skip' (--set teacher.on_missing=skip) has them learn from the "
        "data alone",
    ),
    "short lists": (
        lambda lists: lists.filter(~(U3 & (pl.col("rank") > 5))),
        "bad.parquet: 5 lists are shorter than k = 10 (first: user 'u3', position 5 with 5 usable items); "
        "make longer lists or lower [distillation] k",
    ),
    "repeated items": (
        lambda lists: swapped(lists, 2, pl.col("item_id").shift(1)),
        "bad.parquet: 100 lists name an item twice (first: user 'u0', position 5); each item may stand once in a list",
    ),
    "a target inside": (
        with_a_target_inside,
        "bad.parquet: 1 lists hold the query's own target (first: user 'u0', position 5); leave them out of the lists; "
        "where lists a user were fused, `fuse --data DIR` does",
    ),
    "a gap in the ranks": (
        lambda lists: lists.with_columns(rank=pl.col("rank") + (pl.col("rank") > 3)),
        "bad.parquet: ranks out of order in 100 lists (first: user 'u0', position 5: rank 5 where 4 is due); "
        "ranks count 1, 2, 3 ... down a list",
    ),
    "rising scores": (
        lambda lists: lists.with_columns(score=-pl.col("score")),
        "bad.parquet: ranks out of order: scores rise down the list in 100 lists (first: user 'u0', position 5); "
        "rank 1 has the highest score",
    ),
    "a missing column": (
        lambda lists: lists.rename({"item_id": "itemid"}),
        "bad.parquet: no column 'item_id' among user_id, position, rank, itemid, score; is it 'itemid'?",
    ),
    "a missing value": (
        lambda lists: swapped(lists, 2, pl.lit(None)),
        "bad.parquet: row 2 has no item_id; every row needs one",
    ),
    "no row at all": (
        lambda lists: lists.head(0),
        "bad.parquet: holds no list; name a file that has some",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_teacher_lists_with_a_mistake_are_refused_before_training(
    desk: Path, cli: Command, done: Path, mistake: str
) -> None:
    spoil, line = MISTAKES[mistake]
    spoil(pl.read_parquet(done / "labels.parquet")).write_parquet("bad.parquet")
    assert cli.refusal("distill", "e.toml", "--teacher", "bad.parquet", "--out", "model").endswith(line)
    assert not (desk / "model").exists()


def test_known_items_inside_are_refused_where_the_lists_should_leave_them_out(cli: Command, done: Path) -> None:
    options = ("--out", "model", "--set", "distillation.exclude=seen")
    line = cli.refusal("distill", "e.toml", "--teacher", done / "labels.parquet", *options)
    assert line.startswith(
        "labels.parquet: 100 lists hold items that the user has already (first: user 'u0', position 5)"
    )


def test_unknown_users_are_left_out_when_that_is_asked_for(cli: Command, done: Path) -> None:
    lists = pl.read_parquet(done / "labels.parquet")
    stranger = lists.filter(U3).with_columns(user_id=pl.lit("stranger"))
    pl.concat([lists, stranger]).write_parquet("more.parquet")
    distill = ("distill", "e.toml", "--teacher", "more.parquet", "--out", "model")
    assert "are not in the data (first: 'stranger')" in cli.refusal(*distill)
    cli.done(*distill, "--set", "teacher.on_unknown=drop")
    assert Path("model/model.safetensors").read_bytes() == (done / "distilled" / "model.safetensors").read_bytes()


def test_recommendations_that_lack_a_test_user_are_refused_with_her_raw_id(cli: Command, done: Path) -> None:
    pl.read_parquet(done / "student" / "rankings.parquet").filter(~U3).write_parquet("recs.parquet")
    line = cli.refusal("evaluate", "recs.parquet", "--config", "e.toml")
    assert line.startswith("recs.parquet: no list for 1 of 20 queries (first: user 'u3'")
    assert not Path("evaluation.parquet").exists()


def test_recommendations_without_an_experiment_are_refused(cli: Command, done: Path) -> None:
    pl.read_parquet(done / "student" / "rankings.parquet").write_parquet("recs.parquet")
    line = cli.refusal("evaluate", "recs.parquet")
    assert line == "recs.parquet: whose test users are these? name the experiment file with --config"


def test_a_metric_that_the_lists_are_too_short_for_is_refused_when_asked_for(cli: Command, done: Path) -> None:
    lists = pl.read_parquet(done / "student" / "rankings.parquet")
    lists.filter(pl.col("rank") <= 10).write_parquet("recs.parquet")
    line = cli.refusal("evaluate", "recs.parquet", "--config", "e.toml", "--metrics", "ndcg@10,map")
    assert line == (
        "metric 'map' needs every target's rank in the whole catalogue, and these lists are 10 deep: "
        "ask for 'map@10' or make deeper lists"
    )


def test_a_teacher_that_is_a_file_cannot_be_trained(cli: Command, done: Path) -> None:
    options = ("--out", "model", "--set", 'teacher={rankings = "done/labels.parquet"}')
    line = cli.refusal("train", "e.toml", "--role", "teacher", *options)
    assert line == (
        "e.toml: [teacher] is known by its lists alone; there is no one model to train, only to run or distill"
    )


def test_a_teacher_that_is_there_already_cannot_be_trained(cli: Command, done: Path) -> None:
    options = ("--out", "model", "--set", 'teacher={rankings = "done/teacher"}')
    line = cli.refusal("train", "e.toml", "--role", "teacher", *options)
    assert line == (
        "e.toml: [teacher] is a model that is there already; there is no one model to train, only to run or distill"
    )


WRITERS = {
    ("run", "e.toml"): "run",
    ("train", "e.toml", "--role", "student"): "training",
    ("distill", "e.toml", "--teacher", "done/labels.parquet"): "training",
}


@pytest.mark.parametrize(("command", "doing"), WRITERS.items())
def test_a_folder_in_which_another_one_is_at_work_is_refused_and_had_when_it_is_done(
    cli: Command, done: Path, command: tuple[str, ...], doing: str
) -> None:
    with alone(Path("model"), doing), replacing(Path("model", "model.json")) as in_flight:
        in_flight.write_text("{}")
        line = cli.refusal(*command, "--out", "model")
        assert line == f"model: another {doing} is at work there; wait for it, or name another --out"
        assert in_flight.exists()
    Path("model", "model.json").unlink()
    cli.done(*command, "--out", "model")
    assert not [path for path in Path("model").rglob("*") if path.name.startswith(".")]


@pytest.mark.parametrize("command", WRITERS)
def test_a_new_folder_goes_where_there_is_nothing_to_learn_from(
    cli: Command, done: Path, command: tuple[str, ...]
) -> None:
    cli.refusal(*command, "--out", "model", "--set", "windows.target_length=11", "--set", "distillation.k=1")
    assert not Path("model").exists()


def test_a_run_folder_that_is_a_file_is_refused(desk: Path, cli: Command) -> None:
    line = cli.refusal("run", "e.toml", "--out", "events.csv")
    assert line == "events.csv: cannot be made (File exists); name another --out"
    assert (desk / "events.csv").is_file()


def test_a_model_folder_that_is_a_file_is_refused_before_anything_is_read(cli: Command, done: Path) -> None:
    for command in (
        ("distill", "e.toml", "--teacher", done / "labels.parquet"),
        ("train", "e.toml", "--role", "student"),
    ):
        line = cli.refusal(*command, "--out", "events.csv")
        assert line == "--out events.csv: is a file; name a folder for the model"


def test_a_student_does_not_take_the_place_of_what_it_learns_from(cli: Command, done: Path) -> None:
    Path("done/labels.parquet").rename("done/distilled/labels.parquet")
    before = snapshot(done)
    distill = ("distill", "e.toml", "--out", "done/distilled", "--teacher")
    easier = ("--set", "distillation={kind='hetcomp',k=3}", "--set", "teacher.easier=['done/distilled/labels.parquet']")
    for read, line in {
        "done/distilled": cli.refusal(*distill, "done/distilled"),
        "done/distilled/rankings.parquet": cli.refusal(*distill, "done/distilled/rankings.parquet"),
        "done/distilled/labels.parquet": cli.refusal(*distill, "done/teacher", *easier),
    }.items():
        assert line.startswith("--out done/distilled: work there replaces ")
        assert line.endswith(f"{read}, which is read; copy that first, or name another --out")
    assert snapshot(done) == before


@pytest.mark.parametrize(
    ("verb", "foreign"),
    [
        (("train", "e.toml", "--role", "student"), "run.json"),
        (("distill", "e.toml", "--teacher", "done/teacher"), "sweep.toml"),
        (("run", "e.toml"), "trials.json"),
        (("sweep", "e.toml", "--student.dim", "2,3"), "run.json"),
        (("sweep", "e.toml", "--student.dim", "2,3"), "stages.json"),
        (("sweep", "e.toml", "--student.dim", "2,3"), "model.json"),
        (("sweep", "e.toml", "--student.dim", "2,3"), "search"),
        (("sweep", "e.toml", "--student.dim", "2,3", "--dry-run"), "run.json"),
        (("sweep", "e.toml", "--student.dim", "2,3", "--dry-run"), "model.json"),
        (("reproduce", "kdd18", "--dataset", "movielens-100k", "--dry-run"), "run.json"),
        *[
            (verb, file)
            for file in ("split.json", "ids/items.npy")
            for verb in (
                ("train", "e.toml", "--role", "student"),
                ("distill", "e.toml", "--teacher", "done/teacher"),
                ("run", "e.toml"),
                ("demo",),
                ("sweep", "e.toml", "--student.dim", "2,3"),
                ("sweep", "e.toml", "--student.dim", "2,3", "--dry-run"),
                ("tune", "e.toml", "--role", "student", "--trials", "1"),
                ("compress", "e.toml", "--within", "5%", "--trials", "1"),
                ("reproduce", "kdd18", "--dataset", "movielens-100k", "--dry-run"),
            )
        ],
        (("prepare", "e.toml"), "stages.json"),
        (("prepare", "e.toml"), "model.json"),
        (("prepare", "e.toml"), "ids/items.npy"),
        (("export", "done/student"), "stages.json"),
        (("export", "done/student"), "model.json"),
        (("export", "done/student"), "split.json"),
    ],
)
def test_the_folder_of_another_verb_is_refused(cli: Command, done: Path, verb: tuple[str, ...], foreign: str) -> None:
    Path("theirs", foreign).parent.mkdir(parents=True)
    Path("theirs", foreign).touch()
    line = cli.refusal(*verb, "--out", "theirs")
    written = "run" if verb[0] == "demo" else verb[0]
    assert line == f"theirs: holds {foreign}, which no {written} wrote; name another --out"
    assert [path for path in Path("theirs").rglob("*") if path.is_file()] == [Path("theirs", foreign)]


def test_a_manifest_that_is_no_export_is_nobodys(cli: Command, desk: Path) -> None:
    Path("mine").mkdir()
    Path("mine/manifest.json").write_text("{}")
    cli.done("train", "e.toml", "--role", "student", "--out", "mine")
    assert Path("mine/manifest.json").read_text() == "{}"
    assert "mine" in cli.done("bench", "latency", "mine", "--batch", "1", "--seconds", "0.02", "--k", "3").out


DISTILL = ("distill", "e.toml", "--teacher", "done/teacher")


@pytest.mark.parametrize(
    ("verb", "file", "place", "owner"),
    [
        (("run", "e.toml"), "sweep.toml", "students", "sweep"),
        (("run", "e.toml"), "compress.json", "final", "compress"),
        (("run", "e.toml"), "trials.json", "trials/9", "search"),
        (("run", "e.toml"), "stages.json", "student", "run"),
        (DISTILL, "model.json", "epochs/9", "model"),
        (DISTILL, "sweep.toml", "students/caser-4", "sweep"),
        (DISTILL, "compress.json", "final/distilled", "compress"),
        (DISTILL, "run.json", "teacher/epochs/9", "run"),
        (("train", "e.toml", "--role", "student"), "reproduce.json", "models/student/seed-1", "reproduction"),
        (("sweep", "e.toml", "--student.dim", "2,3"), "run.json", "student", "run"),
        (("sweep", "e.toml", "--student.dim", "2,3", "--dry-run"), "run.json", "student", "run"),
        (("demo",), "compress.json", "search", "compress"),
        (("prepare", "e.toml"), "run.json", "teacher", "run"),
        (("prepare", "e.toml"), "reproduce.json", "data/test", "reproduction"),
        (("export", "done/student"), "run.json", "data", "run"),
        (("export", "done/student"), "model.json", "epochs", "model"),
    ],
)
def test_a_place_that_another_verb_keeps_as_its_own_is_refused(
    cli: Command, done: Path, verb: tuple[str, ...], file: str, place: str, owner: str
) -> None:
    Path("theirs").mkdir()
    Path("theirs", file).touch()
    line = cli.refusal(*verb, "--out", f"theirs/{place}")
    assert line == (
        f"theirs/{place}: is part of a {owner} (theirs/{file}), which goes by what it wrote there; name another --out"
    )
    assert list(Path("theirs").iterdir()) == [Path("theirs", file)]


def test_other_places_in_a_folder_and_the_models_of_a_run_may_be_written(done: Path) -> None:
    check_owner(done / "another", "run")
    check_owner(done / "teacher", "train")
    check_owner(done / "distilled", "distill")
    check_owner(done / "data", "prepare")
    check_owner(done / "exported", "export")


@pytest.mark.parametrize("verb", [("train", "--role", "student"), ("distill", "--teacher", "done/teacher")])
def test_the_data_that_a_model_is_trained_from_is_not_where_it_is_written(
    cli: Command, done: Path, verb: tuple[str, ...]
) -> None:
    cli.done("prepare", "e.toml", "--out", "prepared")
    for data in ("prepared", "done/data"):
        before = snapshot(Path(data))
        line = cli.refusal(verb[0], "e.toml", *verb[1:], "--data", data, "--out", data)
        assert line == f"{data}: holds split.json, which no {verb[0]} wrote; name another --out"
        assert snapshot(Path(data)) == before


def test_prepared_data_and_an_export_may_be_written_again(cli: Command, done: Path) -> None:
    for command in (("prepare", "e.toml", "--out", "prepared"), ("export", done / "student", "--out", "exported")):
        cli.done(*command)
        cli.done(*command)
    cli.done("prepare", "e.toml", "--out", done / "data")


def test_the_folder_of_a_run_is_no_teacher(cli: Command, done: Path) -> None:
    line = "done: is the folder of a run; name its teacher, done/teacher"
    assert cli.refusal("label", done, "--out", "x.parquet") == line
    for command in TAUGHT:
        assert cli.refusal(*command, "--teacher", done, "--out", "x") == line
    named = cli.refusal("run", "e.toml", "--set", f"teacher={{rankings='{done}'}}", "--out", "x")
    assert named.endswith(line.replace("done", str(done.absolute())))
    (done / "teacher" / "model.safetensors").unlink()  # as of a teacher that is known by its lists alone
    assert cli.refusal("label", done, "--out", "x.parquet").endswith("name its teacher's lists, done/labels.parquet")
    (done / "labels.parquet").unlink()
    assert cli.refusal("label", done, "--out", "x.parquet").endswith("name the lists that it was given as a teacher")
    assert not Path("x").exists()


@pytest.mark.parametrize("known_by", ["compress.json", "search/trials.json"])
def test_the_folder_of_a_compression_is_no_teacher(cli: Command, done: Path, known_by: str) -> None:
    Path("small/search").mkdir(parents=True)
    Path("small", known_by).touch()
    line = "small: is the folder of a compress; name its teacher, small/{}/teacher"
    for place in ("search", "final"):  # that of the final run, where there is one
        shutil.copytree(done, Path("small") / place, dirs_exist_ok=True)
        assert cli.refusal("label", "small", "--out", "x.parquet") == line.format(place)


def test_parquet_is_written_to_parquet_files_alone(cli: Command, done: Path) -> None:
    recs = done / "student" / "rankings.parquet"
    before = snapshot(Path())
    for command in (("label", done / "teacher"), ("evaluate", done / "student"), ("evaluate", recs)):
        line = cli.refusal(*command, "--out", "events.csv")
        assert line == "--out events.csv: parquet is written; name a file that ends in .parquet"
    assert cli.refusal("evaluate", recs, "--out", recs) == (
        f"--out {recs}: that file is read; name another one to write"
    )
    assert snapshot(Path()) == before


def test_lists_replace_lists_for_training_queries_alone(cli: Command, done: Path) -> None:
    cli.done("prepare", "e.toml", "--out", "prepared", "--training-rows", "prepared/train.parquet")
    Path("damaged.parquet").write_bytes(b"PAR1")
    before = snapshot(Path())
    for path in (
        "prepared/train.parquet",
        "prepared/items.parquet",
        "done/data/activity.parquet",
        "done/targets.parquet",
        "done/student/evaluation.parquet",
        "done/student/rankings.parquet",
        "done/student/ids/users.parquet",
        "damaged.parquet",
    ):
        assert cli.refusal("label", done / "teacher", "--out", path) == (
            f"--out {path}: is there already and holds no lists for training queries (user_id, position, rank, "
            f"item_id); name another one to write"
        )
    assert snapshot(Path()) == before
    for path in ("prepared/labels.parquet", "done/labels.parquet", "done/student/labels-2.parquet", "lists.parquet"):
        for k in ("3", "2"):
            cli.done("label", done / "teacher", "--k", k, "--out", path)
        assert pl.read_parquet(path)["rank"].max() == 2


def test_the_log_itself_is_never_written_over(desk: Path, cli: Command, done: Path) -> None:
    pl.read_csv("events.csv").write_parquet("events.parquet")
    before = snapshot(desk)
    same_data = ("--config", "e.toml", "--set", "data.kind=parquet", "--set", "data.path=events.parquet")
    for verb, model in (("label", done / "teacher"), ("evaluate", done / "student")):
        line = cli.refusal(verb, model, *same_data, "--out", "events.parquet")
        assert line == "--out events.parquet: that file is read; name another one to write"
    assert snapshot(desk) == before


def test_prepared_data_does_not_take_the_place_of_the_working_directory(desk: Path, cli: Command) -> None:
    before = snapshot(desk)
    line = cli.refusal("prepare", "e.toml", "--out", ".")
    assert line == ".: is the working directory or holds it, and cannot be replaced; name another folder"
    assert snapshot(desk) == before
