from __future__ import annotations

from pathlib import Path

import pytest
from run_folder import FakeRun

from rankdistill.cli.options import Output
from rankdistill.cli.results import print_run
from rankdistill.cli.run import default_folder
from rankdistill.report import build


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    """The lines that are printed of folders."""

    def lines(*folders: Path) -> list[str]:
        print_run(build(folders).json(), tmp_path / "page.html", Output())
        return capsys.readouterr().out.splitlines()

    return lines


def _run(folder: Path, **options: object) -> Path:
    return FakeRun(folder, users=20, items=30, **options).write()


def test_the_distilled_student_is_compared_with_both_others_in_the_order_of_the_table(printed, tmp_path: Path) -> None:
    lines = printed(_run(tmp_path / "run"))
    compared = [line.partition(":")[0] for line in lines if line.startswith("distilled - ")]
    metrics = ["MAP", "nDCG@10", "Precision@10", "Recall@10"]
    assert compared == [f"distilled - {other}, {name}" for other in ("student", "teacher") for name in metrics]
    heads = next(line for line in lines if "Kind" in line)
    assert sorted(metrics, key=heads.index) == metrics


def test_milliseconds_have_three_decimals(printed, tmp_path: Path) -> None:
    lines = printed(_run(tmp_path / "run"))
    assert [line.split()[-2] for line in lines if " caser " in line] == ["1.920", "1.210", "1.210"]


def test_numbers_stay_flush_right_beside_a_foreign_teacher(printed, tmp_path: Path) -> None:
    lines = printed(_run(tmp_path / "run", foreign_teacher=True))
    heads, rows = next(line for line in lines if "Kind" in line), [line for line in lines if " caser " in line]
    assert len(rows) == 2
    for head, value in (("Parameters", "2,794,102"), ("ms a query", "1.210"), ("Users a second", "15,800")):
        assert {row.index(value) + len(value) for row in rows} == {heads.index(head) + len(head)}


def test_several_runs_are_named_before_their_models_and_comparisons(printed, tmp_path: Path) -> None:
    lines = printed(*(_run(tmp_path / name) for name in ("one", "two")))
    assert next(line for line in lines if "Kind" in line).split()[0] == "Run"
    named = [line.split()[:2] for line in lines if " caser " in line]
    assert named == [[run, role] for run in ("one", "two") for role in ("teacher", "student", "distilled")]
    compared = [line for line in lines if " - " in line]
    assert [line.partition(":")[0] for line in compared] == ["one"] * 8 + ["two"] * 8 + ["one"] * 2 + ["two"] * 2
    assert compared[8].startswith("two: distilled - student, MAP: ")


def test_models_of_one_role_are_named_with_their_folders(printed, tmp_path: Path) -> None:
    run = _run(tmp_path / "run")
    folders = [(run / "teacher").rename(tmp_path / "small"), (run / "distilled").rename(tmp_path / "own")]
    folders.append(_run(tmp_path / "other") / "teacher")
    (tmp_path / "other" / "data.json").unlink()
    (tmp_path / "other" / "comparisons.json").unlink()
    lines = printed(*folders)
    assert [line.partition(" caser ")[0].strip() for line in lines if " caser " in line] == [
        "teacher, small",
        "distilled",
        "teacher, teacher",
    ]


def test_a_run_without_out_is_called_after_its_file(tmp_path: Path) -> None:
    assert default_folder(tmp_path / "first.toml") == Path("runs/first")


def test_a_finished_run_that_is_run_again_keeps_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_folder(Path("runs/first/config.toml")) == Path("runs/first")
    (tmp_path / "second").mkdir()
    monkeypatch.chdir(tmp_path / "second")
    assert default_folder(Path("config.toml")) == Path("runs/second")
