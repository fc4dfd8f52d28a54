"""A run into a folder that has an earlier one: what is skipped, and what must not be."""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import rankdistill as rd
from rankdistill import measuring, plugins, single, workflow
from rankdistill.config import Experiment, parse
from rankdistill.data.storage import write_split
from rankdistill.errors import ConfigError, EvaluationError, StorageError
from rankdistill.files import replacing
from rankdistill.folders import begun
from rankdistill.model_folder import load_model
from rankdistill.pipeline import label, prepare
from rankdistill.rankings import Rankings
from rankdistill.workflow import run

CASER = {"kind": "caser", "dim": 4, "horizontal_filters": 2}


def experiment(folder: Path, **changes: Any) -> Experiment:
    sections: dict[str, Any] = {
        "data": {"kind": "parquet", "path": str(folder / "log" / "*.parquet"), "min_item_interactions": 1},
        "split": {"train_on_validation": False},
        "teacher": CASER,
        "student": {**CASER, "dim": 2},
        "distillation": {"k": 3, "warmup_epochs": 0},
        "train": {"epochs": 2, "learning_rate": 0.01},
        "evaluate": {"metrics": ["ndcg@10", "map"], "bootstrap_samples": 10},
    }
    for key, value in changes.items():
        sections[key] = value if "kind" in value or "rankings" in value else {**sections.get(key, {}), **value}
    return parse(sections, "test")


def log(folder: Path, seed: int, users: range) -> None:
    events = rd.read("synthetic", users=len(users), items=30, length=12, seed=seed)
    frame = pl.DataFrame({"user": events.users + users.start, "item": events.items, "time": range(len(events))})
    (folder / "log").mkdir(exist_ok=True)
    frame.write_parquet(folder / "log" / f"{users.start}.parquet")


def figures(folder: Path) -> dict[str, Any]:
    report = json.loads((folder / "report.json").read_text())
    return {
        "rows": [(row["role"], row["kind"], row["metrics"]) for row in report["rows"]],
        "comparisons": report["comparisons"],
    }


CHANGES: dict[str, dict[str, Any]] = {
    "the split's fractions": {"split": {"fractions": [0.7, 0.2, 0.1]}},
    "the history length": {"windows": {"history_length": 3}},
    "the target length": {"windows": {"target_length": 2}},
    "the least history": {"windows": {"min_history": 1}},
    "the share of the queries": {"windows": {"query_share": 0.5}},
    "the teacher's kind": {"teacher": {"kind": "popularity"}},
    "what the lists leave out": {"distillation": {"exclude": "seen"}},
    "seen items in the test": {"evaluate": {"exclude_seen": False}},
    "the epochs": {"train": {"epochs": 3}},
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_run_in_an_old_folder_gives_what_a_new_folder_gives(tmp_path: Path, change: str) -> None:
    log(tmp_path, 0, range(0, 30))
    run(experiment(tmp_path), tmp_path / "old")
    before = figures(tmp_path / "old")
    run(experiment(tmp_path, **CHANGES[change]), tmp_path / "old")
    run(experiment(tmp_path, **CHANGES[change]), tmp_path / "new")
    assert figures(tmp_path / "old") == figures(tmp_path / "new") != before


def labelled(run_folder: Path, experiment: Experiment) -> Rankings:
    split = prepare(experiment)
    return Rankings.read(run_folder / "labels.parquet", split.item_ids, split.user_ids)


def test_with_a_share_of_the_queries_these_alone_are_labelled_and_learned(tmp_path: Path) -> None:
    log(tmp_path, 0, range(0, 30))
    whole, part = experiment(tmp_path), experiment(tmp_path, windows={"query_share": 0.3})
    windows = prepare(part).windows
    assert windows.ids.tolist() == prepare(whole).windows.part(0.3).ids.tolist()
    assert len(windows) < len(prepare(whole).windows)
    run(part, tmp_path / "run")
    assert labelled(tmp_path / "run", part).query_ids.tolist() == windows.ids.tolist()
    about = json.loads((tmp_path / "run" / "data.json").read_text())
    assert about["training_queries"] == len(windows)
    assert about["train"] == len(prepare(whole).train.items)


@pytest.mark.parametrize("resume", [False, True])
def test_another_share_of_the_queries_makes_all_models_and_labels_again(tmp_path: Path, resume: bool) -> None:
    log(tmp_path, 0, range(0, 30))
    run(experiment(tmp_path), tmp_path / "run")
    changed = experiment(tmp_path, windows={"query_share": 0.4})
    run(changed, tmp_path / "run", resume=resume)
    run(changed, tmp_path / "new")
    assert json.loads((tmp_path / "run" / "run.json").read_text())["skipped"] == []
    assert figures(tmp_path / "run") == figures(tmp_path / "new")
    assert labelled(tmp_path / "run", changed).items.tolist() == labelled(tmp_path / "new", changed).items.tolist()


@pytest.mark.parametrize("kind", ["popularity", "item_knn", "ease"])
def test_a_student_that_learns_nothing_by_gradient_is_refused_before_anything_is_read(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workflow, "prepare", lambda experiment: pytest.fail("the data was read"))
    able = [kind for kind in plugins.kinds("models") if plugins.find("models", kind).learns]
    assert "caser" in able
    with pytest.raises(ConfigError) as caught:
        run(experiment(tmp_path, student={"kind": kind}), tmp_path / "run")
    assert str(caught.value) == (
        f"[student] kind = '{kind}' learns nothing by gradient, so nothing can be distilled into it; "
        f"take one of {', '.join(able)}"
    )
    assert not (tmp_path / "run" / "config.toml").exists()


@pytest.mark.parametrize("kind", ["fossil", "matrix_factorization", "lightgcn", "item_knn", "ease", "popularity"])
def test_every_model_can_be_the_teacher_of_a_run(tmp_path: Path, kind: str) -> None:
    log(tmp_path, 0, range(0, 30))
    run(experiment(tmp_path, teacher={"kind": kind}, student={"kind": "fossil", "dim": 2}), tmp_path / "run")
    kinds = {role: kind for role, kind, _ in figures(tmp_path / "run")["rows"]}
    assert kinds == {"teacher": kind, "student": "fossil", "distilled": "fossil"}


def test_new_files_of_a_pattern_are_noticed(tmp_path: Path) -> None:
    log(tmp_path, 0, range(0, 30))
    run(experiment(tmp_path), tmp_path / "run")
    log(tmp_path, 1, range(100, 120))
    run(experiment(tmp_path), tmp_path / "run")
    assert json.loads((tmp_path / "run" / "report.json").read_text())["data"]["users"] == 50


def test_an_unchanged_run_does_nothing_again_and_keeps_its_figures(tmp_path: Path) -> None:
    log(tmp_path, 0, range(0, 30))
    run(experiment(tmp_path), tmp_path / "run")
    before = figures(tmp_path / "run")
    written = (tmp_path / "run" / "distilled" / "model.safetensors").stat().st_mtime_ns
    run(experiment(tmp_path, train={"threads": 2, "device": "cpu"}), tmp_path / "run")  # which change no figure
    assert (tmp_path / "run" / "distilled" / "model.safetensors").stat().st_mtime_ns == written
    assert figures(tmp_path / "run") == before
    assert len(json.loads((tmp_path / "run" / "run.json").read_text())["skipped"]) == 8


def test_a_teacher_of_lists_takes_the_place_of_a_model_and_gives_it_back(tmp_path: Path) -> None:
    log(tmp_path, 0, range(0, 30))
    run(experiment(tmp_path), tmp_path / "run")
    before = figures(tmp_path / "run")
    lists = tmp_path / "lists.parquet"
    (tmp_path / "run" / "labels.parquet").rename(lists)
    run(experiment(tmp_path, teacher={"rankings": str(lists)}), tmp_path / "run")
    rows = {role: (kind, metrics) for role, kind, metrics in figures(tmp_path / "run")["rows"]}
    assert rows["teacher"] == ("lists", {})
    assert rows["distilled"] == {role: (kind, metrics) for role, kind, metrics in before["rows"]}["distilled"]
    assert {row["b"] for row in figures(tmp_path / "run")["comparisons"]} == {"student"}
    run(experiment(tmp_path), tmp_path / "run")
    assert figures(tmp_path / "run") == before


REFUSED: dict[str, dict[str, Any]] = {
    "the teacher's lists for the test users lack one": {"teacher": {"test_rankings": "few.parquet"}},
    "the teacher's lists lack queries": {"teacher": {"rankings": "few.parquet"}},
    "longer lists than there are items": {"distillation": {"k": 40}, "windows": {"target_length": 2}},
    "a method that asks the teacher itself": {
        "distillation": {"kind": "cross_entropy"},
        "windows": {"target_length": 2},
    },
}


@pytest.mark.parametrize("change", REFUSED)
def test_a_refused_run_changes_nothing_in_a_finished_folder_and_leaves_no_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    log(tmp_path, 0, range(0, 30))
    monkeypatch.chdir(tmp_path)
    run(experiment(tmp_path), tmp_path / "model")
    for name, source in (("lists", "labels"), ("test", "student/rankings")):
        pl.read_parquet(tmp_path / "model" / f"{source}.parquet").write_parquet(f"{name}.parquet")
    pl.read_parquet("test.parquet").head(60).write_parquet("few.parquet")
    teacher = {"rankings": "lists.parquet", "test_rankings": "test.parquet"}
    run(experiment(tmp_path, teacher=teacher), tmp_path / "run")
    before = snapshot(tmp_path / "run")
    changes = REFUSED[change]
    refused = experiment(tmp_path, **{**changes, "teacher": {**teacher, **changes.get("teacher", {})}})
    for out in ("run", "new"):
        with pytest.raises(rd.RankDistillError):
            run(refused, tmp_path / out)
    assert snapshot(tmp_path / "run") == before
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "teacher",
    [
        {"rankings": "run/labels.parquet"},
        {"rankings": "run/student"},
        {"rankings": "own.parquet", "test_rankings": "run/teacher/rankings.parquet"},
        {"rankings": "run/teacher", "easier": ["run/labels*.parquet"]},
        {"rankings": "link/labels.parquet"},
    ],
)
def test_a_run_replaces_nothing_that_it_is_told_to_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, teacher: dict[str, Any]
) -> None:
    log(tmp_path, 0, range(0, 30))
    monkeypatch.chdir(tmp_path)
    run(experiment(tmp_path), Path("run"))
    Path("own.parquet").write_bytes(Path("run/labels.parquet").read_bytes())
    Path("link").symlink_to("run")
    before = snapshot(tmp_path / "run")
    with pytest.raises(ConfigError, match=r"^--out run: work there replaces .*, which is read; copy that first, or"):
        run(experiment(tmp_path, teacher=teacher), Path("run"))
    assert snapshot(tmp_path / "run") == before


def test_a_run_may_read_its_own_teacher_and_lists_that_lie_beside_what_it_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log(tmp_path, 0, range(0, 30))
    monkeypatch.chdir(tmp_path)
    run(experiment(tmp_path), Path("run"))
    before, figure = snapshot(Path("run/teacher")), figures(Path("run"))
    run(experiment(tmp_path, teacher={"rankings": "run/teacher"}), Path("run"))
    after = snapshot(Path("run/teacher"))
    assert {path for path in before if after.get(path) != before[path]} <= {Path("run/teacher/model.json")}
    assert figures(Path("run")) == figure
    Path("run/labels.parquet").rename("run/own.parquet")
    run(experiment(tmp_path, teacher={"rankings": "run/own.parquet"}), Path("run"))
    assert Path("run/own.parquet").is_file()


def snapshot(folder: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize(
    "file",
    [
        "data/split.safetensors",
        "labels.parquet",
        "teacher/model.safetensors",
        "teacher/model.json",
        "student/evaluation.parquet",
        "stages.json",
    ],
)
@pytest.mark.parametrize("resume", [False, True])
def test_a_damaged_result_is_made_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, file: str, resume: bool
) -> None:
    log(tmp_path, 0, range(0, 30))
    run(experiment(tmp_path), tmp_path / "run")
    before = figures(tmp_path / "run")
    path = tmp_path / "run" / file
    path.write_bytes(b"[1]" if file == "stages.json" else path.read_bytes()[:-20])
    run(experiment(tmp_path), tmp_path / "run", resume=resume)
    assert figures(tmp_path / "run") == before
    assert file == "stages.json" or "made again" in caplog.text


def other_teacher(folder: Path) -> None:
    other = experiment(folder, teacher={**CASER, "dim": 3})
    single.train(other, "teacher", prepare(other), folder / "run" / "teacher", resume=False)


def other_data(folder: Path) -> None:
    other = experiment(folder, data={"min_user_interactions": 12}, split={"fractions": [0.6, 0.2, 0.2]})
    write_split(prepare(other), folder / "run" / "data")


def other_lists(folder: Path) -> None:
    split = prepare(experiment(folder))
    lists = label(load_model(folder / "run" / "student")[0], split, k=4, exclude="seen")
    lists.write(folder / "run" / "labels.parquet", split.user_ids, split.item_ids, positions=True)


def other_figures(folder: Path) -> None:
    path = folder / "run" / "student" / "evaluation.parquet"
    pl.read_parquet(path).with_columns(map=0.5).write_parquet(path)


@pytest.mark.parametrize(
    ("stage", "file", "write"),
    [
        ("teacher", "teacher/model.json", other_teacher),
        ("data", "data/activity.parquet", other_data),
        ("labels", "labels.parquet", other_lists),
        ("student evaluation", "student/evaluation.parquet", other_figures),
    ],
)
def test_what_something_else_was_written_over_is_made_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, stage: str, file: str, write: Callable[[Path], None]
) -> None:
    log(tmp_path, 0, range(0, 30))
    out = tmp_path / "run"
    run(experiment(tmp_path), out)
    before, labels = figures(out), (out / "labels.parquet").read_bytes()
    write(tmp_path)
    caplog.clear()
    run(experiment(tmp_path), out)
    assert f"{stage}: made again: {out / file} is gone or no longer what was written there" in caplog.messages
    assert figures(out) == before
    assert (out / "labels.parquet").read_bytes() == labels
    skipped = json.loads((out / "run.json").read_text())["skipped"]
    assert stage not in skipped
    assert "distilled" in skipped


def test_a_run_that_was_moved_or_measured_again_or_is_of_an_earlier_version_is_up_to_date(tmp_path: Path) -> None:
    log(tmp_path, 0, range(0, 30))
    run(experiment(tmp_path), tmp_path / "run")
    shutil.copytree(tmp_path / "run", tmp_path / "copy", copy_function=shutil.copyfile)  # with other times of change
    split = prepare(experiment(tmp_path))
    for role in ("teacher", "distilled"):
        folder = tmp_path / "copy" / role
        measuring.evaluate_model(folder, load_model(folder)[0], split, experiment(tmp_path).evaluate)
    run(experiment(tmp_path), tmp_path / "copy")
    assert len(json.loads((tmp_path / "copy" / "run.json").read_text())["skipped"]) == 8
    stages = json.loads((tmp_path / "run" / "stages.json").read_text())
    earlier = {stage: known["stamp"] for stage, known in stages.items()}
    (tmp_path / "run" / "stages.json").write_text(json.dumps(earlier))
    run(experiment(tmp_path), tmp_path / "run")
    assert len(json.loads((tmp_path / "run" / "run.json").read_text())["skipped"]) == 8


def test_a_run_where_another_one_is_at_work_is_refused_and_leaves_its_files_in_flight(tmp_path: Path) -> None:
    log(tmp_path, 0, range(0, 30))
    out = tmp_path / "run"
    with begun(out, "run"), replacing(out / "teacher" / "model.json") as in_flight:
        in_flight.write_text("{}")
        with pytest.raises(StorageError, match="another run is at work there; wait for it, or name another --out"):
            run(experiment(tmp_path), out)
    assert (out / "teacher" / "model.json").read_text() == "{}"
    (out / "teacher" / "model.json").unlink()
    run(experiment(tmp_path), out)
    before = snapshot(out)
    run(experiment(tmp_path), out)  # nobody is at work there any more, and nothing is left of it
    assert set(snapshot(out)) == set(before)
    assert not [path for path in before if path.name.startswith(".")]


def test_a_coverage_that_is_deeper_than_the_lists_is_refused_before_training(tmp_path: Path) -> None:
    log(tmp_path, 0, range(0, 30))
    with pytest.raises(
        rd.RankDistillError, match=r"coverage@10 needs lists at least 10 deep; raise \[evaluate\] depth"
    ):
        run(experiment(tmp_path, evaluate={"metrics": ["coverage@10"], "depth": 5}), tmp_path / "run")
    assert not (tmp_path / "run" / "teacher").exists()


@pytest.mark.parametrize(
    ("changes", "section"),
    [
        ({"train": {"validation_metric": "ndgc@10"}}, "train"),
        ({"teacher": {**CASER, "train": {"validation_metric": "ndgc@10"}}}, "teacher.train"),
        ({"student": {**CASER, "train": {"validation_metric": "ndgc@10"}}}, "student.train"),
    ],
)
def test_an_unknown_validation_metric_is_refused_with_the_section_that_names_it(
    tmp_path: Path, changes: dict[str, Any], section: str
) -> None:
    with pytest.raises(EvaluationError, match=re.escape(f"[{section}] validation_metric: metric 'ndgc@10' does not")):
        run(experiment(tmp_path, **changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_share_that_leaves_next_to_nothing_of_the_training_queries_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log(tmp_path, 0, range(0, 30))
    enough, small, train = {"query_share": 0.9}, {"query_share": 1e-9}, {"batch_size": 20}
    run(experiment(tmp_path, windows=enough, distillation={"query_share": 0.05}, train=train), tmp_path / "a")
    assert "query_share" not in caplog.text
    run(experiment(tmp_path, windows=small, distillation=small, train=train), tmp_path / "b")
    few = "[windows] query_share = 1e-09 leaves 1 training query, less than a batch of 20; raise it"
    assert [each for each in caplog.messages if "query_share" in each] == [
        few,
        "distilled: [distillation] query_share = 1e-09 is less than a query of each batch of 20, so that one is "
        "distilled; raise it",
    ]


def test_a_single_training_warns_of_a_small_share_once_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log(tmp_path, 0, range(0, 30))
    several = experiment(tmp_path, windows={"query_share": 1e-9}, teacher={**CASER, "members": 2})
    split = prepare(several)
    single.train(several, "teacher", split, tmp_path / "teacher", resume=False)
    rd.train(rd.Popularity.Config(), split)
    few = "[windows] query_share = 1e-09 leaves 1 training query, less than a batch of 512; raise it"
    assert [each for each in caplog.messages if "query_share" in each] == [few, few]


def test_patience_without_validation_data_is_said_to_have_no_effect(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log(tmp_path, 0, range(0, 30))
    changed = experiment(tmp_path, split={"train_on_validation": True}, train={"patience": 1})
    run(changed, tmp_path / "run")
    assert "patience has no effect without validation data" in caplog.text


def test_a_training_that_is_warm_up_alone_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log(tmp_path, 0, range(0, 30))
    run(experiment(tmp_path, distillation={"warmup_epochs": 2}), tmp_path / "run")
    assert "distilled: all 2 epochs are warm-up (to epoch 2)" in caplog.text


def test_a_model_of_other_data_is_refused_as_a_teacher() -> None:
    splits = [rd.read("synthetic", users=30, items=30, length=12, seed=seed).split() for seed in (0, 1)]
    model = rd.train(rd.Popularity.Config(), splits[0])
    with pytest.raises(rd.RankDistillError, match="was trained on other data"):
        rd.label(model, splits[1], k=3)
    assert len(rd.label(model, splits[0], k=3)) == len(splits[0].windows)


def test_a_run_ends_with_the_warnings_of_its_report(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log(tmp_path, 0, range(0, 30))
    with caplog.at_level(logging.WARNING, "rankdistill"):
        run(experiment(tmp_path, student={"dim": 9}), tmp_path / "run")
    (about,) = json.loads((tmp_path / "run" / "report.json").read_text())["runs"]
    assert [record.getMessage() for record in caplog.records] == about["warnings"]
    assert [warning for warning in about["warnings"] if warning.startswith("The student is larger than its teacher: ")]


def test_what_speaks_against_the_lists_stays_in_the_report(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log(tmp_path, 0, range(0, 30))
    changes = {"ranking_loss": {"kind": "softmax"}, "distillation": {"kind": "cd", "k": 3}}
    for _ in range(2):  # also where all is up to date, and no student learns
        caplog.clear()
        with caplog.at_level(logging.WARNING, "rankdistill"):
            run(experiment(tmp_path, **changes), tmp_path / "run")
        (about,) = json.loads((tmp_path / "run" / "report.json").read_text())["runs"]
        (said,) = [warning for warning in about["warnings"] if "scores that are no log-odds" in warning]
        assert said in caplog.messages
    cards = {
        role: json.loads((tmp_path / "run" / role / "model.json").read_text()) for role in ("student", "distilled")
    }
    assert {role: card["warnings"] for role, card in cards.items()} == {"student": [], "distilled": [said[:-1]]}


def test_a_run_measures_popular_and_unpopular_items_of_all_three_models(tmp_path: Path) -> None:
    log(tmp_path, 0, range(0, 30))
    run(experiment(tmp_path), tmp_path / "run")
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    for row in report["rows"]:
        card = json.loads((tmp_path / "run" / row["role"] / "model.json").read_text())
        for half in ("head", "tail"):
            assert row["halves"][half] == pytest.approx(card["halves"][half]["metrics"])
    compared = {(made["a"], made["b"], made["metric"]) for made in report["comparisons"]}
    assert ("distilled", "student", "tail/ndcg@10") in compared
    assert ("student", "teacher", "head/map") in compared
    (tmp_path / "run" / "student" / "evaluation-halves.parquet").unlink()
    run(experiment(tmp_path), tmp_path / "run")
    skipped = json.loads((tmp_path / "run" / "run.json").read_text())["skipped"]
    assert ("student evaluation" in skipped, "teacher evaluation" in skipped) == (False, True)
