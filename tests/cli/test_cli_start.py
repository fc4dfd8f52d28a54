"""What a command imports before it does anything: torch takes a second, scipy.stats half of one."""

import subprocess
import sys
from pathlib import Path

import pytest
from commands import visits, write_csv

VERBS = ("run", "prepare", "train", "label", "distill", "evaluate", "report", "serve", "show", "doctor", "demo")
BENCHES = (("bench", "latency", "--help"), ("bench", "load", "--help"))


def imported(code: str, *names: str) -> list[str]:
    """Those of the modules `names` that a fresh process has imported after `code`."""
    code += f"\nimport sys\nprint('imported:', *[name for name in {names} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1].split()[1:]


def command(*arguments: object) -> str:
    return f"from rankdistill.cli import main\nassert main({[str(each) for each in arguments]}) == 0"


def test_the_modules_that_a_process_has_imported_are_found_out() -> None:
    assert imported("import rankdistill.models.popularity", "torch", "rankdistill.report") == ["torch"]


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), *((verb, "--help") for verb in VERBS), *BENCHES])
def test_help_needs_none_of_the_large_packages(arguments: tuple[str, ...]) -> None:
    assert imported(command(*arguments), "torch", "scipy", "polars", "numpy") == []


def test_a_report_is_made_without_torch(finished_run: Path, tmp_path: Path) -> None:
    assert imported(command("report", finished_run, "--out", tmp_path / "report.html"), "torch", "scipy.stats") == []
    assert (tmp_path / "report.html").exists()


def test_training_does_without_the_compiler_of_torch(desk: Path) -> None:
    train = command("train", "e.toml", "--role", "student", "--out", "student")
    assert imported(train, "torch", "torch._dynamo", "scipy.sparse.linalg") == ["torch"]
    assert (desk / "student" / "model.json").exists()


def test_data_is_read_and_split_without_torch(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "events.csv", visits())
    code = f"import rankdistill as rd\nsplit = rd.read_csv({str(path)!r}).k_core(users=5, items=1).split()"
    assert imported(f"{code}\nassert len(split.windows) and len(split.test_queries)", "torch", "scipy.stats") == []


def test_the_stages_are_imported_without_scipys_statistics() -> None:
    assert imported("import rankdistill.workflow", "scipy.stats") == []
