"""What does an exported student cost in production, beside its teacher?

    rankdistill run examples/gowalla-caser.toml --out runs/gowalla
    for role in distilled teacher; do rankdistill export runs/gowalla/$role --out exported/$role; done
    python benchmarks/serving.py exported/distilled --teacher exported/teacher

Four questions, each a table: how large the folders are and how many lists are those of torch (as export has counted
them); what one query takes in this process on one thread, by indices (`rank`) and by raw ids (`recommend`); what a
request takes over HTTP on this machine at a steady rate, from the moment when it was due; and how long
`rankdistill recommend` takes from the shell for three users and for all. Users are real ones in random order.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from measure import finish

from rankdistill.bench.asked import bodies_of
from rankdistill.bench.connection import Target
from rankdistill.bench.load import Load, put_under_load
from rankdistill.bench.timing import percentile, take_turns
from rankdistill.serving import layout
from rankdistill.serving.recommender import Recommender, Rules

K, QUERIES, SEED = 10, 2000, 1234
Row = dict[str, Any]


def sizes(models: dict[str, Recommender]) -> list[Row]:
    """Bytes, and whose lists the exported ones are."""
    rows = []
    for name, model in models.items():
        about, measured = model.manifest, model.manifest["precisions"][model.manifest["precision"]]
        parity = measured["parity"]
        rows.append(
            {
                "case": "folder",
                "name": name,
                "parameters": about["parameters"],
                "model.onnx bytes": about["files"][layout.MODEL]["bytes"],
                "folder bytes": about["bytes"],
                "ndcg@10": round(measured["metrics"]["ndcg@10"], 4),
                "users": parity["users"],
                "lists of torch's items": parity["same_items"],
                "in torch's order": parity["identical_lists"],
            }
        )
    return rows


def in_process(models: dict[str, Recommender], seconds: float) -> list[Row]:
    """Milliseconds of one query on one thread; the ways take turns."""
    calls: dict[str, list[Callable[[], object]]] = {}
    for name, model in models.items():
        drawn = np.random.default_rng(SEED).permutation(np.flatnonzero(model.history_lengths > 0))[:QUERIES]
        ids = model.users.raw(drawn)
        asked = [model.known_indices(np.array([user])) for user in drawn]
        calls[f"{name}, by index"] = [partial(model.rank, each, Rules(K)) for each in asked]
        calls[f"{name}, by raw id"] = [partial(model.recommend, users=[each], k=K) for each in ids]
    return [
        {"case": "one query in this process, one thread, ms", "name": name, **_percentiles(times)}
        for name, times in take_turns(calls, seconds).items()
    ]


def _percentiles(seconds: list[float]) -> Row:
    return {f"p{q}": percentile(seconds, q) for q in (50, 95, 99)} | {"calls": len(seconds)}


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The address of a server of a folder, in a process of its own."""
    command = [sys.executable, "-m", "rankdistill", "serve", str(folder), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()


def over_http(folders: dict[str, Path], rate: float, seconds: float, repeats: int) -> list[Row]:
    """Milliseconds of a request under load; the first round warms the server up and is shown, too."""
    rows = []
    for name, folder in folders.items():
        bodies, _ = bodies_of(folder, K)
        with serving(folder) as url:
            for number in range(1, repeats + 1):
                found = put_under_load(Target.of(url), bodies, Load(rate, seconds))
                rows.append(
                    {
                        "case": f"{rate:g} requests a second over HTTP on loopback, ms",
                        "name": name,
                        "round": number,
                        **found.latency_ms,
                        "answered": found.answered,
                        "failed": sum(found.failed.values()) + found.unanswered,
                        "client late p99": found.late_ms,
                    }
                )
    return rows


def from_the_shell(folders: dict[str, Path], repeats: int) -> list[Row]:
    """Seconds of `rankdistill recommend`, start of the process included: the median of a few."""
    rows = []
    for name, folder in folders.items():
        users = Recommender(folder, threads=1).users
        for count in (3, len(users)):
            with tempfile.TemporaryDirectory() as place:
                asked, out = Path(place) / "users.csv", Path(place) / "lists.parquet"
                ids = users.raw(np.arange(count))
                asked.write_text("\n".join(["user_id", *map(str, ids)]) + "\n", encoding="utf-8")
                command = [sys.executable, "-m", "rankdistill", "recommend", folder, "--users", asked, "--out", out]
                times = [_seconds([*map(str, command), "--threads", "1"]) for _ in range(repeats)]
            rows.append(
                {
                    "case": "rankdistill recommend from the shell, one thread, s",
                    "name": name,
                    "users": count,
                    "median": round(float(np.median(times)), 3),
                    "spread": [round(min(times), 3), round(max(times), 3)],
                }
            )
    return rows


def _seconds(command: list[str]) -> float:
    begin = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - begin


def main() -> None:
    """Parses the command line, runs, writes the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("student", type=Path, help="a folder that export wrote, with users")
    parser.add_argument("--teacher", type=Path, help="another one, to stand beside it")
    parser.add_argument("--rate", type=float, default=500.0, help="requests a second")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each way and each round")
    parser.add_argument("--repeats", type=int, default=5, help="rounds over HTTP, and calls from the shell")
    options = parser.parse_args()
    folders = {"student": options.student, **({"teacher": options.teacher} if options.teacher else {})}
    models = {name: Recommender(folder, threads=1, index=False) for name, folder in folders.items()}
    rows = [
        *sizes(models),
        *in_process(models, options.seconds),
        *over_http(folders, options.rate, options.seconds, options.repeats),
        *from_the_shell(folders, options.repeats),
    ]
    settings = {"k": K, "rate": options.rate, "seconds": options.seconds, "workers": 1, "threads": 1}
    finish("serving", settings, rows, "onnxruntime", "uvicorn", "fastapi")


if __name__ == "__main__":
    main()
