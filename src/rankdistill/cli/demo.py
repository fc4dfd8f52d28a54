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

logger = logging.getLogger(__name__)

EXPERIMENT = Path(__file__).with_name("demo.toml")
_MADE_UP = 'data={kind = "synthetic", users = 1500, items = 1200, length = 40}'


def demo(
    changes: Changes,
    output: Output,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The run folder.")] = Path("runs/demo"),
    resume: Resume = False,
) -> None:
    """A first look: a run with a small teacher, in a minute or two.

    The data is MovieLens-100k where it can be had, else a made-up log; which of them, the first lines say.
    """
    import json

    experiment = load_experiment(EXPERIMENT, changes, *_data())
    from rankdistill import workflow

    use_processor(experiment)
    page = workflow.run(experiment, out, resume=resume)
    print_run(json.loads(page.with_suffix(".json").read_text(encoding="utf-8")), page, output)


def _data() -> list[str]:
    """Nothing where MovieLens-100k can be had, else the change that takes a made-up log."""
    from rankdistill.data.datasets import locate

    try:
        logger.info("demo: MovieLens-100k, from %s", locate("movielens-100k"))
    except DataError as error:
        logger.warning("%s", error)
        logger.warning("demo: a MADE-UP log takes the place of MovieLens-100k; its figures say nothing of real users")
        return [_MADE_UP]
    return []
