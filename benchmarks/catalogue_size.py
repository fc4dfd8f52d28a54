"""Does a training step cost the same whatever the catalogue's size, and what does ranking cost a user and item?

    python benchmarks/catalogue_size.py                   # 10 thousand, 1 million and 10 million items
    python benchmarks/catalogue_size.py --quick           # 10 thousand and 300 thousand, fewer turns

Training: generated data, users with random histories, d = 16 (item vectors of 32), batches of 512, L = 5, 3 negatives;
the distilled student with random lists of 10 and hybrid weights from 100 rank samples. It runs through `fit`, beside
the same in plain PyTorch (`nn.Embedding`, Adam) without a check of its negatives. Ranking: the top 10 of random query
vectors of 32 with 50 seen items each, users x items held constant, beside a blocked product with `torch.topk`.

Every row has a process of its own, one after the other, and a first turn that does not count. `memory_mb` is the most
that the process held beyond what it held before the model was made (training) or asked (ranking); `tables_mb` is what
the model's numbers alone take. `growth` is to the same program's smallest catalogue, `ratio` to ours of the same size.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import polars as pl
import torch
from inputs import random_lists
from measure import Timing, finish, memory, reset_peak_memory
from plain_pytorch import PlainCaser, PlainData, adam, plain_epoch, windows_of
from top_k import Vectors
from torch import Tensor

import rankdistill as rd
from rankdistill.data.queries import Exclude, Queries
from rankdistill.data.sequences import Sequences
from rankdistill.data.splitting import Split
from rankdistill.ids import IdMap
from rankdistill.pipeline import Settings, fit_model
from rankdistill.ranker import rank
from rankdistill.teaching import Distillation
from rankdistill.types import Json

BATCH, DIM, HISTORY, K = 512, 16, 5, 10
USERS, LENGTH = 10_000, 30
SEEN, SCORES_A_BLOCK = 50, 1 << 21
TASKS = ("student", "distilled", "ranking")


@dataclass(frozen=True, slots=True)
class Job:
    """One row: what to run on how many items.

    `size` is steps an epoch for `student` and `distilled`, and users x items for `ranking`.
    """

    task: str
    program: str
    items: int
    size: int
    repeats: int
    threads: int


def random_split(num_items: int, steps: int) -> Split:
    """Random histories for as many users as `steps` batches of windows need; the other users have none."""
    generator = np.random.default_rng(1)
    owners = np.repeat(np.arange(steps * BATCH // (LENGTH - HISTORY)), LENGTH)
    items = generator.integers(1, num_items + 1, size=len(owners), dtype=np.int32)
    train = Sequences.from_pairs(owners, items, USERS)
    nobody = Sequences(np.zeros(USERS + 1, dtype=np.int64), np.zeros(0, dtype=np.int32))
    users, catalogue = IdMap(pl.Series(np.arange(USERS)), 0), IdMap(pl.Series(np.arange(1, num_items + 1)), 1)
    return Split(train, None, nobody, users, catalogue, None, "generated", "all training", HISTORY, 1, "generated")


def train_ours(job: Job, split: Split) -> list[float]:
    """Seconds of each epoch, from the log rows of `fit`."""
    method = None
    if job.task == "distilled":
        method = Distillation(random_lists(split, K), rd.RankingDistillation.Config(k=K, warmup_epochs=0))
    train = rd.TrainConfig(epochs=1 + job.repeats, batch_size=BATCH, device="cpu", threads=job.threads)
    rows = fit_model(rd.Caser.Config(dim=DIM), split, Settings(train=train), method)[1].rows
    return [float(row["seconds"]) for row in rows]


class Unchecked(PlainData):
    """Negatives from the whole catalogue; who has what, users x items, would not fit. `seen` is [0, I + 1]."""

    def unseen(self, users: Tensor, count: int) -> Tensor:
        return torch.randint(1, self.seen.shape[1], (len(users), count))


def train_plain(job: Job, split: Split) -> list[float]:
    """Seconds of each epoch of the second implementation."""
    lists = random_lists(split, K).items[:, : K if job.task == "distilled" else 0]
    data = Unchecked(*windows_of(split), torch.from_numpy(lists).long(), torch.empty(0, split.num_items + 1))
    model = PlainCaser(split, DIM)
    optimizer = adam(model)
    seconds = []
    for _ in range(1 + job.repeats):
        begin = time.perf_counter()
        plain_epoch(model, optimizer, data, weigh=job.task == "distilled")
        seconds.append(time.perf_counter() - begin)
    return seconds


def train(job: Job) -> Json:
    """Milliseconds a step, and the memory."""
    split = random_split(job.items, job.size)
    before = memory()
    reset_peak_memory()
    seconds = train_ours(job, split) if job.program == "rankdistill" else train_plain(job, split)
    steps = -(-len(split.windows) // BATCH)
    numbers = USERS * DIM + (job.items + 1) * (3 * DIM + 1)
    tables = round(4 * numbers / 1e6, 1)
    return {
        "turns": [1e3 * each / steps for each in seconds[1:]],
        "memory": memory("VmHWM") - before,
        "tables_mb": tables,
    }


@torch.inference_mode()
def rank_in_torch(model: Vectors, queries: Queries) -> None:
    """Blocked product, mask by index, `torch.topk`."""
    vectors, bias = model.item_table()
    for block in queries.blocks(max(1, SCORES_A_BLOCK // len(vectors))):
        assert block.exclude.seen is not None
        seen = block.exclude.seen.take(block.users)
        scores = torch.addmm(bias, model.encode(torch.from_numpy(block.users), torch.empty(0)), vectors.T)
        scores[:, 0] = -torch.inf
        scores[torch.from_numpy(seen.users), torch.from_numpy(seen.items).long()] = -torch.inf
        torch.topk(scores, K, dim=1)


def ranking(job: Job) -> Json:
    """Nanoseconds a user and item, and the memory beyond the vectors."""
    generator = torch.Generator().manual_seed(1)
    users = max(1, job.size // job.items)
    table, asked = (torch.randn(rows, 2 * DIM, generator=generator) for rows in (job.items + 1, users))
    model = Vectors(asked, table, torch.randn(job.items + 1, generator=generator))
    owners = np.repeat(np.arange(users), SEEN)
    known = np.random.default_rng(1).integers(1, job.items + 1, size=len(owners), dtype=np.int32)
    rows, seen = np.arange(users), Sequences.from_pairs(owners, known, users)
    queries = Queries(rows << 32, rows, np.zeros((users, 1), dtype=np.int32), Exclude(seen))
    seconds, before = [], memory()
    reset_peak_memory()
    for _ in range(1 + job.repeats):
        begin = time.perf_counter()
        if job.program == "rankdistill":
            rank(model, queries, K)
        else:
            rank_in_torch(model, queries)
        seconds.append(time.perf_counter() - begin)
    turns = [1e9 * each / (users * job.items) for each in seconds[1:]]
    tables = round(4 * (job.items + 1) * (2 * DIM + 1) / 1e6, 1)
    return {"turns": turns, "memory": memory("VmHWM") - before, "tables_mb": tables}


def in_a_process(job: Job) -> Json:
    """What the job says of itself; its own process ends with it, and so does its memory."""
    line = [sys.executable, str(Path(__file__).resolve()), "--job", json.dumps(asdict(job))]
    done = subprocess.run(line, stdout=subprocess.PIPE, text=True, check=True)
    found: Json = json.loads(done.stdout.splitlines()[-1])
    return found


def rows_of(task: str, sizes: list[int], options: argparse.Namespace) -> list[Json]:
    """A row for each size and program."""
    ranked = task == "ranking"
    other = "torch float32" if ranked else "plain PyTorch"
    programs = ("rankdistill",) if options.alone else ("rankdistill", other)
    unit, size = ("ns_a_user_and_item", options.pairs) if ranked else ("ms_a_step", options.steps)
    rows: list[Json] = []
    timings: dict[tuple[str, int], float] = {}
    for items in sizes:
        for program in programs:
            print(f"{task}, {program}, {items:,} items ...", file=sys.stderr, flush=True)
            found = in_a_process(Job(task, program, items, size, options.repeats, options.threads))
            timing = Timing(tuple(found["turns"]))
            timings[program, items] = timing.median
            row = {"case": task, "name": program, "items": items, unit: float(f"{timing.median:.4g}")}
            row["quartiles"] = [float(f"{each:.4g}") for each in timing.quartiles]
            row["ratio"] = float(f"{timing.median / timings[programs[0], items]:.3g}")
            row["growth"] = float(f"{timing.median / timings[program, sizes[0]]:.3g}")
            rows.append(row | {"memory_mb": round(found["memory"] / 1e6, 1), "tables_mb": found["tables_mb"]})
    return rows


def main() -> None:
    """Parses the command line, runs, writes the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, nargs="+", default=[10_000, 1_000_000, 10_000_000], help="for training")
    parser.add_argument("--ranked-items", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--steps", type=int, default=10, help="batches an epoch")
    parser.add_argument("--pairs", type=int, default=400_000_000, help="users x items of a ranking")
    parser.add_argument("--repeats", type=int, default=3, help="turns that count")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--alone", action="store_true", help="ours alone, in less time and memory")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS)
    parser.add_argument("--quick", action="store_true", help="no million items, 50 million pairs, 2 turns")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.job:
        job = Job(**json.loads(options.job))
        torch.set_num_threads(job.threads)
        print(json.dumps(ranking(job) if job.task == "ranking" else train(job)))
        return
    if options.quick:
        options.items, options.steps, options.pairs, options.repeats = [10_000, 300_000], 10, 50_000_000, 2
    rows = []
    for task in options.tasks:
        rows += rows_of(task, options.ranked_items if task == "ranking" else options.items, options)
    settings = {"dim": DIM, "batch": BATCH, "steps": options.steps, "pairs": options.pairs, "threads": options.threads}
    finish("catalogue_size-quick" if options.quick else "catalogue_size", settings, rows)


if __name__ == "__main__":
    main()
