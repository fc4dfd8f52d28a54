"""`rankdistill report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rankdistill.cli.options import Output
from rankdistill.cli.results import print_run


def report(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Run folders or model folders.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE.html", help="The page; .md and .json go beside it.")],
    output: Output,
) -> None:
    """Run or model folders to a page.

    The same is written as Markdown and as JSON.
    """
    from rankdistill.report import build, write

    made = build(folders)
    write(made, out)
    print_run(made.json(), out, output)
