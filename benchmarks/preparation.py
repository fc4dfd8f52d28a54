"""How long does a log of millions of rows take from the file to prepared data, and how much memory?

    python benchmarks/preparation.py                                      # 2 million rows of csv, 3 turns
    python benchmarks/preparation.py --rows 20_000_000                    # the claim: under a minute, under 6 GB
    python benchmarks/preparation.py --rows 20_000_000 --ids text
    python benchmarks/preparation.py --rows 100_000_000 --kind parquet --alone --repeats 1

makes a log (users and items by a power law, times in no order) in a temporary folder, then turn by turn runs
`rankdistill prepare` and what one would write instead in polars, and in pandas where `--pandas-python` has it: the
last of repeat visits, the 5-core, dense ids, the split by 0.7/0.1/0.2 of each user, files of the result, the number of
training windows and a block of them. Each runs in a process of its own; seconds and memory (the most that it held) are
the whole process's, with its start and its imports. The file is read once before each, so that none waits for the
disk. The training and test sequences of all must be equal. Beyond the others, ours checks every row of the file,
hashes the data, and looks up which targets a user knows. `--alone` leaves the others out.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from measure import Timing, finish, report

HISTORY, BLOCK, CORE = 5, 1 << 15, 5
ROWS_A_PART = 1_000_000
MEASURE = """
import json, resource, subprocess, sys, time
begin = time.perf_counter()
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
seconds, used = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e9]))
"""
"""Run by a fresh process, which has no other children whose memory could be counted."""
EXPERIMENT = """
[data]
kind = "{kind}"
path = "{path}"
[teacher]
kind = "caser"
[student]
kind = "caser"
"""


def generate(path: Path, rows: int, ids: str) -> None:
    """Writes a log part by part, so that it may be larger than memory; the same one for the same arguments."""
    import polars as pl
    import pyarrow.parquet as pq

    users, items = max(rows // 20, 100), min(max(rows // 100, 100), 500_000)
    generator = np.random.default_rng(7)
    user_names, item_names = generator.permutation(users), generator.permutation(items)
    with path.open("wb") as file:
        writer = None
        for start in range(0, rows, ROWS_A_PART):
            count = min(ROWS_A_PART, rows - start)
            part = pl.DataFrame(
                {
                    "user": user_names[(users * generator.random(count) ** 2).astype(np.int64)] + 1,
                    "item": item_names[(items * generator.random(count) ** 3).astype(np.int64)] + 1,
                    "timestamp": 1_500_000_000 + generator.integers(0, 200_000_000, count),
                }
            )
            if ids == "text":
                part = part.with_columns(pl.format("u{}", "user").alias("user"), pl.format("i{}", "item").alias("item"))
            if path.suffix == ".csv":
                part.write_csv(file, include_header=start == 0)
                continue
            table = part.to_arrow()
            writer = writer or pq.ParquetWriter(file, table.schema)
            writer.write_table(table)
        if writer:
            writer.close()


def by_polars(path: Path, out: Path) -> None:
    """The same work as one would write it in polars."""
    import polars as pl

    log = (pl.read_csv(path) if path.suffix == ".csv" else pl.read_parquet(path)).sort(
        "user", "timestamp", maintain_order=True
    )
    log = log.unique(["user", "item"], keep="last", maintain_order=True)
    while True:
        before = len(log)
        log = log.filter((pl.len().over("user") >= CORE) & (pl.len().over("item") >= CORE))
        if len(log) == before:
            break
    for name in ("user", "item"):
        log.select(pl.col(name).unique().sort()).write_parquet(out / f"{name}s.parquet")
    log = log.select(pl.col("user").rle_id().alias("u"), pl.col("item").rank("dense").cast(pl.Int32).alias("i"))
    place, count = pl.int_range(pl.len()).over("u"), pl.len().over("u")
    log = log.with_columns(train=place < (0.8 * count).round(6).ceil())
    train, test = log.filter("train"), log.filter(~pl.col("train"))
    finish_by_hand(out, *(each[name].to_numpy() for each in (train, test) for name in ("u", "i")))


def by_pandas(path: Path, out: Path) -> None:
    """The same work as one would write it in pandas."""
    import pandas as pd

    log = (pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)).sort_values(
        ["user", "timestamp"], kind="stable"
    )
    log = log.drop_duplicates(["user", "item"], keep="last")
    while True:
        sizes = [log.groupby(name)[name].transform("size") for name in ("user", "item")]
        keep = (sizes[0] >= CORE) & (sizes[1] >= CORE)
        if keep.all():
            break
        log = log[keep]
    users, user_names = pd.factorize(log["user"], sort=True)
    items, item_names = pd.factorize(log["item"], sort=True)
    for name, values in (("user", user_names), ("item", item_names)):
        pd.DataFrame({name: values}).to_parquet(out / f"{name}s.parquet")
    log = pd.DataFrame({"u": users, "i": (items + 1).astype(np.int32)})
    groups = log.groupby("u")["i"]
    train = groups.cumcount() < np.ceil(np.round(0.8 * groups.transform("size"), 6))
    finish_by_hand(out, *(each[name].to_numpy() for each in (log[train], log[~train]) for name in ("u", "i")))


def finish_by_hand(out: Path, *columns: np.ndarray) -> None:
    """Writes users and items of training and test, counts the windows, takes a block of them."""
    names = ("train_users", "train_items", "test_users", "test_items")
    for name, column in zip(names, columns, strict=True):
        np.save(out / f"{name}.npy", column)
    users, items = columns[:2]
    ends = np.flatnonzero(users[HISTORY:] == users[:-HISTORY]) + HISTORY
    lengths = np.bincount(users)
    short = int(((lengths > 0) & (lengths <= HISTORY)).sum())
    block = items[ends[:BLOCK, None] - HISTORY + np.arange(HISTORY + 1)]
    print(len(ends) + short, int(block.sum()))


def by_rankdistill(config: Path, out: Path) -> None:
    """`rankdistill prepare`, which counts the windows; then a block of these."""
    from rankdistill.cli import main
    from rankdistill.data.storage import read_split

    if main(["prepare", str(config), "--out", str(out / "data")]):
        raise SystemExit("rankdistill prepare failed")
    windows = read_split(out / "data").windows
    rows = slice(0, BLOCK)
    print(len(windows), int(windows.history(rows).sum() + windows.targets(rows).sum()))


def sequences(name: str, out: Path) -> list[np.ndarray]:
    """Items of training and test and how many each user has, as `name` wrote them."""
    if name != "rankdistill":
        found = {
            part: [np.load(out / f"{part}_{each}.npy") for each in ("users", "items")] for part in ("train", "test")
        }
        return [each for users, items in found.values() for each in (np.bincount(users), items)]
    from safetensors.numpy import load_file

    arrays = load_file(out / "data" / "split.safetensors")
    return [each for part in ("train", "test") for each in (np.diff(arrays[f"{part}/starts"]), arrays[f"{part}/items"])]


def measured(command: list[str], path: Path) -> dict[str, float]:
    """Seconds, seconds of the processors and gigabytes of a command."""
    with path.open("rb") as file:
        while file.read(1 << 24):
            pass
    done = subprocess.run([sys.executable, "-c", MEASURE, *command], check=True, capture_output=True, text=True)
    return dict(zip(("seconds", "processor_seconds", "gigabytes"), json.loads(done.stdout), strict=True))


def compare(options: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """Measures all of them, turn by turn; a row each."""
    path = folder / f"events.{options.kind}"
    generate(path, options.rows, options.ids)
    config = folder / "experiment.toml"
    kind = {"csv": "delimited"}.get(options.kind, options.kind)
    config.write_text(EXPERIMENT.format(kind=kind, path=path), encoding="utf-8")
    pythons = {"rankdistill": sys.executable}
    if not options.alone:
        pythons |= {"polars": sys.executable}
        if subprocess.run([options.pandas_python, "-c", "import pandas"], capture_output=True, check=False).returncode:
            print("skipped: pandas is not installed for --pandas-python", file=sys.stderr)
        else:
            pythons |= {"pandas": options.pandas_python}
    turns: dict[str, list[dict[str, float]]] = {name: [] for name in pythons}
    for turn in range(options.repeats):
        for name, python in pythons.items():
            out = folder / name
            out.mkdir(exist_ok=True)
            source = config if name == "rankdistill" else path
            command = [python, str(Path(__file__).resolve()), "--run", name, str(source), str(out)]
            turns[name].append(measured(command, path))
            print(f"turn {turn + 1}: {name} {turns[name][-1]['seconds']:.1f} s", file=sys.stderr)
    ours = sequences("rankdistill", folder / "rankdistill")
    for name in pythons:
        other = sequences(name, folder / name)
        assert all(np.array_equal(a, b) for a, b in zip(ours, other, strict=True)), f"{name} prepared other data"
    timings = {name: Timing(tuple(turn["seconds"] for turn in each)) for name, each in turns.items()}
    middle = {
        name: {
            key: round(statistics.median(turn[key] for turn in each), 3) for key in ("processor_seconds", "gigabytes")
        }
        for name, each in turns.items()
    }
    return report(timings, "rankdistill", middle)


def main() -> None:
    """Parses the command line; measures, prints and writes, or does the work of one of them."""
    if sys.argv[1:2] == ["--run"]:
        work = {"rankdistill": by_rankdistill, "polars": by_polars, "pandas": by_pandas}
        work[sys.argv[2]](Path(sys.argv[3]), Path(sys.argv[4]))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--kind", choices=["csv", "parquet"], default="csv")
    parser.add_argument("--ids", choices=["integers", "text"], default="integers")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--alone", action="store_true", help="ours alone")
    parser.add_argument("--pandas-python", default=sys.executable, help="an interpreter that has pandas")
    parser.add_argument("--quick", action="store_true", help="one turn")
    options = parser.parse_args()
    options.repeats = 1 if options.quick else options.repeats
    with tempfile.TemporaryDirectory() as folder:
        rows = compare(options, Path(folder))
    name = f"preparation-{options.kind}-{options.rows}" + ("-text" if options.ids == "text" else "")
    settings = {"rows": options.rows, "kind": options.kind, "ids": options.ids, "turns": options.repeats}
    finish(f"{name}-quick" if options.quick else name, settings, rows, "polars", "pandas")


if __name__ == "__main__":
    main()
