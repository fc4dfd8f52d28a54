"""What a run's lists tell, found once for the page and for the Markdown."""

from __future__ import annotations

from dataclasses import dataclass

from rankdistill.report.agreement import Agreement, agreement
from rankdistill.report.run import Run
from rankdistill.report.samples import Sample, samples


@dataclass(frozen=True, slots=True)
class Details:
    """The sections of a report that go through all lists of a run."""

    agreement: Agreement | None
    samples: tuple[Sample, ...]

    @classmethod
    def of(cls, run: Run) -> Details:
        """The details of a run."""
        return cls(agreement(run), samples(run))
