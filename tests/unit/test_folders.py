"""A folder in which one program works at a time: who is kept out, what is removed, and what is left behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rankdistill import folders
from rankdistill.errors import ConfigError, StorageError
from rankdistill.folders import alone, begun

_AT_WORK = """
import sys, time
from pathlib import Path
from rankdistill.folders import alone
with alone(Path(sys.argv[1]), "run"):
    print("begun", flush=True)
    time.sleep(60)
"""


def at_work(folder: Path) -> subprocess.Popen[str]:
    """Another program, once it is at work in a folder."""
    process = subprocess.Popen([sys.executable, "-c", _AT_WORK, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    return process


def killed(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def leave(folder: Path) -> Path:
    """What a write leaves that is killed, or is still at it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / ".model.json.0123abcd.tmp"
    path.write_text("{")
    return path


def test_who_is_killed_locks_nobody_out_and_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    process = at_work(folder)
    try:
        with (
            pytest.raises(StorageError) as caught,
            alone(folder, "run"),
        ):
            pytest.fail("two are at work")
        assert str(caught.value) == f"{folder}: another run is at work there; wait for it, or name another --out"
    finally:
        killed(process)
    assert list(folder.iterdir()) == []
    with alone(folder, "run") as new:
        assert not new
    assert folder.exists()


def test_what_a_killed_write_left_is_removed_but_not_what_another_program_writes_in_a_folder_inside(
    tmp_path: Path,
) -> None:
    process = at_work(tmp_path / "theirs")
    try:
        left = [leave(tmp_path), leave(tmp_path / "ours" / "deep")]
        in_flight = [leave(tmp_path / "theirs"), leave(tmp_path / "theirs" / "deep")]
        with alone(tmp_path, "run"):
            assert [path.exists() for path in (*left, *in_flight)] == [False, False, True, True]
    finally:
        killed(process)
    with alone(tmp_path, "run"):
        assert [path.exists() for path in in_flight] == [False, False]


def test_a_new_folder_in_which_nothing_was_written_is_taken_away_again(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), alone(tmp_path / "new", "run"):
        raise KeyboardInterrupt
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(("file", "kept"), [("model.json", False), ("checkpoint.safetensors", True)])
def test_a_new_folder_is_taken_away_again_until_something_is_trained_in_it(
    tmp_path: Path, file: str, kept: bool
) -> None:
    def refused(out: Path) -> None:
        with begun(out, "run"):
            (out / "teacher").mkdir(parents=True)
            (out / "teacher" / file).touch()
            raise ConfigError("refused")

    (tmp_path / "there").mkdir()
    for name in ("run", "there"):
        with pytest.raises(ConfigError, match="refused"):
            refused(tmp_path / name)
    assert (tmp_path / "run").exists() == kept
    assert (tmp_path / "there").exists()


def test_a_folder_in_which_others_were_before_it_was_had_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They came between its making and its lock, and went again."""
    make = folders._make

    def made(path: Path) -> bool:
        new = make(path)
        (path / "data.json").write_text("{}")
        return new

    monkeypatch.setattr(folders, "_make", made)
    with pytest.raises(ConfigError, match="refused"), begun(tmp_path / "run", "run"):
        raise ConfigError("refused")
    assert (tmp_path / "run" / "data.json").exists()


def test_a_folder_that_was_taken_away_before_it_was_had_is_not_worked_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = folders.os.open

    def replaced(path: Path, flags: int) -> int:
        descriptor = opened(path, flags)
        path.rename(tmp_path / "earlier")  # which another name keeps, as the other program's lock does
        path.mkdir()
        return descriptor

    monkeypatch.setattr(folders.os, "open", replaced)
    with pytest.raises(StorageError, match="another run is at work there"), alone(tmp_path / "run", "run"):
        pytest.fail("it is another folder")


def test_a_file_system_without_locks_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", refuse)
    with alone(tmp_path, "run"):
        assert caplog.messages == [
            f"{tmp_path}: cannot be locked (Operation not supported); start nothing else that writes there"
        ]
