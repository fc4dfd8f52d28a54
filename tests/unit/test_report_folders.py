from __future__ import annotations

from pathlib import Path

import pytest
from run_folder import FakeRun

from rankdistill.errors import CheckpointError, ConfigError
from rankdistill.report import build


@pytest.fixture
def run(tmp_path: Path) -> FakeRun:
    return FakeRun(tmp_path / "run", users=20, items=30)


@pytest.mark.parametrize("name", ["data.json", "run.json", "teacher/model.json", "student/metrics.jsonl"])
def test_a_file_that_holds_something_else_than_an_object_is_named_with_what_it_holds(run: FakeRun, name: str) -> None:
    folder = run.write()
    (folder / name).write_text("[1]")
    with pytest.raises(CheckpointError, match=rf"{Path(name).name}: \[1\] stands where a JSON object belongs"):
        build([folder])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"a": 1}', r'\{"a": 1\} stands where a list of comparisons belongs'),
        ("[7]", "7 stands where a comparison with a, b and metric belongs"),
        ('[{"a": "student", "b": "teacher"}]', ".* stands where a comparison with a, b and metric belongs"),
    ],
)
def test_comparisons_of_another_form_are_refused_with_the_first_that_is_wrong(
    run: FakeRun, text: str, words: str
) -> None:
    folder = run.write()
    (folder / "comparisons.json").write_text(text)
    with pytest.raises(CheckpointError, match=f"comparisons.json: {words}"):
        build([folder])


@pytest.mark.parametrize(
    ("file", "name", "there", "found"),
    [
        ("sweep.toml", "sweep", "sweep.html", "what it found is in {}/sweep.html"),
        ("trials.json", "search", "trials.md", "what it found is in {}/trials.md"),
        ("compress.json", "compress", "final", "what it found is in {}/final"),
        ("compress.json", "compress", "compress.md", "what it found is in {}/compress.md"),
        ("reproduce.json", "reproduction", "results/index.html", "what it found is in {}/results/index.html"),
        ("sweep.toml", "sweep", "data", "its results are not in it: start it again to have them"),
    ],
)
def test_a_folder_of_another_verb_is_no_run_and_where_its_results_are_is_said(
    run: FakeRun, file: str, name: str, there: str, found: str
) -> None:
    folder = run.write()  # a sweep and a search have the teacher of a run, and its data
    (folder / file).touch()
    (folder / there).mkdir(parents=True, exist_ok=True)
    with pytest.raises(ConfigError) as caught:
        build([folder])
    assert str(caught.value) == f"{folder}: is the folder of a {name}, which is no run; {found.format(folder)}"
    assert len(build([folder / "student"]).runs[0].models) == 1  # a model in it is reported


def test_runs_of_one_name_are_told_apart_by_the_folders_above_them(tmp_path: Path) -> None:
    folders = [FakeRun(tmp_path / parent / "run", users=20, items=30).write() for parent in "ab"]
    assert [run.name for run in build(folders).runs] == ["a/run", "b/run"]
    assert [run.name for run in build(folders[:1]).runs] == ["run"]
