"""The command `rankdistill`: one file a verb, each of which parses, calls and prints."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from rankdistill.cli.bench import bench
from rankdistill.cli.compress import compress
from rankdistill.cli.demo import demo
from rankdistill.cli.distill import distill
from rankdistill.cli.doctor import doctor
from rankdistill.cli.dotted import DottedOptions
from rankdistill.cli.evaluate import evaluate
from rankdistill.cli.export import export
from rankdistill.cli.failures import INTERRUPTED, MISTAKE, complain
from rankdistill.cli.fuse import fuse
from rankdistill.cli.label import label
from rankdistill.cli.prepare import prepare
from rankdistill.cli.recommend import recommend
from rankdistill.cli.report import report
from rankdistill.cli.reproduce import reproduce
from rankdistill.cli.run import run
from rankdistill.cli.serve import serve
from rankdistill.cli.show import show
from rankdistill.cli.sweep import sweep
from rankdistill.cli.train import train
from rankdistill.cli.tune import tune
from rankdistill.cli.verb import verb
from rankdistill.processor import let_threads_sleep

_UsageError = typer.BadParameter.__base__
"""Click's own base of a command line that does not parse; newer versions of typer bring their own click."""

app = typer.Typer(
    name="rankdistill",
    help="Make a big ranking model small, and prove that it still ranks as well.",
    epilog="`rankdistill VERB --help` lists a verb's options. Exit 0: done; 2: a mistake in what was asked; 1: a bug.",
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for _function in (
    demo,
    run,
    prepare,
    train,
    label,
    fuse,
    distill,
    tune,
    compress,
    evaluate,
    report,
    sweep,
    export,
    recommend,
    serve,
    reproduce,
    show,
    doctor,
):
    app.command(cls=DottedOptions if _function is sweep else None)(verb(_function))
app.add_typer(bench)


def _print_version(wanted: bool) -> None:
    if wanted:
        from rankdistill import __version__

        typer.echo(f"rankdistill {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Options that stand before the verb."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command line, by default the process's own.

    Returns:
        The exit status: 0 done, 2 a mistake in what was asked (one line on stderr), 130 interrupted.
    """
    let_threads_sleep()
    given = list(sys.argv[1:] if arguments is None else arguments)
    command = typer.main.get_command(app)
    try:
        status = command.main(args=given or ["--help"], prog_name="rankdistill", standalone_mode=False)
    except typer.Abort:
        return INTERRUPTED
    except Exception as error:
        if not isinstance(error, _UsageError or ()):
            raise
        context = getattr(error, "ctx", None)
        complain(f"{_line(error)} (see `{context.command_path if context else 'rankdistill'} --help`)")
        return MISTAKE
    return status if isinstance(status, int) else 0


def _line(error: Exception) -> str:
    message = getattr(error, "format_message", lambda: str(error))()
    return " ".join(str(message).replace("Value error, ", "").split()).rstrip(".")
