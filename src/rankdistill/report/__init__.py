"""From run folders to one page that says whether the student ranks as well as its teacher."""

from __future__ import annotations

from rankdistill.report.collect import build, together
from rankdistill.report.output import write
from rankdistill.report.run import Report

__all__ = ["Report", "build", "together", "write"]
