"""Does a training step cost the same whatever the catalogue's size, and what does ranking cost a user and item?

    python benchmarks/catalogue_size.py                   # 10 thousand, 1 million and 10 million items
    python benchmarks/catalogue_size.py --quick           # 10 thousand and 100 thousand

Generated data: users with random histories, d = 16 (so item vectors of 32), batches of 512, L = 5, 3 negatives, random
lists of 10 and hybrid weights from 100 rank samples for the distilled student. Sizes and programs have a process each,
which trains a first epoch that does not count and then as many as there are turns, through `fit`; `memory` is the most
that the process held while it trained, `tables` what the model's numbers alone take. Beside ours: the same model with
`nn.Embedding` and Adam in plain PyTorch, whose negatives are not checked. `ratio` is to our smallest catalogue.

Ranking: the top 10 of random query vectors of 32 with 50 seen items each, users x items held constant; nanoseconds a
user and item, and how much memory it took beyond the vectors; beside a blocked product with `torch.topk`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import torch
from inputs import random_lists
from measure import Timing, finish, memory, report, reset_peak_memory
from plain_pytorch import PlainCaser, PlainData, adam, plain_epoch, windows_of
from torch import Tensor

import rankdistill as rd
from rankdistill.data.sequences import Sequences
from rankdistill.data.splitting import Split
from rankdistill.ids import IdMap
from rankdistill.pipeline import Distillation, Settings, fit_model
from rankdistill.types import Json

BATCH, DIM, USERS, LENGTH, SEEN, K = 512, 16, 10_000, 30, 50, 10
PAIRS = 400_000_000
"""Users x items of a ranking."""
MAXIMUM = 100_000
"""Queries of a ranking at most."""
PROGRAMS = {"plain": "student", "distilled": "distilled student"}


def random_split(num_items: int, steps: int) -> Split:
    """Users with random histories, of which `steps` batches of windows are training queries."""
    generator = np.random.default_rng(1)
    owners = np.repeat(np.arange(-(-steps * BATCH // (LENGTH - 5))), LENGTH)
    items = generator.integers(1, num_items + 1, size=len(owners), dtype=np.int32)
    train = Sequences.from_pairs(owners, items, USERS)
    nothing = Sequences(np.zeros(USERS + 1, dtype=np.int64), np.zeros(0, dtype=np.int32))
    ids = IdMap(pl.Series(np.arange(USERS)), 0), IdMap(pl.Series(np.arange(1, num_items + 1)), 1)
    return Split(train, None, nothing, *ids, None, "generated", "training alone")


class Unchecked(PlainData):
    """Negatives from the whole catalogue: the table of who has what would be users x items."""

    def unseen(self, users: Tensor, count: int) -> Tensor:
        return torch.randint(1, int(self.seen), (len(users), count))
