"""A newer export takes the place of the former one; a damaged one does not."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path

import httpx
import pytest
from running import SECONDS, Exported, damage, put, running, sign, variant

from rankdistill.errors import ExportError
from rankdistill.serving import reload
from rankdistill.serving.reload import Watched


@pytest.fixture
def folder(exported: Exported, tmp_path: Path) -> Path:
    return variant(exported.folder, tmp_path / "student", made="first")


@pytest.fixture
def watched(folder: Path) -> Watched:
    return Watched("student", folder, threads=1)


def made(watched: Watched) -> str:
    text: str = watched.model.version["made"]
    return text


def test_a_newer_export_is_loaded_at_the_second_look(watched: Watched, exported: Exported, tmp_path: Path) -> None:
    former = watched.model
    put(variant(exported.folder, tmp_path / "new", made="second"), watched.folder)
    watched.check()
    assert made(watched) == "first"
    watched.check()
    assert (made(watched), watched.reloads, watched.error) == ("second", 1, None)
    assert former.recommender.recommend(users=["user 1"], allow=["café 1", "café 2"])[0].items  # still answers
    watched.check()
    watched.check()
    assert watched.reloads == 1


@pytest.mark.parametrize("file", ["model.onnx", "ids/items.npy", "items.parquet"])
def test_a_damaged_export_leaves_the_former_one_and_says_so_once(
    file: str, watched: Watched, exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = variant(exported.folder, tmp_path / "new", made="second")
    damage(new / file)
    put(new, watched.folder)
    logged: list[str] = []
    monkeypatch.setattr(logging.getLogger(reload.__name__), "error", lambda line, *parts: logged.append(line % parts))
    for _ in range(100):
        watched.check()
    assert (made(watched), watched.reloads, watched.refused) == ("first", 0, 1)
    line = f"{watched.folder / file}: truncated or changed since it was exported (SHA-256 differs); export it again"
    assert watched.error == line
    assert logged == [f"student: the former one stays: {line}"]
    put(variant(exported.folder, tmp_path / "newer", made="third"), watched.folder)
    watched.check()
    watched.check()
    assert (made(watched), watched.error) == ("third", None)


def test_a_file_that_is_changed_in_its_place_is_noticed(watched: Watched) -> None:
    damage(watched.folder / "model.onnx")
    watched.check()
    watched.check()
    assert "SHA-256 differs" in str(watched.error)
    damage(watched.folder / "model.onnx")
    watched.check()
    watched.check()
    assert watched.error is None


def test_a_folder_that_goes_and_comes_back_does_no_harm(watched: Watched, tmp_path: Path) -> None:
    watched.folder.rename(tmp_path / "away")
    watched.check()
    assert watched.error is None  # between two names, as a replacement is for a moment
    watched.check()
    assert "no exported model here" in str(watched.error)
    (tmp_path / "away").rename(watched.folder)
    watched.check()
    assert (watched.error, watched.reloads) == (None, 0)


def test_a_tampered_export_is_not_served_at_all(folder: Path) -> None:
    damage(folder / "model.onnx")
    with pytest.raises(ExportError, match="SHA-256 differs"):
        Watched("student", folder, threads=1)


def test_an_export_that_has_its_hash_but_is_no_model_is_refused(watched: Watched) -> None:
    (watched.folder / "model.onnx").write_bytes(b"no model")
    sign(watched.folder)
    watched.check()
    watched.check()
    assert "onnxruntime cannot load it" in str(watched.error)
    assert watched.model.recommender.recommend(histories=[[]])[0].items


@pytest.mark.parametrize(
    ("file", "said"), [("ids/items.npy", "ids/items.npy: no array"), ("items.parquet", "cannot be loaded (")]
)
def test_a_damaged_export_does_not_end_the_watching(
    file: str, said: str, watched: Watched, exported: Exported, tmp_path: Path
) -> None:
    new = variant(exported.folder, tmp_path / "new", made="second")
    (new / file).write_bytes(b"nothing of the kind")
    sign(new)
    put(new, watched.folder)
    for _ in range(3):
        watched.check()
    assert said in str(watched.error)
    (watched.folder / "manifest.json").write_text("[" * 200_000)
    for _ in range(3):
        watched.check()
    assert "cannot be read (" in str(watched.error)
    put(variant(exported.folder, tmp_path / "good", made="third"), watched.folder)
    for _ in range(3):
        watched.check()
    assert (made(watched), watched.error) == ("third", None)


def test_no_request_fails_while_exports_are_replaced(folder: Path, exported: Exported, tmp_path: Path) -> None:
    with running(folder) as server:
        seen: list[str] = []
        failed: list[str] = []
        stop = threading.Event()

        def ask() -> None:
            with httpx.Client(base_url=server.url, timeout=SECONDS) as client:
                while not stop.is_set():
                    answer = client.post("/recommend", json={"user": "user 1", "k": 3})
                    if answer.status_code != 200:
                        failed.append(answer.text)
                        return
                    seen.append(answer.json()["model"]["made"])

        def wait_for(state: str) -> None:
            end = time.monotonic() + SECONDS
            while state not in seen[-1:] and not failed and time.monotonic() < end:
                time.sleep(0.05)

        asking = threading.Thread(target=ask)
        asking.start()
        try:
            wait_for("first")
            for state in ("second", "third"):
                put(variant(exported.folder, tmp_path / state, made=state), folder)
                wait_for(state)
            bad = variant(exported.folder, tmp_path / "bad", made="bad")
            damage(bad / "model.onnx")
            put(bad, folder)
            end = time.monotonic() + SECONDS
            while server.get("/health")["status"] == "ok" and time.monotonic() < end:
                time.sleep(0.1)
        finally:
            stop.set()
            asking.join()
        assert failed == []
        assert list(dict.fromkeys(seen)) == ["first", "second", "third"]
        health = server.get("/health")
        assert (health["status"], health["student"]["reloads"]) == ("stale", 2)
        assert "SHA-256 differs" in health["student"]["error"]
        assert server.logged().count("the former one stays") == 1
