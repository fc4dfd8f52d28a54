"""A test that lacks its data is skipped, except where the data is known to be there."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

RUN = Path(__file__).parents[1] / ".ci" / "run"


@pytest.mark.parametrize(
    ("required", "outcome"),
    [("", pytest.skip.Exception), ("0", pytest.skip.Exception), ("1", pytest.fail.Exception)],
)
def test_a_missing_set_is_an_error_where_it_is_required(
    golden: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch, required: str, outcome: type[BaseException]
) -> None:
    monkeypatch.setenv("RANKDISTILL_REQUIRE_DATA", required)
    with pytest.raises(outcome, match=r"no golden file nothing\.json: set RANKDISTILL_GOLDEN"):
        golden("nothing.json")


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_the_checks_require_the_data_where_it_lies_beside_the_checkout(tmp_path: Path, there: bool) -> None:
    checkout = tmp_path / "checkout"
    (checkout / ".ci").mkdir(parents=True)
    shutil.copy(RUN, checkout / ".ci" / "run")
    (checkout / "Makefile").write_text("ci:\n\t@echo required: $$RANKDISTILL_REQUIRE_DATA\n")
    if there:
        (tmp_path / "shared" / "data").mkdir(parents=True)
    ours = ("RANKDISTILL_REQUIRE_DATA", "MAKELEVEL", "MAKEFLAGS", "MFLAGS")  # make itself may be running the tests
    clean = {name: value for name, value in os.environ.items() if name not in ours}
    run = subprocess.run([checkout / ".ci" / "run"], env=clean, capture_output=True, text=True, check=True)
    assert run.stdout.split() == (["required:", "1"] if there else ["required:"])
