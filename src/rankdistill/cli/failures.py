"""What goes wrong, as a line on stderr and an exit status."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from rankdistill.errors import RankDistillError

MISTAKE, INTERRUPTED, BROKEN_PIPE, TERMINATED = 2, 130, 141, 143

_OUTSIDE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EMFILE)
"""What the machine refuses, whatever the program does."""


def complain(line: str) -> None:
    """Writes one line to stderr."""
    print(f"rankdistill: {line}", file=sys.stderr)


@contextmanager
def failures(*, debug: bool) -> Iterator[None]:
    """Turns what a user can mend into one line and exit status 2; a bug passes through, with its traceback.

    Args:
        debug: whether to show tracebacks for everything.
    """
    try:
        with _ended_by_sigterm():
            yield
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the flush at exit must not fail again
        raise typer.Exit(BROKEN_PIPE) from None
    except KeyboardInterrupt:
        complain(
            "interrupted; the same command goes on where it stopped with --resume (run, train, distill) or by itself "
            "(sweep, tune, compress, reproduce)"
        )
        raise typer.Exit(INTERRUPTED) from None
    except (RankDistillError, MemoryError, OSError, RuntimeError, ModuleNotFoundError) as error:
        line = _line(error)
        if line is None:
            raise
        if debug:
            traceback.print_exc()
        complain(line)
        raise typer.Exit(MISTAKE) from None


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """SIGTERM ends the process as an error does: what was being written is removed."""

    def end(*_: object) -> None:
        raise SystemExit(TERMINATED)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _line(error: Exception) -> str | None:
    """The line that says it, or None for a bug."""
    if isinstance(error, ModuleNotFoundError):
        package = (error.name or "").partition(".")[0]
        return None if package in ("", "rankdistill") else f"{package} is not installed; pip install rankdistill"
    if isinstance(error, RankDistillError):
        return " ".join(str(error).splitlines())
    if isinstance(error, MemoryError) or _out_of_memory(error):
        return (
            "out of memory; lower [train] batch_size, [evaluate] depth or the models' dim, "
            "or keep fewer users and items with [data] min_user_interactions and min_item_interactions"
        )
    if isinstance(error, OSError) and error.errno in _OUTSIDE:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}; make room or name another place, then go on with --resume"
    return None


def _out_of_memory(error: Exception) -> bool:
    """Whether torch says so, in one of its ways."""
    return type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(error)
