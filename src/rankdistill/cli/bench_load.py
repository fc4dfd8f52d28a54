"""`rankdistill bench load`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from rankdistill.cli.options import Output


@dataclass(frozen=True, slots=True)
class Pressure:
    """How much is asked."""

    rate: Annotated[float, typer.Option("--rate", metavar="N", help="Requests a second, evenly spaced.")]
    seconds: Annotated[float, typer.Option("--seconds", help="How long.")] = 20.0
    connections: Annotated[int, typer.Option("--connections", help="Requests under way at most; others wait.")] = 64
    k: Annotated[int, typer.Option("--k", min=1, help="The length of a list.")] = 10


def load(
    url: Annotated[str, typer.Argument(metavar="URL", help="A server on this machine, such as http://127.0.0.1:8000.")],
    users_of: Annotated[
        Path,
        typer.Option("--users-of", metavar="DIR|FILE", help="Whom to ask for: an exported folder, or ids, one a line."),
    ],
    pressure: Pressure,
    output: Output,
) -> None:
    """A running server under load: p50, p95, p99 and max, from the moment when each request is due.

    Open-loop: requests are sent at their moments whether or not others were answered. It stops, and says so, when
    they wait longer and longer.
    """
    from rankdistill.bench.asked import bodies_of
    from rankdistill.bench.connection import Target
    from rankdistill.bench.load import Load, put_under_load
    from rankdistill.bench.output import milliseconds

    load = Load(pressure.rate, pressure.seconds, pressure.connections)
    target = Target.of(url)
    bodies, remark = bodies_of(users_of, pressure.k)
    found = put_under_load(target, bodies, load)
    columns = ("asked/s", "answered/s", "sent", "answered", "failed", "p50 ms", "p95 ms", "p99 ms", "max ms")
    counts = (f"{each:,}" for each in (found.sent, found.answered, sum(found.failed.values())))
    times = (milliseconds(found.latency_ms.get(name)) for name in ("p50", "p95", "p99", "max"))
    lines = [
        *(f"failed, {what}: {count:,}" for what, count in found.failed.items()),
        *([f"stopped {found.stopped}"] if found.stopped else []),
        f"requests left this program up to {found.late_ms:.2f} ms late (p99)",
        *([remark] if remark else []),
    ]
    about = {"url": url, "asked_rate": load.rate, "connections": load.connections, **found.json(), "remark": remark}
    output.show(about, columns, [(f"{load.rate:g}", f"{found.rate:g}", *counts, *times)], *lines)
