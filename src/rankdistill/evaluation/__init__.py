"""Metrics of ranked lists, one value per user, and paired comparison of two rankers."""

from rankdistill.evaluation.compare import Comparison, compare
from rankdistill.evaluation.evaluate import Evaluation, evaluate

__all__ = ["Comparison", "Evaluation", "compare", "evaluate"]
