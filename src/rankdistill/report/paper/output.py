"""Writes the results as JSON, Markdown, a page and figures."""

from __future__ import annotations

from pathlib import Path

from rankdistill.files import read_object, write_json, write_text
from rankdistill.report.paper.document import document
from rankdistill.report.paper.figure import figures
from rankdistill.report.paper.plot import standalone
from rankdistill.report.paper.results import Results
from rankdistill.report.paper.view import page
from rankdistill.types import Json


def write_results(results: Json, folder: Path) -> Path:
    """Writes `results.json`, `results.md`, `index.html` and `figures/KEY.svg` into `folder`; the page's path.

    A part of `results` that is missing or empty is left out, so what was made so far can be looked at while the rest
    is being made. Figures that earlier results in `folder` had, and these have not, are removed.

    Raises:
        StorageError: a file could not be written.
    """
    read, earlier = Results(results), Results(read_object(folder / "results.json"))
    drawn = figures(read)
    for key in {one.key for one in figures(earlier)} - {one.key for one in drawn}:
        (folder / "figures" / f"{key}.svg").unlink(missing_ok=True)
    write_json(folder / "results.json", results)
    for one in drawn:
        write_text(folder / "figures" / f"{one.key}.svg", standalone(one))
    write_text(folder / "results.md", document(read, drawn))
    write_text(folder / "index.html", page(read, drawn))
    return folder / "index.html"
