"""`rankdistill bench latency`."""

import json
from pathlib import Path

import pytest
from commands import Command

from rankdistill.cli.bench_latency import whole_numbers
from rankdistill.errors import ConfigError

QUICK = ("--batch", "1,4", "--seconds", "0.02", "--k", "3")


def test_teacher_and_student_are_timed_side_by_side(done: Path, cli: Command) -> None:
    outcome = cli.done("bench", "latency", done / "student", "--teacher", done / "teacher", *QUICK, "--out", "timings")
    assert "teacher teacher" in outcome.out
    assert "written: timings" in outcome.out
    found = json.loads(Path("timings/bench.json").read_text())
    assert [(row["role"], row["engine"], row["threads"], row["batch"]) for row in found["rows"]] == [
        (role, "torch", 1, batch) for role in ("teacher", "student") for batch in (1, 4)
    ]
    assert all(row["latency_ms"]["p50"] > 0 and row["users_per_second"] > 0 for row in found["rows"])
    assert found["k"] == 3
    assert {path.name for path in Path("timings").iterdir()} == {"bench.json", "bench.md", "bench.svg"}


def test_json_for_machines(done: Path, cli: Command) -> None:
    found = json.loads(
        cli.done("bench", "latency", done / "student", *QUICK[2:], "--batch", "2", "--threads", "1,2", "--json").out
    )
    assert [(row["threads"], row["batch"]) for row in found["rows"]] == [(1, 2), (2, 2)]
    assert found["rows"][0]["model"] == "student"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("nowhere",), "nowhere: neither an exported folder (manifest.json) nor a model folder (model.json)"),
        (("nowhere", "--batch", "1,x"), "--batch '1,x': write whole numbers from 1 to 65,536 with commas between"),
        (("nowhere", "--threads", "0"), "--threads '0': write whole numbers from 1 to 256 with commas between"),
        (("nowhere", "--batch", ""), "--batch '': write whole numbers"),
    ],
)
def test_what_cannot_be_timed_is_refused(arguments: tuple[str, ...], line: str, desk: Path, cli: Command) -> None:
    assert cli.refusal("bench", "latency", *arguments).startswith(line)


def test_numbers_are_sorted_and_each_counts_once() -> None:
    assert whole_numbers("--batch", " 8, 1,8 ", 10) == (1, 8)
    with pytest.raises(ConfigError, match="from 1 to 10"):
        whole_numbers("--batch", "11", 10)


@pytest.mark.slow
def test_an_exported_folder_is_timed_exactly_and_by_its_index(done: Path, cli: Command) -> None:
    pytest.importorskip("faiss")
    pytest.importorskip("onnxscript")
    outcome = cli.done("export", done / "student", "--out", "with", "--index", "faiss-flat")
    assert "faiss-flat: recall@10 1.0000, recall@100 1.0000 of exact lists; p50 " in outcome.out
    found = json.loads(cli.done("bench", "latency", "with", *QUICK, "--json").out)
    engines = ["ONNX float32", "ONNX float32, faiss-flat"]
    assert [row["engine"] for row in found["rows"]] == [engine for engine in engines for _ in range(2)]
    assert found["notes"] == []
    cli.done("export", done / "student", "--out", "without", "--no-users")
    outcome = cli.done("bench", "latency", "without", *QUICK)
    assert "without: exported without users, so it is asked with random histories" in outcome.out
