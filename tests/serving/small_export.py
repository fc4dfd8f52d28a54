"""What the tests of serving share: a small log with text as ids, and what an exported folder was made from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

import rankdistill as rd
from rankdistill.data.events import Events
from rankdistill.data.interactions import Interactions
from rankdistill.types import Json


@dataclass(frozen=True)
class Exported:
    """A folder, and what it was made from."""

    folder: Path
    model: rd.Ranker
    split: rd.Split
    manifest: Json


def named() -> rd.Split:
    """The synthetic log with text as ids."""
    log = rd.read("synthetic", users=60, items=40, length=15)
    users = pl.Series([f"user {user}" for user in log.user_ids.decode(log.users).to_list()])
    items = pl.Series([f"café {item}" for item in log.item_ids.decode(log.items).to_list()])
    events = Events(pl.DataFrame({"user": users, "item": items}), None, (), "named")
    return Interactions.from_events(events).split("user_fractions")
