import os
from pathlib import Path

import pytest
import torch

from rankdistill import parallel, processor
from rankdistill.parallel import Processors, workers
from rankdistill.processor import cores, let_threads_sleep, threads_of_environment


@pytest.mark.parametrize(
    ("quota", "expected"),
    [("max 100000", 8), ("200000 100000", 2), ("50000 100000", 1), ("1600000 100000", 8), ("", 8)],
)
def test_no_more_cores_are_used_than_a_container_may(
    quota: str, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpu.max").write_text(quota)
    monkeypatch.setattr(processor, "_QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert cores() == expected


@pytest.mark.parametrize(("value", "threads"), [("3", 3), ("4,2", 4), ("", None), ("0", None), ("many", None)])
def test_the_environment_may_say_how_many_threads(
    value: str, threads: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert threads_of_environment() == threads


@pytest.mark.parametrize(
    ("environment", "jobs", "threads", "expected"),
    [
        ("", None, None, (4, 2)),
        ("", 2, None, (2, 4)),
        ("1", None, None, (4, 1)),
        ("1", 2, None, (2, 1)),
        ("1", 2, 3, (2, 3)),
        ("", None, 3, (2, 3)),
        ("", None, 16, (1, 16)),
    ],
)
def test_the_cores_are_shared_out_unless_threads_are_named(
    environment: str,
    jobs: int | None,
    threads: int | None,
    expected: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", environment)
    monkeypatch.setattr(parallel, "cores", lambda: 8)
    assert Processors.shared_out("cpu", jobs, threads, most=4) == Processors(*expected)


def test_threads_sleep_soon_unless_the_environment_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    let_threads_sleep()
    assert "GOMP_SPINCOUNT" not in os.environ
    monkeypatch.delenv("OMP_WAIT_POLICY")
    let_threads_sleep()
    assert int(os.environ["GOMP_SPINCOUNT"]) < 100_000
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    let_threads_sleep()
    assert os.environ["GOMP_SPINCOUNT"] == "7"


def threads_here() -> tuple[int, str | None]:
    return torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS")


@pytest.mark.parametrize("environment", [None, "2"])
def test_a_worker_keeps_to_its_threads(environment: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if environment is None:
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    else:
        monkeypatch.setenv("OMP_NUM_THREADS", environment)
    with workers(Processors(jobs=1, threads=3)) as pool:
        assert pool.submit(threads_here).result() == (3, "3")
