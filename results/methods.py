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
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from methods_page import page
from methods_rows import (
    CHOSEN_BY,
    DATA,
    EARLY,
    HERE,
    KEY,
    PAIRS,
    PLAIN,
    SEEDS,
    SHARES,
    TEACHERS,
    Record,
    Row,
    experiment_of,
    methods,
)

from rankdistill import measuring
from rankdistill.console import setup_logging
from rankdistill.data.splitting import Split
from rankdistill.errors import RankDistillError
from rankdistill.evaluation.compare import compare_all
from rankdistill.evaluation.evaluate import Evaluation
from rankdistill.files import write_text
from rankdistill.model_folder import CARD, load_card, load_model
from rankdistill.parallel import Processors, Task, alone, execute
from rankdistill.runs import EVALUATION
from rankdistill.sweep.work import Job, do
from rankdistill.types import Json
from rankdistill.variants import Shared, Variant

logger = logging.getLogger("rankdistill.results.methods")
SHOWN = ("ndcg@10", "map")


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
