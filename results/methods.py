"""Every method on the same students: two data sets, four pairs of teacher and student.

    python results/methods.py train --out runs/methods              # hours; goes on where it stopped
    python results/methods.py train --out runs/methods --rounds 2   # each method with its own settings, one seed
    python results/methods.py table                                 # results/methods/README.md from DATA.json

Round 1 trains each pair's plain student at three learning rates; what ranks the validation users best is the learning
rate of that pair's other students, too. Round 2 trains a plain student twice as long, and each method with its own
alpha. Round 3 tries that alpha, a tenth and ten times it by shorter trainings. Round 4 trains what ranks the validation
users best there to the end, and with two more seeds that or the method's own alpha, whichever ranks them better then.
The test users are looked at for the table alone. A row is kept in results/methods/DATA.json as soon as it is there; it
is trained again where anything that it depends on has changed.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from methods_page import page
from methods_rows import (
    CHOSEN_BY,
    DATA,
    FACTORS,
    HERE,
    KEY,
    PAIRS,
    PLAIN,
    RATES,
    SEEDS,
    SHARES,
    TEACHERS,
    UNTAUGHT,
    Record,
    Row,
    experiment_of,
    methods,
    stamp_of_teacher,
    students,
)

from rankdistill import measuring
from rankdistill.console import setup_logging
from rankdistill.data.splitting import Split
from rankdistill.errors import RankDistillError
from rankdistill.evaluation.compare import compare_all
from rankdistill.evaluation.evaluate import Evaluation
from rankdistill.files import write_text
from rankdistill.folders import alone
from rankdistill.model_folder import CARD, load_card, load_model
from rankdistill.parallel import Processors, Task, execute
from rankdistill.runs import EVALUATION
from rankdistill.sweep.work import Job, do
from rankdistill.types import Json
from rankdistill.variants import Shared, Variant

logger = logging.getLogger("rankdistill.results.methods")
SHOWN = ("ndcg@10", "map")


def wanted(record: Record, rounds: int, pairs: Sequence[str], kinds: Sequence[str]) -> Iterator[list[Row]]:
    """The rows of each round, one teacher at a time, as what is known by then asks for them."""
    seeds = [(number, seed) for number in range(1, rounds + 1) for seed in (SEEDS if number == 4 else SEEDS[:1])]
    for (number, seed), teacher in itertools.product(seeds, TEACHERS):
        own = [pair for pair in pairs if PAIRS[pair][0] == teacher]
        rates = {pair: rate for pair in own if (rate := record.rate(pair)) is not None}
        others = [Row(record.data, pair, kind, rates[pair]) for kind in kinds if kind != PLAIN for pair in rates]
        if number == 1:
            yield [Row(record.data, pair, PLAIN, rate) for pair in own if PLAIN in kinds for rate in RATES[record.data]]
        elif number == 2:
            yield others
        elif number == 3:
            taught = [row for row in others if row.method not in UNTAUGHT]
            yield [replace(row, factor=factor, trial=True) for row in taught for factor in FACTORS]
        else:
            best = [row for kind in kinds for pair in own if (row := record.best(pair, kind)) is not None]
            yield [replace(row, seed=seed) for row in best]


def train(record: Record, rows: Sequence[Row], out: Path, processors: Processors) -> None:
    """Trains what is missing of rows with one teacher."""
    if not rows:
        return
    teacher = rows[0].teacher
    base, folder = experiment_of(record.data, teacher), out / teacher
    every = [Row(record.data, rows[0].pair, method, rows[0].learning_rate).variant for method in methods()]
    shared = Shared.make(base, every, folder)
    assert shared.teacher is not None
    known, stamp = record.content["teachers"], stamp_of_teacher(record.data, teacher)
    if known.get(teacher, {}).get("stamp") != stamp:
        known[teacher] = figures(load_card(shared.teacher)) | {"stamp": stamp}
    missing = [row for row in rows if not record.has(row)]
    logger.info("%s, %s: %d of %d to train", record.data, teacher, len(missing), len(rows))
    plain = {replace(row, method=PLAIN, factor=1.0) for row in missing if not row.trial}  # to compare them with
    elsewhere = [row for row in plain if record.has(row) and not (_place(row, folder) / EVALUATION).exists()]
    variants = {row: row.variant for row in (*elsewhere, *missing)}
    places = {row: _place(row, folder) for row in variants}
    made = {row: shared.stamp(variant, places[row]) for row, variant in variants.items()}

    def note() -> None:
        for row in missing:
            card = load_card(places[row]) if (places[row] / CARD).exists() else {}
            if card.get("stamp") == made[row] and not record.has(row):
                record.rows[row] = row_of(row, variants[row], card)
        record.write()

    jobs = {row: Job(variant, places[row], base, folder) for row, variant in variants.items()}
    execute([Task(f"{row.pair}, {row.method}", work) for row, work in jobs.items()], do, processors, note)
    note()
    compare(record, teacher, shared.split, folder)


def _place(row: Row, folder: Path) -> Path:
    return folder / "students" / row.variant.name


def figures(card: Json) -> Json:
    """What the table says of a model."""
    return {
        "metrics": {name: card["metrics"][name] for name in SHOWN},
        "halves": {half: found["metrics"]["ndcg@10"] for half, found in card["halves"].items()},
        **{key: card.get(key) for key in ("parameters", "bytes", "best_epoch", "train_seconds")},
    }


def row_of(row: Row, variant: Variant, card: Json) -> Json:
    """What is kept of a training."""
    setting: Json = {"learning_rate": row.learning_rate}
    if variant.distilled:
        setting |= {"alpha": variant.method.alpha}
    if row.method in SHARES:
        setting |= {"query_share": SHARES[row.method]}
    return {
        **{name: getattr(row, name) for name in KEY},
        "setting": setting,
        "validation": card["validation"][CHOSEN_BY],
        **figures(card),
        "folder": variant.name,
        "stamp": row.stamp,
    }


def compare(record: Record, teacher: str, split: Split, folder: Path) -> None:
    """Compares each method's chosen student with the chosen plain one of the same seed, where both are at hand."""
    for pair, method in itertools.product(PAIRS, students()):
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    training = verbs.add_parser("train", help="train what is missing, then write the table")
    training.add_argument("--out", type=Path, required=True, help="where the models are kept")
    training.add_argument("--rounds", type=int, default=4, choices=(1, 2, 3, 4), help="how far; 4 when left out")
    training.add_argument(
        "--data", nargs="+", default=list(DATA), choices=list(DATA), metavar="DATA", help="; ".join(DATA)
    )
    training.add_argument(
        "--pairs", nargs="+", default=list(PAIRS), choices=list(PAIRS), metavar="PAIR", help="; ".join(PAIRS)
    )
    training.add_argument(
        "--methods", nargs="+", default=students(), choices=students(), metavar="METHOD", help="; ".join(students())
    )
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
