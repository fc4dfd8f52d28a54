"""The one training loop, its checkpoints and its optimiser."""

from rankdistill.training.callback import Callback, FitResult, StopTraining
from rankdistill.training.checkpoint import Checkpoint
from rankdistill.training.fit import Keep, Session, TrainingData, Validate, fit

__all__ = ["Callback", "Checkpoint", "FitResult", "Keep", "Session", "StopTraining", "TrainingData", "Validate", "fit"]
