"""The page of a sweep: quality against size and latency, plain students beside distilled ones."""

from __future__ import annotations

from rankdistill.report.sweep.output import write_sweep

__all__ = ["write_sweep"]
