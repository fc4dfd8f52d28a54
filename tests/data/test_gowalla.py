"""The published split and sizes, on the real data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import rankdistill as rd
from rankdistill.models.caser import Caser
from rankdistill.ranker import Catalogue
from rankdistill.testing import oracles

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def gowalla(public_data: Path) -> rd.Split:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RANKDISTILL_DATA", str(public_data))
        return rd.read("gowalla-kdd18").split("presplit")


def test_users_items_and_windows_are_as_many_as_published(gowalla: rd.Split) -> None:
    assert (gowalla.num_users, gowalla.num_items) == (13_149, 14_009)
    assert gowalla.windows.full == len(gowalla.windows) == 367_611
    assert len(gowalla.train.items) == 433_356
    assert len(gowalla.train.items) + len(gowalla.test.items) == 535_650


def test_no_user_visits_a_place_twice(gowalla: rd.Split) -> None:
    members = gowalla.train.members()
    assert len(members.keys) == len(gowalla.train.items)
    assert not members(gowalla.test.users, gowalla.test.items).any()


@pytest.mark.parametrize(("dim", "parameters"), [(100, 5_584_102), (50, 2_794_102)])
def test_caser_has_the_published_number_of_parameters(gowalla: rd.Split, dim: int, parameters: int) -> None:
    sizes = Catalogue(gowalla.num_users, gowalla.num_items, gowalla.history_length)
    with torch.device("meta"):
        assert Caser(Caser.Config(dim=dim), sizes).parameters_count == parameters


def test_the_ranks_and_the_map_of_popularity_are_those_of_a_sort(gowalla: rd.Split) -> None:
    counts = np.bincount(gowalla.train.items, minlength=gowalla.num_items + 1)
    by_count = sorted(range(1, gowalla.num_items + 1), key=lambda item: (-counts[item], item))
    queries = gowalla.test_queries.rows(0, 50)
    lists = rd.recommend(rd.train(rd.Popularity.Config(), gowalla), queries, k=10)
    ours = rd.evaluate(lists, gowalla.test, ["map", "ndcg_kdd18@10", "ndcg@10"])
    for row, user in enumerate(queries.users.tolist()):
        seen, targets = set(gowalla.train.of(user).tolist()), gowalla.test.of(user).tolist()
        ranking = [item for item in by_count if item not in seen and counts[item]]
        assert lists.items[row].tolist() == ranking[:10]
        for name, values in ours.values.items():
            assert values[row] == pytest.approx(oracles.metric(name, ranking, targets), abs=1e-12)
