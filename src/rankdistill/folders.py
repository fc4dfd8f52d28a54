"""Folders in which one program works at a time."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rankdistill.errors import RankDistillError, StorageError
from rankdistill.files import remove_leftovers
from rankdistill.model_folder import WEIGHTS

logger = logging.getLogger(__name__)

_TRAINED = {WEIGHTS, "checkpoint.safetensors", "metrics.jsonl", "trials.json", "log.txt"}
"""What is left by a training, by one that was stopped, by the trials of a search, and by another process."""


@contextmanager
def begun(out: Path, doing: str) -> Iterator[None]:
    """A folder for something that is trained, see `alone`.

    A new one is taken away again where what is to be done there is refused before anything was trained.

    Args:
        out: the folder.
        doing: what others would be doing there, such as "sweep".

    Raises:
        StorageError: somebody is at work there, or the folder cannot be made.
    """
    with alone(out, doing) as new:
        try:
            yield
        except RankDistillError:
            if new and not any(path.name in _TRAINED for path in out.rglob("*")):
                shutil.rmtree(out)
            raise


@contextmanager
def alone(path: Path, doing: str) -> Iterator[bool]:
    """Keeps others from working in the same folder, and removes what writes that were killed have left there.

    Args:
        path: the folder; made if need be, and taken away again if nothing is written there.
        doing: what others would be doing there, such as "reproduction".

    Yields:
        Whether the folder is new.

    Raises:
        StorageError: somebody is at work there, or the folder cannot be made.
    """
    made = _make(path)
    with _locked(path) as free:
        if not free:
            raise StorageError(f"{path}: another {doing} is at work there; wait for it, or name another --out")
        new = made and not any(path.iterdir())  # others may have begun between the two
        remove_leftovers(path, spared=_is_taken)
        try:
            yield new
        finally:
            if new:
                with suppress(OSError):  # there is something in it
                    path.rmdir()


def _make(path: Path) -> bool:
    """Makes a folder; False where it is there already."""
    try:
        path.mkdir(parents=True)
    except OSError as error:
        if path.is_dir():
            return False
        raise StorageError(f"{path}: cannot be made ({error.strerror}); name another --out") from error
    return True


@contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Locks a folder; False where another program has it.

    It is the folder itself that is locked, so that nothing is left in it, and for as long as the process lives at most.
    Windows has no such lock, and a file system that others share may tell the programs of one machine apart alone.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield True
        return
    try:
        folder = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise StorageError(f"{path}: cannot be opened ({error.strerror}); name another --out") from error
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            free = os.path.samestat(os.fstat(folder), path.stat())  # else it was taken away in between
        except (BlockingIOError, FileNotFoundError):
            free = False
        except OSError as error:
            logger.warning("%s: cannot be locked (%s); start nothing else that writes there", path, error.strerror)
            free = True
        yield free
    finally:
        os.close(folder)


def _is_taken(path: Path) -> bool:
    """Whether another program is at work in a folder."""
    with _locked(path) as free:
        return not free
