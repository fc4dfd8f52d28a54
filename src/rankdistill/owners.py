"""What work in a folder replaces."""

from __future__ import annotations

from pathlib import Path

from rankdistill.errors import ConfigError

_REPLACED = ("data", "teacher", "student", "distilled", "students", "final", "search", "trials", "targets.parquet")
_OF_A_MODEL = ("members", "epochs", "ids", "rankings.parquet", "evaluation.parquet", "evaluation-halves.parquet")
_LISTS = "labels*.parquet"
"""What others can learn from in the folders of runs, sweeps and searches, and in those of models."""


def replaces(out: Path, path: Path) -> bool:
    """Whether work in the folder `out` may replace or remove a file or folder in it; what else lies there stays.

    >>> replaces(Path("run"), Path("run/labels.parquet")), replaces(Path("run"), Path("run/own.parquet"))
    (True, False)
    """
    out, path = out.resolve(), path.resolve()
    if out not in path.parents:
        return False
    first = Path(path.relative_to(out).parts[0])
    return first.name in (*_REPLACED, *_OF_A_MODEL) or first.match(_LISTS)


def check_not_replaced(out: Path, read: Path) -> None:
    """Refuses work in a folder that would replace what it reads.

    Raises:
        ConfigError: it would.
    """
    if replaces(out, read):
        raise ConfigError(
            f"--out {out}: work there replaces {read}, which is read; copy that first, or name another --out"
        )
