"""`rankdistill run`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rankdistill.cli.inputs import load_experiment, use_processor
from rankdistill.cli.options import Changes, Config, Output, Resume
from rankdistill.cli.results import print_run


def run(
    config: Config,
    changes: Changes,
    output: Output,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="The run folder; runs/NAME when left out.", show_default=False),
    ] = None,
    resume: Resume = False,
) -> None:
    """The whole way, from raw data to the report.

    Data, teacher, plain student, labels, distilled student, evaluation, report. Stages whose
    inputs did not change are skipped.
    """
    import json

    experiment = load_experiment(config, changes)
    from rankdistill import workflow

    use_processor(experiment)
    page = workflow.run(experiment, out or Path("runs") / config.stem, resume=resume)
    print_run(json.loads(page.with_suffix(".json").read_text(encoding="utf-8")), page, output)
