import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import settings

import rankdistill as rd
from rankdistill import native

# Two files of the name conftest.py cannot both be searched for doctests.
collect_ignore_glob = ["conftest.py", "*/conftest.py"]

# A busy machine must not fail a property for being slow.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


def lacking(what: str) -> NoReturn:
    """Skips a test for want of its data, or fails it where `RANKDISTILL_REQUIRE_DATA` says that the data is there."""
    if os.environ.get("RANKDISTILL_REQUIRE_DATA") == "1":
        pytest.fail(f"{what} (and RANKDISTILL_REQUIRE_DATA is 1)", pytrace=False)
    pytest.skip(what)


@pytest.fixture(scope="session")
def public_data() -> Path:
    """The folder of the public data sets, laid out as `RANKDISTILL_DATA` wants it."""
    chosen = os.environ.get("RANKDISTILL_DATA")
    folder = Path(chosen) if chosen else Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        lacking("needs the public data sets: set RANKDISTILL_DATA to the folder that holds them")
    return folder


@pytest.fixture(scope="session")
def golden() -> Callable[[str], Any]:
    """Reads a golden file by name: outputs of other implementations."""
    folder = Path(os.environ.get("RANKDISTILL_GOLDEN", Path(__file__).parents[2] / "shared" / "golden"))

    def read(name: str) -> Any:
        path = folder / name
        if not path.is_file():
            lacking(f"no golden file {name}: set RANKDISTILL_GOLDEN to the folder that holds it")
        return json.loads(path.read_text(encoding="utf-8"))

    return read


@pytest.fixture(params=range(3))
def golden_case(request: pytest.FixtureRequest, golden: Callable[[str], Any]) -> dict[str, Any]:
    """Scores, weights and losses of the published code, in float64."""
    cases: list[dict[str, Any]] = golden("losses.json")["cases"]
    return cases[request.param]


@pytest.fixture(scope="session")
def split() -> rd.Split:
    """A small synthetic log, trained on training + validation."""
    return rd.read("synthetic", users=60, items=40, length=15).split("user_fractions")


@pytest.fixture(scope="session")
def validated() -> rd.Split:
    """The same log with its validation part kept apart."""
    return rd.read("synthetic", users=60, items=40, length=15).split("user_fractions", train_on_validation=False)


@pytest.fixture(params=["kernels", "torch"], scope="module")
def ways(request: pytest.FixtureRequest) -> Iterator[str]:
    """By the compiled kernels, and by torch alone."""
    way: str = request.param
    if way == "kernels" and native.library() is None:
        pytest.skip("the kernels are not built: there is no C compiler")
    with pytest.MonkeyPatch.context() as patch:
        if way == "torch":
            patch.setattr(native, "library", lambda: None)
        yield way
