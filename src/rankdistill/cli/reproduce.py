"""`rankdistill reproduce`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rankdistill.cli.options import Output

if TYPE_CHECKING:
    from rankdistill.reproduction.request import Request
    from rankdistill.types import Json


@dataclass(frozen=True, slots=True)
class Scope:
    """What is reproduced."""

    dataset: Annotated[
        str, typer.Option("--dataset", help="gowalla, foursquare-nyc, movielens-1m or movielens-100k.")
    ] = "gowalla"
    quick: Annotated[bool, typer.Option("--quick", help="One seed, fewer epochs and fewer points.")] = False
    seeds: Annotated[
        int | None,
        typer.Option(
            "--seeds", metavar="N", help="Seeds of the tables; 3 when left out, 1 with --quick.", show_default=False
        ),
    ] = None
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only",
            metavar="PART",
            help="main, weighting, presets, size, instances, epochs, alpha, k or search; may be repeated.",
        ),
    ] = None
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="A.B=V", help="Change a key, such as train.epochs=5, of every training."),
    ] = None


@dataclass(frozen=True, slots=True)
class Machine:
    """How the machine is used."""

    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs", min=1, help="Trainings at once; one a core, up to 4, when left out.", show_default=False
        ),
    ] = None
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="CPU threads of each training.", show_default=False)
    ] = None
    device: Annotated[str | None, typer.Option("--device", help="cpu, cuda, cuda:1 or auto.", show_default=False)] = (
        None
    )


@dataclass(frozen=True, slots=True)
class Folders:
    """Where to."""

    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Data and models; left out: runs/PAPER-DATASET. What is done there is not done again.",
            show_default=False,
        ),
    ] = None
    results: Annotated[
        Path | None,
        typer.Option(
            "--results",
            metavar="DIR",
            help="The results; left out: DIR/results. What a folder named here holds already is not trained again.",
            show_default=False,
        ),
    ] = None


def reproduce(
    paper: Annotated[str, typer.Argument(metavar="PAPER", help="The paper: kdd18.")],
    scope: Scope,
    machine: Machine,
    folders: Folders,
    output: Output,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list the trainings and how long they take.")] = False,
) -> None:
    """The tables and figures of a paper, beside the published ones.

    From the data folder to the last figure; it says beforehand how long that takes. A reproduction that was
    stopped goes on when it is started again, and what is done is skipped.
    """
    from rankdistill.reproduction.reproduce import reproduce as carry_out
    from rankdistill.reproduction.request import Request

    request = Request(
        paper,
        scope.dataset,
        scope.quick,
        scope.seeds,
        tuple(scope.overrides or ()),
        tuple(scope.only or ()),
        machine.jobs,
        machine.threads,
        machine.device,
    )
    plan = request.plan()
    folder = folders.out or Path("runs") / f"{plan.paper}-{plan.dataset}{'-quick' if plan.quick else ''}"
    if dry_run:
        _list(request, folder, folders.results, output)
        return
    page = carry_out(request, folder, folders.results)
    found = json.loads((page.parent / "results.json").read_text(encoding="utf-8"))
    if output.as_json:
        output.json(found)
        return
    for part in request.only or ("main",):
        _print(part, found)
    typer.echo(f"results: {page}")


def _list(request: Request, folder: Path, results: Path | None, output: Output) -> None:
    """The trainings, which are done, and about how long the others take."""
    from rankdistill.report.numerals import duration
    from rankdistill.reproduction.reproduce import outlook

    rows = outlook(request, folder, results)
    columns = ("training", "seed", "epochs", "learns from", "about")
    shown = [
        (row["key"], row["seed"], row["epochs"], row["teacher"], "done" if row["done"] else duration(row["seconds"]))
        for row in rows
    ]
    output.show(rows, columns, shown)


def _print(part: str, results: Json) -> None:
    """A table beside the published one, the points of a figure, or what was tried."""
    from rankdistill.console import table
    from rankdistill.report.numerals import metric, metric_name

    names = results["metrics"]
    if part == "search":
        tried = [(each["family"], row) for each in results["search"]["families"] for row in each["rows"]]
        rows = [
            (family, row["settings"], metric(row["value"]), row["epoch"], "chosen" if row["chosen"] else None)
            for family, row in tried
        ]
        table(("", "settings", "MAP", "epoch", ""), rows, "On the validation data")
    elif part in results:
        shown = []
        for row in results[part]:
            if row["mean"]:
                shown.append([row["name"], *(metric(row["mean"].get(name)) for name in names)])
                if row["published"]:
                    shown.append(["  published", *(metric(row["published"].get(name)) for name in names)])
        table(("", *map(metric_name, names)), shown)
    for figure in results["figures"]:
        if figure["key"] == part:
            points = [
                (each["name"], f"{at['x']:g}", metric(at["y"])) for each in figure["series"] for at in each["points"]
            ]
            table(("", figure["x"], "MAP"), points, figure["title"])
