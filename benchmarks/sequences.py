"""How much quicker does a causal model learn from whole sequences, and label them, than each window by itself?

    python benchmarks/sequences.py            # about 20 thousand windows, 5 turns
    python benchmarks/sequences.py --quick    # about 5 thousand windows, 3 turns

SASRec and GRU4Rec of d = 64 on Gowalla's users and items, every item but a user's first as a target, histories of 10
and of 50 items, one negative, batches of 1,024. A turn is an epoch of `fit` by its own count of seconds: the same
windows, losses and optimiser both times; only what the model reads for them differs. Users with more items than a
history has are cut into segments that overlap by half, so that not all of the factor L is gained. Then the top 10 of
each window: histories that begin alike are encoded once, and the lists must be the same.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import torch
from inputs import split_like_gowalla
from measure import finish, report, turns

from rankdistill import plugins
from rankdistill.config import Section, TrainConfig
from rankdistill.data.negatives import NegativeSampler
from rankdistill.data.splitting import Split, some_users
from rankdistill.loss import Batch, Objective
from rankdistill.losses.pointwise import Pointwise
from rankdistill.pipeline import build, label
from rankdistill.ranker import Ranker
from rankdistill.rankings import Rankings
from rankdistill.training import Session, TrainingData, fit
from rankdistill.types import Json

BATCH = 1024
MODELS = ("sasrec", "gru4rec")
LENGTHS = (10, 50)


class Apart(TrainingData):
    """The same windows, each to be encoded by itself."""

    def batches(
        self, size: int, generator: np.random.Generator, device: torch.device, causal: bool = False
    ) -> Iterator[Batch]:
        """See `TrainingData.batches`."""
        return super().batches(size, generator, device)


def epoch(config: Section, data: TrainingData, split: Split) -> Callable[[], float]:
    """One epoch of a new model."""
    train, objective = TrainConfig(epochs=1, batch_size=BATCH, device="cpu"), Objective(Pointwise(Pointwise.Config()))
    return lambda: fit(build(config, split, 0), data, objective, train, Session(0)).seconds


def compare(kind: str, split: Split, repeats: int) -> list[Json]:
    """The rows of one model and history length."""
    config, windows = plugins.find("models", kind).Config(dim=64), split.windows
    sampler = NegativeSampler.of(split.train, split.num_items)
    epochs = {
        "whole sequences": epoch(config, TrainingData(windows, sampler, 1), split),
        "each window by itself": epoch(config, Apart(windows, sampler, 1), split),
    }
    rows = report(turns(epochs, repeats), "whole sequences", {})
    return [{"case": f"{kind}, {split.history_length} items", **row} for row in rows]


def compare_labels(kind: str, split: Split, repeats: int) -> list[Json]:
    """The rows of the lists of one model and history length."""
    teacher = build(plugins.find("models", kind).Config(dim=64), split, 0)

    def apart() -> Rankings:
        with patch.object(Ranker, "encode_together", Ranker.encode):
            return label(teacher, split)

    ways = {"whole sequences": lambda: label(teacher, split), "each window by itself": apart}
    ours, theirs = (make().items for make in ways.values())
    equal = round(float((ours == theirs).all(1).mean()), 4)
    rows = report(turns(ways, repeats), "whole sequences", {"each window by itself": {"equal": equal}})
    return [{"case": f"{kind}, {split.history_length} items, lists", **row} for row in rows]


def main() -> None:
    """Parses the command line, runs, writes the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, help="about how many training queries; 20,000 when left out")
    parser.add_argument("--repeats", type=int, help="turns; one more that does not count comes first")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--quick", action="store_true", help="about 5,000 windows, 3 turns")
    options = parser.parse_args()
    count = options.windows or (5_000 if options.quick else 20_000)
    repeats = options.repeats or (3 if options.quick else 5)
    torch.set_num_threads(options.threads)
    split = some_users(replace(split_like_gowalla(), min_history=1), count)
    rows = [
        row
        for length in LENGTHS
        for kind in MODELS
        for made in (compare, compare_labels)
        for row in made(kind, replace(split, history_length=length), repeats)
    ]
    settings: Json = {"data": split.source, "windows": len(split.windows), "batch": BATCH, "threads": options.threads}
    finish("sequences-quick" if options.quick else "sequences", settings, rows)


if __name__ == "__main__":
    main()
