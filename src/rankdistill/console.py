"""What a person sees in a terminal: messages, progress bars, tables."""

from __future__ import annotations

import logging
import sys
import textwrap
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID
    from rich.text import Text

_REFRESH_SECONDS = 0.25
_PIPE_WIDTH = 400  # wide enough that no row of a table is folded in a file
_FOLDED_WIDTH = 100


def setup_logging(debug: bool = False) -> None:
    """Sends the package's log messages to stderr, message alone; with `debug` all of them, with their module.

    On a terminal they go through the same console as the progress bars, so that neither tears the other.
    """
    logger = logging.getLogger("rankdistill")
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
    handler = _terminal_handler() if sys.stderr.isatty() else logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter("%(name)s: %(message)s" if debug else "%(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG if debug else logging.INFO)
    logger.propagate = False


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        prefix = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
        return prefix + super().format(record)


@contextmanager
def silence(*, but: int) -> Iterator[None]:
    """Logs nothing below a level for a while."""
    logger = logging.getLogger("rankdistill")
    before = logger.level
    logger.setLevel(max(before, but))
    try:
        yield
    finally:
        logger.setLevel(before)


def _terminal_handler() -> logging.Handler:
    from rich.highlighter import NullHighlighter
    from rich.logging import RichHandler

    return RichHandler(
        console=_stderr(),
        show_time=False,
        show_level=False,
        show_path=False,
        markup=False,
        highlighter=NullHighlighter(),
    )


@cache
def _stderr() -> Console:
    from rich.console import Console

    return Console(stderr=True)


class Advance:
    """Moves a bar on; without a bar it does nothing."""

    def __init__(self, bar: Progress | None = None, task: TaskID | None = None) -> None:
        self._bar, self._task = bar, task
        self._steps, self._note, self._drawn = 0, "", 0.0

    def __call__(self, steps: int = 1, note: str | None = None) -> None:
        """Counts `steps` as done and, where `note` is given, shows it beside the bar from now on."""
        self._steps += steps
        self._note = self._note if note is None else note
        if self._bar is not None and time.monotonic() - self._drawn >= _REFRESH_SECONDS:
            self.draw()

    def draw(self) -> None:
        """Draws the bar as it stands."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=self._steps, note=self._note, refresh=True)
            self._drawn = time.monotonic()


@contextmanager
def progress(total: int, description: str) -> Iterator[Advance]:
    """A bar on stderr while the block runs, on a terminal alone; inside of another bar it shows nothing.

    Yields `advance(steps=1, note=None)`, to be called after each step; it draws at most four times a second
    and costs next to nothing in between.
    """
    if not sys.stderr.isatty():
        yield Advance()
        return
    from rich.errors import LiveError
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    bar = Progress(*columns, console=_stderr(), auto_refresh=False, transient=True)
    try:
        bar.start()
    except LiveError:
        yield Advance()
        return
    try:
        advance = Advance(bar, bar.add_task(description, total=total, note=""))
        yield advance
        advance.draw()
    finally:
        bar.stop()


def line(text: str) -> None:
    """Prints a line to stdout; one that is wider than the terminal goes on in the next, from a whole word on."""
    from rich.console import Console

    if sys.stdout.isatty():
        text = textwrap.fill(text, Console().width, break_long_words=False, break_on_hyphens=False)
    print(text)


def table(
    columns: Sequence[str], rows: Sequence[Sequence[object]], title: str | None = None, *, folded: bool = False
) -> None:
    """Prints a table to stdout; a column that holds numbers alone (or nothing) is set flush right.

    Args:
        columns: the headings.
        rows: the cells, as many in each row as there are headings; None is an empty cell.
        title: a line above the table.
        folded: whether a row takes several lines in a file, too, where one would be wider than 100 columns.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
    drawn = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="bold", pad_edge=False)
    for place, heading in enumerate(columns):
        numeric = all(_is_number(row[place]) for row in cells)
        drawn.add_column(_text(heading), justify="right" if numeric else "left", overflow="fold")
    for row in cells:
        drawn.add_row(*map(_text, row))
    in_file = _FOLDED_WIDTH if folded else _PIPE_WIDTH
    Console(width=None if sys.stdout.isatty() else in_file, highlight=False).print(drawn)


def _text(cell: str) -> Text:
    from rich.text import Text

    return Text(cell)


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", "").replace("\N{MINUS SIGN}", "-").removesuffix("%") or 0)
    except ValueError:
        return False
    return True
