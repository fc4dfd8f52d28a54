"""Learning curves: one panel for each quantity that was logged, a line a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from rankdistill.report.numerals import metric_name
from rankdistill.report.plots import stretched
from rankdistill.report.run import Run, finite
from rankdistill.report.svg import (
    Axis,
    drawing,
    horizontal,
    marker,
    percent_of,
    spread,
    text,
    tick_label,
    vertical,
)

HEIGHT = 190.0


@dataclass(frozen=True, slots=True)
class Line:
    """A model's values by epoch."""

    role: str
    label: str
    points: tuple[tuple[int, float], ...]
    best: int | None = None
    """The epoch that was kept."""


@dataclass(frozen=True, slots=True)
class Panel:
    """A titled plot of lines."""

    title: str
    lines: tuple[Line, ...]


def panels(run: Run) -> tuple[Panel, ...]:
    """The panels that have a line: ranking loss, distillation loss, validation metric."""
    found = [
        Panel("Ranking loss", _lines(run, "ranking_loss")),
        Panel("Distillation loss", _lines(run, "distillation_loss")),
    ]
    name = _validation_metric(run)
    if name is not None:
        found.append(Panel(f"{metric_name(name)} on the validation part", _lines(run, "validation", name)))
    return tuple(panel for panel in found if panel.lines)


def _validation_metric(run: Run) -> str | None:
    names = [name for model in run.models for epoch in model.epochs for name in epoch.get("validation") or {}]
    wanted = run.config.get("train", {}).get("validation_metric")
    return wanted if wanted in names else next(iter(names), None)


def _lines(run: Run, key: str, name: str | None = None) -> tuple[Line, ...]:
    lines = []
    for model in run.models:
        points = []
        for place, epoch in enumerate(model.epochs, start=1):
            value = finite(epoch.get(key) if name is None else (epoch.get(key) or {}).get(name))
            if value is not None:
                points.append((int(epoch.get("epoch", place)), value))
        best = model.facts.get("best_epoch") if name is not None else None
        if points and not (key == "distillation_loss" and all(value == 0 for _, value in points)):
            lines.append(Line(model.role, run.label(model), tuple(points), best))
    return tuple(lines)


def curve(panel: Panel, warmup: int | None = None) -> Markup:
    """The panel's plot; `warmup` is the last epoch of the distillation's warm-up."""
    epochs = [epoch for line in panel.lines for epoch, _ in line.points]
    across = Axis(min(epochs), max(max(epochs), min(epochs) + 1))
    up = Axis.around([value for line in panel.lines for _, value in line.points], pad=0.06)
    parts = _frame(across, up, max(epochs))
    if warmup is not None and across.low < warmup < across.high:
        parts.append(vertical(across.at(warmup), 0, HEIGHT, "warmup"))
        parts.append(text(across.at(warmup), 10, "warm-up ends", "tick start", 6))
    ends = spread([(1 - up.at(line.points[-1][1])) * HEIGHT for line in panel.lines], 15)
    parts.extend(_line(line, across, up) for line in panel.lines)
    for line, y in zip(panel.lines, ends, strict=True):
        parts.append(text(1, y + 4, line.label, f"label role-{line.role} start", 8))
    parts.extend(_hovers(panel.lines, across))
    described = f"{panel.title} by epoch, for {', '.join(line.label for line in panel.lines)}"
    return drawing(parts, HEIGHT, "curve", described)


def _frame(across: Axis, up: Axis, last: int) -> list[Markup]:
    parts = []
    ticks = up.ticks(4)
    for tick in ticks:
        y = (1 - up.at(tick)) * HEIGHT
        parts.append(horizontal(y, 0, 1, "grid"))
        parts.append(text(0, y + 4, tick_label(tick, ticks), "tick end", -8))
    marks = sorted({round(across.low), last, *(round(t) for t in across.ticks(4) if last - t > 0.12 * last)})
    for epoch in marks:
        parts.append(text(across.at(epoch), HEIGHT + 18, str(epoch), "tick middle"))
    return parts


def _line(line: Line, across: Axis, up: Axis) -> Markup:
    places = [(across.at(epoch), 1 - up.at(value)) for epoch, value in line.points]
    if len(places) == 1:
        return marker(places[0][0], places[0][1] * HEIGHT, line.role)
    path = "M" + "L".join(f"{x * 1000:.1f} {y * 1000:.1f}" for x, y in places)
    drawn = stretched(path, f"curve role-{line.role}")
    best = dict(line.points).get(line.best) if line.best is not None else None
    if line.best is not None and best is not None:
        drawn += marker(across.at(line.best), (1 - up.at(best)) * HEIGHT, line.role)
    return drawn


def _hovers(lines: Sequence[Line], across: Axis) -> list[Markup]:
    """Invisible columns, one an epoch, that show the values on hover."""
    values = [dict(line.points) for line in lines]
    epochs = sorted({epoch for points in values for epoch in points})
    width = 1 / max(len(epochs) - 1, 1)
    columns = []
    for epoch in epochs:
        known = [
            f"{line.label} {points[epoch]:.4f}{' (kept)' if epoch == line.best else ''}"
            for line, points in zip(lines, values, strict=True)
            if epoch in points
        ]
        columns.append(
            Markup('<g class="column"><title>{}</title>{}<rect x="{}" width="{}" height="{:g}"/></g>').format(
                f"Epoch {epoch}: {', '.join(known)}",
                vertical(across.at(epoch), 0, HEIGHT, "cross"),
                percent_of(across.at(epoch) - width / 2),
                percent_of(width),
                HEIGHT,
            )
        )
    return columns
