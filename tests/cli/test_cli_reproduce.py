"""`rankdistill reproduce`: what it refuses, in words, and what it prints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import Command

GOWALLA = ("test/train.txt", "test/test.txt", "validation/train.txt", "validation/test.txt")


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder whose Gowalla is not the published one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RANKDISTILL_DATA", str(tmp_path))
    for name in GOWALLA:
        path = tmp_path / "gowalla" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("0 1 1\n")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("kdd81",), "'kdd81' is not reproduced here; did you mean 'kdd18'? (there are: kdd18)"),
        (
            ("kdd18", "--dataset", "foursqare"),
            "--dataset 'foursqare': not reproduced here; did you mean 'foursquare-nyc'? "
            "(there are: gowalla, foursquare-nyc, movielens-1m, movielens-100k)",
        ),
        (
            ("kdd18", "--only", "alhpa"),
            "--only 'alhpa': no such part; did you mean 'alpha'? "
            "(there are: main, weighting, presets, search, epochs, size, alpha, k, instances)",
        ),
        (("kdd18", "--seeds", "11"), "--seeds 11 is out of range (1 to 10)"),
        (("kdd18", "--set", "train.epoch=3"), "--set: [train] epoch: unknown key; did you mean 'epochs'?"),
        (("kdd18", "--device", "cuda:77"), "device 'cuda:77' is not there"),
    ],
)
def test_what_there_is_not_is_named_with_the_nearest(
    arguments: tuple[str, ...], line: str, data: Path, cli: Command
) -> None:
    assert cli.refusal("reproduce", *arguments).startswith(line)
    assert not list(data.rglob("model.json"))


def test_a_file_with_another_checksum_is_named_with_where_to_get_it(data: Path, cli: Command) -> None:
    line = cli.refusal("reproduce", "kdd18")
    assert line.startswith(f"{data / 'gowalla' / GOWALLA[0]}: is not the published file (SHA-256 ")
    assert "get it again from https://" in line


def test_a_missing_file_is_named_with_where_to_get_it(data: Path, cli: Command) -> None:
    (data / "gowalla" / GOWALLA[2]).unlink()
    for name in GOWALLA[:2]:  # these are looked at first, and would be wrong
        (data / "gowalla" / name).unlink()
    line = cli.refusal("reproduce", "kdd18")
    assert line.startswith(f"{data / 'gowalla' / GOWALLA[0]}: no such file; get it from https://")


def test_other_settings_for_a_folder_are_refused_before_anything_is_read(data: Path, cli: Command) -> None:
    folder = data / "runs" / "kdd18-gowalla-quick"
    folder.mkdir(parents=True)
    begun = {"paper": "kdd18", "dataset": "gowalla", "quick": True, "set": ["train.epochs=2"], "seconds": 1.0}
    (folder / "reproduce.json").write_text(json.dumps(begun))
    line = cli.refusal("reproduce", "kdd18", "--quick", "--set", "train.epochs=3")
    assert line == (
        'runs/kdd18-gowalla-quick: was begun with set = ["train.epochs=2"], and now set = ["train.epochs=3"] is asked '
        "for; go on with what it was begun with, or name another --out"
    )


@pytest.mark.slow
def test_a_part_of_a_real_data_set_is_made_and_printed(
    public_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Command
) -> None:
    monkeypatch.setenv("RANKDISTILL_DATA", str(public_data))
    what = ("reproduce", "kdd18", "--dataset", "foursquare-nyc", "--quick", "--only", "presets", "--set")
    what += ("train.epochs=1", "--out", str(tmp_path / "out"), "--results", str(tmp_path / "results"))
    listed = json.loads(cli.done(*what, "--dry-run", "--json").out)
    assert [row["done"] for row in listed] == [False] * 6
    found = json.loads(cli.done(*what, "--json").out)
    assert found == json.loads((tmp_path / "results" / "results.json").read_text())
    assert "not the Foursquare set of the paper" in found["remarks"][0]
    assert {path.name for path in (tmp_path / "results").iterdir()} >= {"index.html", "results.md", "results.json"}
    assert "the published code" in cli.done(*what).out
