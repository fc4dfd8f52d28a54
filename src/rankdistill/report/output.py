"""Writes a report as HTML, Markdown and JSON, side by side."""

from __future__ import annotations

from pathlib import Path

from rankdistill.errors import ConfigError
from rankdistill.files import write_json, write_text
from rankdistill.report.details import Details
from rankdistill.report.html import page
from rankdistill.report.markdown import markdown
from rankdistill.report.run import Report


def write(report: Report, out: Path) -> None:
    """Writes `out` (HTML) and beside it the same name with `.md` and `.json`.

    Raises:
        ConfigError: `out` does not end in .html.
        StorageError: a file could not be written.
    """
    if out.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"{out}: a report's name ends in .html; the .md and .json are written beside it")
    write_json(out.with_suffix(".json"), report.json())
    details = [Details.of(run) for run in report.runs]
    write_text(out.with_suffix(".md"), markdown(report, details))
    write_text(out, page(report, details))
