import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from commands import EXPERIMENT, Command, Row, visits, write_csv

from rankdistill.cli import main


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Iterator[Command]:
    logger = logging.getLogger("rankdistill")
    before = logger.level, logger.propagate, list(logger.handlers)
    yield Command(capsys)
    logger.setLevel(before[0])
    logger.propagate, logger.handlers[:] = before[1], before[2]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with `events.csv` and `e.toml`."""
    write_csv(tmp_path / "events.csv", visits())
    (tmp_path / "e.toml").write_text(EXPERIMENT)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished, uninterrupted run; not to be changed."""
    folder = tmp_path_factory.mktemp("finished")
    write_csv(folder / "events.csv", visits())
    (folder / "e.toml").write_text(EXPERIMENT)
    assert main(["run", str(folder / "e.toml"), "--out", str(folder / "run")]) == 0
    return folder / "run"


@pytest.fixture
def done(desk: Path, finished_run: Path) -> Path:
    """A copy of the finished run in the working directory, as `done`."""
    shutil.copytree(finished_run, desk / "done")
    return Path("done")


@pytest.fixture
def bad_csv(desk: Path, cli: Command) -> Callable[..., str]:
    """The line with which data of given rows or text is refused."""

    def refusal(rows: list[Row] | str | bytes, *overrides: str, header: str = "uid,poi,ts") -> str:
        path = desk / "bad.csv"
        if isinstance(rows, list):
            write_csv(path, rows, header)
        else:
            path.write_bytes(rows if isinstance(rows, bytes) else rows.encode())
        changes = [part for each in ("data.path=bad.csv", *overrides) for part in ("--set", each)]
        line = cli.refusal("prepare", "e.toml", "--out", "prepared", *changes)
        assert not (desk / "prepared").exists()
        return line

    return refusal
