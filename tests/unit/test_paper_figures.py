from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from made_results import made_results

from rankdistill.report.paper import write_results
from rankdistill.report.paper.figure import figure
from rankdistill.report.paper.plot import inline, standalone


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    write_results(made_results(), folder)
    return folder


def test_figures_are_files_of_their_own_for_light_and_dark(whole: Path) -> None:
    markdown = (whole / "results.md").read_text(encoding="utf-8")
    for key in ("alpha", "epochs", "instances", "k", "size"):
        assert f"](figures/{key}.svg)" in markdown
        text = (whole / "figures" / f"{key}.svg").read_text(encoding="utf-8")
        assert ET.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
        light, dark = text.split("@media (prefers-color-scheme: dark)")
        assert "role-distilled { color: #0b63c0" in light
        assert "role-distilled { color: #6fb3ff" in dark
        assert "var(" not in text
        assert set(re.findall(r'"(https?:[^"]*)"', text)) == {"http://www.w3.org/2000/svg"}
        assert re.findall(r"<script|href=|url\(|@import", text) == []


def test_a_figure_draws_each_point_once_with_its_interval(whole: Path) -> None:
    text = (whole / "figures/size.svg").read_text(encoding="utf-8")
    assert len(re.findall(r'class="mark role-distilled', text)) == 5
    assert len(re.findall(r'class="whisker role-distilled', text)) == 5
    assert len(re.findall(r'class="curve reference role-teacher', text)) == 1
    dense = (whole / "figures/epochs.svg").read_text(encoding="utf-8")
    assert 'class="mark' not in dense
    assert len(re.findall(r'class="band', dense)) == 3


def test_labels_at_the_ends_of_lines_never_overlap() -> None:
    series = [
        {"name": f"m{n}", "role": "student", "points": [{"x": 1, "y": 0.1}, {"x": 2, "y": 0.2}]} for n in range(5)
    ]
    made = figure({"key": "size", "metric": "map", "series": series})
    assert made is not None
    heights = sorted(float(y) for y in re.findall(r'y="([\d.]+)" dx="24"', standalone(made)))
    assert len(heights) == 5  # none above the plot, where the pattern would not see its sign
    assert min(b - a for a, b in itertools.pairwise(heights)) >= 15.9


@pytest.mark.parametrize(
    ("log", "xs", "logarithmic"),
    [(True, [1, 10, 100], True), (False, [1, 10, 100], False), (True, [0, 10, 100], False)],
)
def test_an_axis_is_logarithmic_where_it_is_asked_for_and_can_be(log: bool, xs: list[float], logarithmic: bool) -> None:
    points = [{"x": x, "y": 0.1} for x in xs]
    made = figure({"key": "k", "x": "K", "log": log, "series": [{"name": "a", "points": points}]})
    assert made is not None
    assert ("K (logarithmic)" in standalone(made)) is logarithmic
    assert made.across().at(10) == pytest.approx(0.5 if logarithmic else 0.13, abs=0.01)


def test_the_steep_start_of_long_curves_does_not_flatten_the_rest() -> None:
    results = made_results()
    made = figure(next(one for one in results["figures"] if one["key"] == "epochs"))
    assert made is not None
    assert made.up().low > 0.04
    assert made.up().at(0.0905) > 0.7


def test_points_that_are_no_numbers_are_left_out() -> None:
    points = [{"x": 1, "y": 0.1}, {"x": 2, "y": None}, {"x": 3, "y": float("nan")}, {"x": 4, "y": 0.3}]
    made = figure({"key": "k", "series": [{"name": "a", "points": points}, {"name": "b", "points": []}]})
    assert made is not None
    assert [one.name for one in made.series] == ["a"]
    assert [point.x for point in made.series[0].points] == [1, 4]


def test_on_the_page_the_names_stand_at_the_lines_and_in_a_legend_for_narrow_places() -> None:
    made = figure(made_results()["figures"][3])
    assert made is not None
    drawn = str(inline(made))
    for name in ("Caser-RD", "Fossil-RD", "Caser-T", "Caser-S", "Fossil-T", "Fossil-S"):
        assert len(re.findall(rf">{name}</text>", drawn)) == 1
        assert len(re.findall(rf"</svg>{name}</li>", drawn)) == 1
    assert "<title>alpha 0.3: Caser-RD .0965 [.0953, .0977]; Fossil-RD .0870 [.0858, .0882]</title>" in drawn
    styles = set(re.findall(r'class="curve (reference role-\w+ variant-\d)"', drawn))
    assert len(styles) == 4
