"""The one training loop, its checkpoints and its optimiser."""

from rankdistill.training.checkpoint import Checkpoint
from rankdistill.training.fit import FitResult, Session, TrainingData, Validate, fit

__all__ = ["Checkpoint", "FitResult", "Session", "TrainingData", "Validate", "fit"]
