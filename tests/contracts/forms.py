"""What is under the contracts of models: each file in `models/`, and each option of what it is made of."""

from __future__ import annotations

from typing import Any

import pytest

import rankdistill as rd
from rankdistill import plugins
from rankdistill.config import Section

_TABLES: dict[str, dict[str, Any]] = {
    "low rank": {"item_table": "low_rank", "rank": 5},
    "hashed": {"item_table": "hashed", "buckets": 20},
    "product quantised": {"item_table": "product_quantised", "parts": 10},
}
_OPTIONS: dict[str, dict[str, dict[str, Any]]] = {
    "caser": {
        **_TABLES,
        "tied": {"tied": True},
        "tied, low rank": {"tied": True, **_TABLES["low rank"]},
        "tied, hashed": {"tied": True, **_TABLES["hashed"], "hashes": 3},
        "tied, product quantised": {"tied": True, **_TABLES["product quantised"]},
        "no users": {"user_vectors": False},
        "tied, no users": {"tied": True, "user_vectors": False},
        "int8": {"precision": "int8"},
        "three items": {"history_length": 3},
    },
    "fossil": {**_TABLES, "float16": {"precision": "float16", "dim": 110}, "two items": {"history_length": 2}},
    "gru4rec": {
        "untied": {"tied": False, "hidden": 20, "layers": 2},
        **_TABLES,
        "untied, product quantised": {"tied": False, **_TABLES["product quantised"]},
    },
    "sasrec": {**_TABLES, "two heads, int8": {"heads": 2, "dim": 110, "precision": "int8"}},
    "matrix_factorization": {**_TABLES, "int8": {"precision": "int8", "dim": 110}},
    "ease": {"by history": {"voters": "history"}},
    "lightgcn": {"no layers": {"layers": 0}, "int8": {"precision": "int8", "dim": 110}},
}
FORMS: dict[str, Section] = {kind: plugins.find("models", kind).Config() for kind in plugins.kinds("models")} | {
    f"{kind}: {name}": plugins.find("models", kind).Config(**options)
    for kind, forms in _OPTIONS.items()
    for name, options in forms.items()
}
each_form = pytest.mark.parametrize("form", FORMS)


def trained(form: str, split: rd.Split, epochs: int) -> rd.Ranker:
    settings = rd.Settings(train=rd.TrainConfig(epochs=epochs, batch_size=128, device="cpu"))
    return rd.train(FORMS[form], split, settings).eval()
