"""A small model that is exported once."""

from __future__ import annotations

import pytest
from small_export import Exported, named

import rankdistill as rd


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    split = named()
    model = rd.train(rd.Caser.Config(dim=8), split, rd.Settings(train=rd.TrainConfig(epochs=3, device="cpu")))
    folder = tmp_path_factory.mktemp("exported") / "student"
    return Exported(folder, model, split, rd.export(model, folder))
