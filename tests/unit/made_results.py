"""A made-up `results.json` of a remade paper: the published Gowalla numbers with noise."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

METRICS = ["precision@3", "precision@5", "precision@10", "ndcg_kdd18@3", "ndcg_kdd18@5", "ndcg_kdd18@10", "map"]
SEEDS = [1234, 1, 2]
Facts = tuple[str | None, str, int, int, list[float]]
GOWALLA: dict[str, Facts] = {
    "Caser-T": ("Caser", "teacher", 100, 5_584_102, [0.1408, 0.1149, 0.0856, 0.1546, 0.1376, 0.1251, 0.0958]),
    "Caser-S": ("Caser", "student", 50, 2_794_102, [0.1333, 0.1094, 0.0818, 0.1456, 0.1304, 0.1188, 0.0919]),
    "Caser-RD": ("Caser", "distilled", 50, 2_794_102, [0.1458, 0.1183, 0.0878, 0.1603, 0.1423, 0.1283, 0.0969]),
    "Fossil-T": ("Fossil", "teacher", 50, 1_480_604, [0.1299, 0.1062, 0.0791, 0.1429, 0.127, 0.114, 0.0866]),
    "Fossil-S": ("Fossil", "student", 20, 640_105, [0.1217, 0.0995, 0.0739, 0.1335, 0.1185, 0.106, 0.0792]),
    "Fossil-RD": ("Fossil", "distilled", 20, 640_105, [0.1355, 0.1096, 0.0808, 0.149, 0.1314, 0.1172, 0.0874]),
    "BPR": (None, "baseline", 50, 1_371_959, [0.1204, 0.0983, 0.0726, 0.1301, 0.1155, 0.1037, 0.0767]),
    "ItemCF": (None, "baseline", 0, 0, [0.0686, 0.061, 0.0503, 0.0717, 0.0675, 0.064, 0.0622]),
    "POP": (None, "baseline", 0, 14_009, [0.0341, 0.0362, 0.0281, 0.0517, 0.0386, 0.0344, 0.0229]),
}
CHOSEN = "chosen on validation data"


def made_results() -> dict[str, Any]:
    """All parts, as the engine writes them."""
    generator = np.random.default_rng(0)
    main = [_row(name, facts, generator) for name, facts in GOWALLA.items()]
    chosen = _row("Caser-RD, chosen", GOWALLA["Caser-RD"], generator) | {"settings": CHOSEN, "published": None}
    main.insert(3, chosen)
    return {
        "paper": "kdd18",
        "dataset": "gowalla",
        "title": "Gowalla",
        "quick": False,
        "complete": True,
        "command": "rankdistill reproduce kdd18 --dataset gowalla",
        "epochs": 50,
        "seeds": SEEDS,
        "remarks": [],
        "made": _made(),
        "data": _data(),
        "metrics": METRICS,
        "main": main,
        "weighting": _weighting(generator),
        "presets": [
            _row(name, GOWALLA["Caser-RD"], generator) | {"published": None} for name in ("kdd18-code", "kdd18-paper")
        ],
        "comparisons": _comparisons(),
        "inference": _inference(),
        "figures": _figures(generator),
        "search": _search(),
    }


def _made() -> dict[str, Any]:
    machine = {"processor": "Xeon @ 2.1 GHz", "cores": 2, "jobs": 2, "threads": 1, "device": "cpu"}
    versions = {"rankdistill": "0.1.0", "torch": "2.9.1", "numpy": "2.3.5", "python": "3.12.3"}
    return {
        "date": "2026-11-25",
        "versions": versions,
        "machine": machine,
        "trainings": 80,
        "taken_from_earlier_results": 30,
        "train_seconds": 12345.6,
        "wall_seconds": 7000.0,
    }


def _data() -> dict[str, Any]:
    counts = {"users": 13149, "items": 14009, "interactions": 535_721, "train": 433_356, "test": 102_365}
    rest = {"training_queries": 367_611, "test_users": 13_149, "split": "user_fractions 70/10/20"}
    return {"name": "gowalla", **counts, **rest, "fingerprint": "5f0c1a9d2b7e4c83"}


def _row(name: str, facts: Facts, generator: np.random.Generator) -> dict[str, Any]:
    family, role, dim, parameters, published = facts
    base = np.array(published) * generator.normal(0.985, 0.02)
    seeds = [
        {
            "seed": seed,
            "metrics": dict(zip(METRICS, (base * generator.normal(1, 0.012)).tolist(), strict=True)),
            "train_seconds": 221.5,
        }
        for seed in SEEDS
    ]
    values = np.array([list(seed["metrics"].values()) for seed in seeds])  # type: ignore[attr-defined]
    return {
        "key": name.lower(),
        "name": name,
        "family": family,
        "role": role,
        "kind": (family or name).lower(),
        "dim": dim,
        "settings": "published",
        "parameters": parameters,
        "seeds": seeds,
        "mean": dict(zip(METRICS, values.mean(0).tolist(), strict=True)),
        "deviation": dict(zip(METRICS, values.std(0, ddof=1).tolist(), strict=True)),
        "published": dict(zip(METRICS, published, strict=True)),
    }


def _weighting(generator: np.random.Generator) -> list[dict[str, Any]]:
    published = {
        "uniform": (0.0843, 0.1198, 0.0925),
        "position": (0.0850, 0.1230, 0.0945),
        "discrepancy": (0.0851, 0.1227, 0.0937),
        "hybrid": (0.0878, 0.1283, 0.0969),
    }
    rows = []
    for name, (precision, ndcg, mean) in published.items():
        row = _row(f"Caser-RD, {name}", GOWALLA["Caser-RD"], generator)
        rows.append(row | {"published": {"precision@10": precision, "ndcg_kdd18@10": ndcg, "map": mean}})
    return rows


def _comparisons() -> list[dict[str, Any]]:
    return [
        {
            "part": part,
            "a": a,
            "b": b,
            "metric": metric,
            "difference": difference,
            "low": difference - 0.0011,
            "high": difference + 0.0011,
            "p_value": 1e-9 if abs(difference) > 0.002 else 0.31,
            "users": 13149,
            "seeds": [
                {"seed": seed, "difference": difference * factor, "p_value": p_value}
                for seed, factor, p_value in zip(SEEDS, (1.4, 0.3, 1.1), (1e-5, 0.11, 0.003), strict=True)
            ],
        }
        for part, a, b, metric, difference in (
            ("main", "Caser-RD", "Caser-S", "map", 0.0050),
            ("main", "Caser-RD", "Caser-S", "ndcg_kdd18@10", 0.0083),
            ("main", "Caser-RD", "Caser-T", "map", 0.0007),
            ("main", "Fossil-RD", "Fossil-S", "map", 0.0081),
            ("main", "Fossil-RD", "Fossil-T", "map", -0.0024),
            ("weighting", "Caser-RD, hybrid", "Caser-RD, uniform", "map", 0.0031),
            ("presets", "kdd18-code", "kdd18-paper", "map", 0.0004),
        )
    ]


def _inference() -> list[dict[str, Any]]:
    published = {"Caser-T": 38.58, "Caser-RD": 18.63, "Fossil-T": 9.32, "Fossil-RD": 4.99}
    sizes = {"Caser-T": 5_580_000, "Caser-RD": 2_790_000, "Fossil-T": 1_480_000, "Fossil-RD": 640_000}
    ours = {"Caser-T": 0.17, "Caser-RD": 0.121, "Fossil-T": 0.143, "Fossil-RD": 0.0913}
    return [
        {
            "name": name,
            "family": GOWALLA[name][0],
            "role": GOWALLA[name][1],
            "parameters": GOWALLA[name][3],
            "bytes": GOWALLA[name][3] * 4,
            "seconds_all_users": ours[name],
            "users": 13149,
            "p50_ms": ours[name] * 3.3,
            "p99_ms": ours[name] * 3.7,
            "published": {"seconds": seconds, "parameters": sizes[name]},
        }
        for name, seconds in published.items()
    ]


def _line(name: str, role: str, xs: list[float], ys: list[float], interval: float | None = 0.0012) -> dict[str, Any]:
    points: list[dict[str, Any]] = [{"x": x, "y": y} for x, y in zip(xs, ys, strict=True)]
    if interval is not None:
        points = [point | {"low": point["y"] - interval, "high": point["y"] + interval} for point in points]
    return {"name": name, "role": role, "points": points}


def _level(name: str, role: str, xs: list[float], y: float) -> dict[str, Any]:
    return _line(name, role, [xs[0], xs[-1]], [y, y], None) | {"line": True}


def _figures(generator: np.random.Generator) -> list[dict[str, Any]]:
    dims, epochs = [10.0, 20.0, 30.0, 50.0, 70.0, 100.0], [float(epoch) for epoch in range(1, 51)]
    shares, alphas, depths = (
        [0.2, 0.4, 0.6, 0.8, 1.0],
        [0.0, 0.1, 0.3, 0.5, 0.7, 0.9],
        [1.0, 3.0, 5.0, 10.0, 20.0, 50.0],
    )
    saturating = [0.097 - 0.03 * math.exp(-dim / 22) for dim in dims]
    rising = [0.095 * (1 - math.exp(-epoch / 9)) for epoch in epochs]
    falling = [value - 0.0002 * max(0.0, epoch - 28) for epoch, value in zip(epochs, rising, strict=True)]
    noisy = [value + generator.normal(0, 0.0004) for value in falling]
    hill = [0.0919 + 0.005 * math.sin(math.pi * min(alpha / 0.8, 1)) - 0.02 * max(0, alpha - 0.7) for alpha in alphas]
    flat = [0.0935, 0.0948, 0.0955, 0.0962, 0.0961, 0.0957]
    return [
        _figure("size", "MAP against model size", "dimension d", "Distilling lifts the student at every size.")
        | {
            "series": [
                _line("Caser, plain", "student", dims[:-1], [y - 0.001 for y in saturating[:-1]]),
                _line("Caser-RD", "distilled", dims[:-1], [y + 0.0035 for y in saturating[:-1]]),
                _level("Caser-T, d = 100", "teacher", dims, 0.0958),
            ]
        },
        _figure("instances", "MAP against training instances", "training queries", "A share of the queries, same test.")
        | {
            "series": [
                _line("Caser-T", "teacher", [s * 367611 for s in shares], [0.062, 0.077, 0.086, 0.092, 0.0958]),
                _line("Caser-S", "student", [s * 367611 for s in shares], [0.061, 0.075, 0.083, 0.088, 0.0919]),
                _line("Caser-RD", "distilled", [s * 367611 for s in shares], [0.068, 0.081, 0.089, 0.0935, 0.0969]),
            ]
        },
        _figure("epochs", "MAP against training epochs", "epoch", "The teacher peaks and over-fits.", "validation")
        | {
            "series": [
                _line("Caser-T", "teacher", epochs, noisy),
                _line("Caser-S", "student", epochs, [y * 0.96 for y in rising]),
                _line("Caser-RD", "distilled", epochs, [y * 1.01 for y in rising]),
            ]
        },
        _figure("alpha", "MAP against alpha", "alpha", "Towards 1 the labels are forgotten.")
        | {
            "series": [
                _line("Caser-RD", "distilled", alphas, hill),
                _line("Fossil-RD", "distilled", alphas, [y - 0.0095 for y in hill]),
                _level("Caser-T", "teacher", alphas, 0.0958),
                _level("Caser-S", "student", alphas, 0.0919),
                _level("Fossil-T", "teacher", alphas, 0.0866),
                _level("Fossil-S", "student", alphas, 0.0792),
            ]
        },
        _figure("k", "MAP against the length of the teacher's lists", "K", "Ten items are enough.")
        | {"log": True, "series": [_line("Caser-RD", "distilled", depths, flat)]},
    ]


def _figure(key: str, title: str, x: str, caption: str, part: str = "test") -> dict[str, Any]:
    return {"key": key, "title": title, "x": x, "log": False, "metric": "map", "part": part, "caption": caption}


def _search() -> dict[str, Any]:
    rows = [
        ("weighting = hybrid, alpha = 1", 0.0761, 45, False, True),
        ("weighting = position, alpha = 1", 0.0783, 40, True, False),
        ("weighting = position, alpha = 0.5", 0.0771, 50, False, False),
    ]
    keys = ("settings", "value", "epoch", "chosen", "published")
    families = [
        {"family": family, "rows": [dict(zip(keys, row, strict=True)) for row in rows]}
        for family in ("Caser", "Fossil")
    ]
    return {"metric": "map", "part": "validation", "families": families}
