"""`rankdistill demo`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from rankdistill.cli.inputs import load_experiment, use_processor
from rankdistill.cli.options import Changes, Output, Resume
from rankdistill.cli.results import print_run
from rankdistill.errors import DataError
from rankdistill.owners import check_owner

logger = logging.getLogger(__name__)

EXPERIMENT = Path(__file__).with_name("demo.toml")
_MADE_UP = ['data={kind = "synthetic", users = 3000, items = 200, length = 20}', "train.patience=40"]


def demo(
    changes: Changes,
    output: Output,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The run folder.")] = Path("runs/demo"),
    resume: Resume = False,
) -> None:
    """A first look: a run with a small teacher, in two or three minutes.

    The data is MovieLens-100k where it can be had, else a made-up log; which of them, the first lines say.
    """
    import json

    check_owner(out, "run")
    experiment = load_experiment(EXPERIMENT, changes, *demo_data())
    from rankdistill import workflow

    use_processor(experiment)
    page = workflow.run(experiment, out, resume=resume)
    print_run(json.loads(page.with_suffix(".json").read_text(encoding="utf-8")), page, output)


def demo_data() -> list[str]:
    """The changes to the experiment: none where MovieLens-100k can be had, else one that takes a made-up log."""
    from rankdistill.data.datasets import locate

    try:
        logger.info("demo: MovieLens-100k, from %s", locate("movielens-100k"))
    except DataError as error:
        logger.warning("%s", error)
        logger.warning("demo: a MADE-UP log takes the place of MovieLens-100k; its figures say nothing of real users")
        return _MADE_UP
    return []
