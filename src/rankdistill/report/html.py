"""The page: one file that needs nothing else, neither a network nor a font."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from importlib import resources

import jinja2
from markupsafe import Markup

from rankdistill.report import figures, numerals, tables
from rankdistill.report.curves import curve, panels
from rankdistill.report.details import Details
from rankdistill.report.plots import dot, links
from rankdistill.report.run import LIST_DEPTH, Report, Run, role_name
from rankdistill.report.verdict import key_figures, verdict
from rankdistill.types import Json

LIST_ROW = 28.0
"""Height of a place in the lists side by side, in pixels; the style sheet takes it from here."""


_GLUED = re.compile(
    r"(?<=\d) (?=%|[kMG]\b|MB|ms)|(?<=\bp) (?=[<=>])|(?<=[<=>]) (?=\.)"
    r"|(?<=%) (?=interval)|(?<=\d,) (?=[+−]\.)"
)


def page(report: Report, details: Sequence[Details]) -> str:
    """The report as HTML, with the details of each of its runs."""
    values = {
        "title": " · ".join(run.name for run in report.runs),
        "runs": [_view(run, found) for run, found in zip(report.runs, details, strict=True)],
        "overview": figures.overview(report),
        "list_depth": LIST_DEPTH,
        "list_row": LIST_ROW,
        "role_name": role_name,
    }
    return render("page.html", "", values)


def render(name: str, style: str, values: Json) -> str:
    """A page from a template of this package that extends `base.html`, with `style` after the common style sheet."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("rankdistill", "report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["glue"] = glue
    script = asset("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    common = {
        "css": Markup(asset("page.css") + style),
        "script": Markup(script),
        "script_hash": f"sha256-{digest}",
        "dot": dot,
        "whole": numerals.whole,
    }
    return environment.get_template(name).render(common | values)


def glue(text: str) -> str:
    """Keeps a number on one line with its unit, and a p with its value."""
    return _GLUED.sub("\u00a0", text)


def asset(name: str) -> str:
    """The text of a file of this package."""
    return resources.files("rankdistill.report").joinpath(name).read_text(encoding="utf-8")


def _view(run: Run, details: Details) -> Json:
    """All that the template shows of a run."""
    found = details.agreement
    main = run.main_metric()
    warmup = (run.config.get("distillation") or {}).get("warmup_epochs")
    shown = [
        (one, [links(one.links(left), LIST_DEPTH, LIST_ROW) for left in range(len(one.columns) - 1)])
        for one in details.samples
    ]
    return {
        "name": run.name,
        "notes": run.data.get("notes") or [],
        "verdict": verdict(run),
        "figures": key_figures(run),
        "line": figures.line(run),
        "main": numerals.metric_name(main) if main else None,
        "cards": tables.cards(run),
        "models": run.models,
        "labels": [run.label(model) for model in run.models],
        "users": max((model.users for model in run.models), default=0),
        "cost_heads": tables.cost_heads(run),
        "costs": tables.costs(run),
        "standing": tables.standing(run),
        "pairs": [tables.pair_name(pair) for pair in tables.pairs(run)],
        "qualities": tables.qualities(run),
        "halves": tables.halves(run),
        "halves_words": tables.halves_words(run.data),
        "curves": [(panel.title, curve(panel, _warmup(panel.title, warmup))) for panel in panels(run)],
        "scatters": figures.scatters(run),
        "forests": figures.forests(run),
        "agreement": found,
        "agreement_words": figures.agreement_words(found) if found else "",
        "agreements": figures.agreements(found) if found else [],
        "samples": shown,
        "provenance": tables.provenance(run),
        "config_text": run.config_text,
    }


def _warmup(title: str, epochs: object) -> int | None:
    return epochs if isinstance(epochs, int) and title == "Distillation loss" else None
