"""MLflow: each model a run of an experiment, in a database file or on a server."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from rankdistill.config import Section
from rankdistill.extras import extra
from rankdistill.files import read_object, write_json
from rankdistill.tracker import Tracker, of_epoch, of_test
from rankdistill.training import FitResult
from rankdistill.types import Json

_LONGEST_PARAM = 6000
_ENVIRONMENT = {  # so that a server that is away holds up a training for seconds and not for minutes
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
"""What is set where the user's environment does not say otherwise."""


class MLflow(Tracker):
    """Logs each model as a run, tagged with its role and run folder.

    Which run it is stands in `mlflow.json` of the model's folder: a training that is resumed, and an evaluation, go on
    with it. A metric's "@" is written "_at_", which MLflow does not allow.
    """

    class Config(Section):
        """Options of MLflow."""

        kind: Literal["mlflow"] = "mlflow"
        uri: str | None = Field(
            None,
            description="the store, such as 'http://localhost:5000' or 'sqlite:////home/me/mlflow.db'; when left out "
            "MLFLOW_TRACKING_URI, else mlflow.db beside the model's folder",
        )
        experiment: str = Field("rankdistill", min_length=1, description="the experiment to which the runs belong")

    def __init__(self, config: Config, folder: Path) -> None:
        super().__init__(config, folder)
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        self._mlflow = extra("mlflow", "mlflow")
        for noisy in ("mlflow", "alembic"):
            logging.getLogger(noisy).setLevel(logging.WARNING)
        self.uri = config.uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{self.folder.parent}/mlflow.db"
        self.experiment = config.experiment
        self._run: str | None = None
        self._logged: set[int] = set()

    def start(self, name: str, settings: Json, rows: Sequence[Json]) -> None:
        """See `Tracker.start`."""
        self._connect(name, again=bool(rows))
        self._client.update_run(self._run, status="RUNNING")
        if not self._logged:
            entities = self._mlflow.entities
            params = [entities.Param(key, str(value)[:_LONGEST_PARAM]) for key, value in settings.items()]
            self._client.log_batch(self._run, params=params)
        for row in rows:
            self.epoch(row)

    def epoch(self, row: Json) -> None:
        """See `Tracker.epoch`."""
        if row["epoch"] not in self._logged:  # an epoch that is trained again gives the same numbers
            self._log(of_epoch(row), row["epoch"])
            self._logged.add(row["epoch"])

    def end(self, result: FitResult | None) -> None:
        """See `Tracker.end`."""
        if self._run is not None:
            self._client.set_terminated(self._run, "KILLED" if result is None else "FINISHED")

    def test(self, card: Json) -> None:
        """See `Tracker.test`; what the run has already is not logged again."""
        if self._run is None:
            self._connect(card.get("role", self.folder.name), again=True)
        known = self._client.get_run(self._run).data.metrics
        values = {name: value for name, value in of_test(card).items() if known.get(_allowed(name)) != value}
        self._log(values, int(card.get("best_epoch") or 0))
        self._client.set_terminated(self._run, "FINISHED")

    def _connect(self, name: str, *, again: bool) -> None:
        """Goes on with the run that the folder names, where it is to be had; else begins a new one."""
        self._client: Any = self._mlflow.MlflowClient(tracking_uri=self.uri)
        found = self._client.get_experiment_by_name(self.experiment)
        number = found.experiment_id if found else self._client.create_experiment(self.experiment)
        note = self.folder / "mlflow.json"
        known = read_object(note)
        if again and (known.get("uri"), known.get("experiment")) == (self.uri, self.experiment):
            self._run = known["run_id"]
            self._logged = {one.step for one in self._client.get_metric_history(self._run, "seconds")}
            return
        tags = {"rankdistill.role": name, "rankdistill.folder": str(self.folder)}
        run_name = f"{self.folder.parent.name}/{self.folder.name}"
        self._run = self._client.create_run(number, tags=tags, run_name=run_name).info.run_id
        write_json(note, {"uri": self.uri, "experiment": self.experiment, "run_id": self._run})

    def _log(self, values: dict[str, float], step: int) -> None:
        now = int(time.time() * 1000)
        metrics = [self._mlflow.entities.Metric(_allowed(name), value, now, step) for name, value in values.items()]
        self._client.log_batch(self._run, metrics=metrics)


def _allowed(name: str) -> str:
    return name.replace("@", "_at_")
