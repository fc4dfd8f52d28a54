"""What is trained for the table of all methods, and what is known of it: see `methods.py`."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rankdistill import plugins
from rankdistill.config import Experiment, load
from rankdistill.errors import DataError
from rankdistill.files import write_json
from rankdistill.model_folder import versions
from rankdistill.processor import cores, processor_name
from rankdistill.types import Json
from rankdistill.variants import Variant

HERE = Path(__file__).resolve().parent / "methods"
DATA = {"gowalla": "Gowalla", "movielens-1m": "MovieLens-1M"}
CASER, SASREC = ("kind='caser'", "history_length=5"), ("kind='sasrec'",)
PAIRS = {
    "Caser 100 → Caser 50": ("caser", (*CASER, "dim=50")),
    "Caser 100 → Caser 16": ("caser", (*CASER, "dim=16")),
    "SASRec → Caser 32": ("sasrec", (*CASER, "dim=32")),
    "SASRec → SASRec 16": ("sasrec", (*SASREC, "dim=16", "dropout=0.1")),
}
TEACHERS = {"caser": (*CASER, "dim=100"), "sasrec": (*SASREC, "dim=64")}
OF_DATA = {
    ("gowalla", "sasrec"): ("dropout=0.5", "train.weight_decay=1e-4", "train.epochs=12", "members=3"),
    ("movielens-1m", "sasrec"): ("dropout=0.2",),
}
"""What was chosen for a teacher on validation data. On Gowalla no single SASRec that was tried is far above the plain
student of d = 16, so that three seeds are the teacher together."""
SHARES = dict.fromkeys(("dcd", "rce_kd", "hetcomp", "cross_entropy"), 0.25)
"""The share of each batch's queries that a method distils; all, where it is not named. Of those that score the
catalogue for each query these cost more than four plain steps; with a quarter of the queries, two or three."""
PLAIN, CHOSEN_BY = "plain", "map"
SEEDS = (1234, 1, 2)
EPOCHS, EARLY = 10, 4
"""Of a training that counts, and after how many of them the trials are compared."""
ALPHAS, RATES = (1.0, 0.1, 10.0), (1.0, 1 / 3, 3.0)
"""Factors of the three trials."""
KEY = ("pair", "method", "trial", "seed", "epochs")


@dataclass(frozen=True, slots=True)
class Row:
    """A training.

    Attributes:
        data: which data set.
        pair: which teacher and student.
        method: `plain` or the kind of a method.
        trial: from 0, which factor of `ALPHAS` or `RATES` it has.
        seed: of the student.
        epochs: `EPOCHS`, or `EARLY` for a trial that is only compared with others.
    """

    data: str
    pair: str
    method: str
    trial: int
    seed: int
    epochs: int = EPOCHS

    @property
    def teacher(self) -> str:
        """Which of `TEACHERS`."""
        return PAIRS[self.pair][0]

    @property
    def variant(self) -> Variant:
        """What is trained."""
        student = [f"student.{text}" for text in PAIRS[self.pair][1]]
        distilled = self.method != PLAIN
        method = [f"distillation.kind='{self.method}'"] if distilled else []
        if self.method in SHARES:
            method.append(f"distillation.query_share={SHARES[self.method]}")
        run = [f"seed={self.seed}", f"train.epochs={self.epochs}"]
        experiment = experiment_of(self.data, self.teacher, [*student, *method, *run])
        if distilled:
            own_method = Variant(experiment, distilled).method
            alpha = float(f"{own_method.alpha * ALPHAS[self.trial]:.6g}")
            changed: Json = {"distillation": own_method.model_copy(update={"alpha": alpha})}
        else:
            own = experiment.student.train
            train = own.model_copy(update={"learning_rate": float(f"{own.learning_rate * RATES[self.trial]:.4g}")})
            changed = {"student": experiment.student.model_copy(update={"train": train})}
        return Variant(experiment.model_copy(update=changed), distilled)


def experiment_of(data: str, teacher: str, overrides: Iterable[str] = ()) -> Experiment:
    """The experiment of a data set and one of its teachers."""
    given = [f"teacher.{text}" for text in (*TEACHERS[teacher], *OF_DATA.get((data, teacher), ()))]
    return load(HERE / f"{data}.toml", [*given, *overrides])


def methods() -> list[str]:
    """The plain student, then every method."""
    return [PLAIN, *plugins.kinds("distillation")]


class Record:
    """`results/methods/DATA.json`: what is known of each training on a data set, and of the teachers.

    Attributes:
        data: the data set.
        rows: what is known of each training.
        content: the file's content.
    """

    def __init__(self, data: str, folder: Path = HERE) -> None:
        self.data, self._path = data, folder / f"{data}.json"
        self.content: Json = {"teachers": {}, "latency_ms": {}, "made": {}, "rows": []}
        if self._path.exists():
            try:
                self.content = json.loads(self._path.read_text(encoding="utf-8"))
            except ValueError as error:
                raise DataError(f"{self._path}: damaged ({error}); take the committed file") from error
        self.rows: dict[Row, Json] = {}
        for found in self.content["rows"]:
            self.rows[Row(data, *(found[name] for name in KEY))] = found

    def write(self) -> None:
        """Writes the file, rows in the order of the table."""
        keys = itertools.product(PAIRS, methods(), range(len(ALPHAS)), SEEDS, (EPOCHS, EARLY))
        order = [Row(self.data, *key) for key in keys]
        self.content["rows"] = [self.rows[row] for row in order if row in self.rows]
        self.content["made"] = {"processor": processor_name(), "cores": cores(), "versions": versions()}
        write_json(self._path, self.content)

    def tried(self, pair: str, method: str) -> dict[int, float]:
        """How well each trial that was made ranks the validation users after `EARLY` epochs."""
        tried = itertools.product(range(len(ALPHAS)), (EARLY, EPOCHS))
        rows = [Row(self.data, pair, method, trial, SEEDS[0], epochs) for trial, epochs in tried]
        return {row.trial: float(self.rows[row]["early"]) for row in rows if row in self.rows}

    def best(self, pair: str, method: str) -> int | None:
        """The trial that does so best."""
        tried = self.tried(pair, method)
        return max(tried, key=tried.__getitem__, default=None)

    def chosen(self, pair: str, method: str) -> list[Json]:
        """What is known of the best trial, one entry a seed; of the first one as long as that is not trained."""
        for trial in (self.best(pair, method), 0):
            rows = [Row(self.data, pair, method, trial, seed) for seed in SEEDS] if trial is not None else []
            if known := [self.rows[row] for row in rows if row in self.rows]:
                return known
        return []
