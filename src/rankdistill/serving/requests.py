"""The body of a request for lists: its form, and what is wrong with one that does not have it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr, ValidationError

from rankdistill.serving.options import Limits
from rankdistill.serving.raw_ids import RawId
from rankdistill.serving.refused import RefusedError
from rankdistill.types import Json

Id: TypeAlias = Annotated[StrictInt | StrictStr, Field(union_mode="left_to_right")]
_K = 10
_NOTHING: tuple[RawId, ...] = ()


class Single(BaseModel):
    """Who wants a list, and what it may hold."""

    model_config = ConfigDict(extra="forbid", strict=True)

    user: Id | None = Field(None, description="Raw id of a user. Needs no history if the model knows the user.")
    history: list[Id] | None = Field(None, description="Raw ids of all items that somebody has, oldest first.")
    k: Annotated[int, Field(ge=1)] | None = Field(None, description=f"Length of the list; {_K} when left out.")
    exclude_seen: bool | None = Field(None, description="Leave out the items of the history; true when left out.")
    allow: list[Id] | None = Field(None, description="The only items that may be in the list.")
    block: list[Id] | None = Field(None, description="Items that may not.")


class Body(Single):
    """One request, or many in `requests`; what stands beside `requests` holds for those that do not say otherwise."""

    requests: list[Single] | None = Field(None, description="Many requests; then there is no user or history beside.")
    teacher: bool = Field(False, description="Answer with the teacher's list as well.")
    titles: bool = Field(False, description="Name the items' titles, where the export has them.")


@dataclass(frozen=True, slots=True)
class Wanted:
    """One list that is wanted; see `Single`.

    Attributes:
        where: the place in the body, for messages.
    """

    where: str
    user: RawId | None
    history: Sequence[RawId] | None
    k: int
    exclude_seen: bool
    allow: Sequence[RawId] | None
    block: Sequence[RawId]

    @property
    def rules(self) -> tuple[int, bool, int, int]:
        """Equal for those that are answered together: of the same `k`, and of the very same lists."""
        return self.k, self.exclude_seen, id(self.allow), id(self.block)


@dataclass(frozen=True, slots=True)
class Query:
    """All lists that a body asks for."""

    wanted: list[Wanted]
    many: bool
    teacher: bool
    titles: bool


def parse(body: bytes, limits: Limits) -> Query:
    """A body as what it asks for.

    Raises:
        RefusedError: it is no JSON, has not the form of `Body`, or asks for too much.
    """
    try:
        asked = Body.model_validate_json(body)
    except ValidationError as error:
        raise _refused(error) from None
    singles = [asked] if asked.requests is None else asked.requests
    if asked.requests is not None and (asked.user is not None or asked.history is not None):
        raise RefusedError(422, "bad_request", "user and history stand inside of requests, not beside it")
    if len(singles) > limits.batch:
        raise _too_many("requests", len(singles), limits.batch, "--max-batch")
    _check_listed(asked, "", limits)
    wanted = [
        _wanted(single, asked, "" if single is asked else f"requests[{place}]: ", limits)
        for place, single in enumerate(singles)
    ]
    return Query(wanted, asked.requests is not None, asked.teacher, asked.titles)


def _wanted(single: Single, common: Body, where: str, limits: Limits) -> Wanted:
    if single.user is None and single.history is None:
        raise RefusedError(422, "bad_request", f"{where}neither user nor history is given; give at least one of them")
    if single.history is not None and len(single.history) > limits.history:
        raise _too_many(f"{where}history", len(single.history), limits.history, "--max-history")
    _check_listed(single, where, limits)
    k = _first(single.k, common.k, min(_K, limits.k))
    if k > limits.k:
        raise RefusedError(422, "bad_request", f"{where}k is {k:,}, and this server takes {limits.k:,} (--max-k)")
    return Wanted(
        where,
        single.user,
        single.history,
        k,
        _first(single.exclude_seen, common.exclude_seen, True),
        _first(single.allow, common.allow, None),
        _first(single.block, common.block, _NOTHING),
    )


def _check_listed(single: Single, where: str, limits: Limits) -> None:
    for name, listed in (("allow", single.allow), ("block", single.block)):
        if listed is not None and len(listed) > limits.listed:
            raise _too_many(f"{where}{name}", len(listed), limits.listed, "--max-listed")


def _first(own: Any, common: Any, default: Any) -> Any:
    """The first that is given."""
    return own if own is not None else common if common is not None else default


def _too_many(what: str, count: int, most: int, option: str) -> RefusedError:
    return RefusedError(422, "bad_request", f"{what} has {count:,} entries, and this server takes {most:,} ({option})")


_KINDS = {
    "bool_type": "is not true or false",
    "extra_forbidden": "is no field; see /docs",
    "greater_than_equal": "is less than 1",
    "int_from_float": "is no whole number",
    "int_parsing_size": "is too large a number",
    "int_type": "is no whole number",
    "list_type": "is no list",
    "model_attributes_type": "is no object",
    "model_type": "is no object",
}


def _refused(error: ValidationError) -> RefusedError:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        return RefusedError(400, "bad_json", f"the body is no JSON: {first['msg'].removeprefix('Invalid JSON: ')}")
    path = [part for part in first["loc"] if part not in ("int", "str")]
    is_id = len(path) < len(first["loc"])
    reason = "is neither a whole number nor text" if is_id else _KINDS.get(first["type"], first["msg"])
    return RefusedError(422, "bad_request", f"{''.join(_steps(path)) or 'the body'} {reason}")


def _steps(path: Sequence[int | str]) -> Iterator[str]:
    for place, part in enumerate(path):
        yield f"[{part}]" if isinstance(part, int) else f".{part}" if place else part


def schema(limits: Limits) -> Json:
    """The JSON schema of a body, in one piece."""
    whole = Body.model_json_schema()
    single = whole.pop("$defs")["Single"]
    whole["properties"]["requests"]["anyOf"][0]["items"] = single
    whole["properties"]["requests"]["anyOf"][0]["maxItems"] = limits.batch
    for part in (whole, single):
        part["properties"]["history"]["anyOf"][0]["maxItems"] = limits.history
        for name in ("allow", "block"):
            part["properties"][name]["anyOf"][0]["maxItems"] = limits.listed
        part["properties"]["k"]["anyOf"][0]["maximum"] = limits.k
    return whole
