"""What can be asked of `evaluate`, and the file of an evaluation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from rankdistill.errors import EvaluationError
from rankdistill.evaluation import Evaluation, evaluate
from rankdistill.evaluation.metrics import NAMES, Metric
from rankdistill.ids import IdMap
from rankdistill.rankings import Rankings, TargetRanks, pack

USERS = IdMap(pl.Series("user_id", ["ann", "bob", "cyd"]), first=0)


def ranks_of(rows: list[tuple[int, int, int]], depth: int | None = None) -> TargetRanks:
    users, items, ranks = np.array(rows, dtype=np.int64).reshape(-1, 3).T
    return TargetRanks(pack(users, 6), items.astype(np.int32), ranks, depth)


RANKS = ranks_of([(2, 5, 1), (0, 3, 4), (2, 6, 0)])


def message(text: str, ranks: TargetRanks = RANKS) -> str:
    with pytest.raises(EvaluationError) as caught:
        evaluate(ranks, [text])
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_each_user_has_one_value_of_each_metric_in_the_order_asked_for() -> None:
    evaluation = evaluate(RANKS, ["hit@3", "map"])
    assert evaluation.users.tolist() == [0, 2]
    assert {name: values.tolist() for name, values in evaluation.values.items()} == {
        "hit@3": [0.0, 1.0],
        "map": [0.25, 0.5],
    }
    assert evaluation.mean() == {"hit@3": 0.5, "map": 0.375}


def test_every_metric_that_is_listed_can_be_asked_for() -> None:
    names = [name.replace("@k", "@2") for name in NAMES]
    lists = Rankings(pack(np.array([0, 2]), 6), np.array([[1, 2], [2, 3]], dtype=np.int32))
    mean = evaluate(RANKS, names, lists=lists, num_items=6).mean()
    assert sorted(mean) == sorted(names)
    assert [str(Metric.parse(name)) for name in names] == names


def test_a_misspelt_metric_is_refused_with_the_nearest_name() -> None:
    assert message("ndgc@10").startswith("metric 'ndgc@10' does not exist; did you mean 'ndcg@10'? There are ")
    assert "did you mean 'precision@5'?" in message("precision5")
    assert "did you mean 'ndcg_kdd18@5'?" in message("NDCG_KDD18@5")
    assert "did you mean 'recall@10'?" in message("Recall")


@pytest.mark.parametrize(
    ("text", "meant"),
    [("MAP", "map"), ("mapp", "map"), ("MAP@5", "map@5"), ("map10", "map@10"), ("mapp@", "map@10")],
)
def test_full_catalogue_map_is_offered_for_a_name_without_cutoff(text: str, meant: str) -> None:
    assert f"did you mean '{meant}'?" in message(text)


def test_a_name_like_no_metric_is_refused_with_all_that_there_are() -> None:
    assert message("zzz") == f"metric 'zzz' does not exist. There are {', '.join(NAMES)}"


def test_a_metric_without_its_cutoff_is_refused() -> None:
    assert message("ndcg") == "metric 'ndcg' needs a cutoff: ask for 'ndcg@10', say"


@pytest.mark.parametrize("cutoff", ["", "0", "-1", "1.5", "ten", "010", " 5", "5 ", "1@2", "٣"])
def test_a_cutoff_that_is_no_positive_whole_number_is_refused(cutoff: str) -> None:
    assert message(f"recall@{cutoff}") == (
        f"metric {f'recall@{cutoff}'!r} has the cutoff {cutoff!r}, which is no whole number from 1 on: "
        "ask for 'recall@10', say"
    )


def test_full_catalogue_map_of_cut_lists_is_refused_and_map_at_their_depth_offered() -> None:
    cut = ranks_of([(0, 3, 4)], depth=100)
    assert message("map", cut) == (
        "metric 'map' needs every target's rank in the whole catalogue, and these lists are 100 deep: "
        "ask for 'map@100' or make deeper lists"
    )
    assert evaluate(cut, ["map@100"]).mean() == {"map@100": 0.25}


def test_a_cutoff_deeper_than_the_lists_is_refused() -> None:
    cut = ranks_of([(0, 3, 4)], depth=5)
    assert message("ndcg@10", cut) == (
        "metric 'ndcg@10' needs lists at least 10 deep, and these are 5 deep: ask for 'ndcg@5' or make deeper lists"
    )
    assert evaluate(cut, ["hit@5"]).mean() == {"hit@5": 1.0}


def test_two_targets_at_one_rank_are_refused() -> None:
    assert "share rank 4 (1 such pairs)" in message("map", ranks_of([(0, 3, 4), (0, 5, 4)]))


def test_two_users_and_two_unranked_targets_may_share_a_rank() -> None:
    same = ranks_of([(0, 3, 4), (1, 3, 4), (1, 8, 0), (1, 9, 0)])
    assert evaluate(same, ["recall@4"]).values["recall@4"].tolist() == [1.0, 1 / 3]


def test_a_negative_rank_is_refused() -> None:
    assert "rank -2 of a target" in message("map", ranks_of([(0, 3, -2)]))


def test_coverage_counts_distinct_items_of_all_lists() -> None:
    lists = Rankings(pack(np.array([0, 2]), 6), np.array([[1, 2, 7], [2, 3, 8]], dtype=np.int32))
    evaluation = evaluate(RANKS, ["coverage@2", "hit@1"], lists=lists, num_items=12)
    assert evaluation.totals == {"coverage@2": 0.25}
    assert evaluation.mean() == {"hit@1": 0.5, "coverage@2": 0.25}


def test_coverage_without_lists_is_refused() -> None:
    assert message("coverage@10").startswith("metric 'coverage@10' needs the ranked lists and the number of items")


def test_coverage_deeper_than_the_lists_is_refused_unless_they_hold_the_whole_catalogue() -> None:
    lists = Rankings(pack(np.array([0]), 6), np.array([[1, 2, 3]], dtype=np.int32))
    with pytest.raises(EvaluationError, match="needs lists at least 10 deep, and these are 3 deep"):
        evaluate(RANKS, ["coverage@10"], lists=lists, num_items=50)
    assert evaluate(RANKS, ["coverage@10"], lists=lists, num_items=3).totals == {"coverage@10": 1.0}


def test_a_list_with_an_item_outside_the_catalogue_is_refused() -> None:
    lists = Rankings(pack(np.array([0]), 6), np.array([[1, 9]], dtype=np.int32))
    with pytest.raises(EvaluationError, match="hold item 9, but the catalogue counts 5 items"):
        evaluate(RANKS, ["coverage@2"], lists=lists, num_items=5)


@pytest.mark.filterwarnings("error")
def test_without_any_user_every_mean_is_undefined_not_zero() -> None:
    nobody = Rankings(np.zeros(0, dtype=np.int64), np.zeros((0, 10), dtype=np.int32))
    mean = evaluate(ranks_of([]), ["map", "ndcg@10", "coverage@10"], lists=nobody, num_items=50).mean()
    assert list(mean) == ["map", "ndcg@10", "coverage@10"]
    assert np.isnan(list(mean.values())).all()


def test_an_evaluation_is_written_with_raw_ids_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "evaluation.parquet"
    written = evaluate(RANKS, ["map", "hit@3"])
    written.write(path, USERS)
    frame = pl.read_parquet(path)
    assert frame.columns == ["user_id", "map", "hit@3"]
    assert frame["user_id"].to_list() == ["ann", "cyd"]
    again = Evaluation.read(path, USERS)
    assert again.users.tolist() == written.users.tolist()
    assert again.mean() == written.mean()


def test_rows_in_another_order_and_empty_cells_are_read(tmp_path: Path) -> None:
    path = tmp_path / "evaluation.parquet"
    pl.DataFrame({"user_id": ["cyd", "ann"], "map": [0.5, None], "hits": [3, 1]}).write_parquet(path)
    again = Evaluation.read(path, USERS)
    assert again.users.tolist() == [0, 2]
    np.testing.assert_array_equal(again.values["map"], [np.nan, 0.5])
    assert again.values["hits"].dtype == np.float64


def test_an_evaluation_of_other_users_is_refused_with_the_first_one_named(tmp_path: Path) -> None:
    path = tmp_path / "evaluation.parquet"
    pl.DataFrame({"user_id": ["ann", "eve", "fay"], "map": [0.1, 0.2, 0.3]}).write_parquet(path)
    with pytest.raises(EvaluationError, match=r"2 of 3 users are not in the data \(first: 'eve'\)"):
        Evaluation.read(path, USERS)


def test_a_missing_or_damaged_evaluation_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "evaluation.parquet"
    with pytest.raises(EvaluationError, match="no such file"):
        Evaluation.read(path, USERS)
    evaluate(RANKS, ["map"]).write(path, USERS)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(EvaluationError, match="not a whole parquet file"):
        Evaluation.read(path, USERS)


def test_a_parquet_file_that_is_no_evaluation_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.parquet"
    pl.DataFrame({"user": ["ann"], "map": [0.1]}).write_parquet(path)
    with pytest.raises(EvaluationError, match="no column 'user_id'; its columns are user, map"):
        Evaluation.read(path, USERS)
    pl.DataFrame({"user_id": ["ann"], "title": ["x"]}).write_parquet(path)
    with pytest.raises(EvaluationError, match="column 'title' is not numeric"):
        Evaluation.read(path, USERS)
