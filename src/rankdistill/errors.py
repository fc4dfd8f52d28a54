"""What a user can cause, one class each.

Every message is one line: what is wrong with which value, where it came from, what to do. The command line
prints it and exits with status 2; anything that is not a `RankDistillError` is a bug.
"""

from __future__ import annotations


class RankDistillError(Exception):
    """Base of every error that a user can cause and mend."""


class ConfigError(RankDistillError):
    """An experiment file, an override or a call that asks for something that does not exist."""


class DataError(RankDistillError):
    """An interaction log that cannot be read, or holds nothing to learn from."""


class RankingsError(RankDistillError):
    """Ranked lists that do not fit the queries or the catalogue they are used with."""


class CheckpointError(RankDistillError):
    """A model or checkpoint that is missing, truncated, or made from something else."""


class TrainingError(RankDistillError):
    """A training that cannot go on (a loss that is not a number, a device that is not there)."""


class EvaluationError(RankDistillError):
    """A metric that does not exist or cannot be computed from what is known."""


class StorageError(RankDistillError):
    """A file that could not be written (a full disk, a folder that may not be written to)."""


class ExportError(RankDistillError):
    """A model that cannot be exported, or an exported folder that is missing, damaged or of another version."""


class RequestError(RankDistillError):
    """A request for lists that cannot be answered (an item or a user that is not known)."""
