"""What a sweep varies, what it trains, which students nothing beats, and the page that says so."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rankdistill import console, measuring
from rankdistill.config import Experiment, parse
from rankdistill.errors import ConfigError
from rankdistill.files import write_json
from rankdistill.latency import Latency
from rankdistill.measuring import validate_model
from rankdistill.model_folder import load_card, load_model
from rankdistill.models.popularity import Popularity
from rankdistill.pipeline import label, prepare, train
from rankdistill.report.sweep import brief, facts, write_sweep
from rankdistill.report.sweep.plot import figures
from rankdistill.sweep.axes import Axis, parse_all, product
from rankdistill.sweep.gather import _latencies, gather
from rankdistill.sweep.pareto import front
from rankdistill.sweep.plan import Plan, plan
from rankdistill.sweep.request import Request
from rankdistill.sweep.students import Students
from rankdistill.sweep.sweep import outlook
from rankdistill.variants import Shared, train_variant

SECTIONS: dict[str, Any] = {
    "data": {"kind": "synthetic"},
    "teacher": {"kind": "caser", "dim": 8},
    "student": {"kind": "caser", "dim": 2},
}


def load(overrides: Sequence[str]) -> Experiment:
    return parse(SECTIONS, "e.toml", overrides)


def axes(**options: str) -> list[Axis]:
    return parse_all((key.replace("__", "."), text) for key, text in options.items())


class TestAxes:
    @pytest.mark.parametrize(
        ("text", "values"),
        [
            ("4,8", (4, 8)),
            (" 0.1 , 1e-3", (0.1, 0.001)),
            ("caser, matrix_factorization", ("caser", "matrix_factorization")),
            ('"a,b",c', ("a,b", "c")),
            ("true,false", (True, False)),
            ("[1, 2],[3]", ([1, 2], [3])),
            ('{kind = "caser", dim = 4},{kind = "fossil"}', ({"kind": "caser", "dim": 4}, {"kind": "fossil"})),
        ],
    )
    def test_values_are_toml_with_commas_between_them_and_else_text(self, text: str, values: tuple[Any, ...]) -> None:
        assert Axis.parse("student.dim", text).values == values

    @pytest.mark.parametrize(
        ("key", "text", "line"),
        [
            ("student.dim", "4,,8", "--student.dim '4,,8': a value is missing; write values with commas between them"),
            ("student.dim", "4,8,4", "--student.dim '4,8,4': 4 is given twice; drop one of the two"),
            ("teacher.dim", "4,8", "--teacher.dim '4,8': [teacher] is the same for all students of a sweep"),
        ],
    )
    def test_what_cannot_be_varied_is_said(self, key: str, text: str, line: str) -> None:
        with pytest.raises(ConfigError, match=re.escape(line)):
            Axis.parse(key, text)

    def test_one_value_of_a_shared_section_is_no_axis(self) -> None:
        assert not Axis.parse("teacher.dim", "8").varies

    def test_whole_sections_come_before_their_keys(self) -> None:
        assert [axis.key for axis in axes(student__dim="4,8", student="{kind='caser'}")] == ["student", "student.dim"]

    def test_a_key_is_given_once(self) -> None:
        with pytest.raises(ConfigError, match=r"--student\.dim: is given twice"):
            parse_all([("student.dim", "4"), ("student.dim", "8")])

    def test_all_combinations_are_made(self) -> None:
        made = product(axes(student__dim="4,8,16", train__epochs="1,2"))
        assert len({tuple(each.values()) for each in made}) == len(made) == 6


class TestPlan:
    def test_a_plain_student_is_trained_once_for_all_methods(self) -> None:
        made = plan(load, axes(student__dim="4,8", distillation__kind="ranking_distillation,rrd"), (1, 2))
        assert [
            facts.name_of({"role": point.variants[0].role, "settings": point.settings}) for point in made.points
        ] == [
            "dim 4, plain",
            "dim 4, ranking_distillation",
            "dim 4, rrd",
            "dim 8, plain",
            "dim 8, ranking_distillation",
            "dim 8, rrd",
        ]
        assert len({variant.name for variant in made.variants}) == 12
        for point in made.points:
            assert [variant.experiment.seed for variant in point.variants] == [1, 2]
            plain = made.plain_of(point)
            assert plain.settings["student.dim"] == point.settings["student.dim"]
            assert not plain.distilled

    def test_the_teacher_is_that_of_the_file_whatever_varies(self) -> None:
        made = plan(load, axes(train__epochs="1,2", student__dim="4,8", ranking_loss__kind="pairwise,softmax"))
        assert made.base.teacher == load([]).teacher
        assert made.base.ranking_loss == load([]).ranking_loss
        assert len(made.points) == 16

    def test_one_value_is_the_same_as_set(self) -> None:
        made = plan(load, axes(train__epochs="3", student__dim="4,8"))
        assert made.base.train.epochs == 3
        assert [axis.key for axis in made.axes] == ["student.dim"]

    def test_seeds_alone_may_vary(self) -> None:
        assert len(plan(load, [], (1, 2)).variants) == 4

    @pytest.mark.parametrize(
        ("options", "line"),
        [
            ({}, "a sweep of one student; name the keys that vary"),
            ({"student.dim": "nan"}, "--student.dim: [student] dim: nan is not an integer"),
            ({"student.dmi": "4,8"}, "--student.dmi: [student] dmi: unknown key; did you mean 'dim'?"),
            ({"studnet.dim": "4,8"}, "--studnet.dim: [studnet]: unknown section; did you mean [student]?"),
            (
                {"student.dim": "4,0"},
                "with student.dim = 0: --student.dim: [student] dim: 0 is out of range (at least 1)",
            ),
            (
                {"student.kind": "caser,fossil", "student.dropout": "0.1"},
                "with student.kind = \"fossil\": --student.dropout: [student] dropout: 'fossil' has no key 'dropout'",
            ),
            (
                {"student.kind": "caser,popularity", "train.epochs": "1,2"},
                'with student.kind = "popularity", train.epochs = 1 (and 1 more of 4 combinations): '
                "e.toml: [student] dim: 'popularity' has no key 'dim'",
            ),
            (
                {"student": "{kind='popularity'},{kind='caser'}"},
                'with student = {"kind" = "popularity"}: [student] kind',
            ),
        ],
    )
    def test_what_cannot_be_trained_is_named(self, options: dict[str, str], line: str) -> None:
        with pytest.raises(ConfigError, match=re.escape(line)):
            plan(load, parse_all(options.items()))


COSTS = st.lists(
    st.tuples(st.sampled_from([1.0, 2.0, 3.0, 4.0, math.nan]), st.sampled_from([0.1, 0.2, 0.3, math.nan])), max_size=12
)


@given(COSTS)
def test_the_front_is_that_of_a_loop_over_all_pairs(points: list[tuple[float, float]]) -> None:
    def beaten(one: tuple[float, float]) -> bool:
        return any(
            other[0] <= one[0] and other[1] >= one[1] and (other[0] < one[0] or other[1] > one[1]) for other in points
        )

    expected = [not (math.isnan(one[0]) or math.isnan(one[1]) or beaten(one)) for one in points]
    assert front([cost for cost, _ in points], [quality for _, quality in points]) == expected


def test_what_was_asked_for_comes_back_from_its_file(tmp_path: Path) -> None:
    asked = Request(
        tmp_path / "e.toml",
        tuple(axes(student__kind='caser,"a b"', student__dim="4,8", train__learning_rate="0.1")),
        (0, 3),
        ("data.users=40",),
        tmp_path / "lists.parquet",
        "cpu",
        0,
        2,
        1,
    )
    asked.write(tmp_path)
    assert Request.read(tmp_path) == asked
    assert asked.command().endswith(
        "--student.kind 'caser,\"a b\"' --student.dim 4,8 --train.learning_rate 0.1 --seeds 0,3 --set data.users=40 "
        f"--teacher {tmp_path / 'lists.parquet'} --device cpu --seed 0 --jobs 2 --threads 1"
    )


def row(role: str, quality: float, size: float, **more: Any) -> dict[str, Any]:
    return {
        "role": role,
        "kind": "caser",
        "method": None,
        "settings": {"student.dim": int(size)},
        "parameters": size,
        "bytes": size * 4,
        "latency_ms": {"p50": size / 100, "p99": size / 50},
        "users_per_second": 1000.0,
        "train_seconds": 3.0,
        "metrics": {"ndcg@10": quality},
        "validation": {"ndcg@10": quality + 0.1},
        "spread": None,
        "halves": {"head": {"ndcg@10": quality + 0.05}, "tail": {"ndcg@10": quality - 0.05}},
        "validation_spread": None,
        "against": {},
        "costs": {"bytes": size * 4, "latency": size / 100},
        "front": {"bytes": True, "latency": False},
        "failed": {},
        **more,
    }


@pytest.fixture
def found() -> dict[str, Any]:
    worse = {"ndcg@10": {"difference": -0.01, "low": -0.02, "high": -0.005, "p_value": 0.01}}
    ends = {"ndcg@10": [0.24, 0.26]}
    return {
        "command": "rankdistill sweep <b>.toml --student.dim 4,8",
        "data": {"name": "<i>log", "users": 9, "items": 8, "split": "time", "fingerprint": "abc"},
        "axes": {"student.dim": [4, 8]},
        "seeds": [1, 2],
        "metrics": ["ndcg@10"],
        "quality": {"metric": "ndcg@10", "part": "validation"},
        "rows": [
            row("teacher", 0.3, 50, settings={}, front={}),
            row("student", 0.2, 4, failed={2: "loss is nan"}),
            row("distilled", 0.25, 4, against={"plain": worse}, spread=ends, validation_spread=ends),
            row("student", 0.21, 8, front={"bytes": False, "latency": False}),
        ],
        "machine": {"processor": "p", "cores": 2, "versions": {"python": "3"}},
    }


class TestPage:
    def test_the_page_needs_nothing_else_and_escapes_what_it_is_given(
        self, found: dict[str, Any], tmp_path: Path
    ) -> None:
        page = write_sweep(found, tmp_path).read_text()
        assert not re.search(r"""(?:src|href)=["']|url\(|@import""", page)
        assert "<i>log" not in page
        assert "&lt;b&gt;.toml" in page
        assert json.loads((tmp_path / "sweep.json").read_text())["rows"][2]["role"] == "distilled"

    def test_the_headline_is_of_the_best_on_validation_by_its_test_figure(self, found: dict[str, Any]) -> None:
        found["rows"][3]["metrics"] = {"ndcg@10": 0.9}  # the best on the test part has no say
        assert (
            facts.headline(found)
            == "The best student, dim 4, distilled, reaches 83 % of the teacher’s nDCG@10 with 8 % of its bytes."
        )

    def test_without_a_validation_part_it_is_said_that_choosing_is_by_the_test(self, found: dict[str, Any]) -> None:
        found["quality"]["part"] = "test"
        assert any("picks it by the test data" in one for one in facts.summary(found))
        assert "nDCG@10, validation" not in facts.heads(found)

    def test_harm_is_counted_and_a_failure_is_named(self, found: dict[str, Any], tmp_path: Path) -> None:
        assert "without a teacher: 0 of 1; significantly worse: 1 (p < .05" in facts.summary(found)[0]
        write_sweep(found, tmp_path)
        assert "- left out: dim 4, plain, seed 2: loss is nan" in (tmp_path / "sweep.md").read_text()

    def test_the_halves_stand_beside_the_plain_student_and_gains_in_popular_items_alone_are_counted(
        self, found: dict[str, Any], tmp_path: Path
    ) -> None:
        better = {"difference": 0.02, "low": 0.01, "high": 0.03, "p_value": 0.01}
        worse = {"difference": -0.01, "low": -0.02, "high": -0.005, "p_value": 0.01}
        found["rows"][2]["against"]["plain"].update({"head/ndcg@10": better, "tail/ndcg@10": worse})
        write_sweep(found, tmp_path)
        document, page = ((tmp_path / f"sweep.{kind}").read_text() for kind in ("md", "html"))
        assert "popular items alone: 1 of 1." in document
        assert "| dim 4, distilled | .3000 | ▲ +.0200" in document
        assert document.count("| dim 4, plain | .2500 | – | .1500 | – |") == 1
        assert "Popular are the most popular items" in page
        *_, halves = page.split("Popular and unpopular items")
        assert halves.partition("</table>")[0].count('class="dot') == len(found["rows"])
        found["rows"][2]["against"]["plain"]["tail/ndcg@10"] = better | {"p_value": 0.06}
        assert sum("is shown for popular items alone: 1 of 1." in each for each in facts.summary(found)) == 1
        assert not any("sits in popular items alone" in each for each in facts.summary(found))
        found["rows"][2]["against"]["plain"]["tail/ndcg@10"] = better
        assert not any("popular items alone" in each for each in facts.summary(found))

    def test_students_as_large_as_the_teacher_are_counted(self, found: dict[str, Any]) -> None:
        assert not any("as large as" in each for each in facts.summary(found))
        found["rows"][3]["bytes"] = 0.96 * found["rows"][0]["bytes"]
        assert "Students that are as large as their teacher, or larger: 1 of 3." in facts.summary(found)

    def test_the_plain_student_that_validates_best_says_whether_the_teacher_is_any_better(
        self, found: dict[str, Any]
    ) -> None:
        found["rows"][1]["metrics"] = {"ndcg@10": 0.9}  # the best on the test part has no say

        def warned(difference: float, p_value: float) -> list[str]:
            made = {"difference": difference, "low": difference - 0.01, "high": difference + 0.01, "p_value": p_value}
            found["rows"][3]["against"]["teacher"] = {"ndcg@10": made}
            found["rows"][3]["metrics"] = {"ndcg@10": 0.3 + difference}
            return [each for each in facts.doubts(found) if "little to learn" in each]

        assert warned(-0.02, 0.01) == []
        (unsure,) = warned(-0.02, 0.2)
        assert unsure.startswith(
            "The teacher is not significantly better than the best plain student (dim 8, plain) on the test part, "
            "nDCG@10 .3000 against .2800 (difference +.0200"
        )
        (worse,) = warned(0.02, 0.01)
        assert worse.startswith("The teacher is worse than the best plain student")
        assert worse in facts.summary(found)

    def test_where_no_halves_are_known_there_is_no_table_of_them(self, found: dict[str, Any], tmp_path: Path) -> None:
        for each in found["rows"]:
            each["halves"] = {"head": {}, "tail": {}}
        write_sweep(found, tmp_path)
        assert "Popular and unpopular" not in (tmp_path / "sweep.html").read_text()
        assert "Popular and unpopular" not in (tmp_path / "sweep.md").read_text()

    def test_the_plots_have_a_marker_a_student_names_for_the_front_and_the_teacher_as_a_line(
        self, found: dict[str, Any]
    ) -> None:
        size, latency = (figure.plot for figure in figures(found))
        assert len(re.findall('class="mark ', size)) == 3
        assert len(re.findall('class="mark [^"]*hollow', size)) == 1
        assert len(re.findall('class="mark [^"]*hollow', latency)) == 3
        assert size.count("teacher-line") == 1
        assert size.count("front-line") == 1
        assert latency.count("front-line") == 0
        assert ">dim 4, plain</text>" in size
        assert ">dim 8, plain</text>" not in size

    @pytest.mark.parametrize("quality", [0.28, 0.299, 0.3, 0.301, 0.32])
    def test_no_name_stands_on_the_teachers_line_or_its_figure(self, found: dict[str, Any], quality: float) -> None:
        found["quality"]["part"] = "test"
        found["rows"][1]["metrics"] = {"ndcg@10": quality}
        size = figures(found)[0].plot
        (line,) = (float(y) for y in re.findall(r'y1="([\d.]+)" [^>]*teacher-line', size))
        names = [float(y) for y in re.findall(r'y="([\d.]+)" dx="-?9"', size)]
        assert len(names) == 2
        assert all(y <= line - 18.9 or y >= line + 12.9 for y in names)

    def test_a_sweep_whose_students_all_failed_still_has_a_page(self, found: dict[str, Any], tmp_path: Path) -> None:
        nothing = {"parameters": None, "bytes": None, "latency_ms": {"p50": None, "p99": None}, "metrics": {}}
        nothing["costs"] = {"bytes": None, "latency": None}
        found["rows"] = [{**each, **nothing, "validation": None} for each in found["rows"]]
        assert "No student has been trained." in write_sweep(found, tmp_path).read_text()


def test_a_terminal_of_80_columns_has_room_for_the_table_and_lines_say_what_it_leaves_out(
    found: dict[str, Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found["rows"][2]["settings"]["distillation.kind"] = "ranking_distillation"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    console.table(brief.heads(found), brief.rows(found))
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines[4].split() == ["Teacher,", "Caser", "0.0002", "MB", "0.5", "ms", ".4000", ".3000"]
    assert lines[6].endswith("0.04 ms        .3500      .2500   ▼ −.0100")
    assert [line for line in lines[4:] if line.startswith(" ranking_distillation")] == [lines[7]]
    assert brief.differences(found) == [
        "against the plain student, nDCG@10 on the test part, with 95 % intervals:",
        "  dim 4, ranking_distillation: −.0100 [−.0200, −.0050], p = .010",
    ]
    assert brief.fronts(found) == ["on the front of nDCG@10 and size: dim 4, plain; dim 4, ranking_distillation"]


def test_students_that_compute_the_same_have_one_latency_and_noise_is_rounded_away() -> None:
    def timed(kind: str, dim: int, p50: float | None) -> dict[str, Any]:
        return {"kind": kind, "config": {"dim": dim}, "latency_ms": {"p50": p50}}

    rows = [timed("caser", 4, 0.4161), timed("caser", 4, 0.3988), timed("caser", 8, 0.4029), timed("fossil", 4, None)]
    assert _latencies(rows)[:3] == [0.4, 0.4, 0.4]
    assert math.isnan(_latencies(rows)[3])


class Sweep:
    """Sweeps of small students in one folder; each call times every model with the number of the call."""

    def __init__(self, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.out, self.call, self.timed, self.stopped_before = out, 0, 0, -1
        monkeypatch.setattr(measuring, "measure_latency", self._latency)

    def _latency(self, *_: object) -> Latency:
        if self.timed == self.stopped_before:
            raise KeyboardInterrupt
        self.timed += 1
        return Latency(self.call, self.call, self.call)

    def measure(self, dims: str) -> tuple[int, set[float]]:
        """Trains what is missing and measures; how many models were timed, and the latencies in the report."""
        small = {"data": {"kind": "synthetic", "users": 40, "items": 30, "length": 12}, "train": {"epochs": 1}}
        made = plan(lambda changes: parse({**SECTIONS, **small}, "e.toml", changes), axes(student__dim=dims))
        students = Students(made, Shared.make(made.base, made.variants, self.out))
        for variant in made.variants:
            train_variant(variant, students.shared, students.folder(variant))
        self.call, self.timed = self.call + 1, 0
        students.measure()
        return self.timed, {row["latency_ms"]["p50"] for row in gather(students)["rows"]}


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sweep:
    return Sweep(tmp_path / "out", monkeypatch)


def test_all_models_of_a_sweep_are_timed_in_one_call(small: Sweep) -> None:
    assert small.measure("2,3") == (5, {1})
    assert small.measure("2,3") == (0, {1})
    assert small.measure("2,3,4") == (7, {3})
    assert small.measure("2,3") == (0, {3})
    assert small.measure("4,5") == (5, {5})
    assert small.measure("3,4") == (5, {6})  # those of 4 were timed beside those of 5
    card = load_card(small.out / "teacher")
    write_json(small.out / "teacher" / "model.json", card | {"latency_ms": {"p50": 9, "p99": 9}})  # of `evaluate`
    assert small.measure("3,4") == (5, {7})


def test_a_sweep_that_is_stopped_while_it_times_ends_with_latencies_of_one_call(small: Sweep) -> None:
    small.measure("3,4")
    for timed in range(7):
        small.stopped_before = timed
        with pytest.raises(KeyboardInterrupt):
            small.measure("2,3,4")
    small.stopped_before = -1
    assert small.measure("2,3,4") == (7, {9})


@pytest.mark.parametrize(
    ("teacher", "names"),
    [
        ({"kind": "caser", "dim": 8}, ["teacher"]),
        ({"kind": "caser", "dim": 8, "members": 3}, ["teacher 1", "teacher 2", "teacher 3"]),
        ([{"kind": "caser", "dim": 8}, {"rankings": "a.parquet"}, {"kind": "ease"}], ["teacher 1", "teacher 3"]),
        ({"rankings": "a.parquet"}, []),
    ],
)
def test_a_dry_run_lists_each_model_that_the_teacher_is_made_of(
    teacher: object, names: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sections = {**SECTIONS, "data": {"kind": "synthetic", "users": 60, "items": 40, "length": 15}, "teacher": teacher}
    made = plan(lambda overrides: parse(sections, "e.toml", overrides), axes(student__dim="2,3"))
    split = prepare(made.base)
    lists = label(train(Popularity.Config(), split), split, k=10)
    lists.write("a.parquet", split.user_ids, split.item_ids, positions=True)
    rows = outlook(made, tmp_path / "out", 1)
    assert [row["name"] for row in rows if row["role"] == "teacher"] == names
    solved = {"teacher 3"} if isinstance(teacher, list) else set()  # is not timed
    assert all((row["seconds"] > 0) != (row["name"] in solved) for row in rows)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("given", [False, True])
def test_the_validation_figures_of_the_teacher_are_those_of_the_experiments_own_settings(
    tmp_path: Path, given: bool
) -> None:
    """The settings change what is measured, and not the model."""
    popular = {"teacher": {"kind": "popularity", "members": 2}, "ensemble": {"combine": "z_score"}}
    data = {"data": {"kind": "synthetic", "users": 40, "items": 30, "length": 12}}
    apart = {"split": {"train_on_validation": False}, "evaluate": {"metrics": ["map"]}}

    def validated(out: Path, teacher: dict[str, Any], *changes: str) -> tuple[float, float]:
        """What the card says, and what is so."""
        base = parse({**SECTIONS, **data, **apart, **teacher}, "e.toml", changes)
        shared = Shared.make(base, [], out)
        Students(Plan(base, (), (1,), ()), shared).measure()
        assert shared.teacher is not None
        found = validate_model(load_model(shared.teacher)[0], shared.split, base.evaluate)
        assert found is not None
        return load_card(shared.teacher)["validation"]["map"], found["map"]

    before, _ = validated(tmp_path / "a", popular, "evaluate.exclude_seen=false")
    teacher = {"teacher": {"rankings": str(tmp_path / "a" / "teacher")}} if given else popular
    now, right = validated(tmp_path / ("b" if given else "a"), teacher)
    assert now == right != before
