"""What the benchmarks run on: Gowalla's split and models where the data is here, else made-up data of its size."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import rankdistill as rd
from rankdistill.config import Section
from rankdistill.data.splitting import Split
from rankdistill.errors import DataError
from rankdistill.model_folder import load_model
from rankdistill.pipeline import Settings, train
from rankdistill.ranker import Ranker
from rankdistill.rankings import Rankings

USERS, ITEMS, LENGTH = 13_149, 14_009, 41
"""Users, items and mean interactions of a user in the Gowalla set that the published code comes with."""


def split_like_gowalla() -> Split:
    """The published Gowalla split, or synthetic data with as many users, items and interactions."""
    try:
        return rd.read("gowalla-kdd18").split("presplit")
    except DataError as error:
        print(f"synthetic data in place of Gowalla: {str(error).splitlines()[0]}")
        return rd.read("synthetic", users=USERS, items=ITEMS, length=LENGTH, seed=1).split("user_fractions")


def model_for(split: Split, folder: Path | None, dim: int) -> tuple[Ranker, str]:
    """The model of a folder, or a Caser of this size after one epoch; and what to call it."""
    if folder is not None:
        model = load_model(folder, "cpu")[0]
        return model, f"{folder.name}, {_size(model.config)}"
    settings = Settings(train=rd.TrainConfig(epochs=1, device="cpu"))
    model = train(rd.Caser.Config(dim=dim), split, settings)
    return model, f"one epoch, {_size(model.config)}"


def _size(config: Section) -> str:
    return f"d = {getattr(config, 'dim', '?')}"


def random_lists(split: Split, k: int, seed: int = 1) -> Rankings:
    """Lists [n, K] for the training queries that a teacher could have made, cheaper: without repeats and targets.

    Each is a random run of neighbours in a random order of the items, started anew where it holds the target.
    """
    generator = np.random.default_rng(seed)
    windows = split.windows
    order = generator.permutation(split.num_items).astype(np.int32) + 1
    targets = windows.targets()
    items = np.zeros((len(windows), k), dtype=np.int32)
    waiting = np.arange(len(windows))
    while len(waiting):
        first = generator.integers(0, split.num_items, size=(len(waiting), 1))
        items[waiting] = order[(first + np.arange(k)) % split.num_items]
        hit = (items[waiting][:, :, None] == targets[waiting][:, None, :]).any(axis=(1, 2))
        waiting = waiting[hit]
    return Rankings(windows.ids, items, fingerprint=split.fingerprint, source="random lists")
