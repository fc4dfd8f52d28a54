"""Writes a sweep as JSON, Markdown and a page."""

from __future__ import annotations

from pathlib import Path

from rankdistill.files import write_json, write_text
from rankdistill.report.html import asset, render
from rankdistill.report.numerals import metric_name
from rankdistill.report.run import role_name
from rankdistill.report.sweep import facts
from rankdistill.report.sweep.document import document
from rankdistill.report.sweep.plot import figures
from rankdistill.report.tables import halves_words
from rankdistill.types import Json


def write_sweep(found: Json, out: Path) -> Path:
    """Writes `sweep.json`, `sweep.md` and `sweep.html` into a folder; the page's path.

    Raises:
        StorageError: a file could not be written.
    """
    write_json(out / "sweep.json", found | {"warnings": facts.doubts(found)})
    write_text(out / "sweep.md", document(found))
    write_text(out / "sweep.html", page(found))
    return out / "sweep.html"


def page(found: Json) -> str:
    """The sweep as one HTML page that needs nothing else."""
    lines = facts.lines(found)
    values = {
        "title": found["data"]["name"],
        "headline": facts.headline(found),
        "summary": facts.summary(found),
        "command": found["command"],
        "figures": figures(found),
        "heads": facts.heads(found),
        "lines": lines,
        "caption": facts.caption(found),
        "failures": facts.failures(found),
        "metric_heads": [metric_name(name) for name in found["metrics"]],
        "metric_rows": list(zip(lines, facts.metric_rows(found), strict=True)),
        "half_heads": facts.half_heads(found),
        "half_rows": facts.half_rows(found),
        "halves_words": halves_words(found["data"]),
        "provenance": facts.provenance(found),
        "role_name": role_name,
    }
    return render("sweep/page.html", asset("sweep/sweep.css"), values)
