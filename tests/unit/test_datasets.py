import io
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from rankdistill.data import downloads
from rankdistill.data.catalogue import SETS, NamedSet, _presplit
from rankdistill.data.datasets import PublicSet, cache, locate
from rankdistill.data.downloads import Source, atomic_titles, web_folder
from rankdistill.data.readers.delimited import Delimited
from rankdistill.data.readers.recbole import RecBole
from rankdistill.data.synthetic import MarkovModel, generate
from rankdistill.errors import ConfigError, DataError

FILES = {"train.txt": b"1 2\n1 3\n", "test.txt": b"1 4\n"}


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        return None


@pytest.fixture(autouse=True)
def empty_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANKDISTILL_DATA", raising=False)
    monkeypatch.setenv("RANKDISTILL_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def website(tmp_path: Path) -> Iterator[str]:
    folder = tmp_path / "website"
    fill(folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def fill(folder: Path, **other: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in FILES.items():
        (folder / name).write_bytes(other.get(name.removesuffix(".txt"), content))


def tiny_set(*sources: Source) -> NamedSet:
    return NamedSet(
        folder="tiny",
        checksums={name: sha256(content).hexdigest() for name, content in FILES.items()},
        read=_presplit,
        terms="free",
        citation="Nobody 1900",
        home="https://example.org/tiny",
        sources=sources,
        presplit=True,
        core=1,
        repeats="all",
    )


def test_the_folder_named_by_the_environment_comes_before_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SETS, "tiny", tiny_set())
    monkeypatch.setenv("RANKDISTILL_DATA", str(tmp_path / "mine"))
    fill(tmp_path / "mine" / "tiny")
    fill(tmp_path / "cache" / "tiny")
    assert locate("tiny") == tmp_path / "mine" / "tiny"


def test_the_cache_serves_what_the_named_folder_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SETS, "tiny", tiny_set())
    monkeypatch.setenv("RANKDISTILL_DATA", str(tmp_path))
    fill(tmp_path / "cache" / "tiny")
    assert locate("tiny") == tmp_path / "cache" / "tiny"


def test_the_cache_follows_the_users_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANKDISTILL_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
    assert cache() == Path("/elsewhere/rankdistill")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache() == Path.home() / ".cache" / "rankdistill"


def test_a_set_is_fetched_into_the_cache_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, website: str) -> None:
    monkeypatch.setitem(SETS, "tiny", tiny_set(web_folder(website, list(FILES))))
    events = PublicSet(PublicSet.Config(kind="tiny")).read()
    assert events.frame.rows() == [(1, 2, 0), (1, 3, 0), (1, 4, 2)]
    assert events.source == "tiny"
    assert "cite Nobody 1900" in events.notes[1]
    monkeypatch.setitem(SETS, "tiny", tiny_set())
    assert locate("tiny") == tmp_path / "cache" / "tiny"


def test_a_fetched_file_with_another_checksum_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, website: str
) -> None:
    fill(tmp_path / "website", test=b"9 9\n")
    monkeypatch.setitem(SETS, "tiny", tiny_set(web_folder(website, list(FILES))))
    with pytest.raises(DataError, match=r"test\.txt: is not the published file .SHA-256 \w{12}, expected \w{12}"):
        locate("tiny")
    assert list((tmp_path / "cache").iterdir()) == []


def test_the_next_source_is_asked_where_the_first_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, website: str
) -> None:
    dead = web_folder("http://127.0.0.1:9/tiny", list(FILES))
    monkeypatch.setitem(SETS, "tiny", tiny_set(dead, web_folder(website, list(FILES))))
    assert locate("tiny") == tmp_path / "cache" / "tiny"


def test_without_a_network_one_line_lists_all_places_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, website: str
) -> None:
    dead, gone = web_folder("http://127.0.0.1:9/tiny", ["train.txt"]), web_folder(website, ["none.txt"])
    monkeypatch.setitem(SETS, "tiny", tiny_set(dead, gone))
    with pytest.raises(DataError) as caught:
        locate("tiny")
    message = str(caught.value)
    assert "\n" not in message
    for part in (
        "RANKDISTILL_DATA is not set",
        f"no folder {tmp_path / 'cache' / 'tiny'}",
        "http://127.0.0.1:9/tiny/train.txt: ",
        f"{website}/none.txt: ",
        "get train.txt and test.txt from https://example.org/tiny into a folder tiny/",
    ):
        assert part in message


def test_a_wrong_or_missing_file_of_a_local_copy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SETS, "tiny", tiny_set())
    config = PublicSet.Config(kind="tiny", path=tmp_path / "copy")
    fill(tmp_path / "copy", train=b"1 2\n")
    got, expected = sha256(b"1 2\n").hexdigest()[:12], sha256(FILES["train.txt"]).hexdigest()[:12]
    with pytest.raises(DataError, match=rf"train\.txt: is not the published file .SHA-256 {got}, expected {expected}"):
        PublicSet(config).read()
    (tmp_path / "copy" / "train.txt").unlink()
    with pytest.raises(DataError, match=r"train\.txt: no such file; get it from https://example\.org/tiny"):
        PublicSet(config).read()


def test_a_named_folder_that_is_not_there_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANKDISTILL_DATA", str(tmp_path / "none"))
    with pytest.raises(DataError, match=r"RANKDISTILL_DATA = .*none: no such folder"):
        locate("movielens-100k")


def test_a_misspelt_set_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match="did you mean 'gowalla-kdd18'"):
        PublicSet.Config(kind="gowala-kdd18")


def test_defaults_are_those_of_the_set_and_can_be_overridden() -> None:
    presplit, nyc = (
        PublicSet.Config(kind="gowalla-kdd18"),
        PublicSet.Config(kind="foursquare-nyc", repeats="all"),
    )
    assert (presplit.presplit, presplit.min_user_interactions, presplit.repeats) == (True, 1, "all")
    assert (nyc.presplit, nyc.min_item_interactions, nyc.repeats) == (False, 10, "all")


def test_there_is_no_download_of_what_may_not_be_redistributed() -> None:
    with pytest.raises(DataError, match=r"get checkins\.csv\.gz from .*TSMC2014.* there is no download"):
        locate("foursquare-nyc")


def test_movielens_is_made_from_the_archive_of_grouplens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as writer:
        writer.writestr("ml-100k/u.data", b"196\t242\t3\t881250949\n")
        writer.writestr("ml-100k/u.item", "242|L\u00e9on (1994)|01-Jan-1994||\n".encode("latin-1"))
    content = archive.getvalue()
    monkeypatch.setattr(downloads, "download", lambda url: content)
    monkeypatch.setattr(downloads, "_GROUPLENS_SHA256", sha256(content).hexdigest())
    downloads.MOVIELENS_100K[0].fetch(tmp_path)
    events = RecBole(RecBole.Config(path=tmp_path)).read()
    assert events.frame.rows() == [(196, 242, 881250949)]
    assert events.titles is not None
    assert events.titles.rows() == [(242, "L\u00e9on")]


def test_another_archive_from_grouplens_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "download", lambda url: b"sorry, moved")
    with pytest.raises(DataError, match="wrong SHA-256"):
        downloads.MOVIELENS_100K[0].fetch(tmp_path)


def test_movielens_is_taken_out_of_the_recbole_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pip(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        assert command[:4] == [sys.executable, "-m", "pip", "download"]
        with zipfile.ZipFile(Path(command[-1]) / "recbole-1.2.1-py3-none-any.whl", "w") as wheel:
            for name in ("inter", "item"):
                wheel.writestr(f"recbole/dataset_example/ml-100k/ml-100k.{name}", name)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(downloads.subprocess, "run", pip)
    downloads.MOVIELENS_100K[1].fetch(tmp_path / "made")
    assert (tmp_path / "made" / "ml-100k.inter").read_text() == "inter"
    assert (tmp_path / "made" / "ml-100k.item").read_text() == "item"


@pytest.mark.parametrize("silent", [False, True])
def test_a_failing_pip_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, silent: bool) -> None:
    def pip(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        if silent:
            raise subprocess.TimeoutExpired(command, 120)
        return subprocess.CompletedProcess(command, 1, "", "WARNING: slow\nERROR: No matching distribution\n")

    monkeypatch.setattr(downloads.subprocess, "run", pip)
    expected = "no answer within 120 s" if silent else "ERROR: No matching distribution"
    with pytest.raises(DataError, match=f"^pip download recbole==1.2.1: {expected}$"):
        downloads.MOVIELENS_100K[1].fetch(tmp_path)


def test_titles_lose_the_year_at_their_end_alone() -> None:
    made = atomic_titles("1|2001 (1968)|x\n2|Seven (Se7en) (1995) |x\n3|unknown|x\n")
    assert made.splitlines()[1:] == ["1\t2001", "2\tSeven (Se7en)", "3\tunknown"]


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "users", "items", "rows"),
    [
        ("gowalla-kdd18", 13_149, 14_009, 535_650),
        ("movielens-1m", 6_040, 3_416, 999_611),
        ("movielens-100k", 943, 1_682, 100_000),
        ("foursquare-nyc", 1_082, 4_988, 113_344),
    ],
)
def test_the_public_sets_have_the_published_sizes(
    public_data: Path, monkeypatch: pytest.MonkeyPatch, name: str, users: int, items: int, rows: int
) -> None:
    monkeypatch.setenv("RANKDISTILL_DATA", str(public_data))
    frame = PublicSet(PublicSet.Config(kind=name)).read().frame
    assert (frame["user"].n_unique(), frame["item"].n_unique(), len(frame)) == (users, items, rows)


@pytest.mark.data
def test_the_columns_of_the_check_ins_are_guessed(public_data: Path) -> None:
    path = public_data / "foursquare-nyc" / "checkins.csv.gz"
    events = Delimited(Delimited.Config(path=path)).read()
    assert events.notes == ("checkins.csv.gz: user = 'user_idx', item = 'poi_idx', time = 'unix_s' (guessed)",)


def test_synthetic_data_is_the_same_for_the_same_seed_and_other_for_another() -> None:
    one, same, other = (generate(20, 40, 8, seed).frame for seed in (1, 1, 2))
    assert one.equals(same)
    assert not one.equals(other)


def test_synthetic_users_never_repeat_an_item() -> None:
    frame = generate(50, 60, 30, 0).frame
    assert frame.unique(["user", "item"]).height == 50 * 30


def test_the_known_model_of_synthetic_data_ranks_far_better_than_popularity() -> None:
    generator = np.random.default_rng(0)
    model = MarkovModel.draw(200, generator)
    walks = model.walk(400, 20, generator)
    known, target = walks[:, :-1], walks[:, -1]
    popularity = np.bincount(known.ravel(), minlength=200) + 0.0
    hits = {}
    for name, scores in {
        "known": model.next_probabilities(known[:, -1]),
        "popular": np.tile(popularity, (400, 1)),
    }.items():
        np.put_along_axis(scores, known, -1.0, axis=1)
        ranks = 1 + (scores > scores[np.arange(400), target][:, None]).sum(axis=1)
        hits[name] = (ranks <= 4).mean()
    assert hits["known"] > 0.7
    assert hits["popular"] < 0.2


def test_the_probabilities_of_the_known_model_are_those_of_its_walks() -> None:
    generator = np.random.default_rng(5)
    model = MarkovModel.draw(12, generator)
    probabilities = model.next_probabilities(np.arange(12))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)
    walks = model.walk(40_000, 2, generator)
    start = walks[:, 0] == 3
    counted = np.bincount(walks[start, 1], minlength=12) / start.sum()
    expected = np.where(np.arange(12) == 3, 0.0, probabilities[3])
    np.testing.assert_allclose(counted, expected / expected.sum(), atol=0.03)


@pytest.mark.parametrize(("users", "items", "length"), [(0, 10, 2), (5, 10, 6), (5, 4, 1), (5, 10, 0)])
def test_synthetic_data_that_cannot_be_drawn_is_refused(users: int, items: int, length: int) -> None:
    with pytest.raises(ConfigError, match="synthetic data"):
        generate(users, items, length, 0)
