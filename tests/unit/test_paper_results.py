from __future__ import annotations

import copy
import json
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from made_results import METRICS, made_results

from rankdistill.report.paper import tables as paper_tables
from rankdistill.report.paper import write_results
from rankdistill.report.paper.results import Results

VOID = {"meta", "link", "br", "img", "input", "hr"}
HOSTILE = '<img src=x onerror="alert(1)"> | *a* & `b`'


class Page(HTMLParser):
    """Checks that tags are balanced; keeps the text, the attributes and the rows of all tables."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.tables: list[list[int]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(f"{tag}.{name}", value or "") for name, value in attrs]
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append(0)
        elif tag in ("td", "th"):
            self.tables[-1][-1] += 1
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(f"{tag}.{name}", value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("style", "script"):
            self.text += data


def written(results: dict[str, Any], folder: Path) -> tuple[Page, str]:
    path = write_results(results, folder)
    assert path == folder / "index.html"
    return Page(path.read_text(encoding="utf-8")), (folder / "results.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    write_results(made_results(), folder)
    return folder


@pytest.fixture(scope="module")
def page(whole: Path) -> Page:
    return Page((whole / "index.html").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def markdown(whole: Path) -> str:
    return (whole / "results.md").read_text(encoding="utf-8")


def markdown_tables(text: str) -> list[list[list[str]]]:
    blocks = re.findall(r"(?m)(?:^\|.*\|$\n?)+", text)
    return [[re.split(r"(?<!\\)\|", line)[1:-1] for line in block.splitlines()] for block in blocks]


def test_all_files_are_written_and_nothing_else(whole: Path) -> None:
    found = sorted(path.relative_to(whole).as_posix() for path in whole.rglob("*") if path.is_file())
    drawn = [f"figures/{key}.svg" for key in ("alpha", "epochs", "instances", "k", "size")]
    assert found == [*drawn, "index.html", "results.json", "results.md"]


def test_a_figure_that_is_no_more_does_not_stay_and_another_file_does(tmp_path: Path) -> None:
    results = made_results()
    write_results(results, tmp_path)
    (tmp_path / "figures" / "mine.svg").write_text("<svg/>")
    gone, *kept = results["figures"]
    write_results(results | {"figures": kept}, tmp_path)
    left = {path.stem for path in (tmp_path / "figures").iterdir()}
    assert left == {"mine", *(one["key"] for one in kept)}
    assert gone["key"] not in left


def test_the_json_is_what_was_given(whole: Path) -> None:
    assert json.loads((whole / "results.json").read_text(encoding="utf-8")) == made_results()


def test_the_page_asks_nobody_for_anything(whole: Path, page: Page) -> None:
    text = (whole / "index.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in text
    assert "http://" not in text
    assert "https://" not in text
    assert re.findall(r"url\(|@import", text) == []
    assert [name for name, _ in page.attributes if name.split(".")[1] in ("src", "href", "srcset", "action")] == []


def test_every_row_of_a_table_has_as_many_cells_as_its_head(page: Page, markdown: str) -> None:
    assert len(page.tables) == 9
    assert [sorted(set(rows)) for rows in page.tables if len(set(rows)) > 1] == []
    tables = markdown_tables(markdown)
    assert len(tables) == 10
    for table in tables:
        assert {len(row) for row in table} == {len(table[0])}


@pytest.mark.parametrize(
    "title",
    [
        "Results",
        "How sure the differences are",
        "Weighting schemes",
        "Presets",
        "Size and inference",
        "Figures",
        "Settings tried on validation data",
        "Where this comes from",
    ],
)
def test_the_page_and_the_markdown_have_the_same_sections(title: str, page: Page, markdown: str) -> None:
    assert title in page.text
    assert re.search(rf"(?m)^###? {title}$", markdown)


def test_ours_is_shown_beside_the_published_value_with_the_difference(tmp_path: Path) -> None:
    row = copy.deepcopy(made_results()["main"][0])
    row["mean"] |= {"map": 0.0949, "precision@3": 0.1478, "precision@5": 0.1034}
    row["deviation"] |= {"map": 0.0017}
    table = paper_tables.table(Results({"metrics": METRICS, "main": [row]}), "main")
    assert table is not None
    cells = dict(zip(table.heads, table.lines[0].cells, strict=True))
    assert (cells["MAP"].value, cells["MAP"].deviation, cells["MAP"].published) == (".0949", "± .0017", ".0958")
    assert (cells["MAP"].mark, cells["MAP"].change) == ("≈", "−0.9 %")
    assert (cells["P@3"].mark, cells["P@3"].change) == ("▲", "+5.0 %")
    assert (cells["P@5"].mark, cells["P@5"].change) == ("▼", "−10.0 %")
    assert (table.lines[0].mark, table.lines[0].tally) == ("▼", "5 within, 1 above, 1 below")
    _, text = written({"metrics": METRICS, "main": [row]}, tmp_path)
    assert "| .0949 ± .0017 |" in text
    assert "| .0958 ≈ −0.9 % |" in text


def test_three_per_cent_off_is_still_within() -> None:
    row = {"name": "m", "mean": {"map": 0.103, "b": 0.1031}, "published": {"map": 0.1, "b": 0.1}}
    table = paper_tables.table(Results({"main": [row]}), "main")
    assert table is not None
    assert [cell.verdict for cell in table.lines[0].cells] == ["within", "above"]


def test_the_summary_counts_all_published_numbers() -> None:
    results = made_results()
    results["main"] = results["main"][:1]
    results["main"][0]["mean"] = results["main"][0]["published"] | {"map": 0.2, "precision@3": 0.01}
    assert paper_tables.summary(Results(results)) == (
        "Of 7 published numbers, 5 are met within 3 %, 1 is above, 1 is below."
    )


def test_the_gain_over_the_plain_student_stands_beside_the_published_one() -> None:
    results = made_results()
    for row in results["main"]:
        row["mean"] = row["published"] or row["mean"]
    gains = {gain.label: (gain.ours, gain.published) for gain in paper_tables.gains(Results(results))}
    assert gains["Caser-RD over Caser-S, MAP"] == ("+5.4 %", "+5.4 %")
    assert gains["Fossil-RD over Fossil-S, MAP"] == ("+10.4 %", "+10.4 %")
    assert gains["Caser-RD, chosen over Caser-S, MAP"][1] == ""


def test_a_comparison_has_its_interval_its_p_and_that_of_each_seed(markdown: str) -> None:
    assert (
        r"| Caser-RD − Caser-S | MAP | ▲ +.0050 \[+.0039, +.0061\] p &lt; .001 "
        "| ▲ +.0070 p &lt; .001 | ≈ +.0015 p = .110 | ▲ +.0055 p = .003 |"
    ) in markdown


def test_weightings_show_the_three_published_metrics(markdown: str) -> None:
    assert "## Weighting schemes\n\n| Model | P@10 | nDCG@10 | MAP | Against published |" in markdown


def test_ratios_to_the_teacher_stand_beside_the_published_ones(markdown: str) -> None:
    assert "| Caser-RD | 2,794,102 | 50.0 % | 11.2 MB | 0.12 s | 71.2 % | 0.4 ms | 0.45 ms |" in markdown
    assert "| published | 2.79 M | 50.0 % |  | 18.6 s | 48.3 % |  |  |" in markdown


def test_provenance_names_seeds_versions_machine_and_time(page: Page) -> None:
    for said in (
        "1234, 1, 2",
        "torch 2.9.1",
        "2 cores, 2 jobs, 1 thread, device cpu",
        "80, of which 30 were taken from an earlier run",
        "1 h 56 min",
        "5f0c1a9d2b7e4c83",
    ):
        assert said in page.text


def test_a_quick_version_says_that_it_is_not_to_be_compared(tmp_path: Path) -> None:
    said = "This is the quick version, with 3 epochs and one seed: its numbers are not to be compared"
    results = made_results() | {"quick": True, "epochs": 3, "seeds": [1234]}
    shown, text = written(results, tmp_path / "quick")
    assert said in shown.text
    assert said in text
    shown, text = written(made_results(), tmp_path / "full")
    assert "quick" not in shown.text + text


def test_remarks_come_before_the_results(tmp_path: Path) -> None:
    remark = "Foursquare New York is not the Foursquare set of the paper."
    shown, text = written(made_results() | {"remarks": [remark], "complete": False}, tmp_path)
    for said in (shown.text, text):
        assert said.index(remark) < said.index("P@10")
        assert "what is missing is left out" in said


@pytest.mark.parametrize("empty", [None, [], {}, "missing"])
@pytest.mark.parametrize("key", sorted(made_results()))
def test_a_part_that_was_not_made_is_left_out(key: str, empty: object, tmp_path: Path) -> None:
    results = made_results()
    if empty == "missing":
        del results[key]
    else:
        results[key] = empty
    shown, text = written(results, tmp_path)
    titles = {
        "weighting": "Weighting",
        "presets": "Presets\n",
        "comparisons": "How sure",
        "inference": "Size and inf",
        "figures": "Figures\n",
        "search": "Settings tried",
    }
    if key in titles and key not in ("weighting", "presets"):
        assert titles[key] not in text
    assert "None" not in shown.text + text
    assert "Where this comes from" in text


def test_a_part_without_rows_and_comparisons_has_no_section(tmp_path: Path) -> None:
    shown, text = written(made_results() | {"presets": None, "weighting": [], "comparisons": []}, tmp_path)
    for said in (shown.text, text):
        assert "Presets" not in said
        assert "Weighting schemes" not in said
        assert "Results" in said


@pytest.mark.parametrize("results", [{}, {"main": [{}]}, {"main": [None]}, {"figures": [{}]}, {"comparisons": [{}]}])
def test_next_to_nothing_still_makes_a_page(results: dict[str, Any], tmp_path: Path) -> None:
    shown, text = written(results, tmp_path)
    assert "remade on unnamed data" in shown.text
    assert text.startswith("# Ranking Distillation, remade on unnamed data\n")


def test_every_field_of_a_row_may_be_missing(tmp_path: Path) -> None:
    for part in ("main", "inference", "comparisons", "figures"):
        for field in made_results()[part][0]:
            row = made_results()[part][0] | {field: None}
            shown, text = written({"metrics": METRICS, part: [row]}, tmp_path)
            assert "None" not in shown.text + text, (part, field)


def test_one_seed_has_no_deviation_and_no_table_of_seeds(tmp_path: Path) -> None:
    results = made_results()
    for row in results["main"] + results["weighting"] + results["presets"]:
        row["seeds"], row["deviation"] = row["seeds"][:1], None
    shown, text = written(results, tmp_path)
    assert "±" not in shown.text + text
    assert "seed by seed" not in shown.text
    assert "One seed." in text


def test_where_one_seed_was_compared_there_is_no_column_a_seed(tmp_path: Path) -> None:
    results = made_results()
    for made in results["comparisons"]:
        made["seeds"] = made["seeds"][:1]
    _, text = written(results, tmp_path)
    assert "| Models | Metric | Difference |\n" in text


def test_without_published_times_nothing_is_said_of_them(tmp_path: Path) -> None:
    results = made_results()
    for row in results["inference"]:
        row["published"] = None
    _, text = written(results, tmp_path)
    assert "published seconds" not in text
    assert "median for one user" in text


def test_names_cannot_break_out_of_the_page_the_table_or_the_figure(tmp_path: Path) -> None:
    results = made_results() | {"title": HOSTILE, "remarks": [HOSTILE]}
    results["main"][0]["name"] = results["main"][0]["settings"] = HOSTILE
    results["comparisons"][0]["a"] = results["inference"][0]["name"] = HOSTILE
    results["search"]["families"][0]["rows"][0]["settings"] = HOSTILE
    figure = results["figures"][0]
    figure["title"] = figure["x"] = figure["caption"] = figure["series"][0]["name"] = HOSTILE
    figure["series"][0]["role"] = '"><script>alert(1)</script>'
    figure["key"] = "../../Size of it"
    shown, text = written(results, tmp_path / "out")
    assert HOSTILE in shown.text
    assert not any(name.startswith("img.") for name, _ in shown.attributes)
    assert (tmp_path / "out/index.html").read_text().count("<script>") == 1
    assert {len(row) for table in markdown_tables(text)[:1] for row in table} == {9}
    assert "<img" not in text
    drawn = ET.parse(tmp_path / "out/figures/size-of-it.svg").getroot()
    assert drawn.findtext("{http://www.w3.org/2000/svg}title") == HOSTILE
