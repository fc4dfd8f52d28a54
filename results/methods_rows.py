"""What is trained for the table of all methods, and what is known of it: see `methods.py`."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from rankdistill import plugins
from rankdistill.config import Experiment, load
from rankdistill.errors import DataError
from rankdistill.files import write_json
from rankdistill.model_folder import versions
from rankdistill.processor import cores, processor_name
from rankdistill.runs import stamp_of
from rankdistill.stages import FREE
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
    ("gowalla", "caser"): ("train.epochs=8", "train.learning_rate=0.002"),
    ("gowalla", "sasrec"): ("train.epochs=12", "train.weight_decay=1e-4", "dropout=0.5"),
    ("movielens-1m", "caser"): ("train.epochs=10", "train.learning_rate=0.002"),
    ("movielens-1m", "sasrec"): ("train.epochs=16", "dropout=0.2"),
}
"""What was chosen for a teacher on validation data."""
SHARES = dict.fromkeys(("dcd", "rce_kd", "hetcomp", "cross_entropy"), 0.25)
"""The share of each batch's queries that a method distils; all, where it is not named. Of those that score the
catalogue for each query these cost more than four plain steps; with a quarter of the queries, two or three."""
PLAIN, LONGER = UNTAUGHT = ("plain", "plain, twice as long")
"""A student that learns from the data alone, and one with about the time that most distilled students take."""
CHOSEN_BY = "map"
SEEDS = (1234, 1, 2)
EPOCHS = {"gowalla": 6, "movielens-1m": 4}
"""Of a training that counts, on each data set. MovieLens-1M has twice the training queries, so that its students take
more steps in fewer epochs."""
EPOCHS_OF_A_TRIAL = {"gowalla": 3, "movielens-1m": 1}
"""Of a training by which an alpha is chosen."""
RATES = {"gowalla": (0.002, 0.003, 0.005), "movielens-1m": (0.003, 0.005, 0.01)}
"""The learning rates that plain students try, on each data set."""
FACTORS = (1.0, 0.1, 10.0)
"""By what each method multiplies its own alpha."""
FIRST = {"rankdistil": 0.01, "margin_mse": 1.0}
"""The own alpha of methods when the first rows were made, where it is another since, for what these show."""
KEY = ("pair", "method", "learning_rate", "factor", "seed", "trial")


@dataclass(frozen=True, slots=True)
class Row:
    """A training.

    Attributes:
        data: which data set.
        pair: which teacher and student.
        method: one of `UNTAUGHT` or the kind of a method.
        learning_rate: of the student.
        factor: by what the method's own alpha is multiplied.
        seed: of the student.
        trial: whether it is a short one, only compared with others.
    """

    data: str
    pair: str
    method: str
    learning_rate: float
    factor: float = 1.0
    seed: int = SEEDS[0]
    trial: bool = False

    @property
    def epochs(self) -> int:
        """How often the student sees each training query."""
        if self.trial:
            return EPOCHS_OF_A_TRIAL[self.data]
        return EPOCHS[self.data] * (2 if self.method == LONGER else 1)

    @property
    def teacher(self) -> str:
        """Which of `TEACHERS`."""
        return PAIRS[self.pair][0]

    @property
    def variant(self) -> Variant:
        """What is trained."""
        student = [f"student.{text}" for text in PAIRS[self.pair][1]]
        run = [f"seed={self.seed}", f"train.epochs={self.epochs}", f"student.train.learning_rate={self.learning_rate}"]
        if self.method in UNTAUGHT:
            return Variant(experiment_of(self.data, self.teacher, [*student, *run]), distilled=False)
        config = plugins.find("distillation", self.method).Config
        alpha = FIRST.get(self.method, config().alpha) * self.factor
        method = [f"kind='{self.method}'", f"alpha={alpha:.6g}"]
        if self.method in SHARES:
            method.append(f"query_share={SHARES[self.method]}")
        if "warmup_epochs" in config.model_fields:
            method.append(f"warmup_epochs={min(max(1, self.epochs // 3), self.epochs - 1)}")
        changes = [*student, *run, *(f"distillation.{text}" for text in method)]
        return Variant(experiment_of(self.data, self.teacher, changes), distilled=True)

    @property
    def stamp(self) -> str:
        """A hash of the settings behind its figures.

        A teacher that is trained anew on another machine has other last bits; what it taught before still counts.
        """
        return stamp_of(shared=stamp_of_teacher(self.data, self.teacher), student=self.variant.settings)


def stamp_of_teacher(data: str, teacher: str) -> str:
    """A hash of the settings behind a teacher's figures, and behind all that is the same for its students."""
    others = {"student": True, "distillation": True, "tracking": True, "train": set(FREE), "data": {"path"}}
    dump = experiment_of(data, teacher).model_dump(mode="json", exclude={**others, "teacher": {"train": set(FREE)}})
    return stamp_of(experiment=dump)


def experiment_of(data: str, teacher: str, overrides: Iterable[str] = ()) -> Experiment:
    """The experiment of a data set and one of its teachers."""
    given = [f"teacher.{text}" for text in (*TEACHERS[teacher], *OF_DATA.get((data, teacher), ()))]
    return load(HERE / f"{data}.toml", [*given, *overrides])


def methods() -> list[str]:
    """Every method of distillation."""
    return plugins.kinds("distillation")


def students() -> list[str]:
    """The plain students, then one of each method."""
    return [*UNTAUGHT, *methods()]


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
        keys = itertools.product(PAIRS, students(), RATES[self.data], FACTORS, SEEDS, (True, False))
        order = [Row(self.data, *key) for key in keys]
        self.content["rows"] = [self.rows[row] for row in order if row in self.rows]
        self.content["made"] = {"processor": processor_name(), "cores": cores(), "versions": versions()}
        write_json(self._path, self.content)

    def has(self, row: Row) -> bool:
        """Whether the figures of a training are known, as it is made now."""
        return bool(self.rows.get(row, {}).get("stamp") == row.stamp)

    def rate(self, pair: str) -> float | None:
        """The learning rate of a pair: that of the plain student which ranks the validation users best."""
        known = {rate: self.rows.get(Row(self.data, pair, PLAIN, rate)) for rate in RATES[self.data]}
        found = {rate: float(row["validation"]) for rate, row in known.items() if row is not None}
        return max(found, key=found.__getitem__, default=None)

    def tried(self, pair: str, method: str) -> dict[Row, float]:
        """How well each trial that was made ranks the validation users, by the row of its whole training."""
        rate = self.rate(pair)
        rates = RATES[self.data] if method == PLAIN else () if rate is None else (rate,)
        factors = (1.0,) if method in UNTAUGHT else FACTORS
        rows = [Row(self.data, pair, method, rate, factor) for rate in rates for factor in factors]
        known = {row: self.rows.get(replace(row, trial=method not in UNTAUGHT)) for row in rows}
        return {row: float(found["validation"]) for row, found in known.items() if found is not None}

    def best(self, pair: str, method: str) -> Row | None:
        """What is chosen, as its whole training with the first seed.

        It is the trial that does best; but the method's own alpha, where that does better in a whole training.
        """
        tried = self.tried(pair, method)
        first = max(tried, key=tried.__getitem__, default=None)
        if first is None:
            return None
        own = replace(first, factor=1.0)
        whole = {row: float(self.rows[row]["validation"]) for row in (first, own) if row in self.rows}
        return own if len(whole) == 2 and whole[own] > whole[first] else first

    def chosen(self, pair: str, method: str) -> list[Json]:
        """What is known of the best trial, one entry a seed; of the method's own alpha until that is trained."""
        rate = self.rate(pair)
        own = None if rate is None else Row(self.data, pair, method, rate)
        for first in (self.best(pair, method), own):
            rows = [] if first is None else [replace(first, seed=seed) for seed in SEEDS]
            if known := [self.rows[row] for row in rows if row in self.rows]:
                return known
        return []

    def shown(self, pair: str, method: str) -> list[Json]:
        """What of `chosen` compares with the other rows of a pair: the seeds that all of them have."""
        known = (self.chosen(pair, each) for each in students())
        shared = set.intersection(*({row["seed"] for row in rows} for rows in known if rows))
        return [row for row in self.chosen(pair, method) if row["seed"] in shared]
