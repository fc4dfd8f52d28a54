import json
import os
import resource
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import rankdistill as rd
from rankdistill import files
from rankdistill.checksums import sha256
from rankdistill.config import TrainConfig
from rankdistill.data.storage import write_split
from rankdistill.errors import RankDistillError, StorageError
from rankdistill.files import remove_leftovers, replacing, write_json, write_text
from rankdistill.ids import IdMap
from rankdistill.model_folder import save_model
from rankdistill.pipeline import build
from rankdistill.rankings import Rankings
from rankdistill.training import Checkpoint
from rankdistill.training.checkpoint import Progress
from rankdistill.training.optimizers import Adam


@contextmanager
def full_disk(size: int = 100) -> Iterator[None]:
    """No file can grow beyond `size` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


def test_a_write_that_breaks_off_leaves_the_earlier_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "earlier")

    def break_off() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        break_off()
    assert (path.read_text(), names(tmp_path)) == ("earlier", ["a.txt"])


def test_what_is_neither_a_file_nor_a_folder_is_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(StorageError) as caught:
        write_text(pipe, "text")
    assert str(caught.value) == f"{pipe}: is a device or a pipe, which cannot be replaced; name another place"
    assert (pipe.is_fifo(), names(tmp_path)) == (True, ["pipe"])


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "data"
    for name in ("one", "two"):
        with replacing(folder) as temporary:
            temporary.mkdir()
            (temporary / name).write_text(name)
    assert names(tmp_path) == ["data", "deep", "two"]


@pytest.mark.parametrize("name", [".", "..", "../here", "../../deep/here", "sub/.."])
def test_the_working_directory_is_never_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    here = tmp_path / "deep" / "here"
    (here / "sub").mkdir(parents=True)
    monkeypatch.chdir(here)
    before = names(tmp_path)
    with pytest.raises(StorageError) as caught, replacing(Path(name)) as temporary:
        temporary.mkdir()
    assert str(caught.value) == (
        f"{Path(name)}: is the working directory or holds it, and cannot be replaced; name another folder"
    )
    assert names(tmp_path) == before


def test_a_folder_that_cannot_take_its_name_leaves_the_earlier_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, rename = tmp_path / "data", Path.rename
    folder.mkdir()
    (folder / "one").write_text("one")

    def refuse(self: Path, target: Path) -> Path:
        if self.name.endswith(".tmp"):
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(files, "_exchange", lambda one, other: False)
    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(StorageError, match="nothing was changed"), replacing(folder) as temporary:
        temporary.mkdir()
    assert names(tmp_path) == ["data", "one"]


def test_a_folder_that_gave_up_its_name_in_a_write_that_was_killed_gets_it_back(tmp_path: Path) -> None:
    inside = tmp_path / "run"
    for name in (".data.0123abcd.old", ".data.89abcdef.tmp"):
        (inside / name).mkdir(parents=True)
        (inside / name / "one").write_text(name)
    remove_leftovers(tmp_path)
    assert names(tmp_path) == ["data", "one", "run"]
    assert (inside / "data" / "one").read_text() == ".data.0123abcd.old"


def test_what_a_write_that_was_killed_left_beside_its_result_is_removed(tmp_path: Path) -> None:
    for name in ("data", ".data.0123abcd.old", ".data.89abcdef.tmp", ".other.89abcdef.tmp", ".mine.old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "one").write_text(name)
    remove_leftovers(tmp_path)
    assert names(tmp_path) == [".mine.old", "data", "one", "one"]
    assert (tmp_path / "data" / "one").read_text() == "data"


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_everything_that_is_written_has_the_permissions_of_new_files(
    split: rd.Split, tmp_path: Path, umask: int, mode: int
) -> None:
    earlier = os.umask(umask)
    try:
        for number, write in enumerate(WRITERS):
            write(tmp_path / str(number), split)
        assert os.umask(umask) == umask
    finally:
        os.umask(earlier)
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.suffix for path in written} >= {".safetensors", ".parquet", ".json"}
    assert {path.name: oct(path.stat().st_mode & 0o777) for path in written} == {
        path.name: oct(mode) for path in written
    }


def test_a_write_into_a_place_that_is_no_folder_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"file/a.txt: could not be written \(.*\); nothing was changed"):
        write_text(tmp_path / "file" / "a.txt", "x")


def test_json_keeps_raw_ids_readable(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"title": "Amélie", "path": tmp_path})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert "Amélie" in text
    assert json.loads(text) == {"title": "Amélie", "path": str(tmp_path)}


def test_the_hash_of_a_file_is_that_of_its_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256(tmp_path / "a").startswith("ba7816bf8f01cfea")


def _text(path: Path, split: rd.Split) -> None:
    write_text(path, "x" * 10_000)


def _ids(path: Path, split: rd.Split) -> None:
    IdMap(pl.Series(np.random.default_rng(0).permutation(10_000)), first=0).write(path)


def _split(path: Path, split: rd.Split) -> None:
    write_split(split, path)


def _lists(path: Path, split: rd.Split) -> None:
    users, items = split.num_users, split.num_items
    matrix = np.random.default_rng(0).permuted(np.tile(np.arange(1, items + 1), (users, 1)), axis=1)
    Rankings(split.test_queries.ids, matrix.astype(np.int32)).write(path, split.user_ids, split.item_ids)


def _model(path: Path, split: rd.Split) -> None:
    save_model(path, build(rd.Caser.Config(dim=8), split, 0), split.user_ids, split.item_ids, {})


def _checkpoint(path: Path, split: rd.Split) -> None:
    model = build(rd.Caser.Config(dim=8), split, 0)
    optimizer = Adam(model, TrainConfig())
    Checkpoint(path, {}, resume=False).save(model, optimizer, Progress())


WRITERS = [_text, _ids, _split, _lists, _model, _checkpoint]


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__.strip("_"))
def test_a_full_disk_is_the_users_to_mend_and_leaves_nothing_half_written(
    write: Callable[[Path, rd.Split], None], split: rd.Split, tmp_path: Path
) -> None:
    with full_disk(), pytest.raises(RankDistillError) as caught:
        write(tmp_path / "result", split)
    assert isinstance(caught.value, StorageError)
    assert "\n" not in str(caught.value)
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in left if path.name.endswith(".tmp") or path.stat().st_size == 100] == []


@pytest.mark.parametrize("is_folder", [False, True])
def test_a_link_goes_on_naming_what_it_named(tmp_path: Path, is_folder: bool) -> None:
    named, link = tmp_path / "elsewhere" / "named", tmp_path / "link"
    for text in ("earlier", "later"):
        with replacing(link) as temporary:
            if is_folder:
                temporary.mkdir()
            (temporary / "a" if is_folder else temporary).write_text(text)
        if text == "earlier":
            named.parent.mkdir()
            link.rename(named)
            link.symlink_to(named)
    assert link.is_symlink()
    assert (named / "a" if is_folder else named).read_text() == "later"
    assert names(tmp_path) == sorted(["elsewhere", "link", "named", *(["a"] if is_folder else [])])


def test_a_folder_is_replaced_in_one_step(tmp_path: Path) -> None:
    folder, missing = tmp_path / "folder", threading.Event()
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            if not (folder / "a").exists():
                missing.set()

    for text in ("first", "second"):
        with replacing(folder) as temporary:
            temporary.mkdir()
            (temporary / "a").write_text(text)
    reader = threading.Thread(target=look)
    reader.start()
    for number in range(200):
        with replacing(folder) as temporary:
            temporary.mkdir()
            (temporary / "a").write_text(str(number))
    stop.set()
    reader.join()
    assert (folder / "a").read_text() == "199"
    assert names(tmp_path) == ["a", "folder"]
    if sys.platform == "linux":
        assert not missing.is_set()


def test_where_names_cannot_be_exchanged_a_break_between_two_renames_puts_the_former_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a").write_text("first")
    monkeypatch.setattr(files, "_exchange", lambda one, other: False)
    rename = Path.rename

    def broken(self: Path, target: Path) -> Path:
        if self.suffix == ".tmp":
            raise SystemExit(143)
        return rename(self, target)

    def write() -> None:
        with replacing(folder) as temporary:
            temporary.mkdir()
            (temporary / "a").write_text("second")

    monkeypatch.setattr(Path, "rename", broken)
    with pytest.raises(SystemExit):
        write()
    assert (folder / "a").read_text() == "first"
    assert names(tmp_path) == ["a", "folder"]


def test_a_link_that_leads_in_a_circle_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(StorageError, match="is a link that leads nowhere"):
        write_text(tmp_path / "a", "text")
