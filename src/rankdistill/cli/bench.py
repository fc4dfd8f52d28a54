"""`rankdistill bench`: timings, a verb each."""

from __future__ import annotations

import typer

from rankdistill.cli.bench_latency import latency
from rankdistill.cli.bench_load import load
from rankdistill.cli.verb import verb

bench = typer.Typer(name="bench", help="Timings: models asked in turns, a server under load.", rich_markup_mode=None)
for _function in (latency, load):
    bench.command()(verb(_function))
