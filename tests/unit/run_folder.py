"""Fake run folders, laid out like real ones."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

HALF_METRICS = ("ndcg@10", "recall@10", "map")
METRICS = (
    *(f"precision@{k}" for k in (3, 5, 10)),
    *(f"ndcg_kdd18@{k}" for k in (3, 5, 10)),
    *("map", "ndcg@10", "recall@10", "hit@10", "mrr@10"),
)
CONFIG = """seed = 1234

[data]
kind = "delimited"
path = "events.csv"

[teacher]
kind = "caser"
dim = 100

[student]
kind = "caser"
dim = 50

[ranking_loss]
kind = "pointwise"
negatives = 3

[distillation]
kind = "ranking_distillation"
preset = "kdd18-code"
k = 10
weighting = "hybrid"
alpha = 1.0
position_sharpness = 1.0
discrepancy_sharpness = 0.1
rank_samples = 100
warmup_epochs = 10
exclude = "targets"
renormalize = false

[train]
epochs = 50
validation_metric = "map"
"""


@dataclass
class FakeRun:
    """Writes a run folder whose models are noisy copies of one another."""

    folder: Path
    users: int = 300
    items: int = 400
    quality: dict[str, float] = field(
        default_factory=lambda: {"teacher": 0.1248, "student": 0.1187, "distilled": 0.1255}
    )
    closeness: dict[str, float] = field(default_factory=lambda: {"student": 0.35, "distilled": 0.55})
    halves: dict[str, dict[str, float]] = field(
        default_factory=lambda: {
            "head": {"teacher": 0.1412, "student": 0.1321, "distilled": 0.1433},
            "tail": {"teacher": 0.0611, "student": 0.0540, "distilled": 0.0575},
        }
    )
    p_values: dict[str, float] = field(
        default_factory=lambda: {
            "distilled-student": 0.0002,
            "distilled-teacher": 0.31,
            "student-teacher": 0.004,
        }
    )
    parameters: dict[str, int] = field(
        default_factory=lambda: {"teacher": 5_584_102, "student": 2_794_102, "distilled": 2_794_102}
    )
    titles: bool = True
    validation: bool = True
    foreign_teacher: bool = False
    item_names: str = "Item {}"
    seed: int = 0

    def write(self) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        random = np.random.default_rng(self.seed)
        popularity = np.sort(random.lognormal(3.0, 1.1, self.items))[::-1].astype(np.int64) + 4
        activity = random.geometric(0.04, self.users).astype(np.int64) + 4
        lists = self._lists(random, popularity)
        targets = self._targets(random, lists["teacher"])
        (self.folder / "config.toml").write_text(CONFIG)
        self._write_data(popularity, activity, targets)
        for role, items in lists.items():
            self._write_model(role, items, random)
        self._write_comparisons()
        return self.folder

    def _lists(self, random: np.random.Generator, popularity: np.ndarray) -> dict[str, np.ndarray]:
        taste = np.log(popularity)[None, :] + random.gumbel(size=(self.users, self.items))
        depth = min(100, self.items)
        lists = {"teacher": np.argsort(-taste, axis=1)[:, :depth]}
        for role, closeness in self.closeness.items():
            noisy = taste + random.normal(size=taste.shape) * (1 - closeness) * 2
            lists[role] = np.argsort(-noisy, axis=1)[:, :depth]
        return lists

    def _targets(self, random: np.random.Generator, teacher: np.ndarray) -> pl.DataFrame:
        rows = []
        for user in range(self.users):
            chosen = {int(item) for item in random.choice(self.items, size=min(4, self.items), replace=False)}
            if random.random() < 0.6:
                chosen.add(int(teacher[user, min(int(random.integers(6)), teacher.shape[1] - 1)]))
            rows += [(user, item) for item in sorted(chosen)]
        return pl.DataFrame(rows, schema=["user_id", "item_id"], orient="row")

    def _write_data(self, popularity: np.ndarray, activity: np.ndarray, targets: pl.DataFrame) -> None:
        (self.folder / "data").mkdir(exist_ok=True)
        targets.write_parquet(self.folder / "targets.parquet")
        pl.DataFrame({"user_id": np.arange(self.users), "interactions": activity}).write_parquet(
            self.folder / "data" / "activity.parquet"
        )
        items = pl.DataFrame({"item_id": np.arange(self.items), "interactions": popularity})
        if self.titles:
            names = [None if i % 17 == 3 else self.item_names.format(i) for i in range(self.items)]
            items = items.with_columns(pl.Series("title", names, dtype=pl.String))
        items.write_parquet(self.folder / "data" / "items.parquet")
        data = {
            "name": "gowalla-kdd18",
            "fingerprint": "b1946ac92492d2347c6235b4d2611184",
            "users": self.users,
            "items": self.items,
            "interactions": int(activity.sum()),
            "train": int(activity.sum() * 0.7),
            "validation": int(activity.sum() * 0.1),
            "test": len(targets),
            "test_users": self.users,
            "targets": len(targets),
            "unseen_targets": 7,
            "popular_items": 61,
            "split": "user_fractions 0.7/0.1/0.2, trained on train + validation",
            "history_length": 5,
            "target_length": 1,
            "notes": ["user column: 'uid' (guessed)", '1,204 repeat visits dropped (repeats = "last")'],
        }
        (self.folder / "data.json").write_text(json.dumps(data))

    def _write_model(self, role: str, items: np.ndarray, random: np.random.Generator) -> None:
        folder = self.folder / role
        folder.mkdir(exist_ok=True)
        users, depth = items.shape
        pl.DataFrame(
            {
                "user_id": np.repeat(np.arange(users), depth),
                "rank": np.tile(np.arange(1, depth + 1), users),
                "item_id": items.ravel(),
                "score": np.tile(np.linspace(4, -4, depth), users),
            }
        ).write_parquet(folder / "rankings.parquet")
        if role in self.quality:
            self._write_evaluation(folder, role, random)
        if role == "teacher" and self.foreign_teacher:
            facts = {
                "role": "teacher",
                "kind": "lists",
                "parameters": None,
                "bytes": None,
                "latency_ms": None,
            }
            (folder / "model.json").write_text(json.dumps(facts))
            return
        (folder / "model.json").write_text(json.dumps(self._facts(role)))
        lines = [json.dumps(self._epoch(role, epoch, random)) for epoch in range(1, 51)]
        (folder / "metrics.jsonl").write_text("\n".join(lines) + "\n")

    def _write_evaluation(self, folder: Path, role: str, random: np.random.Generator) -> None:
        columns: dict[str, object] = {"user_id": np.arange(self.users)}
        for place, name in enumerate(METRICS):
            values = random.beta(0.5, 3.5, self.users)
            columns[name] = values * self.quality[role] * (0.7 + 0.08 * place) / values.mean()
        pl.DataFrame(columns).write_parquet(folder / "evaluation.parquet")
        halves: dict[str, object] = {"user_id": np.arange(self.users)}
        for half, quality in self.halves.items():
            for name in HALF_METRICS:
                values = random.beta(0.5, 3.5, self.users)
                values *= quality[role] / values.mean()
                values[-3:-1] = np.nan  # users without a target in this half
                halves[f"{half}/{name}"] = values
        if self.halves:
            pl.DataFrame(halves).write_parquet(folder / "evaluation-halves.parquet")

    def _facts(self, role: str) -> dict[str, object]:
        big = role == "teacher"
        return {
            "role": role,
            "kind": "caser",
            "config": {
                "dim": 100 if big else 50,
                "horizontal_filters": 16,
                "vertical_filters": 4,
                "dropout": 0.5,
            },
            "parameters": self.parameters[role],
            "bytes": self.parameters[role] * 4 + 1800,
            "train_seconds": {"teacher": 412.4, "student": 265.2, "distilled": 352.9}[role],
            "best_epoch": 46 if big else 49,
            "epochs": 50,
            "latency_ms": {"p50": 1.92 if big else 1.21, "p99": 3.4 if big else 2.2},
            "users_per_second": 9_120.0 if big else 15_800.0,
            "device": "cpu",
            "threads": 2,
            "versions": {"rankdistill": "0.1.0", "torch": "2.6.0", "python": "3.11.9"},
            "fingerprint": "b1946ac92492d2347c6235b4d2611184",
            "totals": {"coverage@10": {"teacher": 0.612, "student": 0.655, "distilled": 0.598}[role]},
        }

    def _epoch(self, role: str, epoch: int, random: np.random.Generator) -> dict[str, object]:
        speed = {"teacher": 9.0, "student": 12.0, "distilled": 8.0}[role]
        noise = float(random.normal()) * 0.004
        line: dict[str, object] = {
            "epoch": epoch,
            "seconds": 8.1 + noise,
            "ranking_loss": 0.55 + 1.6 * float(np.exp(-epoch / speed)) + noise,
            "distillation_loss": None,
        }
        if role == "distilled":
            line["distillation_loss"] = (2.0 if epoch <= 10 else 1.2) * float(np.exp(-epoch / 25)) + 0.3 + noise
        if self.validation:
            top = self.quality.get(role, 0.1) * 0.72
            line["validation"] = {"map": top * (1 - float(np.exp(-epoch / speed))) + noise * 0.1}
        return line

    def _write_comparisons(self) -> None:
        rows = []
        for a, b in (("distilled", "student"), ("distilled", "teacher"), ("student", "teacher")):
            if a not in self.quality or b not in self.quality:
                continue
            for place, name in enumerate(METRICS):
                scale = 0.7 + 0.08 * place
                difference = (self.quality[a] - self.quality[b]) * scale * (1 + 0.35 * np.sin(5 * place))
                p_value = self.p_values[f"{a}-{b}"] * (1 + place % 4)
                width = 0.0022 * scale * (1 + 0.15 * (place % 3))
                rows.append(
                    {
                        "a": a,
                        "b": b,
                        "metric": name,
                        "difference": difference,
                        "low": difference - width,
                        "high": difference + width,
                        "p_value": min(p_value, 1.0),
                    }
                )
            rows += [self._half_row(a, b, half, name) for half in self.halves for name in HALF_METRICS]
        (self.folder / "comparisons.json").write_text(json.dumps(rows))

    def _half_row(self, a: str, b: str, half: str, name: str) -> dict[str, object]:
        difference = self.halves[half][a] - self.halves[half][b]
        interval = {"low": difference - 0.004, "high": difference + 0.004}
        return {"a": a, "b": b, "metric": f"{half}/{name}", "difference": difference, **interval, "p_value": 0.012}
