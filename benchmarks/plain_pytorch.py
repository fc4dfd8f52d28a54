"""Are the losses and the quality those of a plain re-implementation of the published code, and how much faster are we?

    rankdistill train examples/gowalla-caser.toml --role teacher --set split.train_on_validation=false --out TEACHER
    python benchmarks/plain_pytorch.py examples/gowalla-caser.toml TEACHER --epochs 20 --seeds 1 2

distils the student of the experiment from the teacher's lists twice for each seed: through the library, and through a
second implementation that shares nothing with it but the data and the lists (conv2d, nn.Dropout, an embedding layer
for each table, Adam without fusing, windows and average precision in loops). Both print a line each validated epoch:
the two loss terms, MAP on the validation data, the median seconds of an epoch. The test data is not looked at.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, max_pool1d

from rankdistill.config import Experiment, load
from rankdistill.data.splitting import Split
from rankdistill.model_folder import load_model
from rankdistill.pipeline import Settings, fit_model, label, prepare
from rankdistill.teaching import Distillation


@dataclass(frozen=True)
class Row:
    """One validated epoch."""

    epoch: int
    ranking_loss: float
    distillation_loss: float
    validation_map: float
    seconds: float


class PlainCaser(nn.Module):
    """Caser as its paper draws it."""

    def __init__(self, split: Split, dim: int) -> None:
        super().__init__()
        rows, length = split.num_items + 1, split.history_length
        self.users, self.history = nn.Embedding(split.num_users, dim), nn.Embedding(rows, dim)
        self.items, self.bias = nn.Embedding(rows, 2 * dim), nn.Embedding(rows, 1)
        self.vertical = nn.Conv2d(1, 2, (length, 1))
        self.horizontal = nn.ModuleList(nn.Conv2d(1, 16, (height, dim)) for height in range(1, length + 1))
        self.dropout, self.combine = nn.Dropout(0.5), nn.Linear(2 * dim + 16 * length, dim)
        for table in (self.users, self.history, self.items):
            nn.init.normal_(table.weight, 0.0, 1.0 / table.embedding_dim)
        nn.init.zeros_(self.bias.weight)

    def encode(self, users: Tensor, history: Tensor) -> Tensor:
        image = self.history(history).unsqueeze(1)
        features = [self.vertical(image).flatten(1)]
        for convolution in self.horizontal:
            values = convolution(image).squeeze(3)
            features.append(max_pool1d(values, values.shape[2]).squeeze(2))
        return torch.cat([torch.sigmoid(self.combine(self.dropout(torch.cat(features, 1)))), self.users(users)], 1)

    def score(self, queries: Tensor, items: Tensor) -> Tensor:
        return torch.baddbmm(self.bias(items), self.items(items), queries.unsqueeze(2)).squeeze(2)


@dataclass(frozen=True)
class PlainData:
    """What the second implementation learns from: windows, the teacher's lists [n, K], who has what [U, I + 1]."""

    users: Tensor
    history: Tensor
    targets: Tensor
    teacher: Tensor
    seen: Tensor

    @classmethod
    def of(cls, split: Split, lists: np.ndarray) -> PlainData:
        seen = torch.zeros(split.num_users, split.num_items + 1, dtype=torch.bool)
        seen[torch.from_numpy(split.train.users), torch.from_numpy(split.train.items).long()] = True
        return cls(*windows_of(split), torch.from_numpy(lists).long(), seen)

    def unseen(self, users: Tensor, count: int) -> Tensor:
        return unseen_items(self.seen, users, count)


def adam(model: PlainCaser, *, fused: bool = False) -> torch.optim.Adam:
    """With the settings of the published code."""
    return torch.optim.Adam(model.parameters(), lr=1e-3, weight_decay=1e-6, foreach=False, fused=fused)


def plain_epoch(
    model: PlainCaser, optimizer: torch.optim.Optimizer, data: PlainData, *, weigh: bool
) -> tuple[float, float]:
    """One pass with the settings of the published code, written out once more; returns the two mean losses.

    `weigh` turns the hybrid weights on, which come behind the warm-up.
    """
    sums = [0.0, 0.0]
    users, num_items = data.users, len(model.items.weight) - 1
    places = torch.arange(data.teacher.shape[1])
    position = torch.exp(-(places + 1.0)) / torch.exp(-(places + 1.0)).sum()
    order, negatives = torch.randperm(len(users)), data.unseen(users, 3)
    for rows in order.split(512):
        queries = model.encode(users[rows], data.history[rows])
        scores = model.score(queries, torch.cat([data.targets[rows, None], negatives[rows], data.teacher[rows]], 1))
        target, negative, candidates = scores.split([1, 3, len(places)], 1)
        weights = position
        if weigh:
            with torch.no_grad():
                sample = data.unseen(users[rows], 100)
                share = (candidates.unsqueeze(2) < model.score(queries, sample).unsqueeze(1)).sum(2) / 100
                ranks = torch.floor(share * num_items)
                weights = position * torch.tanh(0.1 * (ranks - places)).clamp_min(0)
        ranking = -(logsigmoid(target).sum(1) + logsigmoid(-negative).sum(1)).mean()
        distillation = -(weights * logsigmoid(candidates)).sum(1).mean()
        optimizer.zero_grad()
        (ranking + distillation).backward()
        optimizer.step()
        for place, term in enumerate((ranking, distillation)):
            sums[place] += term.item() * len(rows) / len(users)
    return sums[0], sums[1]


def plain(experiment: Experiment, split: Split, lists: np.ndarray, seed: int, epochs: int, every: int) -> Iterator[Row]:
    """Trains for some epochs, the first ten of them warm-up."""
    torch.manual_seed(seed)
    data = PlainData.of(split, lists)
    model = PlainCaser(split, experiment.student.model.dim)
    optimizer = adam(model)
    for epoch in range(1, epochs + 1):
        begin = time.perf_counter()
        ranking, distillation = plain_epoch(model, optimizer, data, weigh=epoch > 10)
        seconds = time.perf_counter() - begin
        value = mean_average_precision(model, split, data.seen) if epoch % every == 0 else float("nan")
        yield Row(epoch, ranking, distillation, value, seconds)


def windows_of(split: Split) -> tuple[Tensor, Tensor, Tensor]:
    """Every run of L + 1 items of every user, in a loop."""
    length, rows = split.history_length, []
    for user in range(split.num_users):
        items = split.train.of(user).tolist()
        rows += [(user, items[end - length : end], items[end]) for end in range(length, len(items))]
    users, history, targets = zip(*rows, strict=True)
    assert len(users) == len(split.windows), "this benchmark takes data without users shorter than a window"
    return torch.tensor(users), torch.tensor(history), torch.tensor(targets)


def unseen_items(seen: Tensor, users: Tensor, count: int) -> Tensor:
    """Items [n, count] that the users [n] do not have, drawn until it is so."""
    items = torch.randint(1, seen.shape[1], (len(users), count))
    while (hits := seen[users[:, None], items]).any():
        items[hits] = torch.randint(1, seen.shape[1], (int(hits.sum()),))
    return items


@torch.no_grad()
def mean_average_precision(model: PlainCaser, split: Split, seen: Tensor) -> float:
    """By sorting the catalogue for one user at a time."""
    model.eval()
    assert split.validation is not None
    values = []
    for user in range(split.num_users):
        targets = np.setdiff1d(split.validation.of(user), split.train.of(user))
        if not len(targets):
            continue
        history = torch.from_numpy(split.train.of(user)[-split.history_length :].astype(np.int64))
        query = model.encode(torch.tensor([user]), history.unsqueeze(0))
        scores = model.items.weight @ query[0] + model.bias.weight[:, 0]
        scores[seen[user]] = -torch.inf
        scores[0] = -torch.inf
        order = scores.argsort(descending=True).numpy()
        ranks = np.flatnonzero(np.isin(order, targets)) + 1
        values.append((np.arange(1, len(ranks) + 1) / ranks).sum() / len(targets))
    model.train()
    return float(np.mean(values))


def ours(experiment: Experiment, split: Split, method: Distillation, seed: int) -> list[Row]:
    """The same through the library."""
    settings = Settings(experiment.ranking_loss, experiment.student.train, seed)
    rows = fit_model(experiment.student.model, split, settings, method)[1].rows
    none = {"map": float("nan")}
    return [
        Row(
            row["epoch"],
            row["ranking_loss"],
            row["distillation_loss"],
            row.get("validation", none)["map"],
            row["seconds"],
        )
        for row in rows
    ]


def show(name: str, seed: int, rows: list[Row], every: int) -> float:
    """Prints the validated epochs; returns the median seconds of an epoch."""
    for row in rows:
        if row.epoch % every == 0:
            print(
                f"{name:8} seed {seed:<5} epoch {row.epoch:>2}  ranking loss {row.ranking_loss:.4f}  "
                f"distillation loss {row.distillation_loss:.4f}  validation map {row.validation_map:.4f}",
                flush=True,
            )
    return statistics.median(row.seconds for row in rows)


def main() -> None:
    """Parses the command line and runs both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", type=Path)
    parser.add_argument("teacher", type=Path)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--every", type=int, default=10, help="epochs between two validations")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    options = parser.parse_args()
    changes = ["split.train_on_validation=false", f"train.epochs={options.epochs}"]
    experiment = load(options.experiment, [*changes, f"train.validate_every={options.every}"])
    split = prepare(experiment)
    lists = label(load_model(options.teacher, "cpu")[0], split, k=experiment.distillation.k)
    method = Distillation(lists, experiment.distillation)
    items = method.items_for(split)
    for seed in options.seeds:
        library = show("library", seed, ours(experiment, split, method, seed), options.every)
        rows = list(plain(experiment, split, items, seed, options.epochs, options.every))
        other = show("plain", seed, rows, options.every)
        print(
            f"seed {seed}: {library:.2f} s an epoch through the library, {other:.2f} plain: {other / library:.1f} times"
        )


if __name__ == "__main__":
    main()
