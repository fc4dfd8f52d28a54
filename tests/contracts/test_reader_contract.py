"""What every reader keeps to: a file in `data/readers/` and every named set is under it by being there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

import rankdistill as rd
from rankdistill import plugins
from rankdistill.config import DataConfig
from rankdistill.data.interactions import Interactions

KINDS = plugins.kinds("readers")
FROM_FILES = [kind for kind in KINDS if kind != "synthetic"]


def config_of(kind: str, **options: Any) -> DataConfig:
    plugin = plugins.find("readers", kind)
    config: DataConfig = plugin.Config(**{"kind": kind, "path": Path("events"), **options})
    return config


@pytest.mark.parametrize("kind", KINDS)
def test_its_config_says_what_it_is_and_describes_every_option(kind: str) -> None:
    config = config_of(kind)
    assert isinstance(config, DataConfig)
    assert (config.kind, plugins.kind_of(config)) == (kind, kind)
    assert [name for name, field in type(config).model_fields.items() if not field.description and name != "kind"] == []


@pytest.mark.parametrize("kind", KINDS)
def test_what_its_config_writes_it_reads(kind: str) -> None:
    config = config_of(kind, min_user_interactions=3)
    assert type(config).model_validate(config.model_dump(mode="json", exclude_none=True)) == config


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "options",
    [{"no_such_option": 1}, {"min_user_interactions": 0}, {"repeats": "never"}, {"min_item_interactions": "5"}],
)
def test_an_option_it_does_not_have_and_a_value_out_of_range_are_refused(kind: str, options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        config_of(kind, **options)


@pytest.mark.parametrize("kind", FROM_FILES)
def test_a_missing_file_is_refused_in_one_line_that_names_it(kind: str, tmp_path: Path) -> None:
    with pytest.raises(rd.RankDistillError) as caught:
        plugins.find("readers", kind)(config_of(kind, path=tmp_path / "nowhere")).read()
    assert "nowhere" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", FROM_FILES)
def test_an_empty_file_or_folder_is_refused_in_one_line_that_names_it(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "events"
    if kind in ("delimited", "parquet", "recbole"):
        path.write_bytes(b"")
    else:
        path.mkdir()
    with pytest.raises(rd.RankDistillError) as caught:
        plugins.find("readers", kind)(config_of(kind, path=path)).read()
    assert "events" in str(caught.value)
    assert "\n" not in str(caught.value)


ROWS = [("7", "x"), ("7", "y"), ("30", "x"), ("7", "z")]


def _presplit(path: Path) -> None:
    path.mkdir()
    for name, rows in (("train", ROWS[:3]), ("test", ROWS[3:])):
        (path / f"{name}.txt").write_text("".join(f"{user} {item} 1\n" for user, item in rows))


WRITERS = {
    "delimited": lambda path: path.write_text("user,item\n" + "".join(f"{u},{i}\n" for u, i in ROWS)),
    "parquet": lambda path: pl.DataFrame(ROWS, schema=["user", "item"], orient="row").write_parquet(path),
    "recbole": lambda path: path.write_text("user_id:token\titem_id:token\n" + "".join(f"{u}\t{i}\n" for u, i in ROWS)),
    "presplit": _presplit,
}


@pytest.mark.parametrize("kind", WRITERS)
def test_raw_ids_come_in_the_order_of_the_file(kind: str, tmp_path: Path) -> None:
    path = tmp_path / ("events.inter" if kind == "recbole" else "events")
    WRITERS[kind](path)
    events = plugins.find("readers", kind)(config_of(kind, path=path)).read()
    assert [(str(user), item) for user, item in events.frame.select("user", "item").rows()] == ROWS
    assert "events" in events.source
    assert Interactions.from_events(events).item_ids.values.to_list() == ["x", "y", "z"]


def test_every_kind_of_file_is_under_this_contract() -> None:
    files = {kind for kind in KINDS if plugins.find("readers", kind).__module__.endswith(f"readers.{kind}")}
    assert files == {*WRITERS, "synthetic"}
