"""Ranking distillation: make a big ranking model small, and prove that it still ranks as well.

>>> import rankdistill as rd
>>> split = rd.read("synthetic", users=60, items=40, length=15).k_core(users=5, items=1).split("user_fractions")
>>> split.num_users
60
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rankdistill.api import read, read_csv, read_parquet, read_recbole
    from rankdistill.config import TrainConfig
    from rankdistill.data.interactions import Interactions
    from rankdistill.data.splitting import Split
    from rankdistill.distillation.ranking_distillation import RankingDistillation
    from rankdistill.ensemble import Ensemble
    from rankdistill.errors import RankDistillError
    from rankdistill.evaluation.compare import Comparison, compare
    from rankdistill.evaluation.evaluate import Evaluation
    from rankdistill.exporting.write import export
    from rankdistill.losses.gbce import GBCE
    from rankdistill.losses.pairwise import Pairwise
    from rankdistill.losses.pointwise import Pointwise
    from rankdistill.losses.softmax import Softmax
    from rankdistill.model_folder import load_model
    from rankdistill.models.caser import Caser
    from rankdistill.models.ease import EASE
    from rankdistill.models.fossil import Fossil
    from rankdistill.models.gru4rec import GRU4Rec
    from rankdistill.models.item_knn import ItemKNN
    from rankdistill.models.lightgcn import LightGCN
    from rankdistill.models.matrix_factorization import MatrixFactorization
    from rankdistill.models.popularity import Popularity
    from rankdistill.models.sasrec import SASRec
    from rankdistill.pipeline import Settings, distill, evaluate, evaluate_halves, label, recommend, train
    from rankdistill.ranker import Ranker
    from rankdistill.rankings import Rankings
    from rankdistill.rankings.fusion import fuse
    from rankdistill.serving.recommender import Recommendation, Recommender

__version__ = "0.1.0"

_HOMES = {
    "Caser": "models.caser",
    "Comparison": "evaluation.compare",
    "EASE": "models.ease",
    "Ensemble": "ensemble",
    "Evaluation": "evaluation.evaluate",
    "Fossil": "models.fossil",
    "GBCE": "losses.gbce",
    "GRU4Rec": "models.gru4rec",
    "Interactions": "data.interactions",
    "ItemKNN": "models.item_knn",
    "LightGCN": "models.lightgcn",
    "MatrixFactorization": "models.matrix_factorization",
    "Pairwise": "losses.pairwise",
    "Pointwise": "losses.pointwise",
    "Popularity": "models.popularity",
    "RankDistillError": "errors",
    "Ranker": "ranker",
    "RankingDistillation": "distillation.ranking_distillation",
    "Rankings": "rankings",
    "Recommendation": "serving.recommender",
    "Recommender": "serving.recommender",
    "SASRec": "models.sasrec",
    "Settings": "pipeline",
    "Softmax": "losses.softmax",
    "Split": "data.splitting",
    "TrainConfig": "config",
    "compare": "evaluation.compare",
    "distill": "pipeline",
    "evaluate": "pipeline",
    "evaluate_halves": "pipeline",
    "export": "exporting.write",
    "fuse": "rankings.fusion",
    "label": "pipeline",
    "load_model": "model_folder",
    "read": "api",
    "read_csv": "api",
    "read_parquet": "api",
    "read_recbole": "api",
    "recommend": "pipeline",
    "train": "pipeline",
}
"""Where each public name lives; loaded at first use, so that `import rankdistill` stays quick."""

__all__ = [
    "EASE",
    "GBCE",
    "Caser",
    "Comparison",
    "Ensemble",
    "Evaluation",
    "Fossil",
    "GRU4Rec",
    "Interactions",
    "ItemKNN",
    "LightGCN",
    "MatrixFactorization",
    "Pairwise",
    "Pointwise",
    "Popularity",
    "RankDistillError",
    "Ranker",
    "RankingDistillation",
    "Rankings",
    "Recommendation",
    "Recommender",
    "SASRec",
    "Settings",
    "Softmax",
    "Split",
    "TrainConfig",
    "__version__",
    "compare",
    "distill",
    "evaluate",
    "evaluate_halves",
    "export",
    "fuse",
    "label",
    "load_model",
    "read",
    "read_csv",
    "read_parquet",
    "read_recbole",
    "recommend",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'rankdistill' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"rankdistill.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
