"""`rankdistill serve`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from rankdistill.cli.options import Output


@dataclass(frozen=True, slots=True)
class Listening:
    """Where to answer, and with what."""

    host: Annotated[str, typer.Option("--host", help="The address to listen on.")] = "127.0.0.1"
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="The port; 0 takes a free one.")] = 8000
    workers: Annotated[int, typer.Option("--workers", min=1, max=256, help="Processes.")] = 1
    threads: Annotated[int, typer.Option("--threads", min=1, help="CPU threads of one ranking.")] = 1
    no_page: Annotated[bool, typer.Option("--no-page", help="Without the page, /items and /example.")] = False


@dataclass(frozen=True, slots=True)
class Most:
    """How much a request may ask for."""

    max_history: Annotated[int, typer.Option("--max-history", min=1, help="Items of a history at most.")] = 1000
    max_batch: Annotated[int, typer.Option("--max-batch", min=1, help="Requests in one body at most.")] = 256
    max_listed: Annotated[int, typer.Option("--max-listed", min=1, help="Items to allow or block at most.")] = 10_000
    max_k: Annotated[int, typer.Option("--max-k", min=1, help="Length of a list at most.")] = 1000
    max_body: Annotated[int, typer.Option("--max-body", min=1, help="Bytes of a body at most.")] = 1 << 20
    timeout: Annotated[float, typer.Option("--timeout", min=0.001, help="Seconds for a request at most.")] = 10.0


def serve(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that export wrote.")],
    listening: Listening,
    most: Most,
    output: Output,
    teacher: Annotated[
        Path | None,
        typer.Option("--teacher", metavar="DIR", help="Another one, to show its lists beside.", show_default=False),
    ] = None,
) -> None:
    """Exported model to lists over HTTP, with a page to try it.

    Prints the address; the page is there, and /docs says what to send.
    """
    from rankdistill.extras import extra

    for name in ("onnxruntime", "fastapi", "uvicorn"):
        extra(name, "serve")
    from rankdistill.serving.options import Limits, Options
    from rankdistill.serving.server import Server

    limits = Limits(most.max_history, most.max_batch, most.max_listed, most.max_k, most.max_body, most.timeout)
    server = Server(
        Options(
            folder,
            teacher,
            listening.host,
            listening.port,
            listening.workers,
            listening.threads,
            limits,
            page=not listening.no_page,
            debug=output.debug,
        )
    )
    if output.as_json:
        output.json({"url": server.url})
    else:
        typer.echo(server.url)
    server.run()
