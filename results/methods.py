"""Every method on the same students: two data sets, four pairs of teacher and student.

    python results/methods.py train --out runs/methods              # hours; goes on where it stopped
    python results/methods.py train --out runs/methods --rounds 1   # each method with its own settings, one seed
    python results/methods.py table                                 # results/methods/README.md from DATA.json

Everything has the same budget. Round 1 trains each method with the settings that it has by itself. Round 2 gives each
two more trials, of four epochs: a tenth and ten times its alpha, and to the plain student a third and three times its
learning rate. What ranks the validation users best after four epochs is trained to its end with three seeds in round 3.
The test users are looked at for the table alone. A row is kept in results/methods/DATA.json as soon as it is there; it
is trained again where anything that it depends on has changed.
"""

from __future__ import annotations

import argparse
import itertools
import json
import logging
import statistics
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rankdistill import measuring, plugins
from rankdistill.config import Experiment, load
from rankdistill.console import setup_logging
from rankdistill.data.splitting import Split
from rankdistill.errors import DataError, RankDistillError
from rankdistill.evaluation.compare import compare_all
from rankdistill.evaluation.evaluate import Evaluation
from rankdistill.files import write_json, write_text
from rankdistill.members import members_of
from rankdistill.model_folder import CARD, load_card, load_model, versions
from rankdistill.parallel import Processors, Task, alone, execute
from rankdistill.processor import cores, processor_name
from rankdistill.report.markdown import table
from rankdistill.report.numerals import MISSING, megabytes, metric, milliseconds, p_value, whole
from rankdistill.runs import EVALUATION
from rankdistill.sweep.work import Job, do
from rankdistill.types import Json
from rankdistill.variants import Shared, Variant

logger = logging.getLogger("rankdistill.results.methods")

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
SHOWN = ("ndcg@10", "map")
SIGNIFICANT = 0.05
EXPLAINED = """Made by `python results/methods.py train --out runs/methods --timed`, which says what each round does
and goes on where it stopped; the columns `trials` and `seeds` say how far it has come. Everything is trained without
the validation part, a student for ten epochs, of which the best on the validation users counts; by them, too, a
method's setting is chosen, after four epochs. All figures are of the test users. `popular` and `unpopular` are nDCG@10
among the items that hold the first and the second half of all training interactions; `p` is that of the paired t-test
over users against the plain student of the same seed, the largest of the seeds; ▲ and ▼ stand for better and worse at
p < .05. Of a method's settings alpha alone is searched: a row says what a method brings nearly by itself. Where the
setting names a query share, so many of each batch's queries are distilled, drawn at random, so that a training takes
about as long as another's."""


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


KEY = ("pair", "method", "trial", "seed", "epochs")


def wanted(record: Record, rounds: int, pairs: Sequence[str], kinds: Sequence[str]) -> Iterator[list[Row]]:
    """The rows of each round, one teacher at a time, as what is known by then asks for them."""
    for number, teacher in itertools.product(range(1, rounds + 1), TEACHERS):
        cells = [(pair, method) for method in kinds for pair in pairs if PAIRS[pair][0] == teacher]
        if number == 1:
            yield [Row(record.data, *cell, 0, SEEDS[0]) for cell in cells]
        elif number == 2:
            yield [Row(record.data, *cell, trial, SEEDS[0], EARLY) for cell in cells for trial in (1, 2)]
        else:
            best = [(*cell, trial) for cell in cells if (trial := record.best(*cell)) is not None]
            yield [Row(record.data, *each, seed) for each in best for seed in SEEDS]


def train(record: Record, rows: Sequence[Row], out: Path, processors: Processors) -> None:
    """Trains what is missing of rows with one teacher."""
    if not rows:
        return
    teacher = rows[0].teacher
    base, folder = experiment_of(record.data, teacher), out / teacher
    every = [Row(record.data, rows[0].pair, method, 0, SEEDS[0]).variant for method in methods()]
    shared = Shared.make(base, every, folder)
    assert shared.teacher is not None
    record.content["teachers"][teacher] = figures(load_card(shared.teacher))
    variants = {row: row.variant for row in rows}
    places = {row: folder / "students" / variant.name for row, variant in variants.items()}
    stamps = {row: shared.stamp(variant, places[row]) for row, variant in variants.items()}
    todo = [row for row in rows if record.rows.get(row, {}).get("stamp") != stamps[row]]
    logger.info("%s, %s: %d of %d to train", record.data, teacher, len(todo), len(rows))

    def note() -> None:
        for row in todo:
            card = load_card(places[row]) if (places[row] / CARD).exists() else {}
            if card.get("stamp") == stamps[row] != record.rows.get(row, {}).get("stamp"):
                record.rows[row] = {**row_of(row, variants[row], card), "early": early(places[row])}
        record.write()

    jobs = {row: Job(variants[row], places[row], base, folder, processors.threads) for row in todo}
    execute([Task(f"{row.pair}, {row.method}", work) for row, work in jobs.items()], do, processors, note)
    note()
    compare(record, teacher, shared.split, folder)


def figures(card: Json) -> Json:
    """What the table says of a model."""
    return {
        "metrics": {name: card["metrics"][name] for name in SHOWN},
        "halves": {half: found["metrics"]["ndcg@10"] for half, found in card["halves"].items()},
        **{key: card.get(key) for key in ("parameters", "bytes", "best_epoch", "train_seconds")},
    }


def early(folder: Path) -> float:
    """How well a model ranked the validation users after `EARLY` epochs of its training."""
    lines = (json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    return next(float(line["validation"][CHOSEN_BY]) for line in lines if line["epoch"] == EARLY)


def row_of(row: Row, variant: Variant, card: Json) -> Json:
    """What is kept of a training."""
    if variant.distilled:
        share = {"query_share": SHARES[row.method]} if row.method in SHARES else {}
        setting = {"alpha": variant.method.alpha, **share}
    else:
        setting = {"learning_rate": variant.experiment.student.train.learning_rate}
    return {
        **{name: getattr(row, name) for name in KEY},
        "setting": setting,
        "validation": card["validation"][CHOSEN_BY],
        **figures(card),
        "folder": variant.name,
        "stamp": card["stamp"],
    }


def compare(record: Record, teacher: str, split: Split, folder: Path) -> None:
    """Compares each method's chosen student with the chosen plain one of the same seed, where both are at hand."""
    for pair, method in itertools.product(PAIRS, methods()):
        if PAIRS[pair][0] != teacher or method == PLAIN:
            continue
        plain = {row["seed"]: row["folder"] for row in record.chosen(pair, PLAIN)}
        for row in record.chosen(pair, method):
            names = (row["folder"], plain.get(row["seed"], ""))
            if row.get("plain") == names[1]:
                continue
            row.pop("gain", None)  # over another plain student
            files = [folder / "students" / name / EVALUATION for name in names]
            if all(file.exists() for file in files):
                mine, theirs = (Evaluation.read(file, split.user_ids) for file in files)
                made = compare_all(mine, theirs, SHOWN)
                row["plain"] = names[1]
                row["gain"] = {each.metric: {"difference": each.difference, "p_value": each.p_value} for each in made}
    record.write()


def time_models(record: Record, out: Path) -> None:
    """Measures how long a query takes each teacher and a student of each pair; what one learnt from changes nothing."""
    asked = {teacher: out / teacher / "teacher" for teacher in TEACHERS}
    for pair, (teacher, _) in PAIRS.items():
        for row in record.chosen(pair, PLAIN)[:1]:
            asked[pair] = out / teacher / "students" / row["folder"]
    for name, place in asked.items():
        if not (place / CARD).exists() or name in record.content["latency_ms"]:
            continue
        teacher = name if name in TEACHERS else PAIRS[name][0]
        experiment = experiment_of(record.data, teacher)
        split = Shared.open(experiment, out / teacher, None).split
        measuring.time_model(place, load_model(place, "cpu")[0], split, experiment.evaluate)
        record.content["latency_ms"][name] = load_card(place)["latency_ms"]["p50"]
        record.write()


def page(records: Sequence[Record]) -> str:
    """The tables of what is known."""
    blocks = ["# Every method on the same students", EXPLAINED]
    for record in records:
        pairs = [pair for pair in PAIRS if any(record.chosen(pair, method) for method in methods())]
        blocks += [f"## {DATA[record.data]}: nDCG@10 of all", overview(record, pairs)]
        for pair in pairs:
            blocks += [f"## {DATA[record.data]}: {pair}", *block(record, pair)]
    return "\n\n".join(blocks) + "\n"


def overview(record: Record, pairs: Sequence[str]) -> str:
    """One line a method over all pairs: its nDCG@10, marked where every seed differs from the plain student's."""

    def cell(pair: str, method: str) -> str:
        found = record.chosen(pair, method)
        if not found:
            return MISSING
        gains = [row["gain"]["ndcg@10"] for row in found if "gain" in row]
        sure = gains and max(each["p_value"] for each in gains) < SIGNIFICANT
        up = {each["difference"] > 0 for each in gains}
        mark = ("▲ " if up == {True} else "▼ ") if sure and len(up) == 1 else ""
        return mark + metric(mean(found, "ndcg@10"))

    def merit(method: str) -> tuple[int, float]:
        known = [rows for pair in pairs if (rows := record.chosen(pair, method))]
        return -len(known), -sum(mean(rows, "ndcg@10") for rows in known)

    teachers = [metric(mean([record.content["teachers"][PAIRS[pair][0]]], "ndcg@10")) for pair in pairs]
    taught = sorted((method for method in methods() if method != PLAIN), key=merit)
    rows = [(method, *(cell(pair, method) for pair in pairs)) for method in [PLAIN, *taught]]
    return table(("", *pairs), [("teacher", *teachers), *rows], numbers=True)


def block(record: Record, pair: str) -> list[str]:
    """The costs of a pair's two models, and the table of its methods, the best on top."""
    teacher, known = PAIRS[pair][0], {method: record.chosen(pair, method) for method in methods()}
    some = next(rows[0] for rows in known.values() if rows)
    members = members_of(experiment_of(record.data, teacher))
    name = f"Teacher, {len(members)} models" if members else "Teacher"
    sizes = ((name, record.content["teachers"][teacher], teacher), ("Student", some, pair))
    costs = [
        (name, whole(each["parameters"]), megabytes(each["bytes"]), milliseconds(record.content["latency_ms"].get(key)))
        for name, each, key in sizes
    ]
    taught = sorted(
        (method for method in methods() if method != PLAIN and known[method]), key=lambda m: -mean(known[m], "ndcg@10")
    )
    rows = [("teacher", MISSING, *cells([record.content["teachers"][teacher]]), MISSING, MISSING, MISSING, "1")]
    for method in [PLAIN, *taught]:
        if found := known[method]:
            setting = ", ".join(f"{key.replace('_', ' ')} {value:g}" for key, value in found[0]["setting"].items())
            trials = len(record.tried(pair, method))
            rows.append((method, setting, *cells(found), *gain(found), str(trials), str(len(found))))
    heads = ("", "setting", "nDCG@10", "MAP", "popular", "unpopular", "nDCG@10 - plain", "p", "trials", "seeds")
    asked, plain = record.content["teachers"][teacher], known[PLAIN]
    doubts = [
        "The teacher is no better than the plain student: there is little to learn from it."
        if plain and asked["metrics"]["ndcg@10"] <= mean(plain, "ndcg@10")
        else "",
        "The student is as large as its teacher, or larger." if some["bytes"] >= asked["bytes"] else "",
    ]
    return [
        *(f"**Warning:** {doubt}" for doubt in doubts if doubt),
        table(("", "parameters", "size", "ms a query"), costs, numbers=True),
        table(heads, rows, numbers=True),
    ]


def mean(rows: Sequence[Json], name: str, group: str = "metrics") -> float:
    """The mean of a figure over the seeds."""
    return statistics.mean(float(row[group][name]) for row in rows)


def cells(rows: Sequence[Json]) -> tuple[str, ...]:
    """The quality of a row of the table."""
    asked = (("ndcg@10", "metrics"), ("map", "metrics"), ("head", "halves"), ("tail", "halves"))
    return tuple(metric(mean(rows, name, group)) for name, group in asked)


def gain(rows: Sequence[Json]) -> tuple[str, str]:
    """What a method adds to the plain student of the same seed, and the largest p of all seeds."""
    found = [row["gain"]["ndcg@10"] for row in rows if "gain" in row]
    if not found:
        return MISSING, MISSING
    added = statistics.mean(each["difference"] for each in found)
    return metric(added, sign=True), p_value(max(each["p_value"] for each in found))


def main(arguments: Sequence[str] | None = None) -> int:
    """Trains, or writes the table; the exit status."""
    parser = argparse.ArgumentParser(description="Every method on the same students.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    training = verbs.add_parser("train", help="train what is missing, then write the table")
    training.add_argument("--out", type=Path, required=True, help="where the models are kept")
    training.add_argument("--rounds", type=int, default=3, choices=(1, 2, 3))
    training.add_argument("--data", nargs="+", default=list(DATA), choices=list(DATA))
    training.add_argument("--pairs", nargs="+", default=list(PAIRS), choices=list(PAIRS))
    training.add_argument("--methods", nargs="+", default=methods(), choices=methods())
    training.add_argument("--jobs", type=int, help="trainings at once; one a core when left out")
    training.add_argument("--threads", type=int, help="of each training; the cores are shared out when left out")
    training.add_argument("--timed", action="store_true", help="measure latencies, too; needs a quiet machine")
    verbs.add_parser("table", help="only write the table")
    asked = parser.parse_args(arguments)
    setup_logging()
    try:
        if asked.verb == "train":
            processors = Processors.shared_out("auto", asked.jobs, asked.threads, 8)
            for data in asked.data:
                with alone(asked.out / data, "training"):
                    record = Record(data)
                    for rows in wanted(record, asked.rounds, asked.pairs, asked.methods):
                        train(record, rows, asked.out / data, processors)
                    if asked.timed:
                        time_models(record, asked.out / data)
        write_text(HERE / "README.md", page([Record(data) for data in DATA]))
    except RankDistillError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
