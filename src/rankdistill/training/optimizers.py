"""Adam, row by row where a step touches few rows of a large table."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rankdistill import native
from rankdistill.config import TrainConfig
from rankdistill.ranker import Ranker
from rankdistill.training.dense import BETA1, BETA2, EPSILON, DenseAdam

logger = logging.getLogger(__name__)

LAZY_FROM = 200_000
"""Rows of a table from which on a row that is not touched is not moved; below, it moves as in any Adam."""


class Adam:
    """Adam with weight decay added to the gradient (Kingma & Ba, 2015), as in `torch.optim.Adam`.

    What a model reads by row (`Ranker.read_by_row`) costs as much as the rows that were read. Up to `LAZY_FROM` rows,
    the result is that of the ordinary Adam, which moves every row at every step by its momentum and its weight
    decay: a row that was not read makes up for what it has missed when it is read next, or at `bring_all_up`. In larger
    tables a row stays as it is until it is read ("lazy" Adam), for it would have missed too much.

    Args:
        model: what to optimise.
        config: learning rate and weight decay.
    """

    def __init__(self, model: Ranker, config: TrainConfig) -> None:
        self.steps = 0
        self._constants = torch.tensor([BETA1, BETA2, config.weight_decay])
        self._learning_rate = config.learning_rate
        self._rates = self._epsilons = torch.zeros(1)
        parameters = {name: each for name, each in model.named_parameters() if each.requires_grad}
        self._names = [name for name in parameters if name in model.read_by_row and _by_row(parameters[name])]
        self._parameters = [parameters[name] for name in self._names]
        self._tables = {each.data_ptr(): _Table.of(each.detach()) for each in self._parameters}
        others = [each for name, each in parameters.items() if name not in self._names]
        if lazy := [name for name, each in zip(self._names, self._parameters, strict=True) if len(each) >= LAZY_FROM]:
            logger.info("%s: rows that a step does not read stay as they are (lazy Adam)", ", ".join(lazy))
        self._whole = DenseAdam(others, config.weight_decay)
        self._collected: list[_Gradients] = []
        self._extend()

    def holds(self, table: Tensor) -> bool:
        """See `RowUpdates`.

        Raises:
            ValueError: this is a part of such a table, whose rows may be behind.
        """
        state = self._tables.get(table.data_ptr())
        if state is not None and state.values.shape != table.shape:
            raise ValueError(
                "a part of a table is read that the model names in `tables`; read whole rows, or do not name it"
            )
        return state is not None

    def bring_up(self, table: Tensor, rows: Tensor | None) -> None:
        """See `RowUpdates`."""
        state = self._tables[table.data_ptr()]
        if state.last is None or not self.steps:
            return
        rows = None if rows is None else rows.flatten()
        if native.has_kernels(state.values):
            which = (0, len(state.last)) if rows is None else (rows, len(rows))
            native.call("bring_rows_up", state.structure, self._adam, *which, self.steps)
        else:
            every = torch.arange(len(state.last), device=state.last.device)
            self._bring_up(state, every if rows is None else torch.unique(rows))

    def bring_all_up(self) -> None:
        """Brings every row of every table up to date: before the model is used for anything but training."""
        for state in self._tables.values():
            self.bring_up(state.values, None)

    def collect(self, table: Tensor, rows: Tensor, vectors: Tensor, scales: Tensor | None = None) -> None:
        """See `RowUpdates`."""
        self._collected.append(_Gradients(table, rows.contiguous(), vectors.contiguous(), scales))

    def set_learning_rate(self, learning_rate: float) -> None:
        """The step size of the steps to come; all rows have to be up to date (`bring_all_up`)."""
        if learning_rate != self._learning_rate:
            self._learning_rate, self._rates = learning_rate, torch.zeros(1)
            self._extend()

    def zero_grad(self) -> None:
        """Forgets all gradients."""
        self._collected.clear()
        for table in self._parameters:
            table.grad = None
        self._whole.zero_grad()

    @torch.no_grad()
    def step(self) -> None:
        """One step with the gradients there are."""
        self._extend()
        self._collect_whole()
        self.steps += 1
        self._whole.step(self._learning_rate)
        for state, gradients in self._gradients():
            rows, vectors, scales = gradients.rows, gradients.vectors, gradients.scales
            if native.has_kernels(state.values):
                optional = (0 if each is None else each for each in (scales, gradients.sources))
                given = (rows, len(rows), vectors, *optional, gradients.width)
                native.call("step_rows", state.structure, self._adam, *given, self.steps)
            else:
                self._step(state, rows, gradients.expanded())
        self._collected.clear()

    def _collect_whole(self) -> None:
        """Takes the gradients of tables that were read as a whole, as a softmax over all items does."""
        for table in self._parameters:
            if table.grad is not None:
                self.bring_up(table, None)
                self.collect(
                    table.detach(), torch.arange(len(table), device=table.device), table.grad.view(len(table), -1)
                )

    def _gradients(self) -> Iterator[tuple[_Table, _Gradients]]:
        """What was collected, once for each table: all gradients of a row make one step."""
        for pointer, state in self._tables.items():
            found = [each for each in self._collected if each.table.data_ptr() == pointer]
            if found:
                yield state, found[0] if len(found) == 1 else _Gradients.together(found)

    def _extend(self) -> None:
        """The rates of the steps to come."""
        if self.steps + 1 < len(self._rates):
            return
        steps = torch.arange(2 * self.steps + 1024, dtype=torch.float64)
        slow = torch.sqrt(1 - BETA2**steps)
        self._rates = (self._learning_rate * slow / (1 - BETA1**steps).clamp_min(1e-300)).float()
        self._epsilons = (EPSILON * slow).float()
        self._adam = _Settings(self._constants, self._rates, self._epsilons)

    def _step(self, state: _Table, rows: Tensor, gradients: Tensor) -> None:
        """What the kernel does, by torch."""
        touched, place = torch.unique(rows, return_inverse=True)
        gradient = torch.zeros(len(touched), state.dim, device=rows.device).index_add_(0, place, gradients)
        value, mean, square = (each.view(-1, state.dim)[touched] for each in (state.values, state.mean, state.square))
        state.write(touched, *self._moved(value, mean, square, gradient, self.steps))
        if state.last is not None:
            state.last[touched] = self.steps

    def _moved(
        self, value: Tensor, mean: Tensor, square: Tensor, gradient: Tensor, step: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        beta1, beta2, decay = self._constants.tolist()
        gradient = gradient + decay * value
        mean = mean + (1 - beta1) * (gradient - mean)
        square = beta2 * square + (1 - beta2) * gradient * gradient
        rate, epsilon = float(self._rates[step]), float(self._epsilons[step])
        return value - rate * mean / (square.sqrt() + epsilon), mean, square

    def _bring_up(self, state: _Table, rows: Tensor) -> None:
        """The missed steps of rows [n], by torch: one by one, for those that still miss some."""
        assert state.last is not None
        rows = rows[state.last[rows] < self.steps]
        if not len(rows):
            return  # nothing is written, for what was read before may wait for its gradient
        value, mean, square = (each.view(-1, state.dim)[rows] for each in (state.values, state.mean, state.square))
        last = state.last[rows]
        for step in range(int(last.min()) + 1, self.steps + 1):
            behind = (last < step).unsqueeze(1)
            moved = self._moved(value, mean, square, torch.zeros_like(value), step)
            value, mean, square = (
                torch.where(behind, new, old) for new, old in zip(moved, (value, mean, square), strict=True)
            )
        state.write(rows, value, mean, square)
        state.last[rows] = self.steps

    def state(self) -> dict[str, Tensor]:
        """All that a resumed training needs beside the model, by name; brings all rows up to date."""
        self.bring_all_up()
        tensors = {"steps": torch.tensor(self.steps)}
        for name, table in zip(self._names, self._tables.values(), strict=True):
            tensors |= {f"{name}/mean": table.mean, f"{name}/square": table.square}
        return tensors | self._whole.state()

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Takes up what `state` gave, after the model has taken up its numbers.

        Raises:
            KeyError: it is the state of another optimiser.
        """
        tensors = dict(tensors)
        self.steps = int(tensors.pop("steps"))
        for name, table in zip(self._names, self._tables.values(), strict=True):
            table.mean.copy_(tensors.pop(f"{name}/mean"))
            table.square.copy_(tensors.pop(f"{name}/square"))
            if table.last is not None:
                table.last.fill_(self.steps)
        self._whole.load(tensors)
        self._extend()


def _by_row(parameter: nn.Parameter) -> bool:
    """Whether a parameter is such a table as the kernels work on; any other learns as a whole."""
    return parameter.dtype == torch.float32 and parameter.is_contiguous() and parameter.dim() in (1, 2)


class _Structure(native.Structure):
    _fields_ = native.fields(["rows", "dim"], ["values", "mean", "square", "last", "chains"])


class _Settings(native.Structure):
    _fields_ = native.fields([], ["constants", "rate", "epsilon"])


@dataclass(frozen=True, slots=True, eq=False)
class _Table:
    """A table and the state of its rows; `last` is None where no step is made up for."""

    values: Tensor
    mean: Tensor
    square: Tensor
    last: Tensor | None
    structure: _Structure

    @classmethod
    def of(cls, values: Tensor) -> _Table:
        rows = len(values)
        mean, square = torch.zeros_like(values), torch.zeros_like(values)
        last = torch.zeros(rows, dtype=torch.int32, device=values.device) if rows < LAZY_FROM else None
        chains = torch.full((rows,), -1, dtype=torch.int32, device=values.device)
        made_up = 0 if last is None else last
        structure = _Structure(rows, values.numel() // rows, values, mean, square, made_up, chains)
        return cls(values, mean, square, last, structure)

    @property
    def dim(self) -> int:
        return self.values.numel() // len(self.values)

    def write(self, rows: Tensor, value: Tensor, mean: Tensor, square: Tensor) -> None:
        for whole, part in ((self.values, value), (self.mean, mean), (self.square, square)):
            whole.view(-1, self.dim)[rows] = part


@dataclass(frozen=True, slots=True, eq=False)
class _Gradients:
    """Gradients of rows [n] of a table: vectors [n / w, D], each times `w` of the scales [n] where there are scales.

    With sources [n], there are vectors [m, D], and the source of a row is the number of its vector.
    """

    table: Tensor
    rows: Tensor
    vectors: Tensor
    scales: Tensor | None
    sources: Tensor | None = None

    @classmethod
    def together(cls, parts: Sequence[_Gradients]) -> _Gradients:
        """Several of one table as one, without writing down a gradient for each row."""
        rows, vectors = (torch.cat([getattr(each, name) for each in parts]) for name in ("rows", "vectors"))
        scales = [
            torch.ones_like(each.rows, dtype=vectors.dtype) if each.scales is None else each.scales for each in parts
        ]
        sources, before = [], 0
        for each in parts:
            numbers = torch.arange(before, before + len(each.vectors), device=rows.device)
            sources.append(numbers.repeat_interleave(each.width))
            before += len(each.vectors)
        return cls(parts[0].table, rows, vectors, torch.cat(scales), torch.cat(sources))

    @property
    def width(self) -> int:
        return len(self.rows) // max(1, len(self.vectors))

    def expanded(self) -> Tensor:
        """Gradients [n, D]."""
        if self.scales is None:
            return self.vectors
        if self.sources is not None:
            return self.scales.unsqueeze(1) * self.vectors[self.sources]
        return (self.scales.view(len(self.vectors), -1, 1) * self.vectors.unsqueeze(1)).flatten(0, 1)
