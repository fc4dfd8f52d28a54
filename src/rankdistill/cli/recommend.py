"""`rankdistill recommend`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from rankdistill.cli.options import Output, check_parquet
from rankdistill.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Who:
    """Who gets a list."""

    users: Annotated[
        Path | None,
        typer.Option(
            "--users",
            metavar="FILE",
            help="csv, tsv or parquet with a column user_id: users that the model knows.",
            show_default=False,
        ),
    ] = None
    histories: Annotated[
        Path | None,
        typer.Option(
            "--histories",
            metavar="FILE",
            help="The same with a column item_id: what anybody has, oldest first, the rows of a user together.",
            show_default=False,
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class What:
    """What a list may hold."""

    k: Annotated[int, typer.Option("--k", min=1, help="The length of a list.")] = 10
    keep_seen: Annotated[bool, typer.Option("--keep-seen", help="Leave in what a user has already.")] = False
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="CPU threads; all cores when left out.", show_default=False)
    ] = None


def recommend(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that export wrote.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE.parquet", help="The file to write.")],
    who: Who,
    what: What,
    output: Output,
) -> None:
    """Exported model to lists by raw id: user_id, rank, item_id, score.

    Streams through the file, however many users it has.
    """
    given = [path for path in (who.users, who.histories) if path is not None]
    if len(given) != 1:
        raise ConfigError("name the users with --users, or with --histories, and not both")
    check_parquet(out, given[0])
    from rankdistill.serving.recommender import Recommender, Rules
    from rankdistill.serving.stream import recommend_file

    model = Recommender(folder, what.threads, unknown="ignore")
    rules = Rules(min(what.k, len(model.items)), not what.keep_seen)
    found = recommend_file(model, given[0], out, rules, histories=who.histories is not None)
    about = {"file": out, "users": found.users, "k": rules.k}
    about |= {"unknown_users": found.unknown_users, "unknown_items": found.unknown_items}
    lines = [f"without a list, since they are not known: {found.unknown_users:,} users"] * bool(found.unknown_users)
    lines += [f"left aside, since they are not known: {found.unknown_items:,} items"] * bool(found.unknown_items)
    output.show(about, ("users", "k", "file"), [(f"{found.users:,}", rules.k, str(out))], *lines)
