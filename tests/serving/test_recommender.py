"""Lists of an exported folder, against the model's own scores and plain Python."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from running import sign
from small_export import Exported

from rankdistill.errors import ExportError, RequestError
from rankdistill.ranker import rank
from rankdistill.served import served as served_form
from rankdistill.serving.recommender import Recommendation, Recommender


@pytest.fixture(scope="module")
def served(exported: Exported) -> Recommender:
    return Recommender(exported.folder)


def history_of(exported: Exported, user: int) -> list[Any]:
    split = exported.split
    return split.item_ids.decode(split.train.of(user)).to_list()


def best(exported: Exported, user: int, history: list[Any], k: int, left_out: set[Any]) -> list[Any]:
    """The model's own ranking without what is left out, by a plain sort."""
    split = exported.split
    indices = torch.tensor([[0, *split.item_ids.encode(history).tolist()]])
    form = served_form(exported.model, split.train)
    with torch.no_grad():
        scores = form.score(form.encode(torch.tensor([user]), indices))[0]
    order = sorted(range(1, split.num_items + 1), key=lambda item: (-float(scores[item]), item))
    raw = split.item_ids.decode(np.array(order)).to_list()
    finite = torch.isfinite(scores[order]).tolist()
    return [item for item, ranked in zip(raw, finite, strict=True) if ranked and item not in left_out][:k]


def test_known_users_get_the_lists_of_the_model(exported: Exported, served: Recommender) -> None:
    split = exported.split
    lists = rank(exported.model, split.test_queries, 10)
    users = split.user_ids.decode(split.test_queries.users).to_list()
    found = served.recommend(users=users)
    wanted = split.item_ids.decode(lists.items.ravel()).to_list()
    assert [item for each in found for item in each.items] == wanted
    np.testing.assert_allclose([each.scores for each in found], lists.scores, rtol=1e-5, atol=1e-5)


def test_a_history_is_answered_alone_in_a_batch_and_in_any_order(exported: Exported, served: Recommender) -> None:
    histories = [history_of(exported, user) for user in (3, 1, 2)] + [[], history_of(exported, 7)[:2]]
    together = served.recommend(histories=histories, k=5)
    stranger = exported.split.num_users
    for history, found in zip(histories, together, strict=True):
        assert found.items == best(exported, stranger, history, 5, set(history))
        alone = served.recommend(histories=[history], k=5)[0]
        assert alone.items == found.items
        np.testing.assert_allclose(alone.scores, found.scores, rtol=1e-5, atol=1e-6)
    assert served.recommend(histories=[]) == []


def test_a_user_with_a_fresh_history_is_herself_with_other_items(exported: Exported, served: Recommender) -> None:
    fresh = history_of(exported, 9)[:4]
    name = exported.split.user_ids.decode(np.array([2])).to_list()[0]
    (found,) = served.recommend(users=[name], histories=[fresh])
    assert found.items == best(exported, 2, fresh, 10, set(fresh))
    (nobody,) = served.recommend(users=["nobody"], histories=[fresh])
    assert nobody == served.recommend(histories=[fresh])[0]


@pytest.mark.parametrize("exclude_seen", [True, False])
def test_what_may_stand_in_a_list_is_all_that_does(exported: Exported, served: Recommender, exclude_seen: bool) -> None:
    history = history_of(exported, 5)
    everything = exported.split.item_ids.values.to_list()
    allow, block = everything[::3], everything[:9]
    out = set(block) | (set(history) if exclude_seen else set())
    stranger = exported.split.num_users
    (found,) = served.recommend(histories=[history], exclude_seen=exclude_seen, block=block)
    assert found.items == best(exported, stranger, history, 10, out)
    (found,) = served.recommend(histories=[history], exclude_seen=exclude_seen, allow=allow, block=block, k=40)
    assert found.items == best(exported, stranger, history, 40, out | (set(everything) - set(allow)))
    assert served.recommend(histories=[history], allow=[]) == [Recommendation([], [])]


def test_a_list_ends_where_there_is_nothing_more(exported: Exported, served: Recommender) -> None:
    history = history_of(exported, 0)
    (found,) = served.recommend(histories=[history], k=10_000)
    assert len(found.items) == exported.split.num_items - len(set(history)) - len(exported.split.untrained_items)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({}, "neither users nor histories are given; give at least one of them"),
        ({"users": ["user 1"], "histories": []}, "1 users and 0 histories are given; give one for each"),
        ({"users": ["user 1", "nobody"]}, "user 'nobody' is not known; give the history of what they have"),
        ({"histories": [["café 1", "tea"]]}, "item 'tea' is not in the catalogue"),
        ({"histories": [[7]]}, "item 7 is not in the catalogue"),
        ({"histories": [[]], "block": ["tea"]}, "item 'tea' is not in the catalogue"),
        ({"histories": [[]], "k": 0}, "k = 0 is no length of a list; ask for a whole number from 1 on"),
        ({"histories": [[]], "k": "3"}, "k = '3' is no length of a list; ask for a whole number from 1 on"),
        ({"users": "user 1"}, "users: 'user 1' is no list; put what it names into one"),
        ({"histories": ["café 1"]}, "history: 'café 1' is no list; put what it names into one"),
        ({"histories": [[]], "block": 7}, "block: 7 is no list; put what it names into one"),
        ({"histories": [None]}, "history: None is no list; put what it names into one"),
        ({"users": np.array(7)}, "users: array(7) is no list; put what it names into one"),
        ({"users": [2**70]}, f"user {2**70} is not known; give the history of what they have"),
        ({"histories": [[]], "exclude_seen": "no"}, "exclude_seen = 'no' is neither True nor False"),
    ],
)
def test_what_cannot_be_answered_is_refused(asked: dict[str, Any], message: str, served: Recommender) -> None:
    with pytest.raises(RequestError) as caught:
        served.recommend(**asked)
    assert str(caught.value) == message


def test_arrays_are_lists_too(served: Recommender) -> None:
    found = served.recommend(histories=np.array([["café 1", "café 2"]]), block=np.array(["café 3"]), k=4)
    assert found == served.recommend(histories=[["café 1", "café 2"]], block=["café 3"], k=4)
    assert served.recommend(histories=np.zeros((0, 2), dtype=str)) == []
    assert served.recommend(users=["user 1"], block=None) == served.recommend(users=["user 1"], block=())


@pytest.mark.parametrize("wrong", [{"threads": 0}, {"threads": "2"}, {"unknown": "bogus"}])
def test_a_recommender_is_asked_for_what_there_is(wrong: dict[str, Any], exported: Exported) -> None:
    with pytest.raises(RequestError, match=next(iter(wrong))):
        Recommender(exported.folder, **wrong)


def test_items_that_are_not_known_can_be_left_aside(exported: Exported, served: Recommender) -> None:
    lenient = Recommender(exported.folder, unknown="ignore")
    history = history_of(exported, 4)
    assert lenient.recommend(histories=[["tea", *history, 8]]) == served.recommend(histories=[history])


@pytest.mark.parametrize("name", ["model.onnx", "ids/items.npy", "users/items.npy", "encoder.onnx"])
def test_a_changed_file_is_refused_by_its_hash(name: str, exported: Exported, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(exported.folder, folder)
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(ExportError, match="truncated or changed since it was exported"):
        Recommender(folder)
    (folder / name).unlink()
    with pytest.raises(ExportError, match="no such file; export the model again"):
        Recommender(folder)


@pytest.mark.parametrize("name", ["encoder.onnx", "ids/items.npy", "users/starts.npy", "items.parquet"])
def test_a_file_that_the_manifest_does_not_name_is_not_opened(name: str, exported: Exported, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(exported.folder, folder)
    files = {other: about for other, about in exported.manifest["files"].items() if other != name}
    (folder / "manifest.json").write_text(json.dumps(exported.manifest | {"files": files}))
    with pytest.raises(ExportError, match=f"names no {name}; export the model again"):
        Recommender(folder)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("ids/items.npy", np.array(["a", {}], dtype=object), "of objects"),
        ("ids/items.npy", np.arange(3), r"holds int64 \[3\], which is not what the manifest says"),
        ("users/items.npy", np.zeros((2, 2)), "which is not what the manifest says"),
        ("users/starts.npy", None, "no array"),
        ("users/items.npy", 999_999, "no histories of these items"),
        ("ids/items.npy", b"same", "an id stands for two of them"),
    ],
)
def test_a_file_with_its_hash_that_holds_something_else_is_refused(
    name: str, content: Any, said: str, exported: Exported, tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(exported.folder, folder)
    if content is None:
        (folder / name).write_bytes(b"nothing of the kind")
    elif not isinstance(content, np.ndarray):
        filled = np.full_like(np.load(folder / name), content)
        np.save(folder / name, filled)
    else:
        np.save(folder / name, content, allow_pickle=True)
    sign(folder)
    with pytest.raises(ExportError, match=said):
        Recommender(folder)


def test_what_happens_to_the_files_afterwards_changes_no_answer(exported: Exported, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(exported.folder, folder)
    loaded = Recommender(folder)
    some = {"users": ["user 1", "user 2"], "k": 4}
    before = loaded.recommend(**some), loaded.recommend(**some, allow=["café 1", "café 2", "café 3"])
    for path in folder.rglob("*"):
        if path.is_file():
            os.truncate(path, 0)
    assert (loaded.recommend(**some), loaded.recommend(**some, allow=["café 1", "café 2", "café 3"])) == before


def test_what_is_no_exported_folder_is_refused(exported: Exported, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="no exported model here"):
        Recommender(tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(ExportError, match="cannot be read"):
        Recommender(tmp_path)
    for change, said in (({"catalogue": {}}, "catalogue.num_users"), ({"files": {"model.onnx": {}}}, "has no hash of")):
        (tmp_path / "manifest.json").write_text(json.dumps(exported.manifest | change))
        with pytest.raises(ExportError, match=said):
            Recommender(tmp_path)
    (tmp_path / "manifest.json").write_text(json.dumps({"schema": 1, "files": {}}))
    with pytest.raises(ExportError, match="lacks catalogue, config, fingerprint, item_vectors"):
        Recommender(tmp_path)
    (tmp_path / "manifest.json").write_text(json.dumps(exported.manifest | {"schema": 77}))
    with pytest.raises(ExportError, match="of schema 77, and this version reads 1"):
        Recommender(tmp_path)


def test_neither_torch_nor_training_code_is_loaded(exported: Exported) -> None:
    code = (
        "import sys; from rankdistill import Recommender\n"
        f"lists = Recommender({str(exported.folder)!r}).recommend(users=['user 1'], k=3)\n"
        "assert len(lists[0].items) == 3\n"
        "print([name for name in ('torch', 'polars', 'pyarrow', 'scipy', 'pydantic') if name in sys.modules])\n"
        "print(*(name for name in sys.modules if name.startswith('rankdistill.') and 'serving' not in name))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy, ours = done.stdout.splitlines()
    assert heavy == "[]"
    allowed = {f"rankdistill.{name}" for name in ("checksums", "errors", "extras", "processor", "types")}
    assert set(ours.split()) <= allowed
