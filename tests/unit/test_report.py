from __future__ import annotations

import base64
import hashlib
import html
import itertools
import json
import math
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest
from run_folder import HALF_METRICS, METRICS, FakeRun

from rankdistill.errors import CheckpointError, ConfigError, StorageError
from rankdistill.report import build, numerals, write
from rankdistill.report.agreement import agreement
from rankdistill.report.plots import cost_axis, grid_costs
from rankdistill.report.samples import samples
from rankdistill.report.svg import Axis, spread

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")


class Page(HTMLParser):
    """Collects tags, attributes and text, and fails on tags that are not closed in order."""

    VOID = frozenset({"meta", "br", "path", "circle", "line", "rect"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.scripts = 0
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.scripts += tag == "script"
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture
def run(tmp_path: Path) -> FakeRun:
    return FakeRun(tmp_path / "run", users=60, items=80)


def page_of(*folders: Path) -> str:
    out = folders[0].parent / "out" / "report.html"
    write(build(folders), out)
    return out.read_text()


def test_three_files_are_written_side_by_side_and_nothing_else(run: FakeRun, tmp_path: Path) -> None:
    write(build([run.write()]), tmp_path / "out" / "report.html")
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["report.html", "report.json", "report.md"]


def test_the_json_has_one_row_a_model_and_the_keys_that_scripts_rely_on(run: FakeRun, tmp_path: Path) -> None:
    write(build([run.write()]), tmp_path / "report.html")
    report = json.loads((tmp_path / "report.json").read_text())
    assert [row["role"] for row in report["rows"]] == ["teacher", "student", "distilled"]
    assert report["data"]["users"] == 60
    assert report["data"]["items"] == 80
    assert report["data"]["interactions"] > 0
    row = report["rows"][0]
    assert (row["kind"], row["parameters"], row["bytes"]) == ("caser", 5_584_102, 22_338_208)
    assert row["metrics"]["map"] == pytest.approx(0.1248 * (0.7 + 0.08 * METRICS.index("map")))
    assert row["metrics"]["coverage@10"] == 0.612
    assert row["latency_ms"] == {"p50": 1.92, "p99": 3.4}
    assert (row["users_per_second"], row["train_seconds"]) == (9120.0, 412.4)
    assert len(report["comparisons"]) == 3 * (len(METRICS) + 2 * len(HALF_METRICS))
    assert set(report["comparisons"][0]) == {"a", "b", "metric", "difference", "low", "high", "p_value"}
    assert {half: list(means) for half, means in row["halves"].items()} == {
        "head": list(HALF_METRICS),
        "tail": list(HALF_METRICS),
    }
    assert report["runs"][0]["warnings"] == []


def test_popular_and_unpopular_items_are_on_the_page_and_in_the_markdown(run: FakeRun, tmp_path: Path) -> None:
    text = page_of(run.write())
    assert "nDCG@10, unpopular" in text
    written = (tmp_path / "out" / "report.md").read_text()
    rows = [line for line in written.splitlines() if "popular |" in line]
    assert [line.split(" |")[0] for line in rows[::3]] == ["| nDCG@10, popular", "| nDCG@10, unpopular"]
    assert "≈" not in rows[0]
    assert "▲ +.0112 \\[+.0072, +.0152\\] p = .012" in rows[0]
    for said in (text, written):
        assert "Popular are the most popular items (61 of 80) that together hold half of all training" in said


def test_warnings_are_on_the_page_in_the_markdown_and_in_the_json(run: FakeRun, tmp_path: Path) -> None:
    run.parameters["distilled"] = run.parameters["teacher"]
    text = page_of(run.write())
    said = "The student is as large as its teacher: 5.58 M parameters against 5.58 M parameters"
    assert said in html.unescape(text).replace("\u00a0", " ")
    assert f"**Warning:** {said}" in (tmp_path / "out" / "report.md").read_text()
    (warning,) = json.loads((tmp_path / "out" / "report.json").read_text())["runs"][0]["warnings"]
    assert warning.startswith(said)


def test_the_page_is_whole_and_asks_for_nothing_outside_itself(run: FakeRun) -> None:
    text = page_of(run.write())
    page = Page(text)
    assert not [a for a in page.attributes if a[1] in ("src", "href", "srcset", "action", "data", "poster")]
    assert "url(" not in text
    assert "@import" not in text
    assert "default-src 'none'" in text


def test_the_page_has_every_section_in_order(run: FakeRun) -> None:
    titles = re.findall(r"<h2[^>]*>(.*?)</h2>", page_of(run.write()))
    assert titles == [
        "What was distilled from what",
        "Quality, size and speed",
        "All metrics",
        "Popular and unpopular items",
        "Learning",
        "Quality against size and speed",
        "How sure the differences are",
        "Where student and teacher agree",
        "A few users’ lists",
        "Where this comes from",
    ]


def test_an_item_called_like_a_script_stays_text(run: FakeRun, tmp_path: Path) -> None:
    run.item_names = "<script>alert({})</script>\"'|"
    text = page_of(run.write())
    assert Page(text).scripts == 1
    assert "&lt;script&gt;alert(" in text
    written = (tmp_path / "out" / "report.md").read_text()
    assert "<script" not in written
    assert "\\|" in written


def test_the_script_on_the_page_is_the_one_that_its_policy_allows(run: FakeRun) -> None:
    text = page_of(run.write())
    script = re.search(r"<script>(.*?)</script>", text, re.S)
    assert script is not None
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert f"script-src &#39;sha256-{digest}&#39;" in text or f"script-src 'sha256-{digest}'" in text


def test_the_markdown_tells_the_verdict_and_every_metric_of_every_model(run: FakeRun, tmp_path: Path) -> None:
    write(build([run.write()]), tmp_path / "report.html")
    written = (tmp_path / "report.md").read_text()
    assert "The student has 50 % of the teacher’s parameters and ranks as well" in written
    rows = [line for line in written.splitlines() if line.startswith(("| Precision", "| nDCG", "| MAP", "| Cover"))]
    assert len(rows) == 9 + 2 * 2  # in each half nDCG and MAP again
    assert {line.count("|") for line in rows} == {8}


def test_a_foreign_teacher_that_was_not_measured_leaves_a_report_of_the_students(tmp_path: Path) -> None:
    run = FakeRun(tmp_path / "run", users=60, items=80, foreign_teacher=True, titles=False, validation=False)
    run.quality.pop("teacher")
    text = page_of(run.write())
    assert "The student ranks better than the same model trained without a teacher." in text
    assert "Lists from elsewhere" in text
    assert "The teacher itself was not measured." in text
    assert "on the validation part" not in text


def test_lists_that_are_missing_leave_out_the_sections_that_need_them(run: FakeRun) -> None:
    folder = run.write()
    for role in ("teacher", "student", "distilled"):
        (folder / role / "rankings.parquet").unlink()
        (folder / role / "metrics.jsonl").unlink()
    text = page_of(folder)
    assert "A few users’ lists" not in text
    assert "Where student and teacher agree" not in text
    assert ">Learning<" not in text
    assert "All metrics" in text


def test_a_bare_run_folder_of_model_cards_alone_still_gives_a_page(run: FakeRun) -> None:
    folder = run.write()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != "model.json":
            path.unlink()
    text = page_of(folder)
    assert "5.58 M" in text
    assert Page(text).scripts == 1


def test_one_user_and_undefined_metrics_do_not_crash_and_stay_out_of_the_json(tmp_path: Path) -> None:
    run = FakeRun(tmp_path / "run", users=1, items=4)
    folder = run.write()
    path = folder / "distilled" / "evaluation.parquet"
    pl.read_parquet(path).with_columns(pl.lit(math.nan).alias("ndcg@10")).write_parquet(path)
    rows = [row | {"p_value": math.nan, "low": None} for row in json.loads((folder / "comparisons.json").read_text())]
    (folder / "comparisons.json").write_text(json.dumps(rows))
    page_of(folder)
    text = (tmp_path / "out" / "report.json").read_text()
    assert "NaN" not in text
    assert json.loads(text)["rows"][2]["metrics"]["ndcg@10"] is None


def test_overlap_counts_the_teachers_items_that_the_student_returns(run: FakeRun) -> None:
    report = build([run.write()]).runs[0]
    found = agreement(report)
    assert found is not None
    lists = {m.role: m.lists for m in report.models}
    sets = {
        role: {user: set(rows["item_id"]) for (user,), rows in frame.group_by("user_id")}
        for role, frame in lists.items()
        if frame is not None
    }
    for role in ("student", "distilled"):
        shares = [len(items & sets[role][user]) / len(items) for user, items in sets["teacher"].items()]
        assert found.overall[role] == pytest.approx(sum(shares) / len(shares))
    assert sum(group.count for group in found.by_activity) == 60
    assert sum(group.count for group in found.by_popularity) == 600
    assert 2 <= len(found.by_activity) <= 5


def test_groups_by_activity_cover_the_overall_share(run: FakeRun) -> None:
    found = agreement(build([run.write()]).runs[0])
    assert found is not None
    for groups in (found.by_activity, found.by_popularity):
        weighted = sum(group.shares["distilled"] * group.count for group in groups)
        assert weighted / sum(group.count for group in groups) == pytest.approx(found.overall["distilled"])


def test_hits_and_shared_items_of_the_lists_are_marked(run: FakeRun) -> None:
    folder = run.write()
    targets = pl.read_parquet(folder / "targets.parquet").cast(pl.String)
    shown = samples(build([folder]).runs[0])
    assert len(shown) == 6
    for one in shown:
        wanted = set(targets.filter(pl.col("user_id") == one.user_id)["item_id"])
        assert [column.role for column in one.columns] == ["student", "teacher", "distilled"]
        for column in one.columns:
            assert [entry.hit for entry in column.entries] == [e.item_id in wanted for e in column.entries]
        assert len(one.links(0)) == one.overlap("student")
        assert len(one.links(1)) == one.overlap("distilled")


def test_a_model_folder_inside_a_run_brings_the_comparisons_of_the_run(run: FakeRun) -> None:
    folder = run.write()
    report = build([folder / "student", folder / "distilled"])
    assert [model.role for model in report.runs[0].models] == ["student", "distilled"]
    assert {(made.a, made.b) for made in report.runs[0].comparisons} == {("distilled", "student")}


def test_loose_model_folders_are_compared_over_their_users(run: FakeRun, tmp_path: Path) -> None:
    folder = run.write()
    for role in ("student", "distilled"):
        (folder / role).rename(tmp_path / f"my-{role}")
    report = build([tmp_path / "my-student", tmp_path / "my-distilled"]).runs[0]
    made = report.comparison("distilled", "student", "map")
    assert made is not None
    gap = report.models[1].metrics["map"] - report.models[0].metrics["map"]
    assert made.difference == pytest.approx(gap)
    assert made.p_value is not None


def test_loose_model_folders_of_other_users_are_not_compared_and_the_log_says_so(
    run: FakeRun, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = run.write()
    for role in ("student", "distilled"):
        (folder / role).rename(tmp_path / role)
    for path in (tmp_path / "student").glob("evaluation*.parquet"):
        pl.read_parquet(path).head(30).write_parquet(path)
    assert build([tmp_path / "student", tmp_path / "distilled"]).runs[0].comparisons == ()
    assert "not compared" in caplog.text


def test_many_students_of_one_role_are_told_apart_by_their_folders(run: FakeRun, tmp_path: Path) -> None:
    folder = run.write()
    for place in range(3):
        copy = tmp_path / f"dim-{place}"
        copy.mkdir()
        for name in ("model.json", "evaluation.parquet"):
            (copy / name).write_bytes((folder / "distilled" / name).read_bytes())
    text = page_of(*(tmp_path / f"dim-{place}" for place in range(3)))
    assert "Distilled, dim-0" in text
    assert "Distilled, dim-2" in text


def test_several_runs_are_shown_at_a_glance_and_named_in_the_json(tmp_path: Path) -> None:
    folders = [FakeRun(tmp_path / name, users=40, items=50, seed=place).write() for place, name in enumerate("ab")]
    text = page_of(*folders)
    assert "2 runs at a glance" in text
    assert Page(text).scripts == 1
    rows = json.loads((tmp_path / "out" / "report.json").read_text())["rows"]
    assert [row["run"] for row in rows] == ["a", "a", "a", "b", "b", "b"]


def test_a_folder_that_is_no_run_is_refused_with_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"neither a run folder nor a model folder; expected .*model\.json"):
        build([tmp_path])
    with pytest.raises(ConfigError, match="no such folder"):
        build([tmp_path / "nowhere"])
    with pytest.raises(ConfigError, match="no folder was given"):
        build([])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("teacher/model.json", "no valid JSON"),
        ("student/metrics.jsonl", "a line is no JSON"),
        ("distilled/evaluation.parquet", "cannot be read"),
        ("config.toml", "no valid TOML"),
    ],
)
def test_a_damaged_file_is_named(run: FakeRun, name: str, words: str) -> None:
    folder = run.write()
    (folder / name).write_bytes((folder / name).read_bytes()[:37])
    with pytest.raises(CheckpointError, match=f"{Path(name).name}: {words}"):
        build([folder])


def test_a_report_is_written_to_an_html_file_only(run: FakeRun, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"report\.pdf: a report's name ends in \.html"):
        write(build([run.write()]), tmp_path / "report.pdf")


def test_a_report_that_cannot_be_written_says_so(run: FakeRun, tmp_path: Path) -> None:
    (tmp_path / "report.html").mkdir()
    with pytest.raises(StorageError, match=r"report\.html: could not be written"):
        write(build([run.write()]), tmp_path / "report.html")


def test_an_axis_has_round_ticks_inside_it_also_where_all_values_are_equal() -> None:
    for values in ([0.1187, 0.1255], [5.0], [0.0], [-3.0, 400.0]):
        axis = Axis.around(values)
        ticks = axis.ticks()
        assert 2 <= len(ticks) <= 7
        assert all(0 <= axis.at(tick) <= 1 for tick in ticks)
    log = Axis.around([1e4, 5e6], log=True)
    assert all(0 <= log.at(tick) <= 1 for tick in log.ticks())


@pytest.mark.parametrize("costs", [[0.41], [0.41, 0.413], [0.15, 0.16], [0.31, 0.4], [5e4, 9e5], [0.0], [17.0, 96.0]])
def test_an_axis_of_costs_has_two_labels_or_more_that_say_where_they_stand(costs: list[float]) -> None:
    axis = cost_axis(costs, pad=0.16)
    assert all(0 < axis.at(cost) < 1 for cost in costs)
    drawn = "".join(grid_costs(axis, 100, numerals.milliseconds))
    labels = re.findall(r'x="([\d.]+)%" [^>]*class="tick middle">([\d.]+) ms<', drawn)
    assert len({label for _, label in labels}) == len(labels) > 1
    for x, label in labels:
        assert float(x) == pytest.approx(100 * axis.at(float(label)), abs=0.01)


def test_labels_that_would_overlap_are_moved_apart_in_order() -> None:
    moved = spread([100.0, 101.0, 99.0, 20.0], 15)
    assert sorted(moved) == [moved[3], moved[2], moved[0], moved[1]]
    ordered = sorted(moved)
    assert all(b - a >= 14.999 for a, b in itertools.pairwise(ordered))


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="needs chromium")
def test_in_a_browser_the_script_runs_under_the_pages_own_policy(run: FakeRun, tmp_path: Path) -> None:
    page_of(run.write())
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--dump-dom"]
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    address = (tmp_path / "out" / "report.html").as_uri() + "#dark"
    done = subprocess.run(
        [str(BROWSER), *flags, profile, address], capture_output=True, text=True, timeout=60, check=True
    )
    assert '<html lang="en" data-theme="dark">' in done.stdout
    assert 'data-tip="Epoch 1: ' in done.stdout
    assert "<title>Epoch" not in done.stdout


def test_the_lists_of_a_run_are_gone_through_once_for_all_files(
    run: FakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    for name, found in (("agreement", agreement), ("samples", samples)):
        monkeypatch.setattr(
            f"rankdistill.report.details.{name}",
            lambda run, name=name, found=found: calls.append(name) or found(run),
        )
    write(build([run.write()]), tmp_path / "report.html")
    assert sorted(calls) == ["agreement", "samples"]


def test_lists_side_by_side_are_in_the_order_of_their_ranks_whatever_the_order_of_the_file(run: FakeRun) -> None:
    folder = run.write()
    shown = samples(build([folder]).runs[0])
    path = folder / "student" / "rankings.parquet"
    pl.read_parquet(path).sort("item_id", descending=True).write_parquet(path)
    assert samples(build([folder]).runs[0]) == shown


def test_a_metric_that_cannot_be_paired_leaves_the_others_compared(
    run: FakeRun, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = run.write()
    for role in ("student", "distilled"):
        (folder / role).rename(tmp_path / role)
    path = tmp_path / "student" / "evaluation.parquet"
    pl.read_parquet(path).with_columns(map=pl.lit(math.nan)).write_parquet(path)
    made = build([tmp_path / "student", tmp_path / "distilled"]).runs[0].comparisons
    assert {one.metric for one in made if "/" not in one.metric} == set(METRICS) - {"map"}
    assert "not compared, metric 'map' is undefined" in caplog.text
