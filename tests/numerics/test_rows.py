"""Adam by row against Adam on whole tables, and what reads and scores rows against plain indexing."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from rankdistill.config import Section, TrainConfig
from rankdistill.ranker import Catalogue, Ranker
from rankdistill.rows import products, read_rows, score_rows
from rankdistill.training import optimizers
from rankdistill.training.optimizers import Adam


class Tables(Ranker):
    """Two tables that are read by row, a bias, and a parameter that is not."""

    tables = ("users", "items", "bias")

    class Config(Section):
        kind: Literal["tables"] = "tables"

    def __init__(self, rows: int, dim: int) -> None:
        super().__init__(self.Config(), Catalogue(rows, rows - 1, 1))
        generator = torch.Generator().manual_seed(5)
        self.users = nn.Parameter(torch.randn(rows, dim, generator=generator) / dim)
        self.items = nn.Parameter(torch.randn(rows, dim, generator=generator) / dim)
        self.bias = nn.Parameter(torch.zeros(rows))
        self.scale = nn.Parameter(torch.ones(dim))

    def encode(self, users: Tensor, history: Tensor) -> Tensor:
        return self.read(self.users, users) * self.scale

    def item_table(self) -> tuple[Tensor, Tensor]:
        return self.items, self.bias


def batches(rows: int, steps: int, size: int, seed: int) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Users, items and labels; a few rows come often, most rarely, the last never."""
    generator = np.random.default_rng(seed)
    drawn = []
    for _ in range(steps):
        users = (generator.random(size) ** 3 * (rows - 1)).astype(np.int64)
        items = (generator.random((size, 4)) ** 3 * (rows - 1)).astype(np.int64)
        drawn.append((torch.from_numpy(users), torch.from_numpy(items), torch.from_numpy(generator.random((size, 4)))))
    return drawn


def loss_of(model: Tables, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    users, items, labels = batch
    scores = model.score(model.encode(users, users), items)
    return nn.functional.binary_cross_entropy_with_logits(scores, labels.to(scores))


def trained(
    model: Tables, steps: list[tuple[Tensor, Tensor, Tensor]], optimizer: torch.optim.Adam | Adam
) -> list[float]:
    losses = []
    for batch in steps:
        optimizer.zero_grad()
        loss = loss_of(model, batch)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def trained_by_torch(model: Tables, steps: list[tuple[Tensor, Tensor, Tensor]], config: TrainConfig) -> list[float]:
    parameters = model.parameters()
    return trained(
        model, steps, torch.optim.Adam(parameters, lr=config.learning_rate, weight_decay=config.weight_decay)
    )


def trained_by_row(model: Tables, steps: list[tuple[Tensor, Tensor, Tensor]], config: TrainConfig) -> list[float]:
    optimizer = model.updates = Adam(model, config)
    losses = trained(model, steps, optimizer)
    optimizer.bring_all_up()
    return losses


@pytest.mark.parametrize(("weight_decay", "learning_rate"), [(1e-6, 1e-3), (0.0, 1e-3), (1e-3, 1e-2), (1e-2, 1e-3)])
def test_adam_by_row_moves_a_table_as_adam_on_the_whole_table(
    ways: str, weight_decay: float, learning_rate: float
) -> None:
    config = TrainConfig(weight_decay=weight_decay, learning_rate=learning_rate)
    steps = batches(rows=300, steps=400, size=8, seed=1)
    start, whole, by_row = Tables(300, 12), Tables(300, 12).double(), Tables(300, 12)
    expected, found = trained_by_torch(whole, steps, config), trained_by_row(by_row, steps, config)
    assert found == pytest.approx(expected, rel=1e-3 if weight_decay > 1e-4 else 5e-6)
    for name, parameter in by_row.named_parameters():
        aim = whole.get_parameter(name).detach()
        moved = (aim - start.get_parameter(name).detach()).norm()
        most = 0.03 if name == "bias" else 1e-3  # a bias starts at zero, where a strong decay weighs most
        assert float((parameter.detach() - aim).norm() / moved) < most, name  # never-read rows are among them


class Layers(Ranker):
    """Nothing that is read by row, and a parameter that has no gradient at first."""

    class Config(Section):
        kind: Literal["layers"] = "layers"

    def __init__(self) -> None:
        super().__init__(self.Config(), Catalogue(3, 3, 1))
        torch.manual_seed(2)
        self.first, self.late = nn.Linear(6, 5), nn.Linear(5, 1, bias=False)

    def encode(self, users: Tensor, history: Tensor) -> Tensor:
        hidden: Tensor = self.first(torch.sin(history))
        return hidden

    def loss(self, step: int) -> Tensor:
        history = torch.arange(24.0).view(4, 6) * (step + 1)
        hidden = self.encode(history, history)
        found: Tensor = (self.late(hidden) if step > 1 else hidden).square().mean()
        return found


@pytest.mark.parametrize("stopped_at", [None, 1, 3])
def test_what_is_read_as_a_whole_moves_as_in_torch_to_the_bit(stopped_at: int | None) -> None:
    config, theirs, model = TrainConfig(weight_decay=1e-3), Layers(), Layers()
    plain = torch.optim.Adam(theirs.parameters(), lr=config.learning_rate, weight_decay=1e-3, fused=True)
    ours = Adam(model, config)
    for step in range(6):
        if step == 4:
            plain.param_groups[0]["lr"] = 3e-4
            ours.set_learning_rate(3e-4)
        for each, optimizer in ((theirs, plain), (model, ours)):
            optimizer.zero_grad()
            each.loss(step).backward()
            optimizer.step()
        if step == stopped_at:
            kept = {name: tensor.clone() for name, tensor in ours.state().items()}
            ours = Adam(model, config)
            ours.load(kept)
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, theirs.get_parameter(name)), name


@pytest.mark.parametrize("wrong", ["9/step", "0/other", "items/mean"])
def test_the_state_of_another_optimiser_is_refused(wrong: str) -> None:
    model = Layers()
    optimizer = Adam(model, TrainConfig())
    model.loss(2).backward()
    optimizer.step()
    with pytest.raises(KeyError, match=wrong):
        Adam(model, TrainConfig()).load({**optimizer.state(), wrong: torch.zeros(())})


def test_a_state_that_lacks_something_is_refused() -> None:
    kept = Adam(Layers(), TrainConfig()).state()
    del kept["2/exp_avg"]
    with pytest.raises(KeyError, match="2/exp_avg"):
        Adam(Layers(), TrainConfig()).load(kept)


def test_another_learning_rate_moves_all_as_it_does_in_adam_on_the_whole_table(ways: str) -> None:
    config, start = TrainConfig(weight_decay=1e-4), Tables(60, 4)
    whole, by_row = Tables(60, 4).double(), Tables(60, 4)
    plain = torch.optim.Adam(whole.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    ours = by_row.updates = Adam(by_row, config)
    for seed, rate in enumerate((1e-3, 5e-4, 1e-4)):
        steps = batches(rows=60, steps=40, size=5, seed=seed)
        plain.param_groups[0]["lr"] = rate
        ours.set_learning_rate(rate)
        assert trained(by_row, steps, ours) == pytest.approx(trained(whole, steps, plain), rel=1e-3)
        ours.bring_all_up()
    for name, parameter in by_row.named_parameters():
        aim = whole.get_parameter(name).detach()
        moved = (aim - start.get_parameter(name).detach()).norm()
        assert float((parameter.detach() - aim).norm() / moved) < 1e-3, name


def test_in_a_large_table_a_row_that_is_not_read_stays_as_it_is(ways: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optimizers, "LAZY_FROM", 10)
    model, config = Tables(40, 3), TrainConfig(weight_decay=1e-2)
    start = model.items.detach().clone()
    batch = (torch.tensor([1, 1, 2]), torch.tensor([[3, 4, 3, 5]] * 3), torch.ones(3, 4))
    trained_by_row(model, [batch] * 7, config)
    moved = (model.items.detach() != start).any(1)
    assert moved.nonzero().flatten().tolist() == [3, 4, 5]


def test_adam_by_row_is_adam_where_every_row_is_read_at_every_step_lazy_or_not(
    ways: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = torch.arange(6)
    steps = [(rows, rows.view(1, -1).repeat(6, 1), torch.rand(6, 6)) for _ in range(30)]
    for limit in (1, 1_000):
        monkeypatch.setattr(optimizers, "LAZY_FROM", limit)
        whole, by_row, config = Tables(6, 5).double(), Tables(6, 5), TrainConfig(weight_decay=1e-2, learning_rate=0.01)
        trained_by_torch(whole, steps, config)
        trained_by_row(by_row, steps, config)
        for name, parameter in by_row.named_parameters():
            torch.testing.assert_close(
                parameter.detach().double(), whole.get_parameter(name).detach(), rtol=1e-4, atol=1e-6
            )


def test_an_optimizer_that_is_taken_up_again_goes_on_to_the_same_bits(ways: str) -> None:
    config, steps = TrainConfig(weight_decay=1e-3), batches(60, 40, 5, seed=2)
    through, stopped = Tables(60, 4), Tables(60, 4)
    first = Adam(through, config)
    through.updates = first
    halves = {}
    for number, batch in enumerate(steps):
        if number == 20:
            halves = {name: tensor.clone() for name, tensor in first.state().items()}
            stopped.load_state_dict(through.state_dict())
        first.zero_grad()
        loss_of(through, batch).backward()
        first.step()
    second = Adam(stopped, config)
    second.load(halves)
    stopped.updates = second
    for batch in steps[20:]:
        second.zero_grad()
        loss_of(stopped, batch).backward()
        second.step()
    first.bring_all_up()
    second.bring_all_up()
    for name, parameter in through.named_parameters():
        assert torch.equal(parameter, stopped.get_parameter(name)), name


def test_a_table_that_is_read_twice_in_a_step_takes_one_step(ways: str) -> None:
    whole, by_row, config = Tables(9, 4).double(), Tables(9, 4), TrainConfig()
    rows, others = torch.tensor([1, 2, 2]), torch.tensor([[2, 3], [3, 3]])

    def loss(model: Tables) -> Tensor:
        queries = model.read(model.items, rows)[:2] * model.scale
        return (model.score(queries, others) ** 2).sum()

    plain, ours = torch.optim.Adam(whole.parameters(), lr=1e-3, weight_decay=1e-6), Adam(by_row, config)
    by_row.updates = ours
    for _ in range(3):
        for model, optimizer in ((whole, plain), (by_row, ours)):
            optimizer.zero_grad()
            loss(model).backward()
            optimizer.step()
    ours.bring_all_up()
    torch.testing.assert_close(by_row.items.detach().double(), whole.items.detach(), rtol=1e-5, atol=1e-7)


def test_a_table_that_is_read_as_a_whole_moves_as_a_whole(ways: str) -> None:
    whole, by_row, config = Tables(30, 4).double(), Tables(30, 4), TrainConfig(weight_decay=1e-3)
    plain = torch.optim.Adam(whole.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    ours = Adam(by_row, config)
    by_row.updates = ours
    for number, batch in enumerate(batches(30, 40, 3, seed=4)):
        for model, optimizer in ((whole, plain), (by_row, ours)):
            optimizer.zero_grad()
            loss = loss_of(model, batch)
            if number % 3 == 2:
                loss = loss + model.score(model.encode(batch[0], batch[0])).logsumexp(1).mean()
            if number % 3 == 1:  # first the whole, then rows of it
                loss = model.score(model.encode(batch[0], batch[0])).logsumexp(1).mean() + loss_of(model, batch)
            loss.backward()
            optimizer.step()
    ours.bring_all_up()
    for name, parameter in by_row.named_parameters():
        aim = whole.get_parameter(name).detach()
        torch.testing.assert_close(parameter.detach().double(), aim, rtol=1e-3, atol=1e-5, msg=name)


def test_a_row_that_is_not_there_is_refused_and_indices_may_be_of_any_kind(ways: str) -> None:
    model = Tables(9, 4)
    model.updates = Adam(model, TrainConfig())
    for rows in (torch.tensor([1, 9]), torch.tensor([-1])):
        with pytest.raises(IndexError, match="of a table of 9 rows"):
            model.read(model.items, rows)
    with pytest.raises(IndexError):
        model.score(torch.ones(1, 4), torch.tensor([[3, 99]]))
    assert torch.equal(model.read(model.items, torch.tensor([1, 8], dtype=torch.int32)), model.items[[1, 8]])


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_tables_of_other_types_learn_as_a_whole(ways: str, dtype: torch.dtype) -> None:
    model = Tables(9, 4).to(dtype)
    start = model.items.detach().clone()
    losses = trained_by_row(model, batches(9, 5, 3, seed=0), TrainConfig(learning_rate=0.05))
    assert np.isfinite(losses).all()
    assert not torch.equal(start, model.items)


def test_a_part_of_a_table_cannot_be_read(ways: str) -> None:
    model = Tables(9, 4)
    model.updates = Adam(model, TrainConfig())
    with pytest.raises(ValueError, match="a part of a table"):
        model.read(model.items[:, :2], torch.tensor([1]))


@given(st.integers(1, 40), st.integers(1, 6), st.integers(0, 5), st.integers(0, 1 << 16))
def test_rows_are_read_and_scored_as_by_indexing(ways: str, dim: int, batch: int, width: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    model = Tables(11, dim)
    optimizer = Adam(model, TrainConfig())
    rows = torch.randint(0, 11, (batch, width), generator=generator)
    queries = torch.randn(batch, dim, generator=generator, requires_grad=True)
    scores = score_rows(queries, model.items, model.bias, rows, optimizer)
    plain = score_rows(queries, model.items, model.bias, rows, None)
    torch.testing.assert_close(scores, plain)
    weights = torch.randn(scores.shape, generator=generator)
    (found,), (expected,) = (
        torch.autograd.grad((each * weights).sum(), queries, allow_unused=True) for each in (scores, plain)
    )
    torch.testing.assert_close(found, expected)
    assert torch.equal(read_rows(model.items, rows, optimizer), model.items[rows])


@pytest.mark.usefixtures("ways")
def test_rows_that_nobody_learns_are_scored_as_they_are_with_gradient() -> None:
    numbers = torch.Generator().manual_seed(3)
    table, queries, bias = torch.randn(40, 14, generator=numbers), torch.randn(6, 7, generator=numbers), torch.ones(40)
    rows = torch.randint(0, 40, (9, 6), generator=numbers).T  # nothing here is contiguous but the bias
    vectors = table[:, ::2]
    wanted = torch.einsum("bd,bnd->bn", queries.double(), vectors.double()[rows]) + 1
    with torch.no_grad():
        torch.testing.assert_close(
            score_rows(queries, vectors, bias, rows, None).double(), wanted, rtol=1e-5, atol=1e-6
        )
    torch.testing.assert_close(score_rows(queries, vectors, bias, rows, None).double(), wanted, rtol=1e-5, atol=1e-6)


def test_gradients_of_several_reads_are_those_of_each_row_by_itself() -> None:
    numbers = torch.Generator().manual_seed(4)
    table, vectors = torch.zeros(9, 3), torch.randn(2, 3, generator=numbers)
    scored = optimizers._Gradients(table, torch.tensor([1, 2, 2, 3, 1, 4]), vectors, torch.arange(6.0))
    read = optimizers._Gradients(table, torch.tensor([5, 1]), torch.randn(2, 3, generator=numbers), None)
    together = optimizers._Gradients.together([scored, read])
    assert together.rows.tolist() == [1, 2, 2, 3, 1, 4, 5, 1]
    assert len(together.vectors) == 4
    assert torch.equal(together.expanded(), torch.cat([scored.expanded(), read.expanded()]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("queries", "vectors"), [(200, 6001), (128, 8192), (130, 9000), (3, 40)])
def test_scores_of_all_vectors_and_their_gradients(queries: int, vectors: int, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(1)
    shapes = ((queries, 7), (vectors, 7), (vectors,))
    given = [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]
    mine = [each.to(dtype).requires_grad_() for each in given]
    exact = [each.requires_grad_() for each in given]
    weights = torch.randn(queries, vectors, generator=generator, dtype=torch.float64)
    scores = products(mine[0], mine[1], mine[2])
    wanted = exact[0] @ exact[1].T + exact[2]
    (scores * weights.to(dtype)).sum().backward()
    (wanted * weights).sum().backward()
    close = {"rtol": 1e-4, "atol": 2e-3} if dtype == torch.float32 else {"rtol": 1e-10, "atol": 1e-10}
    torch.testing.assert_close(scores, wanted.to(dtype), **close)
    for each, other in zip(mine, exact, strict=True):
        assert each.grad is not None
        assert other.grad is not None
        torch.testing.assert_close(each.grad, other.grad.to(dtype), **close)
    assert products(mine[0].detach(), mine[1], mine[2].detach()).requires_grad
    with torch.inference_mode():
        torch.testing.assert_close(products(mine[0], mine[1], mine[2]), scores.detach())
