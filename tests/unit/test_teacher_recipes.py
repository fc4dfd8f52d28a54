"""The recipes of docs/teachers.md, run where their library is: in this environment, or in one of its own.

`RANKDISTILL_RECIPES` names a folder of virtual environments called after the libraries (`implicit/bin/python` ...).
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import rankdistill as rd
from rankdistill.stages import write_training_rows

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "examples" / "teachers").glob("*.py"))
DOCS = (ROOT / "docs" / "teachers.md").read_text(encoding="utf-8")


def interpreter(library: str) -> str:
    """A Python that has the library; skips where there is none."""
    folder = os.environ.get("RANKDISTILL_RECIPES")
    if folder and (own := Path(folder) / library / "bin" / "python").exists():
        return str(own)
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"needs {library}, here or in an environment that RANKDISTILL_RECIPES names")
    return sys.executable


def groups(folder: Path) -> rd.Split:
    """120 users, each of whom has 20 of the 30 items of one of five groups."""
    draw = np.random.default_rng(0)
    rows = [(user, user % 5 * 30 + int(item)) for user in range(120) for item in draw.permutation(30)[:20]]
    frame = pl.DataFrame(rows, schema=["user_id", "item_id"], orient="row").with_row_index("timestamp")
    frame.write_parquet(folder / "log.parquet")
    return rd.read_parquet(folder / "log.parquet").split("user_fractions")


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_the_lists_of_a_recipe_are_a_teacher_s(recipe: Path, tmp_path: Path) -> None:
    python = interpreter(recipe.stem.partition("_")[0])
    split = groups(tmp_path)
    write_training_rows(split, tmp_path / "train.parquet")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [python, str(recipe), "train.parquet", "lists.parquet"],
        cwd=tmp_path,
        env={**environment, "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lists = rd.Rankings.read(tmp_path / "lists.parquet", split.item_ids, split.user_ids)
    assert lists.scores is not None
    assert len(lists) == split.num_users
    seen = split.train.members()
    assert not seen(np.arange(split.num_users)[:, None], lists.items)[lists.items > 0].any()
    found = rd.evaluate(lists, split.test_queries, ["ndcg@10"]).mean()["ndcg@10"]
    popular = rd.recommend(rd.train(rd.Popularity.Config(), split), split.test_queries)
    assert found > 2 * rd.evaluate(popular, split.test_queries, ["ndcg@10"]).mean()["ndcg@10"]
    train = rd.Settings(train=rd.TrainConfig(epochs=1, device="cpu"))
    rd.distill(lists, rd.MatrixFactorization.Config(dim=4), split, settings=train)


def test_every_recipe_is_in_the_docs_with_the_install_line_that_it_names() -> None:
    assert len(RECIPES) >= 4
    for recipe in RECIPES:
        text = recipe.read_text(encoding="utf-8")
        found = re.search(r"^    (pip install .*)$", text, re.M)
        assert found is not None, recipe.name
        assert f"examples/teachers/{recipe.name}" in DOCS
        assert f"`{found[1]}`" in DOCS, recipe.name
        compile(text, recipe.name, "exec")


def test_training_rows_are_the_training_part_by_user_and_time(tmp_path: Path) -> None:
    split = rd.read("synthetic", users=20, items=30, length=12).split("leave_last_out")
    write_training_rows(split, tmp_path / "train.parquet")
    rows = pl.read_parquet(tmp_path / "train.parquet")
    users = split.user_ids.encode(rows["user_id"])
    items = split.item_ids.encode(rows["item_id"])
    assert users.tolist() == split.train.users.tolist()
    assert items.tolist() == split.train.items.tolist()
    assert rows["position"].to_list()[:3] == [0, 1, 2]
