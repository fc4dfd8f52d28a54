"""The compiled kernels, and what to do where there are none.

They are built when the package is installed on a machine with a C compiler. Where they are missing, or switched off
with `RANKDISTILL_NATIVE=0`, the same results come from torch, more slowly.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

_INT, _POINTER = ctypes.c_int64, ctypes.c_void_p


class Structure(ctypes.Structure):
    """A C structure of counts and of addresses; keeps the tensors that it points to."""

    def __init__(self, *values: int | Tensor) -> None:
        super().__init__(*(address(value) if isinstance(value, Tensor) else value for value in values))
        self._kept = values


@cache
def library() -> ctypes.CDLL | None:
    """The kernels, or None where there are none."""
    if os.environ.get("RANKDISTILL_NATIVE", "1") == "0":
        return None
    spec = importlib.util.find_spec("rankdistill.native._kernels")
    if spec is None or spec.origin is None:
        return None
    try:
        return ctypes.CDLL(spec.origin)
    except OSError:  # built for another machine
        return None


def has_kernels(device: torch.device) -> bool:
    """Whether the kernels can work on tensors of `device`."""
    return device.type == "cpu" and library() is not None


@cache
def has_int8_products() -> bool:
    """Whether this processor multiplies int8 quicker than float32, and the kernels make use of it."""
    kernels = library()
    return kernels is not None and bool(kernels.has_vnni())


def call(kernel: str, *arguments: Structure | Tensor | int | float) -> None:
    """Runs a kernel on as many threads as torch uses.

    Raises:
        MemoryError: it found no memory.
    """
    kernels = library()
    assert kernels is not None
    if getattr(kernels, kernel)(*map(_argument, arguments), ctypes.c_int(torch.get_num_threads())):
        raise MemoryError(kernel)


def _argument(value: Structure | Tensor | int | float) -> object:
    if isinstance(value, Structure):
        return ctypes.byref(value)
    if isinstance(value, Tensor):
        return _POINTER(address(value))
    return _INT(value) if isinstance(value, int) else ctypes.c_float(value)


def address(tensor: Tensor) -> int:
    """Where the numbers of a tensor are."""
    assert tensor.is_contiguous() and tensor.device.type == "cpu"
    return tensor.data_ptr()


def fields(counts: Sequence[str], addresses: Sequence[str]) -> list[tuple[str, type]]:
    """The `_fields_` of a structure."""
    return [*((name, _INT) for name in counts), *((name, _POINTER) for name in addresses)]
