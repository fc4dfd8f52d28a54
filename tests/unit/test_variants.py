"""Variants of an experiment from one set of data and labels."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rankdistill as rd
from rankdistill.config import Experiment, parse
from rankdistill.errors import CheckpointError, ConfigError, RankingsError
from rankdistill.files import write_json
from rankdistill.model_folder import load_card, load_model
from rankdistill.pipeline import label, prepare
from rankdistill.variants import Shared, Variant, is_done, train_variant

CASER = {"kind": "caser", "dim": 4, "horizontal_filters": 2}


def experiment(*changes: str, **sections: Any) -> Experiment:
    mapping: dict[str, Any] = {
        "data": {"kind": "synthetic", "users": 40, "items": 30, "length": 12},
        "split": {"train_on_validation": False},
        "teacher": CASER,
        "student": {**CASER, "dim": 2},
        "distillation": {"k": 3, "warmup_epochs": 0},
        "train": {"epochs": 2, "learning_rate": 0.01, "threads": 1, "device": "cpu"},
        "evaluate": {"metrics": ["ndcg@10", "map", "coverage@10"]},
        **sections,
    }
    return parse(mapping, "test", changes)


def variants(*changes: str, **sections: Any) -> list[Variant]:
    return [Variant(experiment(*changes, **sections), distilled) for distilled in (False, True)]


@pytest.fixture
def shared(tmp_path: Path) -> Shared:
    return Shared.make(experiment(), variants(), tmp_path / "shared")


def test_a_variant_has_the_figures_of_the_run_with_its_settings(shared: Shared, tmp_path: Path) -> None:
    from rankdistill.workflow import run

    run(experiment(), tmp_path / "run")
    for variant in variants():
        card = train_variant(variant, shared, tmp_path / variant.name)
        alone = load_card(tmp_path / "run" / variant.role)
        assert card["metrics"] == alone["metrics"]
        assert card["sha256"] == alone["sha256"]
        assert card["settings"] == alone["settings"]
        assert set(card["validation"]) == {"ndcg@10", "map", "coverage@10"}
        assert "latency_ms" not in card


@pytest.mark.parametrize("exclude", ["targets", "seen"])
def test_shorter_lists_are_the_beginnings_of_longer_ones(shared: Shared, exclude: Any) -> None:
    assert shared.teacher is not None
    teacher, split = load_model(shared.teacher)[0], shared.split
    long, short = (label(teacher, split, k=k, exclude=exclude) for k in (8, 3))
    assert np.array_equal(long.cut(3).items, short.items)
    assert long.cut(3).scores is not None
    assert np.array_equal(long.cut(3).scores, short.scores)


def test_longer_lists_for_others_change_nothing_for_a_variant(shared: Shared, tmp_path: Path) -> None:
    mine = variants()[1]
    folder = tmp_path / mine.name
    train_variant(mine, shared, folder)
    longer = Shared.make(experiment(), [mine, *variants("distillation.k=7")], shared.folder.path)
    assert longer.lists["targets"].depth == 7
    assert is_done(folder, longer.stamp(mine, folder))


FUSED = {"teacher": [CASER, {"kind": "fossil", "dim": 2}], "ensemble": {"depth": 4}}


@pytest.mark.parametrize("kind", ["rrd", "hetcomp"])
def test_longer_lists_for_others_change_nothing_where_lists_of_several_are_added_up(tmp_path: Path, kind: str) -> None:
    from rankdistill.workflow import run

    base = experiment(**FUSED)
    students = [variants(distillation={"kind": kind, "k": k}, **FUSED)[1] for k in (2, 3, 7)]
    first = Shared.make(base, students[:2], tmp_path / "shared")
    stamps = [first.stamp(each, tmp_path) for each in students[:2]]
    found = Shared.found(base, students, tmp_path / "shared")
    assert found is not None
    assert [found.has_lists(each) for each in students] == [True, True, False]
    assert [found.stamp(each, tmp_path) for each in students[:2]] == stamps
    later = Shared.make(base, students, tmp_path / "shared")
    assert [later.stamp(each, tmp_path) for each in students[:2]] == stamps
    for student in students:
        run(student.experiment, tmp_path / student.name / "run")
        alone = load_card(tmp_path / student.name / "run" / "distilled")["settings"]
        assert train_variant(student, later, tmp_path / student.name)["settings"] == alone


def test_a_student_of_short_lists_that_are_added_up_is_done_for_whoever_made_or_reads_them(tmp_path: Path) -> None:
    def of(*teachers: Path | str) -> Experiment:
        return experiment(teacher=[{"rankings": str(each)} for each in teachers] or CASER)

    split = prepare(of())
    for number, config in enumerate((rd.Popularity.Config(), rd.ItemKNN.Config())):
        lists = label(rd.train(config, split), split, k=4)
        lists.write(tmp_path / f"{number}.parquet", split.user_ids, split.item_ids, positions=True)
    variant = Variant(of(tmp_path / "0.parquet", tmp_path / "1.parquet"), distilled=True)
    made = Shared.make(variant.experiment, [variant], tmp_path / "shared")
    train_variant(variant, Shared.open(variant.experiment, tmp_path / "shared", "targets"), tmp_path / "student")
    assert is_done(tmp_path / "student", made.stamp(variant, tmp_path / "student"))


def test_lists_of_several_that_are_added_up_are_refused_for_a_method_that_asks_the_teacher_itself() -> None:
    with pytest.raises(ConfigError, match="asks the teacher itself while the student learns"):
        Variant(
            experiment(**FUSED).model_copy(
                update={"distillation": experiment(distillation={"kind": "cross_entropy", "k": 3}).distillation}
            ),
            distilled=True,
        ).check()


def test_what_is_done_is_taken_as_it_is_and_what_changed_is_done_again(shared: Shared, tmp_path: Path) -> None:
    variant = variants()[1]
    folder = tmp_path / "variant"
    train_variant(variant, shared, folder)
    written = (folder / "model.safetensors").stat().st_mtime_ns
    train_variant(variant, shared, folder)
    assert (folder / "model.safetensors").stat().st_mtime_ns == written
    measured = replace(variant, experiment=experiment(evaluate={"metrics": ["hit@3"]}))
    assert set(train_variant(measured, shared, folder)["metrics"]) == {"hit@3"}
    assert (folder / "model.safetensors").stat().st_mtime_ns == written
    longer = replace(variant, experiment=experiment("train.epochs=3"))
    assert train_variant(longer, shared, folder)["epochs"] == 3


@pytest.mark.parametrize(
    "name", ["model.safetensors", "evaluation.parquet", "evaluation-halves.parquet", "rankings.parquet"]
)
def test_a_student_whose_files_were_replaced_is_made_again(shared: Shared, tmp_path: Path, name: str) -> None:
    mine, other = (replace(variants()[1], experiment=experiment(f"seed={seed}")) for seed in (1, 2))
    folder, stamp = tmp_path / "mine", shared.stamp(mine, tmp_path / "mine")
    train_variant(mine, shared, folder)
    train_variant(other, shared, tmp_path / "other")
    right = (folder / name).read_bytes()
    copied = tmp_path / "copied"
    shutil.copytree(folder, copied, copy_function=shutil.copyfile)  # with other times
    assert is_done(copied, shared.stamp(mine, copied))
    shutil.copyfile(tmp_path / "other" / name, folder / name)
    assert (folder / name).read_bytes() != right
    assert not is_done(folder, stamp)
    train_variant(mine, shared, folder)
    assert is_done(folder, stamp)
    assert (folder / name).read_bytes() == right


def test_a_student_of_an_earlier_version_is_done_where_its_weights_are_those_of_its_card(
    shared: Shared, tmp_path: Path
) -> None:
    variant, folder = variants()[1], tmp_path / "student"
    card = train_variant(variant, shared, folder)
    del card["files"]
    write_json(folder / "model.json", card)
    assert is_done(folder, card["stamp"])
    (folder / "model.safetensors").write_bytes(b"other")
    assert not is_done(folder, card["stamp"])


def test_a_name_tells_settings_apart_but_not_devices_and_methods_of_a_plain_student() -> None:
    plain, distilled = variants()
    assert plain.name.startswith("caser-2-plain-seed-1234-")
    assert distilled.name.startswith("caser-2-ranking_distillation-seed-1234-")
    other = variants("distillation.alpha=0.5", "train.threads=2")
    assert other[0].name == plain.name
    assert other[1].name != distilled.name
    assert variants("train.threads=2")[1].name == distilled.name


def test_a_model_folder_may_be_the_teacher(shared: Shared, tmp_path: Path) -> None:
    given = experiment(teacher={"rankings": str(shared.teacher)})
    methods = [*variants(distillation={"kind": "rrd", "k": 3}), *variants(distillation={"kind": "cd", "k": 3})]
    adopted = Shared.make(given, methods, tmp_path / "adopted")
    ours, theirs = (load_card(each.folder.model("teacher")) for each in (shared, adopted))
    assert theirs["metrics"] == ours["metrics"]
    assert theirs["sha256"] == ours["sha256"]
    assert np.array_equal(adopted.lists["targets"].items, shared.lists["targets"].items)


def test_the_card_of_a_given_model_says_how_it_was_made_and_nothing_that_others_measured(
    shared: Shared, tmp_path: Path
) -> None:
    student = train_variant(variants()[0], shared, tmp_path / "student")
    given = experiment(teacher={"rankings": str(tmp_path / "student")}, evaluate={"metrics": ["map"]})
    card = load_card(Shared.make(given, [], tmp_path / "adopted").folder.model("teacher"))
    made = ("settings", "seed", "fingerprint", "train_seconds", "epochs", "best_epoch", "ranking_loss", "sha256")
    assert {key: card[key] for key in made} == {key: student[key] for key in made}
    assert list(card["metrics"]) == ["map"]
    assert not {"validation", "stamp"} & set(card)
    assert (card["role"], card["from"]) == ("teacher", str(tmp_path / "student"))


def test_the_members_of_a_given_ensemble_come_without_what_others_measured(tmp_path: Path) -> None:
    several = experiment(teacher={**CASER, "members": 2})
    source = Shared.make(several, [], tmp_path / "several").teacher
    assert source is not None
    given = experiment(teacher={"rankings": str(source)}, evaluate={"metrics": ["map"]})
    card = load_card(Shared.make(given, [], tmp_path / "adopted").folder.model("teacher"))
    theirs = load_card(source)
    assert (card["combine"], card["train_seconds"]) == (theirs["combine"], theirs["train_seconds"])
    assert [each["parameters"] for each in card["members"]] == [each["parameters"] for each in theirs["members"]]
    assert not any({"metrics", "latency_ms", "folder"} & set(each) for each in card["members"])


def test_a_model_of_other_data_is_refused(shared: Shared, tmp_path: Path) -> None:
    given = experiment("data.seed=5", teacher={"rankings": str(shared.teacher)})
    with pytest.raises(CheckpointError, match="trained on other data"):
        Shared.make(given, variants(), tmp_path / "adopted")


def test_somebodys_lists_are_checked_for_every_variant_first(shared: Shared, tmp_path: Path) -> None:
    given = experiment(teacher={"rankings": str(shared.folder.path / "labels-targets.parquet")})
    made = Shared.make(given, variants(), tmp_path / "lists")
    assert made.teacher is None
    assert made.lists_for(variants()[1]) is made.lists["targets"]
    with pytest.raises(RankingsError, match="shorter than k = 4"):
        Shared.make(given, [*variants(), *variants("distillation.k=4")], tmp_path / "lists")


def test_a_variant_that_climbs_has_the_lists_of_the_teachers_earlier_epochs_in_another_process_too(
    tmp_path: Path,
) -> None:
    from rankdistill.workflow import run

    climbs = experiment("distillation={kind = 'hetcomp', k = 3, alpha = 1.0}", "teacher.train.checkpoints=1")
    variant = Variant(climbs, True)
    made = Shared.make(climbs, [variant], tmp_path / "shared")
    opened = Shared.open(climbs, tmp_path / "shared", "targets")
    run(climbs, tmp_path / "run")
    alone = load_card(tmp_path / "run" / "distilled")["sha256"]
    for name, shared in (("made", made), ("opened", opened)):
        assert train_variant(variant, shared, tmp_path / name)["sha256"] == alone


def test_a_variant_that_climbs_is_refused_before_anything_is_trained_where_there_is_nothing_to_climb() -> None:
    with pytest.raises(ConfigError, match="climbs from easy lists to hard ones"):
        Variant(experiment("distillation={kind = 'hetcomp', k = 3}"), True).check()


@pytest.mark.parametrize("teacher", [CASER, [CASER, {**CASER, "dim": 3}]])
def test_what_is_shared_is_found_whatever_it_is_computed_on(teacher: Any, tmp_path: Path) -> None:
    made = experiment(teacher=teacher)
    Shared.make(made, [Variant(made, distilled=True)], tmp_path)
    elsewhere = experiment("train.threads=2", "train.device='auto'", teacher=teacher)
    assert Shared.found(elsewhere, [Variant(elsewhere, distilled=True)], tmp_path) is not None
    longer = experiment("train.epochs=3", teacher=teacher)
    assert Shared.found(longer, [Variant(longer, distilled=True)], tmp_path) is None


@pytest.mark.parametrize("teacher", [[CASER, {**CASER, "dim": 3}], {**CASER, "members": 2}])
def test_a_method_that_climbs_has_the_members_lists_beside_methods_with_longer_ones(
    teacher: Any, tmp_path: Path
) -> None:
    own = experiment(teacher=teacher)
    others = [
        Variant(experiment(teacher=teacher, distillation=method), distilled=True)
        for method in ({"kind": "rrd", "k": 6}, {"kind": "hetcomp", "k": 3})
    ]
    shared = Shared.make(own, others, tmp_path / "shared")
    lists = shared.lists_for(others[1])
    assert lists is not None
    assert [each.items.shape[1] for each in (lists, *lists.easier)] == [3, 3, 3]
    assert train_variant(others[1], shared, tmp_path / "student")["metrics"]["map"] > 0
