"""What the tests of the command line share: an experiment on a small file, and a way to call the command."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from rankdistill.cli import main

EXPERIMENT = """\
[data]
kind = "delimited"
path = "events.csv"
user = "uid"
item = "poi"
time = "ts"
min_item_interactions = 1
[teacher]
kind = "caser"
dim = 4
[student]
kind = "caser"
dim = 2
[train]
epochs = 3
threads = 1
device = "cpu"
"""

Row = tuple[object, ...]


def visits(users: int = 20) -> list[Row]:
    """Users, each with 12 of 30 items."""
    draw = np.random.default_rng(0)
    seen = [(user, draw.permutation(30)[:12]) for user in range(users)]
    return [(f"u{user}", f"i{item}", time) for user, items in seen for time, item in enumerate(items)]


def write_csv(path: Path, rows: list[Row], header: str = "uid,poi,ts") -> Path:
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n")
    return path


def snapshot(folder: Path) -> dict[Path, bytes]:
    """Every file below a folder with its content."""
    return {file: file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


@dataclass(frozen=True)
class Outcome:
    status: int
    out: str
    err: str

    @property
    def line(self) -> str:
        """The last line on stderr."""
        return self.err.splitlines()[-1] if self.err else ""


@dataclass(frozen=True)
class Command:
    """The command line, in this process."""

    capture: pytest.CaptureFixture[str]

    def __call__(self, *arguments: object) -> Outcome:
        self.capture.readouterr()
        status = main([str(argument) for argument in arguments])
        return Outcome(status, *self.capture.readouterr())

    def done(self, *arguments: object) -> Outcome:
        """What a command that must succeed has printed."""
        outcome = self(*arguments)
        assert outcome.status == 0, outcome.err
        return outcome

    def refusal(self, *arguments: object) -> str:
        """The one line with which a command that must be refused ends, without the program's name."""
        outcome = self(*arguments)
        assert outcome.status == 2, (outcome.status, outcome.err)
        assert outcome.out == ""
        assert "Traceback" not in outcome.err
        assert outcome.line.startswith("rankdistill: ")
        assert outcome.err.count("rankdistill: ") == 1
        return outcome.line.removeprefix("rankdistill: ")
