"""Several teachers in one run: who they are, how they become one, and what is done again."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from test_workflow import CASER, experiment, figures, log

import rankdistill as rd
from rankdistill.climbing import read_labels
from rankdistill.config import EnsembleConfig, Experiment, in_place_of_teacher, load, parse, to_toml
from rankdistill.errors import ConfigError, EvaluationError, RankingsError
from rankdistill.members import clear_members, combination_of, members_of
from rankdistill.model_folder import load_model
from rankdistill.pipeline import prepare
from rankdistill.rankings import ANY_POSITION, Rankings
from rankdistill.training import Checkpoint
from rankdistill.variants import Shared, Variant
from rankdistill.workflow import run

MF = {"kind": "matrix_factorization", "dim": 3}


def several(folder: Path, teachers: list[dict[str, Any]], **changes: Any) -> Experiment:
    """The small experiment with `[[teacher]]`."""
    mapping = experiment(folder)
    sections = {
        "data": {"kind": "parquet", "path": str(folder / "log" / "*.parquet"), "min_item_interactions": 1},
        "split": {"train_on_validation": False},
        "teacher": teachers,
        "student": {**CASER, "dim": 2},
        "distillation": {"k": 3, **changes.get("distillation", {"warmup_epochs": 0})},
        "train": {"epochs": 2, "learning_rate": 0.01},
        "evaluate": {"metrics": ["ndcg@10", "map"], "bootstrap_samples": 10},
        "ensemble": changes.get("ensemble", {}),
    }
    assert mapping.seed == 1234
    return parse(sections, "test")


@pytest.fixture
def here(tmp_path: Path) -> Path:
    log(tmp_path, 0, range(0, 30))
    return tmp_path


def card_of(folder: Path) -> dict[str, Any]:
    card: dict[str, Any] = json.loads((folder / "model.json").read_text())
    return card


def skipped(run_folder: Path) -> list[str]:
    stages: list[str] = json.loads((run_folder / "run.json").read_text())["skipped"]
    return stages


def test_members_are_numbered_and_share_the_weight_of_their_table(here: Path) -> None:
    teachers = [{**CASER, "members": 2, "weight": 3.0}, {"kind": "ease"}, {"rankings": "a.parquet", "weight": 0.5}]
    members = members_of(several(here, teachers))
    assert [(each.number, each.weight) for each in members] == [(1, 1.5), (2, 1.5), (3, 1.0), (4, 0.5)]
    assert members[0].seed == 1234
    assert len({each.seed for each in members}) == 4
    assert members_of(experiment(here)) == []
    assert len(members_of(experiment(here, teacher={**CASER, "members": 3}))) == 3


def test_a_teacher_of_weight_0_takes_no_part_and_the_others_stay_who_they_are(
    here: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run(several(here, [CASER, {**MF, "dim": 2}, MF]), here / "run")
    before = members_of(several(here, [CASER, {**MF, "dim": 2}, MF]))
    unfit = {"kind": "fossil", "weight": 0.0, "members": 1, "train": {"validation_metric": "coverage@10"}}
    nowhere = {"rankings": str(here / "nowhere.parquet"), "weight": 0.0}
    for left_out, name in ((unfit, "fossil"), (nowhere, "nowhere.parquet")):
        made = several(here, [CASER, left_out, MF])
        assert [(each.number, each.seed) for each in members_of(made)] == [
            (each.number, each.seed) for each in before[::2]
        ]
        caplog.clear()
        with caplog.at_level("INFO", "rankdistill"):
            run(made, here / "run")
            run(made, here / "new")
        assert caplog.messages.count(f"left out for a weight of 0: member 2 ({name})") == 2
        assert {"member 1", "member 3"} <= set(skipped(here / "run"))
        assert figures(here / "run") == figures(here / "new")
        assert not (here / "new" / "teacher" / "members" / "2").exists()
        card = card_of(here / "new" / "teacher")
        assert (card["combine"], [each["number"] for each in card["members"]]) == ("log_sigmoid", [1, 3])
        assert card["parameters"] == sum(each["parameters"] for each in card["members"])


def test_of_two_teachers_one_of_weight_0_leaves_what_the_other_is(here: Path) -> None:
    run(several(here, [CASER, {**MF, "weight": 0.0}], distillation={"kind": "hetcomp", "k": 3}), here / "run")
    split, teacher = prepare(experiment(here)), here / "run" / "teacher"
    found, wanted = (load_model(folder)[0] for folder in (teacher, teacher / "members" / "1"))
    assert rd.label(found, split, k=3).items.tolist() == rd.label(wanted, split, k=3).items.tolist()
    assert found.parameters_count == wanted.parameters_count
    assert [path.name for path in sorted((here / "run").glob("labels-member-*"))] == ["labels-member-1.parquet"]


@pytest.mark.parametrize(
    ("teachers", "loss", "combine"),
    [
        ([CASER, MF], "pointwise", "log_sigmoid"),
        ([CASER, MF], "softmax", "log_softmax"),
        ([CASER, {**MF, "ranking_loss": {"kind": "pointwise"}}], "softmax", "z_score"),
        ([CASER, {**MF, "ranking_loss": {"kind": "gbce"}}], "pointwise", "log_sigmoid"),
        ([CASER, MF], "pairwise", "z_score"),
        ([CASER, {**MF, "ranking_loss": {"kind": "pairwise"}}], "pointwise", "z_score"),
        ([CASER, {"kind": "ease"}], "pointwise", "ranks"),
        ([CASER, {"kind": "fossil"}], "pointwise", "ranks"),
        ([CASER, {"rankings": "a.parquet"}], "pointwise", "ranks"),
    ],
)
def test_how_they_are_combined_follows_from_what_they_are(
    here: Path, teachers: list[dict[str, Any]], loss: str, combine: str
) -> None:
    made = several(here, teachers).model_copy(update={"ranking_loss": parse_loss(loss)})
    assert combination_of(made, members_of(made)) == combine


def parse_loss(kind: str) -> Any:
    return {"pointwise": rd.Pointwise, "pairwise": rd.Pairwise, "softmax": rd.Softmax}[kind].Config()


@pytest.mark.parametrize(
    ("teachers", "changes", "line"),
    [
        (
            [CASER, {"kind": "fossil"}],
            {"ensemble": {"combine": "z_score"}},
            "[ensemble] combine = 'z_score': member 2 (fossil) has no scores that could be added to those of the "
            "others; take 'ranks' or 'scores', which add up lists",
        ),
        (
            [CASER, {"rankings": "a.parquet"}],
            {"ensemble": {"combine": "log_sigmoid"}},
            "[ensemble] combine = 'log_sigmoid': member 2 (a.parquet) has no scores that could be added to those of "
            "the others; take 'ranks' or 'scores', which add up lists",
        ),
        (
            [CASER, {"kind": "fossil"}],
            {"distillation": {"kind": "cross_entropy"}},
            "[distillation] kind = 'cross_entropy' asks the teacher itself while the student learns, and [[teacher]] "
            "are combined by their lists ([ensemble] combine = 'ranks'); take another method, or models that can be "
            "combined by their scores",
        ),
        (
            [CASER, {"kind": "fossil"}],
            {"distillation": {"kind": "cd"}},
            "[distillation] kind = 'cd' learns from the teacher's scores, and [[teacher]] are combined by their ranks "
            "([ensemble] combine = 'ranks'), which are none; take combine = 'scores', where all of them have scores, "
            "or a method that needs lists alone (dcd, list_softmax, ranking_distillation, rrd, unkd)",
        ),
        (
            [{"rankings": "a.parquet"}, {"rankings": "b.parquet"}],
            {"distillation": {"kind": "rankdistil"}},
            "[distillation] kind = 'rankdistil' learns from the teacher's scores, and [[teacher]] are combined by "
            "their ranks ([ensemble] combine = 'ranks'), which are none; take combine = 'scores', where all of them "
            "have scores, or a method that needs lists alone (dcd, list_softmax, ranking_distillation, rrd, unkd)",
        ),
        (
            [CASER, {"rankings": "a.parquet", "on_missing": "skip"}],
            {},
            "[[teacher]] on_missing = 'skip': member 2 (a.parquet) is one of several teachers, each of which has to "
            "have a list for every training query; `rankdistill fuse` their lists and name that file as [teacher]",
        ),
        (
            [{**CASER, "weight": 0.0}, {**MF, "weight": 0.0}],
            {},
            "[[teacher]] weight: is 0 for all of them; give one of them a weight above 0",
        ),
    ],
)
def test_what_cannot_be_one_teacher_is_refused_before_anything_is_trained(
    here: Path, teachers: list[dict[str, Any]], changes: dict[str, Any], line: str
) -> None:
    if "distillation" in changes:
        method = parse({**minimal(), **changes}, "test").distillation
        made = several(here, teachers).model_copy(update={"distillation": method})
    else:
        made = several(here, teachers, **changes)
    with pytest.raises(ConfigError) as caught:
        run(made, here / "run")
    assert str(caught.value) == line
    assert not (here / "run" / "teacher").exists()


def test_the_validation_metric_of_one_of_several_is_refused_with_its_number(here: Path) -> None:
    made = several(here, [CASER, {**MF, "train": {"validation_metric": "coverage@10"}}])
    line = r"^\[teacher\.2\.train\] validation_metric: coverage@10 is no value of a user; take one such as 'ndcg@10'$"
    with pytest.raises(EvaluationError, match=line):
        run(made, here / "run")
    assert not (here / "run").exists()


def minimal() -> dict[str, Any]:
    return {"data": {"kind": "synthetic"}, "teacher": CASER, "student": CASER}


def test_a_model_that_is_solved_has_taken_time_too(here: Path) -> None:
    run(several(here, [CASER, {"kind": "ease"}], ensemble={"combine": "z_score"}), here / "run")
    ease = card_of(here / "run" / "teacher" / "members" / "2")
    assert ease["epochs"] == 0
    assert ease["train_seconds"] > 0
    assert card_of(here / "run" / "teacher")["train_seconds"] >= ease["train_seconds"]


def test_two_models_are_one_teacher_folder_that_answers_as_their_ensemble(here: Path) -> None:
    made = several(here, [{**CASER, "weight": 2.0}, MF])
    run(made, here / "run")
    split, teacher = prepare(made), here / "run" / "teacher"
    ensemble, card = load_model(teacher)
    members = [load_model(teacher / "members" / str(number))[0] for number in (1, 2)]
    for each in members:
        each.fingerprint = split.fingerprint
    wanted = rd.recommend(rd.Ensemble.of(members, [2.0, 1.0]), split.test_queries, 5)
    found = rd.recommend(ensemble, split.test_queries, 5)
    np.testing.assert_array_equal(found.items, wanted.items)
    np.testing.assert_array_equal(found.scores, wanted.scores)
    assert card["parameters"] == sum(each.parameters_count for each in members)
    assert card["bytes"] == (teacher / "model.safetensors").stat().st_size
    assert card["latency_ms"]["p50"] > 0
    assert [(each["kind"], each["weight"]) for each in card["members"]] == [
        ("caser", 2.0),
        ("matrix_factorization", 1.0),
    ]
    assert card["train_seconds"] == pytest.approx(sum(each["train_seconds"] for each in card["members"]), abs=0.002)
    labels = Rankings.read(here / "run" / "labels.parquet", split.item_ids, split.user_ids)
    again = rd.label(ensemble, split, k=3)
    np.testing.assert_array_equal(labels.items, again.items)
    row = json.loads((here / "run" / "report.json").read_text())["rows"][0]
    assert (row["role"], row["kind"], len(row["members"])) == ("teacher", "ensemble", 2)


def test_the_first_of_several_seeds_is_the_single_teacher(here: Path) -> None:
    run(experiment(here), here / "one")
    run(experiment(here, teacher={**CASER, "members": 3}), here / "three")
    weights = [
        (here / folder / "model.safetensors").read_bytes()
        for folder in ("one/teacher", "three/teacher/members/1", "three/teacher/members/2", "three/teacher/members/3")
    ]
    assert weights[0] == weights[1]
    assert len(set(weights)) == 3


def test_a_member_that_did_not_change_is_not_trained_again(here: Path) -> None:
    teachers = [CASER, MF]
    run(several(here, teachers), here / "run")
    run(several(here, teachers), here / "run")
    assert {"member 1", "member 2", "teacher", "labels", "distilled"} <= set(skipped(here / "run"))
    changed = several(here, [CASER, {**MF, "dim": 4}])
    run(changed, here / "run")
    assert "member 1" in skipped(here / "run")
    assert not {"member 2", "teacher", "labels", "distilled"} & set(skipped(here / "run"))
    run(changed, here / "new")
    assert figures(here / "run") == figures(here / "new")


def test_from_several_to_one_and_back_gives_what_new_folders_give(here: Path) -> None:
    one, two = experiment(here), several(here, [CASER, MF])
    lists = several(here, [CASER, {"kind": "fossil", "dim": 2}])
    run(one, here / "one")
    run(two, here / "two")
    run(lists, here / "lists")
    for made, wanted in ((two, "two"), (lists, "lists"), (one, "one"), (two, "two")):
        run(made, here / "run")
        assert figures(here / "run") == figures(here / wanted)


ONE: dict[str, dict[str, Any]] = {
    "a model": {"teacher": CASER},
    "a file of lists": {"teacher": {"rankings": "lists.parquet"}},
    "another model": {"teacher": {"rankings": "two/student"}},
}


@pytest.mark.parametrize("change", ONE)
@pytest.mark.parametrize("resume", [False, True])
def test_what_belongs_to_a_former_teacher_of_several_goes_and_what_a_user_put_there_stays(
    here: Path, monkeypatch: pytest.MonkeyPatch, change: str, resume: bool
) -> None:
    monkeypatch.chdir(here)
    kept = {"train": {"epochs": 2, "checkpoints": 1}}
    run(several(here, [{**CASER, **kept}, {**MF, **kept}]), here / "two")
    (here / "lists.parquet").write_bytes((here / "two" / "labels.parquet").read_bytes())
    theirs = [
        here / "run" / "teacher" / "members" / name for name in ("notes.txt", "own/model.json", "2/labels.parquet")
    ]
    shutil.copytree(here / "two", here / "run")
    run(experiment(here, **ONE[change]), here / "run", resume=resume)
    assert not (here / "run" / "teacher" / "members").exists()
    shutil.rmtree(here / "run")
    shutil.copytree(here / "two", here / "run")
    for path in theirs:
        path.parent.mkdir(exist_ok=True)
        path.write_text("{}")
    run(experiment(here, **ONE[change]), here / "run", resume=resume)
    assert sorted(snapshot(here / "run" / "teacher" / "members")) == sorted(theirs)


def test_members_that_are_named_no_longer_go_and_those_of_weight_0_stay(here: Path) -> None:
    three, members = several(here, [CASER, MF, {**MF, "dim": 2}]), here / "run" / "teacher" / "members"
    run(three, here / "run")
    run(several(here, [{**CASER, "weight": 0.0}, MF]), here / "run")
    assert sorted(path.name for path in members.iterdir()) == ["1", "2"]
    run(three, here / "run")
    assert {"member 1", "member 2"} <= set(skipped(here / "run"))
    assert "member 3" not in skipped(here / "run")
    run(several(here, [CASER, MF, {**MF, "dim": 2, "weight": 0.0}]), here / "run")
    run(several(here, [CASER, MF]), here / "run")
    assert "teacher" in skipped(here / "run")
    assert sorted(path.name for path in members.iterdir()) == ["1", "2"]


def test_a_teacher_that_is_read_from_its_own_place_keeps_its_members(here: Path) -> None:
    run(several(here, [CASER, MF]), here / "run")
    before = snapshot(here / "run" / "teacher" / "members")
    run(experiment(here, teacher={"rankings": str(here / "run" / "teacher")}), here / "run", resume=True)
    assert snapshot(here / "run" / "teacher" / "members") == before


def test_what_a_link_leads_to_stays_where_former_members_go(here: Path) -> None:
    teacher, elsewhere = here / "teacher", here / "elsewhere"
    for folder in (teacher / "members" / "3" / "epochs", elsewhere):
        folder.mkdir(parents=True)
        (folder.parent / "model.json").write_text("{}")
        (folder / "model.json").write_text("{}")
    (teacher / "members" / "9").symlink_to(elsewhere)
    (teacher / "members" / "3" / "epochs" / "2").symlink_to(elsewhere)
    clear_members(several(here, [CASER, MF]), teacher)
    assert not (teacher / "members" / "3" / "model.json").exists()
    assert (elsewhere / "model.json").exists()


def test_models_that_have_no_scores_in_common_are_fused_by_their_lists(here: Path) -> None:
    made = several(
        here, [{**CASER, "weight": 3.0}, {"kind": "fossil", "dim": 2}], ensemble={"depth": 6, "least_shared": 1.0}
    )
    run(made, here / "run")
    split, teacher = prepare(made), here / "run" / "teacher"
    lists = [rd.label(load_model(teacher / "members" / str(number))[0], split, k=6) for number in (1, 2)]
    with pytest.raises(RankingsError, match="are they of the same catalogue"):  # which is asked of files alone
        rd.fuse(lists, least_shared=1.0)
    wanted = rd.fuse(lists, weights=[3.0, 1.0], k=6)
    found = Rankings.read(here / "run" / "labels.parquet", split.item_ids, split.user_ids)
    np.testing.assert_array_equal(found.items, wanted.items)
    card = card_of(teacher)
    assert (card["kind"], card["combine"]) == ("fusion", "ranks")
    assert card["parameters"] == sum(each["parameters"] for each in card["members"])
    assert 0 < card["metrics"]["ndcg@10"] < 1
    assert not (teacher / "model.safetensors").exists()
    rows = json.loads((here / "run" / "report.json").read_text())["rows"]
    assert [row["role"] for row in rows] == ["teacher", "student", "distilled"]


@pytest.fixture
def files(here: Path) -> Path:
    """Lists of two teachers for the training queries, and for the test users."""
    split = prepare(experiment(here))
    for number, config in enumerate((rd.Popularity.Config(), rd.ItemKNN.Config()), start=1):
        model = rd.train(config, split)
        rd.label(model, split, k=8).write(here / f"{number}.parquet", split.user_ids, split.item_ids, positions=True)
        rd.recommend(model, split.test_queries, 20).write(
            here / f"test-{number}.parquet", split.user_ids, split.item_ids
        )
    return here


def test_files_of_lists_are_fused_with_their_weights(files: Path) -> None:
    tables = [{"rankings": str(files / f"{number}.parquet"), "weight": float(number)} for number in (1, 2)]
    for by in ("ranks", "scores"):
        made = several(files, tables, ensemble={"combine": by})
        run(made, files / by)
        split = prepare(made)
        given = [Rankings.read(files / f"{number}.parquet", split.item_ids, split.user_ids) for number in (1, 2)]
        found = Rankings.read(files / by / "labels.parquet", split.item_ids, split.user_ids)
        wanted = rd.fuse(given, weights=[1.0, 2.0], by="ranks" if by == "ranks" else "scores", k=50)
        np.testing.assert_array_equal(found.items, wanted.items)
    run(made, files / by)  # of lists that were read, not made
    assert "distilled" in skipped(files / by)
    assert not (files / "ranks" / "teacher" / "evaluation.parquet").exists()
    tables = [{**table, "test_rankings": str(files / f"test-{n}.parquet")} for n, table in enumerate(tables, start=1)]
    run(several(files, tables), files / "ranks")
    assert "labels" not in skipped(files / "ranks")
    assert card_of(files / "ranks" / "teacher")["metrics"]["ndcg@10"] > 0


def test_a_file_is_read_once_however_often_it_is_checked(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths, found, read = [files / "1.parquet", files / "2.parquet"], [], Rankings.read

    def noted(path: Path, *ids: Any, **more: Any) -> Rankings:
        found.append(path)
        return read(path, *ids, **more)

    monkeypatch.setattr(Rankings, "read", noted)
    run(several(files, [{"rankings": str(path)} for path in paths]), files / "run")
    assert [path for path in found if path in paths] == paths


def test_a_run_of_short_lists_that_was_killed_goes_on(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = several(files, [{"rankings": str(files / f"{number}.parquet")} for number in (1, 2)])
    run(made, files / "whole")
    save = Checkpoint.save

    def killed(self: Checkpoint, *state: Any) -> None:
        save(self, *state)
        if self.path.parent.name == "distilled":
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Checkpoint, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            run(made, files / "run")
    run(made, files / "run", resume=True)
    assert figures(files / "run") == figures(files / "whole")


def test_a_model_and_a_file_of_lists_are_one_teacher_and_a_changed_file_is_noticed(files: Path) -> None:
    made = several(files, [CASER, {"rankings": str(files / "1.parquet")}])
    run(made, files / "run")
    before = (files / "run" / "distilled" / "model.safetensors").read_bytes()
    run(made, files / "run")
    assert "distilled" in skipped(files / "run")
    (files / "2.parquet").replace(files / "1.parquet")
    run(made, files / "run")
    assert "member 1" in skipped(files / "run")
    assert (files / "run" / "distilled" / "model.safetensors").read_bytes() != before


def test_a_file_that_lacks_queries_is_refused_before_anything_is_trained(files: Path) -> None:
    pl.read_parquet(files / "1.parquet").filter(pl.col("position") != 5).write_parquet(files / "1.parquet")
    with pytest.raises(RankingsError, match=r"1.parquet: no list for "):
        run(several(files, [CASER, {"rankings": str(files / "1.parquet")}]), files / "run")
    assert not (files / "run" / "teacher").exists()


def per_user(path: Path, made: Experiment, depth: int) -> Path:
    """The most popular items for every user, those that she has among them."""
    split = prepare(made)
    popular = np.argsort(-np.bincount(split.train.items), kind="stable")[:depth]
    users = np.arange(split.num_users) << 32 | ANY_POSITION
    items = np.tile(popular.astype(np.int32), (split.num_users, 1))
    Rankings(users, items).write(path, split.user_ids, split.item_ids)
    return path


@pytest.mark.parametrize("others", ["model", "file"])
def test_targets_are_taken_out_of_lists_a_user_before_they_are_added_up(files: Path, others: str) -> None:
    made = several(files, [CASER])
    lists = per_user(files / "users.parquet", made, 20)
    other = CASER if others == "model" else {"rankings": str(files / "1.parquet")}
    made = several(files, [other, {"rankings": str(lists), "weight": 9.0}])
    run(made, files / "run")
    split, labels = prepare(made), files / "run" / "labels.parquet"
    found = Rankings.read(labels, split.item_ids, split.user_ids).for_queries(split.windows.ids)
    targets = split.windows.targets(slice(None))
    given = Rankings.read(lists, split.item_ids, split.user_ids).for_queries(split.windows.ids)
    assert (given.items[:, :, None] == targets[:, None, :]).any()
    assert not (found.items[:, :, None] == targets[:, None, :]).any()
    seen = several(files, [other, {"rankings": str(lists)}], distillation={"exclude": "seen"})
    with pytest.raises(RankingsError, match="lists hold items that the user has already"):
        run(seen, files / "seen")
    assert not (files / "seen").exists()


def test_lists_a_user_are_added_up_so_deep_that_their_targets_can_be_taken_out(files: Path) -> None:
    made = several(files, [CASER])
    tables = [{"rankings": str(per_user(files / f"users-{n}.parquet", made, 20))} for n in (1, 2)]
    run(several(files, tables, distillation={"k": 10}, ensemble={"depth": 10}), files / "run")
    run(several(files, tables[:1], distillation={"k": 10}), files / "one")
    assert figures(files / "run") == figures(files / "one")


def test_lists_that_are_too_short_together_are_refused_before_a_student_is_trained(files: Path) -> None:
    made = several(files, [CASER])
    tables = [{"rankings": str(per_user(files / f"users-{n}.parquet", made, 3))} for n in (1, 2)]
    with pytest.raises(RankingsError, match="lists are shorter than k = 3"):
        run(several(files, tables), files / "run")
    assert not (files / "run").exists()


def test_a_refused_run_leaves_a_finished_one_as_it_is(files: Path) -> None:
    given = {"rankings": str(files / "1.parquet"), "test_rankings": str(files / "test-1.parquet")}
    run(several(files, [CASER, given]), files / "run")
    before = snapshot(files / "run")
    with pytest.raises(ConfigError, match="combine = 'z_score'"):
        run(several(files, [CASER, given], ensemble={"combine": "z_score"}), files / "run")
    few = files / "few.parquet"
    pl.read_parquet(files / "test-1.parquet").head(60).write_parquet(few)
    with pytest.raises(RankingsError, match=r"few.parquet: no list for"):
        run(several(files, [CASER, {**given, "test_rankings": str(few)}]), files / "run")
    assert snapshot(files / "run") == before


WITHOUT_SCORES = {"rankings": "bare.parquet"}
UNFIT: dict[str, tuple[list[dict[str, Any]], dict[str, Any], str]] = {
    "no scores to add up": ([WITHOUT_SCORES], {"ensemble": {"combine": "scores"}}, "no column 'score'"),
    "no scores beside a model": ([CASER, WITHOUT_SCORES], {"ensemble": {"combine": "scores"}}, "no column 'score'"),
    "no scores for the test users": (
        [{"rankings": "2.parquet", "test_rankings": "bare-test.parquet"}],
        {"ensemble": {"combine": "scores"}},
        "no column 'score'",
    ),
    "too short together": ([{"rankings": "2.parquet"}], {"distillation": {"k": 18}}, "are shorter than k = 18"),
    "too short to climb": (
        [CASER, {"rankings": "2.parquet"}],
        {"distillation": {"kind": "hetcomp", "k": 9}},
        "are shorter than k = 9",
    ),
}


@pytest.mark.parametrize("case", UNFIT)
def test_lists_that_cannot_be_added_up_are_refused_before_a_finished_folder_is_touched(
    files: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.chdir(files)
    for bare, source in (("bare", "1"), ("bare-test", "test-1")):
        pl.read_parquet(f"{source}.parquet").drop("score").write_parquet(f"{bare}.parquet")
    first = {"rankings": "1.parquet", "test_rankings": "test-1.parquet"}
    run(several(files, [first, {"rankings": "2.parquet"}]), files / "run")
    before = snapshot(files / "run")
    others, changes, line = UNFIT[case]
    refused = several(files, [first, *others], **changes)
    with pytest.raises(RankingsError, match=line):
        run(refused, files / "run")
    with pytest.raises(RankingsError, match=line):
        Shared.make(refused, [Variant(refused, distilled=True)], files / "run")
    assert snapshot(files / "run") == before
    with pytest.raises(RankingsError, match=line):
        run(refused, files / "new")
    assert not (files / "new").exists()


def snapshot(folder: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_a_resolved_experiment_with_several_teachers_is_itself_one(here: Path) -> None:
    import tomllib

    made = several(
        here,
        [{**CASER, "weight": 0.5, "members": 2, "train": {"epochs": 7}}, MF, {"rankings": "/a.parquet", "weight": 2.0}],
        ensemble={"combine": "ranks", "depth": 9},
    )
    assert parse(tomllib.loads(to_toml(made)), "again") == made


@pytest.mark.parametrize(
    ("second", "combine"), [(MF, "log_sigmoid"), ({"rankings": "given.parquet"}, "ranks")], ids=["model", "lists"]
)
def test_a_method_that_climbs_has_the_members_lists_and_at_last_those_of_all(
    here: Path, second: dict[str, Any], combine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(here)
    hetcomp = {"distillation": {"kind": "hetcomp", "k": 3}}
    alone = several(here, [MF], **hetcomp)
    split = prepare(alone)
    given = rd.label(rd.train(rd.Popularity.Config(), split), split, k=3)
    given.write(here / "given.parquet", split.user_ids, split.item_ids, positions=True)
    made = several(here, [CASER, second], **hetcomp)
    run(made, here / "run")
    opened = read_labels(here / "run" / "labels.parquet", split, made)
    assert card_of(here / "run" / "teacher")["combine"] == combine
    first = rd.label(load_model(here / "run" / "teacher" / "members" / "1")[0], split, k=3)
    last = given
    if second is MF:
        last = rd.label(load_model(here / "run" / "teacher" / "members" / "2")[0], split, k=3)
    assert [each.items.tolist() for each in opened.easier] == [first.items.tolist(), last.items.tolist()]
    assert skipped(here / "run") == []
    run(made, here / "run")
    assert "labels-member-1" in skipped(here / "run")
    run(several(here, [CASER, second], distillation={"kind": "rrd", "k": 3}), here / "run")
    assert read_labels(here / "run" / "labels.parquet", split, made).easier == ()


def test_how_several_become_one_is_refused_of_a_single_teacher(here: Path) -> None:
    for teacher in (CASER, {"rankings": "a.parquet"}):
        with pytest.raises(ConfigError, match=r"\[ensemble\]: says how several teachers become one, and there is one"):
            parse({**minimal(), "teacher": teacher, "ensemble": {"combine": "ranks"}}, "test")
    parse({**minimal(), "teacher": {**CASER, "members": 2}, "ensemble": {"combine": "ranks"}}, "test")
    (here / "a.toml").write_text(to_toml(several(here, [CASER, MF], ensemble={"combine": "ranks"})))
    assert load(here / "a.toml", in_place_of_teacher(here / "lists.parquet")).ensemble == EnsembleConfig()
    alone = members_of(several(here, [CASER, MF], ensemble={"combine": "ranks"}))[0]
    parse_again(to_toml(alone.alone(several(here, [CASER, MF], ensemble={"combine": "ranks"}))))


def parse_again(text: str) -> Experiment:
    return parse(tomllib.loads(text), "test")


def test_lists_that_are_not_there_are_missed_before_the_data_is_read(here: Path) -> None:
    made = several(here, [CASER, {"rankings": str(here / "nowhere.parquet")}])
    with pytest.raises(RankingsError, match=r"nowhere\.parquet: no such file"):
        run(made, here / "run")
    assert not (here / "run" / "data").exists()


def test_a_teacher_learns_by_its_own_loss_and_the_student_by_the_common_one(here: Path) -> None:
    own = experiment(here, teacher={**CASER, "ranking_loss": {"kind": "gbce", "negatives": 5}})
    run(own, here / "out")
    losses = {role: card_of(here / "out" / role)["settings"]["ranking_loss.kind"] for role in ("teacher", "student")}
    assert losses == {"teacher": "gbce", "student": "pointwise"}
    page = (here / "out" / "report.html").read_text(encoding="utf-8")
    assert "gbce (negatives 5, calibration 0.75)" in page
    run(experiment(here, teacher=CASER), here / "out")
    assert {"data", "student"} <= set(skipped(here / "out"))
    assert not {"teacher", "labels"} & set(skipped(here / "out"))
