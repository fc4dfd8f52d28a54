"""The least that a training step of Caser costs on this machine: its operations and bytes over measured rates.

    python benchmarks/floor.py

Prints the measured rates, and the floor of the three steps of `training_step.py`.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from measure import table

_FLOAT = 4
_FILTERS, _VERTICAL = 16, 2


@dataclass(frozen=True, slots=True)
class Shape:
    """What decides the cost of a step: B, L, D = d, T, N, K, eps (0: no rank samples), and the table's sizes."""

    dim: int
    num_users: int = 13_149
    num_items: int = 14_009
    batch: int = 512
    history: int = 5
    targets: int = 1
    negatives: int = 3
    k: int = 0
    rank_samples: int = 0

    @property
    def parameters(self) -> int:
        """Numbers in the tables (users d, histories d, items 2d + 1) and in the layers."""
        tables = self.num_users * self.dim + (self.num_items + 1) * (3 * self.dim + 1)
        return tables + self.layers

    @property
    def layers(self) -> int:
        """Numbers outside the tables."""
        heights = range(1, self.history + 1)
        filters = sum(_FILTERS * (height * self.dim + 1) for height in heights) + _VERTICAL * (self.history + 1)
        return filters + (_VERTICAL * self.dim + _FILTERS * self.history + 1) * self.dim

    @property
    def operations(self) -> float:
        """Additions and multiplications of the products, forward and backward.

        An example passes 2 w operations forward for each weight w that it meets, and twice that backward (for the
        weight and for what came in): filters of height h at L - h + 1 offsets; the vertical filters; the combining
        layer; T + N + K items of 2d. The rank samples, one product [B, 2d] x [2d, eps], have no backward.
        """
        offsets = sum(height * (self.history - height + 1) for height in range(1, self.history + 1))
        encode = offsets * self.dim * _FILTERS + _VERTICAL * self.history * self.dim
        encode += (_VERTICAL * self.dim + _FILTERS * self.history) * self.dim
        scored = (self.targets + self.negatives + self.k) * 2 * self.dim
        return self.batch * (6.0 * (encode + scored) + 2.0 * self.rank_samples * 2 * self.dim)

    @property
    def rows_bytes(self) -> float:
        """Bytes of a step that touches no row but the batch's, with Adam's two moments.

        A number in such a row is read to be scored, its gradient written and read, and number and moments are read
        and written: 9 passes. Rows that a batch holds twice are counted twice: this is a little more than the floor.
        """
        items = self.targets + self.negatives + self.k
        numbers = self.batch * (self.dim + self.history * self.dim + items * (2 * self.dim + 1)) + self.layers
        sampled = self.rank_samples * (2 * self.dim + 1)
        return _FLOAT * (9.0 * numbers + sampled)

    @property
    def dense_bytes(self) -> float:
        """Bytes where the optimiser goes over all tables, whatever the batch holds.

        A gradient is filled with zeros and read, number and moments are read and written: 8 passes over everything.
        The rows of the batch, a few more, are not counted.
        """
        return _FLOAT * 8.0 * self.parameters


@dataclass(frozen=True, slots=True)
class Rates:
    """What the machine does at best."""

    copy: float
    """Bytes a second, read and written, of a copy that no cache holds."""
    product: float
    """Operations a second of a float32 product of the size of a step's layers."""

    def floor(self, shape: Shape, bytes_moved: float) -> float:
        """Seconds: the longer of computing and moving, as if they overlapped wholly."""
        return max(shape.operations / self.product, bytes_moved / self.copy)


def measured() -> Rates:
    """The best of a few passes."""
    source, target = torch.ones(1 << 26), torch.empty(1 << 26)
    left, right = torch.ones(2048, 1024), torch.ones(1024, 1024)
    copy = _best(lambda: target.copy_(source))
    product = _best(lambda: torch.mm(left, right))
    return Rates(2 * source.numel() * _FLOAT / copy, 2 * 2048 * 1024 * 1024 / product)


def _best(call: Callable[[], object], passes: int = 15) -> float:
    seconds = []
    for _ in range(passes):
        begin = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - begin)
    return statistics.quantiles(seconds, n=10)[0]


SHAPES = {
    "teacher d = 100": Shape(100),
    "student d = 50": Shape(50),
    "distilled d = 50": Shape(50, k=10, rank_samples=100),
}


def main() -> None:
    """Prints rates and floors."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    rates = measured()
    print(f"copy {rates.copy / 1e9:.1f} GB/s read and written, product {rates.product / 1e12:.3f} TFLOP/s float32")
    print(table([{"step": name, **row} for name, shape in SHAPES.items() for row in floors(shape, rates)]))


def floors(shape: Shape, rates: Rates) -> list[dict[str, Any]]:
    """A step that touches the batch's rows alone, and one whose optimiser goes over all tables."""
    ways = {"floor, the batch's rows": shape.rows_bytes, "floor, all rows": shape.dense_bytes}
    return [
        {
            "name": name,
            "ms_a_step": round(1e3 * rates.floor(shape, moved), 3),
            "gflop": round(shape.operations / 1e9, 3),
            "product_ms": round(1e3 * shape.operations / rates.product, 3),
            "megabytes": round(moved / 1e6, 1),
            "copy_ms": round(1e3 * moved / rates.copy, 3),
        }
        for name, moved in ways.items()
    ]


if __name__ == "__main__":
    main()
