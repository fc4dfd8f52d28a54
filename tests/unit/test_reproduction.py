"""The reproduction of a paper: its plan, and a small one carried out, interrupted and gone on with."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rankdistill.config import load
from rankdistill.errors import ConfigError, StorageError
from rankdistill.folders import alone
from rankdistill.model_folder import load_model
from rankdistill.reproduction import datasets, kdd18
from rankdistill.reproduction.cells import Cell, Plan, settings_of
from rankdistill.reproduction.datasets import DATASETS, Dataset, Family
from rankdistill.reproduction.execution import Workshop
from rankdistill.reproduction.outcomes import read_earlier
from rankdistill.reproduction.reproduce import outlook, reproduce
from rankdistill.reproduction.request import Request
from rankdistill.reproduction.work import Job
from rankdistill.training.checkpoint import Checkpoint, Progress
from rankdistill.training.optimizers import Adam

EXAMPLES = Path(__file__).parents[2] / "examples"
each_dataset = pytest.mark.parametrize("name", DATASETS)
CASER: Mapping[str, Any] = {"student": {"horizontal_filters": 2}, "train": {"epochs": 2, "batch_size": 64}}
POSITION = {"weighting": "position"}
SMALL = Dataset(
    "small",
    "synthetic",
    "a small log",
    (Family("Caser", "caser", (8, 4), dict(CASER), chosen=POSITION, trials=({}, POSITION)),),
    quick_epochs=1,
    published={"Caser-T": {"map": 0.5}},
)
CHANGES = ("data.users=40", "data.items=30", "data.length=12")


def planned(name: str, *, quick: bool = False) -> Plan:
    return Request(dataset=name, quick=quick).plan()


class AtOnce:
    """In place of a pool of processes, whose start takes longer than such small trainings."""

    def __init__(self, *_: object) -> None:
        pass

    def __enter__(self) -> AtOnce:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def submit(self, do: Callable[[Job], Any], job: Job) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(do(job))
        return future


POOL = "rankdistill.parallel.ProcessPoolExecutor"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Request:
    monkeypatch.setattr(datasets, "DATASETS", {"small": SMALL})
    monkeypatch.setattr(POOL, AtOnce)
    return Request(dataset="small", quick=True, changes=CHANGES, jobs=2, threads=1, only=("presets", "epochs"))


def results_of(page: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((page.parent / "results.json").read_text())
    return found


def written(out: Path) -> dict[str, int]:
    """When each cell was finished."""
    return {str(path.relative_to(out)): path.stat().st_mtime_ns for path in sorted(out.rglob("cell.json"))}


class TestPlan:
    @each_dataset
    @pytest.mark.parametrize("quick", [False, True])
    def test_every_part_is_made_of_cells_whose_teachers_are_cells_of_the_same_seed_and_data(
        self, name: str, quick: bool
    ) -> None:
        plan = planned(name, quick=quick)
        known = {(cell.key, cell.seed): cell for cell in plan.cells}
        assert len(known) == len(plan.cells)
        for keys in plan.parts.values():
            assert {key for key in keys if (key, plan.seeds[0]) not in known} == set()
        for cell in plan.cells:
            if cell.teacher is not None:
                assert known[cell.teacher, cell.seed].part == cell.part
                assert known[cell.teacher, cell.seed].teacher is None
        used = {cell.name for keys in plan.parts.values() for cell in plan.needed(keys)}
        assert used == {cell.name for cell in plan.cells}

    @each_dataset
    def test_a_teacher_stands_before_its_students(self, name: str) -> None:
        plan = planned(name)
        for keys in plan.parts.values():
            names = [cell.name for cell in plan.needed(keys)]
            for cell in plan.needed(keys):
                if cell.teacher is not None:
                    assert names.index(plan.cell(cell.teacher, cell.seed).name) < names.index(cell.name)

    @each_dataset
    def test_no_setting_is_tried_on_the_test_data(self, name: str) -> None:
        plan = planned(name)
        assert bool(plan.search) == (name in ("gowalla", "foursquare-nyc"))
        for trials in plan.search.values():
            assert sum(trial.chosen for trial in trials) == 1
            assert {plan.cell(trial.cell, plan.seeds[0]).part for trial in trials} == {"validation"}

    def test_the_published_settings_are_those_of_the_example(self) -> None:
        plan, example = planned("gowalla"), load(EXAMPLES / "gowalla-caser.toml")
        ours = settings_of(plan.cell("caser-50-rd", 1234).experiment)
        for section in ("seed", "data", "split", "windows", "student", "ranking_loss", "distillation", "train"):
            assert ours[section] == settings_of(example)[section], section
        teacher = settings_of(plan.cell("caser-100", 1234).experiment)["student"]
        assert teacher == settings_of(example)["teacher"]

    @pytest.mark.parametrize(
        ("name", "kind"),
        [(name, each.kind) for name, found in DATASETS.items() for each in found.families if each.chosen],
    )
    def test_the_tuned_settings_are_written_in_an_example(self, name: str, kind: str) -> None:
        plan, example = planned(name), load(EXAMPLES / f"{name}-{kind}-tuned.toml")
        row = next(row for row in plan.tables["main"] if row.name.lower() == f"{kind}-rd, tuned")
        distilled = plan.cell(row.cell, 1234)
        assert distilled.teacher is not None
        teacher = plan.cell(distilled.teacher, 1234)
        ours = settings_of(distilled.experiment)
        for section in ("seed", "data", "split", "windows", "student", "ranking_loss", "distillation"):
            assert ours[section] == settings_of(example)[section], section
        assert settings_of(teacher.experiment)["student"] == settings_of(example)["teacher"]

    def test_the_published_tables_are_whole(self) -> None:
        plan = planned("gowalla")
        assert {row.name for row in plan.tables["main"] if not row.published} == set()
        assert [row.name for row in plan.tables["weighting"] if not row.published] == ["reciprocal"]
        assert all(len(row.published) == 7 for row in plan.tables["main"])

    def test_the_quick_version_has_one_seed_and_less_to_do(self) -> None:
        full, quick = planned("gowalla"), planned("gowalla", quick=True)
        assert (len(full.seeds), len(quick.seeds)) == (3, 1)

        def epochs(plan: Plan) -> int:
            return sum(cell.model.train.epochs for cell in plan.cells if cell.model.train.epochs)

        assert epochs(quick) < epochs(full) / 8

    def test_a_change_reaches_every_training(self) -> None:
        plan = Request(changes=("train.batch_size=32",)).plan()
        assert {cell.model.train.batch_size for cell in plan.cells} == {32}

    @pytest.mark.parametrize(
        ("request_", "message"),
        [
            (Request(paper="kdd81"), "'kdd81' is not reproduced here; did you mean 'kdd18'? (there are: kdd18)"),
            (
                Request(dataset="gowala"),
                "--dataset 'gowala': not reproduced here; did you mean 'gowalla'? (there are: ",
            ),
            (Request(seeds=0), "--seeds 0 is out of range (1 to 10)"),
            (Request(seeds=2, quick=True), "--seeds 2: the quick version has one seed; leave out --seeds or --quick"),
            (Request(changes=("train.epochz=3",)), "epochz: unknown key; did you mean 'epochs'?"),
            (Request(changes=("student.dim=3",)), "--set student.dim=3: models, seeds and data set are what is "),
            (Request(changes=("data.kind=parquet",)), "--set data.kind=parquet: models, seeds and data set are "),
        ],
    )
    def test_what_there_is_not_is_refused(self, request_: Request, message: str) -> None:
        with pytest.raises(ConfigError) as caught:
            request_.plan()
        assert message in str(caught.value)

    def test_with_fewer_epochs_the_warm_up_is_shorter_unless_it_is_set(self) -> None:
        def warmups(*changes: str) -> set[object]:
            return {
                settings_of(cell.experiment)["distillation"]["warmup_epochs"]
                for cell in Request(changes=changes).plan().cells
            }

        assert warmups("train.epochs=10") == {2}
        assert warmups("train.epochs=10", "distillation.warmup_epochs=7") == {7}
        assert warmups() == {2, 10}

    def test_a_part_that_there_is_not_is_refused(self) -> None:
        request = Request(only=("wieghting",))
        with pytest.raises(ConfigError, match="did you mean 'weighting'"):
            request.parts(request.plan())

    def test_a_set_is_found_by_its_kind_too(self) -> None:
        assert datasets.find("gowalla-kdd18") is DATASETS["gowalla"]


class TestStamp:
    def cell(self, **changes: Any) -> Cell:
        experiment = planned("foursquare-nyc").cell("caser-50-rd", 1).experiment
        return Cell("caser-50-rd", experiment.model_copy(update=changes), "caser-100")

    def test_it_depends_on_the_settings_the_data_and_the_teacher_alone(self) -> None:
        cell = self.cell()
        train = cell.experiment.train
        on_gpu = self.cell(train=train.model_copy(update={"device": "cuda", "threads": 7}))
        assert cell.stamp("data", "teacher") == on_gpu.stamp("data", "teacher")
        others = [
            self.cell(seed=2).stamp("data", "teacher"),
            self.cell(train=train.model_copy(update={"epochs": 3})).stamp("data", "teacher"),
            cell.stamp("other data", "teacher"),
            cell.stamp("data", "another teacher"),
        ]
        assert len({cell.stamp("data", "teacher"), *others}) == 5


def test_earlier_results_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text('{"cells": ')
    with pytest.raises(StorageError, match=r"results.json: cannot be read \(.*\); put back a copy of it, or remove it"):
        read_earlier(tmp_path, planned("gowalla"))


def test_a_reproduction_gives_its_tables_and_figures_and_does_nothing_twice(
    small: Request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = reproduce(small, tmp_path)
    found = results_of(page)
    assert [row["name"] for row in found["presets"] if row["mean"]] == ["no teacher", *kdd18.PRESETS]
    assert next(row for row in found["main"] if row["name"] == "Caser-T")["published"] == {"map": 0.5}
    assert all(len(row["seeds"]) == 1 for row in found["presets"])
    assert {each["part"] for each in found["comparisons"]} == {"main", "presets"}
    (curves,) = (each for each in found["figures"] if each["key"] == "epochs")
    assert (curves["part"], len(curves["series"])) == ("validation", 4)
    assert [each["name"] for each in found["inference"]] == ["Caser-T", "Caser-S", "Caser-RD"]
    assert not found["complete"]
    before = written(tmp_path)
    assert len(before) == 10
    assert outlook(small, tmp_path / "another")
    assert not (tmp_path / "another").exists()
    monkeypatch.setattr(POOL, None)  # nothing is left to do
    assert results_of(reproduce(small, tmp_path))["presets"] == found["presets"]
    assert written(tmp_path) == before
    assert {row["done"] for row in outlook(small, tmp_path)} == {True}


def test_what_earlier_results_hold_is_not_trained_again_and_what_is_missing_is_added(
    small: Request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results, new = tmp_path / "results", tmp_path / "new"
    presets = replace(small, only=("presets",))
    first = results_of(reproduce(presets, tmp_path / "old", results))
    with monkeypatch.context() as nothing_to_do:
        nothing_to_do.setattr(POOL, None)
        again = results_of(reproduce(presets, new, results))
    assert not written(new)
    assert again["made"].pop("taken_from_earlier_results") == len(first["cells"]) == 6
    assert again["made"].pop("wall_seconds") >= first["made"].pop("wall_seconds")
    assert first["made"].pop("taken_from_earlier_results") == 0
    assert again == first

    assert {row["done"] for row in outlook(presets, new)} == {False}  # the results are not asked
    more = replace(small, only=("epochs",))
    assert [row["done"] for row in outlook(more, new, results)] == [False] * 4
    whole = results_of(reproduce(more, new, results))
    assert [path.split("/")[1] for path in written(new)] == sorted(row["key"] for row in outlook(more, new))
    assert {row["name"]: row["mean"] for row in whole["presets"]} == {
        row["name"]: row["mean"] for row in first["presets"]
    }
    assert [whole[name] for name in ("comparisons", "inference")] == [
        first[name] for name in ("comparisons", "inference")
    ]
    assert "epochs" in [each["key"] for each in whole["figures"]]

    path = results / "results.json"
    whole["cells"]["caser-4-rd/seed-1234"]["stamp"] = "of other settings"
    path.write_text(json.dumps(whole))
    whole["inference"][0]["p50_ms"] = 77.0
    path.write_text(json.dumps(whole))
    undone = [row["key"] for row in outlook(presets, new, results) if not row["done"]]
    assert undone == ["caser-8", "caser-4-rd"]  # a teacher is needed as a model, not as a number
    with pytest.raises(StorageError) as caught:
        reproduce(replace(presets, quick=False), tmp_path / "full", results)
    assert str(caught.value) == (
        f"{results}: holds results with quick = true, and now quick = false is asked for; name another --results"
    )
    assert json.loads(path.read_text()) == whole
    times = {each["name"]: each["p50_ms"] for each in results_of(reproduce(presets, new, results))["inference"]}
    assert list(times) == ["Caser-T", "Caser-RD"]  # of a family that has changed, only models that are there
    assert times["Caser-T"] != 77.0


def test_a_model_that_is_there_with_the_same_settings_is_taken_and_a_damaged_one_made_again(
    small: Request, tmp_path: Path
) -> None:
    small = replace(small, only=("presets",))
    first = results_of(reproduce(small, tmp_path))
    kept, damaged = (tmp_path / "models" / key / "seed-1234" for key in ("caser-8", "caser-4-rd"))
    weights = (kept / "model.safetensors").stat().st_mtime_ns
    (kept / "cell.json").unlink()
    (damaged / "cell.json").write_text("{")
    (damaged / "model.json").unlink()
    again = results_of(reproduce(small, tmp_path))
    assert again["presets"] == _without_seconds(first["presets"], again["presets"])
    assert (kept / "model.safetensors").stat().st_mtime_ns == weights


def test_what_is_half_trained_with_other_settings_is_started_over(small: Request, tmp_path: Path) -> None:
    small = replace(small, only=("presets",))
    reproduce(small, tmp_path)
    plan = small.plan()
    workshop = Workshop(plan, tmp_path)
    workshop.read()
    cell = plan.cell("caser-4", 1234)
    folder = workshop.folder(cell)
    settings = json.loads((folder / "model.json").read_text())["settings"]
    for name in ("cell.json", "model.json"):
        (folder / name).unlink()
    checkpoint = Checkpoint(folder, settings | {"train.batch_size": 7}, resume=True)
    model = load_model(workshop.folder(plan.cell("caser-4-rd", 1234)))[0]
    checkpoint.save(model, Adam(model, cell.model.train), Progress())
    reproduce(small, tmp_path)
    assert workshop.is_done(cell)
    assert "this training was started with train.batch_size = 7" in (folder / "log.txt").read_text()


def _without_seconds(before: Any, after: Any) -> Any:
    """`before` with the seconds of `after`, which differ from training to training."""
    for old, new in zip(before, after, strict=True):
        for one, other in zip(old["seeds"], new["seeds"], strict=True):
            one["train_seconds"] = other["train_seconds"]
    return before


def test_seeds_may_be_added_and_other_settings_are_refused_with_both_named(small: Request, tmp_path: Path) -> None:
    one = replace(small, quick=False, seeds=1, only=("presets",), changes=(*CHANGES, "train.epochs=1"))
    reproduce(one, tmp_path)
    before = written(tmp_path)
    found = results_of(reproduce(replace(one, seeds=2), tmp_path))
    assert {name: time for name, time in written(tmp_path).items() if name in before} == before
    assert len(next(row for row in found["presets"] if row["name"] == "no teacher")["seeds"]) == 2
    with pytest.raises(StorageError) as caught:
        reproduce(replace(one, changes=(*CHANGES, "train.epochs=2")), tmp_path)
    assert '"train.epochs=1"], and now set = [' in str(caught.value)
    assert '"train.epochs=2"] is asked for; go on with what it was begun with, or name another --out' in str(
        caught.value
    )


def test_a_file_in_the_place_of_the_results_is_refused_before_anything_is_read(small: Request, tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("mine")
    with pytest.raises(StorageError, match="is no folder; name another --results"):
        outlook(small, tmp_path / "out", tmp_path / "notes.md")


def test_two_do_not_work_in_the_same_folder(small: Request, tmp_path: Path) -> None:
    with alone(tmp_path, "reproduction"), pytest.raises(StorageError, match="another reproduction is at work there"):
        reproduce(small, tmp_path)


def carry_out(request: Request, out: Path) -> None:
    """In a process of its own, which knows the small data set no more than the fixture has told it."""
    datasets.DATASETS = {"small": SMALL}
    reproduce(request, out)


@pytest.fixture
def long_one(small: Request, tmp_path: Path) -> Iterator[tuple[multiprocessing.Process, Request]]:
    request = replace(small, quick=False, seeds=1, only=("presets",), changes=(*CHANGES, "train.epochs=60"))
    process = multiprocessing.get_context("spawn").Process(target=carry_out, args=(request, tmp_path))
    yield process, request
    process.kill()


def test_a_killed_reproduction_goes_on_where_it_was(
    long_one: tuple[multiprocessing.Process, Request], tmp_path: Path
) -> None:
    process, request = long_one
    process.start()
    deadline = time.monotonic() + 120
    while not written(tmp_path):
        assert process.is_alive()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert process.pid is not None
    workers = [int(each) for each in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{worker}").exists() for worker in workers):  # they end with it
        assert time.monotonic() < deadline
        time.sleep(0.1)
    before = written(tmp_path)
    page = reproduce(request, tmp_path)
    assert {name: time for name, time in written(tmp_path).items() if name in before} == before
    assert all(row["mean"] for row in results_of(page)["presets"])


def test_the_workshop_knows_what_is_done(small: Request, tmp_path: Path) -> None:
    plan = small.plan()
    workshop = Workshop(plan, tmp_path)
    workshop.prepare()
    cell = plan.cells[0]
    assert not workshop.is_done(cell)
    workshop.folder(cell).mkdir(parents=True)
    (workshop.folder(cell) / "cell.json").write_text(json.dumps({"stamp": workshop.stamp(cell)}))
    for name in ("model.json", "model.safetensors", "evaluation.parquet"):
        assert not workshop.is_done(cell)
        (workshop.folder(cell) / name).touch()
    assert workshop.is_done(cell)
    (workshop.folder(cell) / "cell.json").write_text("[]")
    assert not workshop.is_done(cell)
    (workshop.folder(cell) / "cell.json").write_text(json.dumps({"stamp": workshop.stamp(cell)}))
    assert not workshop.is_done(replace(cell, experiment=cell.experiment.model_copy(update={"seed": 77})))
