"""What a client can do wrong, as a status and one line."""

from __future__ import annotations

from typing import Literal

Code = Literal[
    "bad_json",
    "bad_request",
    "busy",
    "bug",
    "disconnected",
    "method_not_allowed",
    "not_found",
    "too_large",
    "too_slow",
    "unknown_item",
    "unknown_user",
]
_LONGEST = 300
"""Characters of a message, which may quote what was sent."""


class RefusedError(Exception):
    """A request that is not answered with lists.

    Args:
        status: of the HTTP answer.
        code: for programs.
        message: for people, one line.
    """

    def __init__(self, status: int, code: Code, message: str) -> None:
        line = " ".join(message.split())
        self.status, self.code = status, code
        self.message = line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
        super().__init__(self.message)
