import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def public_data() -> Path:
    """The folder of the public data sets, laid out as `RANKDISTILL_DATA` wants it."""
    chosen = os.environ.get("RANKDISTILL_DATA")
    folder = Path(chosen) if chosen else Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs the public data sets: set RANKDISTILL_DATA to the folder that holds them")
    return folder
