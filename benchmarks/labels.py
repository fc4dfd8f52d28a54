"""How fast does a teacher label every training query with its top 10, and are the lists exact?

    python benchmarks/labels.py --model RUN/teacher       # 367,611 windows, 3 turns
    python benchmarks/labels.py --quick                   # about 20 thousand, a Caser after one epoch

Ours is `label`, the stage of an experiment. Beside it what one would write: histories encoded in blocks, a blocked
product, the query's own target and what never occurs in training masked by index, `torch.topk`; in float32, and in
bfloat16, which is not exact. `equal` is the share of lists that are those of a ranking in float64, in order; it is
taken on the first queries alone. The memory is what the process holds at most beyond what it held before.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from inputs import model_for, split_like_gowalla
from measure import finish, memory, report, reset_peak_memory, turns

import rankdistill as rd
from rankdistill.data.splitting import Split
from rankdistill.data.windows import Windows
from rankdistill.ranker import Ranker
from rankdistill.types import Ints, Items, Json

BLOCK = 128
CHECKED = 8192
"""Queries whose lists are held against float64."""


@torch.inference_mode()
def in_torch(model: Ranker, windows: Windows, never: Items, k: int, dtype: torch.dtype) -> Ints:
    """Lists [n, K] of the windows."""
    model.eval()
    vectors, bias = (each.to(dtype) for each in model.item_table())
    out = torch.from_numpy(np.append(0, never))
    lists = np.empty((len(windows), k), dtype=np.int64)
    for start in range(0, len(windows), BLOCK):
        rows = slice(start, min(start + BLOCK, len(windows)))
        history = torch.from_numpy(windows.history(rows).astype(np.int64))
        queries = model.encode(torch.from_numpy(windows.users[rows]), history)
        scores = torch.addmm(bias, queries.to(dtype), vectors.T)
        scores[:, out] = -torch.inf
        scores.scatter_(1, torch.from_numpy(windows.targets(rows).astype(np.int64)), -torch.inf)
        lists[rows] = torch.topk(scores, k, dim=1).indices.numpy()
    return lists


def first(windows: Windows, count: int) -> Windows:
    """The first windows alone."""
    return Windows(
        windows.sequences,
        windows.users[:count],
        windows.positions[:count],
        windows.history_length,
        windows.target_length,
    )


def compare(model: Ranker, split: Split, windows: Windows, shards: int, options: argparse.Namespace) -> list[Json]:
    """The rows: label beside torch, with exactness and memory."""
    k, never = options.k, split.untrained_items
    ways: dict[str, Callable[[], Items | Ints]] = {
        "rankdistill": lambda: rd.label(model, split, k=k, shard=(1, shards)).items,
        "torch float32": partial(in_torch, model, windows, never, k, torch.float32),
        "torch bfloat16": partial(in_torch, model, windows, never, k, torch.bfloat16),
    }
    right = in_torch(model, first(windows, CHECKED), never, k, torch.float64)
    notes: dict[str, Json] = {}
    for name, way in ways.items():
        before, counted = memory(), reset_peak_memory()
        lists = way()
        notes[name] = {
            "microseconds_a_query": None,
            "equal": round(float((lists[: len(right)] == right).all(1).mean()), 5),
            "megabytes": round((memory("VmHWM") - before) / 1e6) if counted else None,
        }
    rows = report(turns(ways, options.repeats, warmup=0), "rankdistill", notes)
    for row in rows:
        row["microseconds_a_query"] = round(1e6 * row["seconds"] / len(windows), 2)
    return rows


def main() -> None:
    """Parses the command line, runs, writes the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a teacher's folder of a run on Gowalla")
    parser.add_argument("--dim", type=int, default=100, help="d of the Caser that is trained where no model is named")
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--windows", type=int, help="about how many training queries; all when left out")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="about 20,000 windows")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    split = split_like_gowalla()
    total = len(split.windows)
    wanted = options.windows or (20_000 if options.quick else total)
    shards = max(1, round(total / wanted))
    model, name = model_for(split, options.model, options.dim)
    windows = first(split.windows, total // shards)
    rows = compare(model, split, windows, shards, options)
    settings = {"data": split.source, "model": name, "windows": len(windows), "items": split.num_items, "k": options.k}
    settings |= {"threads": options.threads, "checked": min(CHECKED, len(windows))}
    finish("labels-quick" if options.quick else "labels", settings, rows)


if __name__ == "__main__":
    main()
