from pathlib import Path
from typing import Any

import pytest

import rankdistill as rd
from rankdistill.config import Section
from rankdistill.errors import ConfigError
from rankdistill.plugins import kind_of


@pytest.mark.parametrize(
    ("option", "call"),
    [
        ({"repeats": "first"}, ".repeats('first')"),
        ({"min_user_interactions": 3}, ".k_core(users=3, items=1)"),
        ({"min_item_interactions": 4}, ".k_core(users=1, items=4)"),
        ({"min_item_interactions": 4, "min_user_interactions": 3}, ".k_core(users=3, items=4)"),
    ],
)
@pytest.mark.parametrize("kind", ["delimited", "parquet", "synthetic"])
def test_a_step_after_reading_is_refused_as_an_option_of_it(kind: str, option: dict[str, Any], call: str) -> None:
    with pytest.raises(ConfigError) as caught:
        rd.read(kind, **option)
    assert str(caught.value) == (
        f"read({kind!r}): {next(iter(option))} is no option of reading, which keeps every row; "
        f"call {call} on what it returns"
    )


def test_the_step_that_the_message_names_does_what_was_asked(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text("user,item,time\na,x,1\na,x,2\nb,y,3\na,y,4\n")
    log = rd.read_csv(tmp_path / "e.csv")
    assert log.repeats("first").timestamps.tolist() == [1, 4, 3]
    assert log.k_core(users=2, items=1).user_ids.values.to_list() == ["a"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"usr": "a"}, "there is no option 'usr'; did you mean 'user'? (there are: path, user, item, time, rating, "),
        ({"foo": 1, "has_header": 3}, "there is no option 'foo' (there are: "),
        ({"has_header": 3}, "has_header: 3 is not true or false"),
    ],
)
def test_an_option_that_is_not_there_is_refused_with_the_nearest_one(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        rd.read_csv("events.csv", **options)
    assert str(caught.value).startswith(f"read('delimited'): {said}")
    assert "repeats" not in str(caught.value)


@pytest.mark.parametrize("model", [rd.Popularity.Config(), rd.ItemKNN.Config()])
def test_a_student_that_learns_nothing_by_gradient_is_refused(
    model: Section, split: rd.Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    lists = rd.label(rd.train(rd.Popularity.Config(), split), split, k=3)
    monkeypatch.setattr("rankdistill.pipeline.build", lambda *arguments: pytest.fail("it was built"))
    with pytest.raises(ConfigError) as caught:
        rd.distill(lists, model, split, rd.RankingDistillation.Config(k=3))
    assert str(caught.value) == (
        f"[student] kind = {kind_of(model)!r} learns nothing by gradient, so nothing can be distilled into it; "
        "take one of caser, fossil, gru4rec, lightgcn, matrix_factorization, sasrec"
    )


def test_every_public_name_has_a_home_and_the_other_way_round() -> None:
    assert sorted(rd.__all__) == sorted([*rd._HOMES, "__version__"])
