"""What the KDD 2018 paper printed (Tang & Wang, arXiv 1809.07428, Tables 2 to 4)."""

from __future__ import annotations

from collections.abc import Mapping

METRICS = (
    *("precision@3", "precision@5", "precision@10"),
    *("ndcg_kdd18@3", "ndcg_kdd18@5", "ndcg_kdd18@10"),
    "map",
)
"""The paper's metrics in the order of its columns; its nDCG has the cut of its code."""

MEASURED = (*METRICS, "ndcg@10", "recall@10")
"""What is measured here."""


def _row(*values: float) -> Mapping[str, float]:
    return dict(zip(METRICS, values, strict=True))


GOWALLA: Mapping[str, Mapping[str, float]] = {
    "Fossil-T": _row(0.1299, 0.1062, 0.0791, 0.1429, 0.1270, 0.1140, 0.0866),
    "Fossil-RD": _row(0.1355, 0.1096, 0.0808, 0.1490, 0.1314, 0.1172, 0.0874),
    "Fossil-S": _row(0.1217, 0.0995, 0.0739, 0.1335, 0.1185, 0.1060, 0.0792),
    "Caser-T": _row(0.1408, 0.1149, 0.0856, 0.1546, 0.1376, 0.1251, 0.0958),
    "Caser-RD": _row(0.1458, 0.1183, 0.0878, 0.1603, 0.1423, 0.1283, 0.0969),
    "Caser-S": _row(0.1333, 0.1094, 0.0818, 0.1456, 0.1304, 0.1188, 0.0919),
    "POP": _row(0.0341, 0.0362, 0.0281, 0.0517, 0.0386, 0.0344, 0.0229),
    "ItemCF": _row(0.0686, 0.0610, 0.0503, 0.0717, 0.0675, 0.0640, 0.0622),
    "BPR": _row(0.1204, 0.0983, 0.0726, 0.1301, 0.1155, 0.1037, 0.0767),
}

GOWALLA_WEIGHTING: Mapping[str, Mapping[str, float]] = {
    "uniform": {"precision@10": 0.0843, "ndcg_kdd18@10": 0.1198, "map": 0.0925},
    "position": {"precision@10": 0.0850, "ndcg_kdd18@10": 0.1230, "map": 0.0945},
    "discrepancy": {"precision@10": 0.0851, "ndcg_kdd18@10": 0.1227, "map": 0.0937},
    "hybrid": {"precision@10": 0.0878, "ndcg_kdd18@10": 0.1283, "map": 0.0969},
}

GOWALLA_INFERENCE: Mapping[str, Mapping[str, float]] = {
    "Fossil-T": {"seconds": 9.32, "parameters": 1.48e6},
    "Fossil-RD": {"seconds": 4.99, "parameters": 0.64e6},
    "Caser-T": {"seconds": 38.58, "parameters": 5.58e6},
    "Caser-RD": {"seconds": 18.63, "parameters": 2.79e6},
}
"""Seconds on the authors' CPU to make a list for every user, and parameters."""
