"""A kill or a full disk at any moment costs the current step, never a result; the resumed run has the same bits."""

import errno
import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from commands import Command, visits, write_csv

from rankdistill import files
from rankdistill.config import load, to_toml

MODELS = ("teacher", "student", "distilled")
RUN = ("run", "e.toml", "--out", "run")
_LIMITED = (
    "import resource, sys; from rankdistill.cli import main; "
    "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2); sys.exit(main(sys.argv[2:]))"
)


class _Killed(BaseException):
    """Passes every `except Exception`, as a kill does."""


def same_bits(run: Path, finished: Path) -> None:
    """Both runs have the same models, lists and values."""
    for name in ("model.safetensors", "rankings.parquet", "evaluation.parquet"):
        for role in MODELS:
            assert (run / role / name).read_bytes() == (finished / role / name).read_bytes(), (role, name)


def leftovers(folder: Path) -> list[str]:
    return [str(path) for path in folder.rglob("*") if path.suffix in (".tmp", ".old")]


def at_write(number: int, act: Callable[[], None]) -> Callable[[Path, Path], None]:
    """A stand-in for the last step of a write, the rename; it acts at the write of that number."""
    writes, rename = itertools.count(1), files._put

    def put(temporary: Path, path: Path) -> None:
        if next(writes) == number:
            act()
        rename(temporary, path)

    return put


def test_a_run_that_dies_at_every_write_in_turn_ends_in_the_same_bits(
    desk: Path, cli: Command, finished_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(files, "_remove", lambda path: None)  # who is killed does not tidy up
        raise _Killed

    deaths = 0
    while True:
        with monkeypatch.context() as patch:
            patch.setattr(files, "_put", at_write(1 + deaths, partial(die, patch)))
            try:
                outcome = cli(*RUN, "--resume")
                break
            except _Killed:
                deaths += 1
    assert outcome.status == 0, outcome.err
    assert deaths > 5
    same_bits(desk / "run", finished_run)


@pytest.mark.parametrize("moment", ["teacher   epoch   2/3", "student   epoch   1/3", "labels: 100 lists"])
def test_a_run_that_is_killed_goes_on_to_the_same_bits(
    desk: Path, cli: Command, finished_run: Path, moment: str
) -> None:
    process = subprocess.Popen([sys.executable, "-m", "rankdistill", *RUN], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    seen = next((line for line in process.stderr if line.startswith(moment)), None)
    process.kill()
    process.wait()
    process.stderr.close()
    assert seen is not None
    assert not (desk / "run" / "report.html").exists()
    cli.done(*RUN, "--resume")
    same_bits(desk / "run", finished_run)


def test_a_full_disk_at_any_write_is_said_in_one_line_and_costs_nothing_earlier(
    desk: Path, cli: Command, finished_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for write in (1, 3, 6, 10, 15):
        with monkeypatch.context() as patch:
            patch.setattr(files, "_put", at_write(write, fill))
            line = cli.refusal(*RUN, "--resume")
        assert line.startswith("run/")
        assert line.endswith(": could not be written (No space left on device); nothing was changed")
        assert leftovers(desk) == []
    cli.done(*RUN, "--resume")
    same_bits(desk / "run", finished_run)


@pytest.mark.parametrize(
    ("limit", "file"),
    [
        (1000, "run/config.toml"),
        (None, "run/data"),  # just enough for config.toml; the data takes more
        (5000, "run/teacher/checkpoint.safetensors"),
    ],
)
def test_a_disk_that_is_really_full_is_said_in_one_line(desk: Path, limit: int | None, file: str) -> None:
    if limit is None:
        write_csv(desk / "events.csv", visits(users=200))
        limit = len(to_toml(load(desk / "e.toml")).encode()) + 8
    done = subprocess.run(
        [sys.executable, "-c", _LIMITED, str(limit), *RUN], capture_output=True, text=True, check=False
    )
    line = done.stderr.splitlines()[-1]
    assert (done.returncode, line.partition(":")[0]) == (2, "rankdistill"), done.stderr
    assert line.startswith(f"rankdistill: {file}: could not be written (")
    assert "File too large" in line
    assert line.endswith("); nothing was changed")
    assert leftovers(desk) == []


WHOLE, PART = "windows.query_share=1.0", "windows.query_share=0.5"


@pytest.mark.parametrize(
    ("first", "later", "refused"),
    [
        (WHOLE, "student.dim=3", "with model.dim = 2 and cannot go on with 3"),
        (WHOLE, PART, "without windows.query_share and cannot go on with 0.5"),
        (PART, WHOLE, "with windows.query_share = 0.5 and cannot go on without it"),
        (PART, "windows.query_share=0.6", "with windows.query_share = 0.5 and cannot go on with 0.6"),
    ],
)
def test_a_resumed_training_with_other_settings_is_refused(
    desk: Path, cli: Command, monkeypatch: pytest.MonkeyPatch, first: str, later: str, refused: str
) -> None:
    train = ("train", "e.toml", "--role", "student", "--out", "model", "--set")

    def die() -> None:
        raise _Killed

    with monkeypatch.context() as patch:
        patch.setattr(files, "_put", at_write(4, die))
        with pytest.raises(_Killed):
            cli(*train, first)
    assert (desk / "model" / "checkpoint.safetensors").exists()
    assert cli.refusal(*train, later, "--resume") == (
        f"model/checkpoint.safetensors: this training was started {refused}; put that back, or start over without "
        "--resume"
    )
    assert "student: goes on after epoch 1 of 3" in cli.done(*train, first, "--resume").err


def test_sigterm_leaves_nothing_half_written(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys, typer\n"
        "from pathlib import Path\n"
        "from rankdistill.cli.failures import failures\n"
        "from rankdistill.files import replacing\n"
        "with failures(debug=False), replacing(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    temporary.write_text('whole')\n"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(tmp_path / "a.txt")], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr, list(tmp_path.iterdir())) == (143, "", [])


def test_a_package_that_is_missing_is_a_line(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['torch'] = None\n"
        "from rankdistill.cli import main\n"
        "sys.exit(main(['bench', 'latency', sys.argv[1]]))\n"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (2, "rankdistill: torch is not installed; pip install rankdistill\n")
