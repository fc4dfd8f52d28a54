from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from run_folder import FakeRun

from rankdistill.report import build, write
from rankdistill.report.plots import Point, quality_line
from rankdistill.report.tables import qualities

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")


def _line_ends(*values: float) -> list[float]:
    """Where on the line of quality, in per cent of its width, the plain student and the distilled one stand."""
    roles = ("student", "distilled", "teacher")
    points = [Point(role, role, 0.0, value, "") for role, value in zip(roles, values, strict=False)]
    ends = re.search(r'x1="([\d.]+)%" x2="([\d.]+)%"[^>]* class="gain', quality_line(points, "models on a line"))
    assert ends is not None
    return [float(end) for end in ends.groups()]


def test_a_small_difference_looks_small_on_the_line_of_quality() -> None:
    low, high = _line_ends(0.1250, 0.1255)
    assert high - low < 5
    assert (low + high) / 2 == pytest.approx(50, abs=0.1)


def test_a_large_difference_takes_half_of_the_line_of_quality() -> None:
    low, high = _line_ends(0.10, 0.20)
    assert high - low == pytest.approx(47.6, abs=0.1)


def test_the_names_of_models_that_are_nearly_alike_keep_clear_of_one_another_on_the_line_of_quality() -> None:
    points = [Point(role, role, 0.0, value, "") for role, value in (("teacher", 0.1572), ("student", 0.1574))]
    names = dict(re.findall(r'dx="(-?\d+)" class="label role-(\w+)', quality_line(points, "models on a line")))
    assert names == {"-5": "teacher", "5": "student"}


def test_models_that_are_all_at_zero_have_a_line_of_quality() -> None:
    assert _line_ends(0.0, 0.0, 0.0) == [50.0, 50.0]


@pytest.mark.parametrize(
    ("values", "best"),
    [
        ((0.10001, 0.09, 0.10004), {0, 2}),
        ((0.10001, 0.10002, 0.10004), set()),
        ((0.1, 0.2, 0.3), {2}),
    ],
)
def test_the_best_values_are_those_that_are_written_alike(
    tmp_path: Path, values: tuple[float, float, float], best: set[int]
) -> None:
    folder = FakeRun(tmp_path / "run", users=20, items=30).write()
    made = build([folder]).runs[0]
    for model, value in zip(made.models, values, strict=True):
        model.metrics["made_up"] = value
    assert next(row.best for row in qualities(made) if row.name == "Made up") == best


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="needs chromium")
def test_in_a_window_of_1200_pixels_no_table_has_to_be_scrolled(tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    folder = FakeRun(tmp_path / "run", users=20, items=30, foreign_teacher=True).write()
    for role in ("student", "distilled"):
        card = json.loads((folder / role / "model.json").read_text())
        (folder / role / "model.json").write_text(json.dumps(card | {"train_seconds": 74_000.0}))
    write(build([folder]), out)
    probe = """<script>for (const box of document.querySelectorAll(".scroll"))
        box.dataset.hidden = box.scrollWidth - box.clientWidth;</script></body>"""
    page = re.sub(r"<meta http-equiv[^>]*>", "", out.read_text()).replace("</body>", probe)
    out.write_text(page)
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--window-size=1200,2000",
    ]
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    done = subprocess.run(
        [str(BROWSER), *flags, profile, "--dump-dom", out.as_uri()],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    hidden = re.findall(r'class="scroll"[^>]* data-hidden="(\d+)"', done.stdout)
    assert hidden == ["0", "0"]
