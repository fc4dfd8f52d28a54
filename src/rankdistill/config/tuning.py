"""Which options are worth searching, and where: declared beside the option, in its annotation.

dim: Annotated[int, Range(8, 256, log=True, size=True)] = Field(50, ge=1, description="d")
activation: Annotated[Literal["relu", "tanh"], Choice()] = Field("relu", description="...")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args, get_origin

from pydantic.fields import FieldInfo

Value: TypeAlias = bool | int | float | str
"""What an option that is searched can be."""


@dataclass(frozen=True, slots=True)
class Range:
    """The numbers from `low` to `high`, both among them; whole ones where the option is an integer.

    Attributes:
        low: the least.
        high: the most.
        log: whether a factor counts, not a difference.
        size: whether the option decides how large the model is; such options are kept unless sizes are searched.
    """

    low: float
    high: float
    log: bool = False
    size: bool = False

    def __post_init__(self) -> None:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError(f"{self} is no range: low has to be below high, and above 0 on a log scale")

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}{', log' if self.log else ''}"

    def including(self, value: Value) -> Range | None:
        """The range made wide enough for `value`; None where it cannot be: 0 is on no log scale, and stays."""
        if not isinstance(value, int | float) or (self.log and value <= 0):
            return None
        return Range(min(self.low, value), max(self.high, value), self.log, self.size)


@dataclass(frozen=True, slots=True, init=False)
class Choice:
    """A few values, with no order among them; none given are all that the option takes. `size` as for `Range`."""

    values: tuple[Value, ...]
    size: bool

    def __init__(self, *values: Value, size: bool = False) -> None:
        if values and not 2 <= len(set(values)) == len(values):
            raise ValueError(f"{values} is no choice: give two different values or more")
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "size", size)

    def __str__(self) -> str:
        return " | ".join(str(value).lower() if isinstance(value, bool) else str(value) for value in self.values)

    def including(self, value: Value) -> Choice:
        """The choice with `value` among its values."""
        return self if value in self.values else Choice(*self.values, value, size=self.size)


Tunable: TypeAlias = Range | Choice


def declared(field: FieldInfo) -> Tunable | None:
    """What an option's annotation says of its search; None where it is not searched."""
    found: Tunable | None = next((each for each in field.metadata if isinstance(each, Range | Choice)), None)
    if isinstance(found, Choice) and not found.values:
        taken = get_args(field.annotation) if get_origin(field.annotation) is Literal else (False, True)
        return Choice(*taken, size=found.size)
    return found
