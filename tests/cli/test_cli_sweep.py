"""`rankdistill sweep`: what it refuses, what it trains, and that a stop or several jobs change nothing."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from commands import Command, snapshot

from rankdistill.sweep.axes import Axis
from rankdistill.sweep.request import Request

SWEEP = (
    "sweep",
    "e.toml",
    "--student.dim",
    "2,3",
    "--distillation.alpha=0.5,1",
    "--set",
    "evaluate.bootstrap_samples=9",
)


def figures(folder: Path) -> list[Any]:
    """The rows without what depends on the clock."""
    rows = json.loads((folder / "sweep.json").read_text())["rows"]
    timed = ("latency_ms", "users_per_second", "train_seconds", "front")
    for row in rows:
        row.get("costs", {}).pop("latency", None)
    return [{key: value for key, value in row.items() if key not in timed} for row in rows]


def models(folder: Path) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in folder.glob("students/*/model.safetensors")}


def written(folder: Path) -> dict[str, int]:
    return {path.parent.name: path.stat().st_mtime_ns for path in folder.glob("students/*/model.safetensors")}


@pytest.fixture(scope="module")
def finished_sweep(tmp_path_factory: pytest.TempPathFactory, finished_run: Path) -> Path:
    """The folder of a finished, uninterrupted sweep; not to be changed."""
    out = tmp_path_factory.mktemp("sweep") / "out"
    command = [sys.executable, "-m", "rankdistill", *SWEEP, "--out", str(out)]
    ended = subprocess.run(command, cwd=finished_run.parent, check=False, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return out


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ("e.toml",),
            "a sweep of one student; name the keys that vary with their values, such as --student.dim 4,8,16",
        ),
        (("e.toml", "--student.dmi", "2,3"), "--student.dmi: [student] dmi: unknown key; did you mean 'dim'?"),
        (
            ("e.toml", "--student.dim"),
            "--student.dim: has no value; write values with commas between them, such as 4,8",
        ),
        (
            ("e.toml", "--student.dim", "--out", "s"),
            "--student.dim: has no value; write values with commas between them, such as 4,8",
        ),
        (
            ("e.toml", "--student.dim", "2,x"),
            "with student.dim = \"x\": --student.dim: [student] dim: 'x' is not an integer",
        ),
        (
            ("e.toml", "--student.kind", "caser,fossil", "--student.dropout", "0.1"),
            "with student.kind = \"fossil\": --student.dropout: [student] dropout: 'fossil' has no key 'dropout'",
        ),
        (
            ("e.toml", "--student.kind", "caser,ease"),
            "with student.kind = \"ease\": e.toml: [student] dim: 'ease' has no key 'dim'; it learns nothing by "
            "gradient, so nothing can be distilled into it (to train it alone, "
            "--student '{kind = \"ease\"}' drops the keys that e.toml gives)",
        ),
        (
            ("e.toml", "--student", "{kind='caser'},{kind='caser',dmi=3}"),
            'with student = {"kind" = "caser", "dmi" = 3}: --student: [student] dmi: unknown key',
        ),
        (("e.toml", "--student.dim.x", "2,3"), "with student.dim.x = 2: --student.dim.x=2: student.dim is a value"),
        (
            ("e.toml", "--data.repeats", "all,last"),
            "--data.repeats 'all,last': [data] is the same for all students of a sweep; give one value here, or sweep "
            "once for each",
        ),
        (("e.toml", "--seeds", "1,1"), "--seeds '1,1': write different whole numbers with commas between them"),
        (("e.toml", "--student.dim", "2,3", "--set", 'evaluate.metrics=["ndgc@10"]'), "[evaluate] metrics: "),
        (("nothing.toml", "--student.dim", "2,3"), "nothing.toml: there is no such file"),
        ((), "a sweep needs CONFIG and keys with values; to go on with one: --resume --out DIR"),
        (("--resume", "--out", "s"), "s: no sweep was begun here (sweep.toml is missing); name CONFIG and what varies"),
        (
            ("--resume", "--out", "s", "--student.dim", "4,5"),
            "--resume goes on with what was asked for, and --student.dim asks for more; name CONFIG, too",
        ),
        (("e.toml", "--student.dim", "2,3", "--distillation.k", "40"), "k = 40 is more than the catalogue's 30 items"),
        (("e.toml", "--student.dim", "2,3", "--teacher", "none.parquet"), ""),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_trained(
    desk: Path, cli: Command, arguments: tuple[str, ...], line: str
) -> None:
    before = sorted(desk.iterdir())
    assert cli.refusal("sweep", *arguments).startswith(line)
    assert sorted({*desk.iterdir()} - {desk / "runs"}) == before
    assert not list(desk.glob("runs/*"))


def test_a_folder_with_something_in_it_is_kept_where_a_sweep_is_refused(
    desk: Path, cli: Command, finished_sweep: Path
) -> None:
    shutil.copytree(finished_sweep, desk / "kept")
    (desk / "there").mkdir()
    for out in ("kept", "there"):
        cli.refusal("sweep", "e.toml", "--student.dim", "2,3", "--distillation.k", "40", "--out", out)
    assert written(desk / "kept") == written(finished_sweep)
    assert (desk / "there").exists()


@pytest.mark.parametrize(("kinds", "scores"), [("rrd,cross_entropy", True), ("rrd,cd", False)])
def test_a_sweep_that_given_lists_do_not_serve_writes_nothing(
    desk: Path, cli: Command, finished_run: Path, finished_sweep: Path, kinds: str, scores: bool
) -> None:
    lists = pl.read_parquet(finished_run / "labels.parquet")
    (lists if scores else lists.drop("score")).write_parquet("lists.parquet")
    shutil.copytree(finished_sweep, desk / "kept")
    for out in ("kept", "new"):
        arguments = ("--student.dim", "2,3", "--teacher", "lists.parquet", "--distillation.kind", kinds, "--out", out)
        cli.refusal("sweep", "e.toml", *arguments, "--set", "distillation.k=5")
    before = {file.relative_to(finished_sweep): each for file, each in snapshot(finished_sweep).items()}
    assert {file.relative_to(desk / "kept"): each for file, each in snapshot(desk / "kept").items()} == before
    assert not (desk / "new").exists()


def test_every_student_is_trained_once_and_listed(finished_sweep: Path, finished_run: Path) -> None:
    found = json.loads((finished_sweep / "sweep.json").read_text())
    assert [(row["role"], row["settings"]) for row in found["rows"]] == [
        ("teacher", {}),
        ("student", {"student.dim": 2}),
        ("distilled", {"student.dim": 2, "distillation.alpha": 0.5}),
        ("distilled", {"student.dim": 2, "distillation.alpha": 1}),
        ("student", {"student.dim": 3}),
        ("distilled", {"student.dim": 3, "distillation.alpha": 0.5}),
        ("distilled", {"student.dim": 3, "distillation.alpha": 1}),
    ]
    assert found["quality"] == {"metric": "ndcg@10", "part": "test"}
    for row in found["rows"]:
        assert row["bytes"] > 0
        assert row["latency_ms"]["p99"] >= row["latency_ms"]["p50"] > 0
        assert set(row["metrics"]) == set(found["metrics"])
    for row in found["rows"][1:]:
        assert set(row["against"]) == ({"plain", "teacher"} if row["role"] == "distilled" else {"teacher"})
    assert (finished_sweep / "teacher" / "model.safetensors").read_bytes() == (
        finished_run / "teacher" / "model.safetensors"
    ).read_bytes()
    alike = found["rows"][3]["folders"][0]
    assert (finished_sweep / alike / "model.safetensors").read_bytes() == (
        finished_run / "distilled" / "model.safetensors"
    ).read_bytes()


def test_what_speaks_against_a_sweep_is_told_and_kept(desk: Path, cli: Command) -> None:
    told = cli.done("sweep", "e.toml", "--seeds", "1,2", "--out", "told", "--json")
    assert isinstance(json.loads(told.out), list)
    kept = json.loads(Path("told/sweep.json").read_text())["warnings"]
    assert kept[-1].startswith("There is no validation part: whoever picks a student here picks it by the test data")
    assert all(f"warning: {each}" in told.err for each in kept)
    assert all(each in Path("told/sweep.html").read_text() for each in kept[-1:])


def test_a_sweep_says_what_spoke_against_the_lists(desk: Path, cli: Command) -> None:
    taught = ("--set", "distillation={kind='cd',k=3}", "--set", "ranking_loss.kind=softmax", "--student.dim", "2,3")
    told = cli.done("sweep", "e.toml", *taught, "--out", "told")
    (said,) = [each for each in json.loads(Path("told/sweep.json").read_text())["warnings"] if "log-odds" in each]
    assert said.endswith("learns by pointwise or gbce (2 of 2 distilled students).")
    assert f"warning: {said}" in told.err


def test_two_jobs_give_the_figures_of_one(desk: Path, cli: Command, finished_sweep: Path) -> None:
    rows = json.loads(cli.done(*SWEEP, "--out", "two", "--jobs", "2", "--json").out)
    assert rows == json.loads(Path("two/sweep.json").read_text())["rows"]
    assert figures(desk / "two") == figures(finished_sweep)
    assert models(desk / "two") == models(finished_sweep)


def test_a_sweep_that_is_killed_goes_on_to_the_same_figures(desk: Path, cli: Command, finished_sweep: Path) -> None:
    command = [sys.executable, "-m", "rankdistill", *SWEEP, "--out", "killed"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 240
    while len(written(desk / "killed")) < 2:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    workers = [int(each) for each in children.read_text().split()] if children.exists() else []
    process.send_signal(signal.SIGKILL)
    process.wait()
    while any(Path(f"/proc/{worker}").exists() for worker in workers):  # they end with it
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert not (desk / "killed" / "sweep.html").exists()
    before = written(desk / "killed")
    cli.done("sweep", "--resume", "--out", "killed")
    done = written(desk / "killed")
    first = min(before, key=lambda name: before[name])
    assert done[first] == before[first]
    assert figures(desk / "killed") == figures(finished_sweep)
    assert models(desk / "killed") == models(finished_sweep)


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ((), "2 at once with 3 threads each"),
        (("--threads", "4"), "2 at once with 4 threads each"),
        (("--jobs", "1"), "1 at once with 3 threads each"),
    ],
)
def test_a_sweep_goes_on_with_its_jobs_and_threads_unless_others_are_named(
    desk: Path, cli: Command, given: tuple[str, ...], line: str
) -> None:
    (desk / "begun").mkdir()
    Request(desk / "e.toml", [Axis("student.dim", (2, 3))], jobs=2, threads=3).write(desk / "begun")
    assert cli.done("sweep", "--resume", "--out", "begun", *given, "--dry-run").out.rstrip().endswith(line)


def test_a_sweep_starts_a_teacher_over_that_was_begun_otherwise(desk: Path, cli: Command) -> None:
    begun = desk / "s" / "teacher" / "checkpoint.safetensors"
    begun.parent.mkdir(parents=True)
    begun.write_bytes(b"of another teacher")
    assert "; started over" in cli.done(*SWEEP, "--out", "s").err
    assert not begun.exists()


def test_a_sweep_goes_on_with_the_device_that_is_named(desk: Path, cli: Command) -> None:
    (desk / "begun").mkdir()
    Request(desk / "e.toml", [Axis("student.dim", (2, 3))], device="cpu").write(desk / "begun")
    assert "abacus" in cli.refusal("sweep", "--resume", "--out", "begun", "--device", "abacus")


def test_an_interrupt_of_the_sweep_alone_ends_its_trainings(desk: Path) -> None:
    endless = ("--student.train.epochs=100000", "--jobs", "2", "--out", "endless")
    command = [sys.executable, "-m", "rankdistill", *SWEEP, *endless]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    while not list((desk / "endless").glob("students/*/log.txt")):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=240)  # its trainings would take far longer
    assert process.returncode == 130
    assert "Traceback" not in said


def test_other_values_keep_what_is_done_and_a_dry_run_says_what_is_missing(
    desk: Path, cli: Command, finished_sweep: Path, finished_run: Path
) -> None:
    shutil.copytree(finished_sweep, desk / "more")
    before = written(desk / "more")
    experiment = finished_run.parent / "e.toml"  # names the log that the sweep is of
    more = ("sweep", experiment, "--student.dim", "3,4", "--distillation.alpha", "0.5,1", "--out", "more")
    more += ("--set", "evaluate.bootstrap_samples=9")
    rows = json.loads(cli.done(*more, "--dry-run", "--json").out)
    assert {row["name"].split("-seed")[0]: row["done"] for row in rows} == {
        "teacher": True,
        "caser-3-plain": True,
        "caser-3-ranking_distillation": True,
        "caser-4-plain": False,
        "caser-4-ranking_distillation": False,
    }
    assert all((row["seconds"] > 0) != row["done"] for row in rows)
    assert written(desk / "more") == before
    cli.done(*more)
    after = written(desk / "more")
    assert {name: after[name] for name in before} == before
    assert len(after) == len(before) + 3


def test_a_dry_run_writes_nothing(desk: Path, cli: Command) -> None:
    before = sorted(desk.iterdir())
    assert "in all about " in cli.done(*SWEEP, "--dry-run").out
    assert sorted(desk.iterdir()) == before


def test_a_dry_run_refuses_what_the_sweep_itself_would(cli: Command, done: Path) -> None:
    pl.read_parquet(done / "labels.parquet").drop("score").write_parquet("lists.parquet")
    for options, line in (
        (("--teacher", "lists.parquet", "--distillation.kind=cd", "--set", "distillation.k=5"), "no column 'score'"),
        (("--teacher", "lists.parquet", "--set", "distillation.k=29"), "lists are shorter than k = 29"),
        (("--teacher", "done/teacher", "--set", "split.train_on_validation=false"), "trained on other data"),
    ):
        said = [cli.refusal(*SWEEP, *options, "--out", "s", *dry) for dry in ((), ("--dry-run",))]
        assert line in said[0]
        assert said[0] == said[1]
    assert not Path("s").exists()


def test_popular_and_unpopular_items_are_told_apart_for_each_student(finished_sweep: Path) -> None:
    _, *rows = json.loads((finished_sweep / "sweep.json").read_text())["rows"]
    plain: dict[str, Any] = {}
    for row in rows:
        card = json.loads((finished_sweep / row["folders"][0] / "model.json").read_text())
        assert row["halves"] == {half: known["metrics"] for half, known in card["halves"].items()}
        if row["role"] == "student":
            plain = row["halves"]
            continue
        for half in ("head", "tail"):
            added = row["against"]["plain"][f"{half}/ndcg@10"]["difference"]
            assert added == pytest.approx(row["halves"][half]["ndcg@10"] - plain[half]["ndcg@10"], abs=1e-12)
    assert "## Popular and unpopular items" in (finished_sweep / "sweep.md").read_text()


def test_a_teacher_that_is_solved_is_not_timed(desk: Path, cli: Command) -> None:
    lines = cli.done(*SWEEP, "--set", "teacher={kind='ease'}", "--dry-run").out.splitlines()
    assert [line.split()[2:] for line in lines if line.split()[:1] == ["teacher"]] == [["solved,", "not", "timed"]]


def test_seeds_validation_lists_from_elsewhere_and_a_failure_are_reported(desk: Path, cli: Command) -> None:
    validated = ("--seeds", "1,2", "--set", "split.train_on_validation=false", "--json")
    rows = json.loads(cli.done("sweep", "e.toml", *validated, "--out", "v").out)
    assert json.loads(Path("v/sweep.json").read_text())["quality"]["part"] == "validation"
    assert [row["seeds"] for row in rows[1:]] == [[1, 2], [1, 2]]
    for row in rows:
        assert set(row["validation"]) == set(row["metrics"])
    for row in rows[1:]:
        low, high = row["spread"]["map"]
        assert low < row["metrics"]["map"] < high
    rates = ("--train.learning_rate", "1e-3,1e38", "--teacher", desk / "v" / "labels-targets.parquet")
    lists, *students = json.loads(cli.done("sweep", "e.toml", *rates, *validated, "--out", "s").out)
    assert (lists["role"], lists["bytes"]) == ("teacher", None)
    assert [row["metrics"] for row in students[:2]] == [row["metrics"] for row in rows[1:]]
    assert [list(row["failed"]) for row in students] == [[], [], ["1", "2"], ["1", "2"]]
    assert (
        "- left out: learning rate 1e+38, plain, seed 1: the model gives scores that are not finite"
        in Path("s/sweep.md").read_text()
    )
    assert "all 8 students are trained already" in cli.done("sweep", "--resume", "--out", "s").err
