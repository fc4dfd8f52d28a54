"""One student of a sweep, in a process of its own."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rankdistill.parallel import logged_into
from rankdistill.report.numerals import duration

if TYPE_CHECKING:
    from rankdistill.config import Experiment
    from rankdistill.variants import Variant

FAILED = "failed.json"


@dataclass(frozen=True, slots=True)
class Job:
    """A student to be trained and measured.

    Attributes:
        variant: what it is.
        folder: where to.
        base: the experiment that names the data and the teacher.
        out: the folder with both.
    """

    variant: Variant
    folder: Path
    base: Experiment
    out: Path


def do(job: Job) -> str:
    """Trains and measures a student; what it logs goes to `log.txt` in its folder.

    A training that cannot go on, such as one whose loss is no number, is noted in `failed.json`; others go on.

    Returns:
        How it went.
    """
    with logged_into(job.folder):
        return _do(job)


def _do(job: Job) -> str:
    from rankdistill.errors import TrainingError
    from rankdistill.files import write_json
    from rankdistill.variants import opened_for, train_variant

    begin = time.perf_counter()
    shared = opened_for(job.base, job.out, job.variant)
    (job.folder / FAILED).unlink(missing_ok=True)
    try:
        train_variant(job.variant, shared, job.folder)
    except TrainingError as error:
        write_json(job.folder / FAILED, {"stamp": shared.stamp(job.variant, job.folder), "reason": str(error)})
        return f"failed: {error}"
    return f"in {duration(time.perf_counter() - begin)}"
