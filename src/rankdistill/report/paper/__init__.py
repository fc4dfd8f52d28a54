"""The tables and figures of a paper, remade: from `results.json` to Markdown, a page and standalone figures."""

from __future__ import annotations

from rankdistill.report.paper.output import write_results

__all__ = ["write_results"]
