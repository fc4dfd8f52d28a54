"""What answers look like, for `/openapi.json`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from rankdistill.serving.refused import Code


class Version(BaseModel):
    """Which export answered."""

    kind: str = Field(description="Kind of model.")
    fingerprint: str = Field(description="Of the data that it was trained on.")
    made: str = Field(description="When it was exported, in UTC.")
    version: str = Field(description="First digits of the SHA-256 of its manifest.")


class Entry(BaseModel):
    """A place in a list."""

    item: int | str = Field(description="Raw id.")
    score: float
    title: str | None = Field(None, description="Where `titles` were asked for.")


class List(BaseModel):
    """A list, best first."""

    items: list[Entry] = Field(description="At most `k`; fewer where fewer may be in the list.")


class Lists(BaseModel):
    """What one model answers."""

    items: list[Entry] | None = Field(None, description="The list, to a request for one.")
    lists: list[List] | None = Field(None, description="The lists in the order of `requests`, to a request for many.")
    model: Version
    milliseconds: float = Field(description="That the ranking took.")


class Answer(Lists):
    """The lists."""

    teacher: Lists | None = Field(None, description="What the teacher answers, where it was asked for.")


class Item(BaseModel):
    """An item by name."""

    item: int | str
    title: str | None


class Found(BaseModel):
    """Items."""

    items: list[Item]


class Served(BaseModel):
    """A folder that is served."""

    folder: str
    model: Version
    reloads: int = Field(description="How often a newer export took the place of a former one.")
    error: str | None = Field(description="Why what is in the folder now is not served.")


class Health(BaseModel):
    """How a worker is."""

    status: Literal["ok", "stale"] = Field(description="stale: a damaged export is in a folder; the former one serves.")
    worker: int
    process: int
    seconds: int = Field(description="Since it started.")
    student: Served
    teacher: Served | None = None


class Problem(BaseModel):
    """What went wrong."""

    error: Code = Field(description="For programs.")
    message: str = Field(description="For people, one line.")
