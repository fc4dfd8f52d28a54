"""Every tracker logs what the run folder says, once, and never ends a training; read back from its own store."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import rankdistill as rd
from rankdistill import measuring, plugins, stages
from rankdistill.config import Experiment, Section, parse
from rankdistill.errors import ConfigError
from rankdistill.pipeline import fit_model
from rankdistill.ranker import model_state
from rankdistill.tracker import Tracker, of_epoch, of_test
from rankdistill.training import Callback, Checkpoint

Points = dict[str, list[tuple[int, float]]]
CASER = rd.Caser.Config(dim=4, horizontal_filters=2)
TRAIN = rd.TrainConfig(epochs=4, batch_size=64, device="cpu")
MODULES = {"tensorboard": "tensorboard", "mlflow": "mlflow"}


def of_tensorboard(tracker: Any) -> tuple[Points, str]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tracker.path))
    events.Reload()
    points = {}
    for tag in events.Tags()["tensors"]:
        if not tag.startswith("settings"):
            found = [(event.step, event.tensor_proto.float_val) for event in events.Tensors(tag)]
            points[tag] = [(step, values[0] if values else 0.0) for step, values in found]
    return points, events.Tensors("settings/text_summary")[0].tensor_proto.string_val[0].decode()


def of_mlflow(tracker: Any) -> tuple[Points, str]:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=tracker.uri)
    experiment = client.get_experiment_by_name("rankdistill")
    run = next(
        run
        for run in client.search_runs([experiment.experiment_id])
        if run.data.tags["rankdistill.folder"] == str(tracker.folder)
    )
    history = {name: client.get_metric_history(run.info.run_id, name) for name in run.data.metrics}
    points = {
        name.replace("_at_", "@"): sorted((one.step, one.value) for one in metrics) for name, metrics in history.items()
    }
    assert run.info.status == "FINISHED"
    return points, "\n".join(f"{key} = {value}" for key, value in run.data.params.items())


READERS: dict[str, Callable[[Tracker], tuple[Points, str]]] = {"tensorboard": of_tensorboard, "mlflow": of_mlflow}


@pytest.fixture(params=plugins.kinds("trackers"))
def kind(request: pytest.FixtureRequest) -> str:
    pytest.importorskip(MODULES[request.param], reason=f"needs pip install 'rankdistill[{request.param}]'")
    return str(request.param)


@pytest.fixture(autouse=True)
def _own_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def tracker_in(folder: Path, kind: str, **options: object) -> Tracker:
    plugin = plugins.find("trackers", kind)
    folder.mkdir(parents=True, exist_ok=True)
    tracker: Tracker = plugin(plugin.Config(**options), folder)
    return tracker


def experiment_of(kind: str) -> Experiment:
    model = {"kind": "caser", "dim": 4, "horizontal_filters": 2}
    return parse(
        {
            "data": {"kind": "synthetic", "users": 60, "items": 40, "length": 15},
            "teacher": model,
            "student": model,
            "train": TRAIN.model_dump(exclude_none=True),
            "split": {"train_on_validation": False},
            "evaluate": {"metrics": ["ndcg@10", "map"]},
            "tracking": {"kind": kind},
        },
        "test",
    )


class KilledError(Exception):
    """Stands for the end of the process."""


class Killer(Callback):
    """Ends a training after an epoch."""

    def __init__(self, epoch: int) -> None:
        self.last = epoch

    def on_epoch(self, row: dict[str, Any]) -> None:
        if row["epoch"] == self.last:
            raise KilledError


def close(points: list[tuple[int, float]], expected: list[tuple[int, float]]) -> bool:
    """Equal steps, and values as near as single precision is."""
    return [step for step, _ in points] == [step for step, _ in expected] and all(
        value == pytest.approx(wanted, rel=1e-6) for (_, value), (_, wanted) in zip(points, expected, strict=True)
    )


def epochs_of(rows: list[dict[str, Any]]) -> Points:
    found: Points = {}
    for row in rows:
        for name, value in of_epoch(row).items():
            found.setdefault(name, []).append((row["epoch"], value))
    return found


def test_a_model_is_logged_as_its_folder_says(kind: str, validated: rd.Split, tmp_path: Path) -> None:
    experiment, folder = experiment_of(kind), tmp_path / "run" / "student"
    task = stages.Assignment("student", experiment.student, experiment, folder)
    model = stages.train_model(task, validated)
    measuring.evaluate_model(folder, model, validated, experiment.evaluate)
    stages.track_test(experiment, folder)
    stages.track_test(experiment, folder)  # an evaluation made again is not there twice
    points, settings = READERS[kind](tracker_in(folder, kind))
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    card = json.loads((folder / "model.json").read_text())
    expected = epochs_of(rows) | {name: [(card["best_epoch"], value)] for name, value in of_test(card).items()}
    assert {
        "ranking_loss",
        "seconds",
        "validation/ndcg@10",
        "test/map",
        "parameters",
        "bytes",
        "latency_ms/p50",
    } <= set(points)
    assert points.keys() == expected.keys()
    assert [name for name in expected if not close(points[name], expected[name])] == []
    for line in ("model.kind = ", "model.dim = 4", "train.epochs = 4", "seed = 1234"):
        assert line in settings


def test_a_training_that_is_resumed_has_every_epoch_once(kind: str, split: rd.Split, tmp_path: Path) -> None:
    folder = tmp_path / "run" / "student"
    for resume, others in ((False, (Killer(3),)), (True, ())):
        tracker = tracker_in(folder, kind)
        checkpoint = Checkpoint(folder, {}, resume=resume)
        settings = rd.Settings(train=TRAIN, checkpoint=checkpoint, name="student", callbacks=(tracker, *others))
        try:
            _, result = fit_model(CASER, split, settings)
        except KilledError:
            assert not resume
    points, _ = READERS[kind](tracker)
    expected = epochs_of(result.rows)
    assert [step for step, _ in points["ranking_loss"]] == [1, 2, 3, 4]
    assert close(points["ranking_loss"], expected["ranking_loss"])


def test_a_tracker_that_fails_says_so_once_and_the_training_goes_on(
    kind: str, split: rd.Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    plain = model_state(rd.train(CASER, split, rd.Settings(train=TRAIN)))
    tracker = tracker_in(tmp_path / "run" / "student", kind)

    def full(row: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(tracker, "epoch", full)
    with caplog.at_level(logging.WARNING, "rankdistill"):
        tracked = model_state(rd.train(CASER, split, rd.Settings(train=TRAIN, callbacks=(tracker,))))
    assert all(torch.equal(plain[name], tracked[name]) for name in plain)
    place = tmp_path / "run" / "student"
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert said == [f"{place}: {type(tracker).__name__} failed (No space left on device); it goes on untracked"]


@pytest.mark.parametrize("kind", plugins.kinds("trackers"))
def test_a_tracker_whose_package_is_missing_names_the_install_line(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, MODULES[kind], None)
    with pytest.raises(ConfigError, match=rf"{MODULES[kind]} is not installed; pip install 'rankdistill\[{kind}\]'"):
        tracker_in(tmp_path, kind)


def test_tensorboard_writes_where_it_is_told_and_a_place_that_cannot_be_written_is_no_end(
    split: rd.Split, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("tensorboard", reason="needs pip install 'rankdistill[tensorboard]'")
    tracker = tracker_in(tmp_path / "run" / "student", "tensorboard", path=tmp_path / "logs")
    rd.train(CASER, split, rd.Settings(train=TRAIN, callbacks=(tracker,)))
    assert list((tmp_path / "logs" / "run" / "student").glob("events.out.tfevents.*"))
    (tmp_path / "file").write_text("no folder")
    broken = tracker_in(tmp_path / "run" / "student", "tensorboard", path=tmp_path / "file")
    with caplog.at_level(logging.WARNING, "rankdistill"):
        rd.train(CASER, split, rd.Settings(train=TRAIN, callbacks=(broken,)))
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert [" failed (" in each for each in said] == [True]


def test_mlflow_without_its_server_holds_a_training_up_for_seconds_alone(
    split: rd.Split, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("mlflow", reason="needs pip install 'rankdistill[mlflow]'")
    tracker = tracker_in(tmp_path / "run" / "student", "mlflow", uri="http://127.0.0.1:9")
    with caplog.at_level(logging.WARNING, "rankdistill"):
        rd.train(CASER, split, rd.Settings(train=TRAIN, callbacks=(tracker,)))
    ours = [record.getMessage() for record in caplog.records if record.name == "rankdistill.tracker"]
    assert len(ours) == 1
    assert "MLflow failed" in ours[0]


class Silent(Tracker):
    """A tracker from elsewhere."""

    class Config(Section):
        """No options."""

    def start(self, name: str, settings: Any, rows: Any) -> None: ...

    def epoch(self, row: Any) -> None: ...

    def end(self, result: Any) -> None: ...

    def test(self, card: Any) -> None: ...


def test_a_tracker_from_elsewhere_is_named_in_full() -> None:
    experiment = experiment_of(f"{__name__}:Silent")
    assert isinstance(experiment.tracking, Silent.Config)
