"""The compiled kernels, and what to do where there are none.

They are built when the package is installed on a machine with a C compiler. Where they are missing, or switched off
with `RANKDISTILL_NATIVE=0`, torch does the same, more slowly: lists are equal, trainings nearly so.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

_FOREIGN = frozenset({torch.float64, torch.float16, torch.bfloat16})
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


def has_kernels(like: Tensor) -> bool:
    """Whether the kernels can work on such a tensor: of float32 or integers, on the processor, not while exported."""
    if torch.compiler.is_compiling():
        return False
    return like.device.type == "cpu" and like.dtype not in _FOREIGN and library() is not None


@cache
def has_int8_products() -> bool:
    """Whether this processor multiplies int8 quicker than float32, and the kernels make use of it."""
    kernels = library()
    return kernels is not None and bool(kernels.has_vnni())


def call(kernel: str, *arguments: Structure | Tensor | int) -> None:
    """Runs a kernel on as many threads as torch uses.

    Raises:
        MemoryError: it found no memory.
    """
    kernels = library()
    if kernels is None:
        raise RuntimeError(f"{kernel}: the kernels are not built")
    if getattr(kernels, kernel)(*map(_argument, arguments), ctypes.c_int(torch.get_num_threads())):
        raise MemoryError(kernel)


def _argument(value: Structure | Tensor | int) -> object:
    if isinstance(value, Structure):
        return ctypes.byref(value)
    if isinstance(value, Tensor):
        return _POINTER(address(value))
    return _INT(value)


def address(tensor: Tensor) -> int:
    """Where the numbers of a tensor are."""
    if not tensor.is_contiguous() or tensor.dtype in _FOREIGN:
        raise ValueError(f"a kernel needs a contiguous tensor of float32 or integers, not {tensor.dtype}")
    return tensor.data_ptr()


def fields(counts: Sequence[str], addresses: Sequence[str]) -> list[tuple[str, type]]:
    """The `_fields_` of a structure."""
    return [*((name, _INT) for name in counts), *((name, _POINTER) for name in addresses)]
