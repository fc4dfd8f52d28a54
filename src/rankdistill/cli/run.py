"""`rankdistill run`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rankdistill.cli.inputs import load_experiment, use_processor
from rankdistill.cli.options import Changes, Config, Output, Resume
from rankdistill.cli.results import print_run
from rankdistill.owners import check_owner


def run(
    config: Config,
    changes: Changes,
    output: Output,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="The run folder; left out: runs/NAME for NAME.toml and for NAME/config.toml.",
            show_default=False,
        ),
    ] = None,
    resume: Resume = False,
) -> None:
    """The whole way, from raw data to the report.

    Data, teacher, labels, plain student, distilled student, evaluation, report. Stages whose
    inputs did not change are skipped.
    """
    import json

    experiment, folder = load_experiment(config, changes), out or default_folder(config)
    check_owner(folder, "run")
    from rankdistill import workflow

    use_processor(experiment)
    page = workflow.run(experiment, folder, resume=resume)
    print_run(json.loads(page.with_suffix(".json").read_text(encoding="utf-8")), page, output)


def default_folder(config: Path) -> Path:
    """Where a run goes that is not told where.

    A finished run's `config.toml` is called after its folder, so that it runs again under the same name.

    >>> [default_folder(Path(name)).as_posix() for name in ("first.toml", "somewhere/first/config.toml")]
    ['runs/first', 'runs/first']
    """
    name = config.resolve().parent.name if config.name == "config.toml" else config.stem
    return Path("runs") / (name or config.stem)
