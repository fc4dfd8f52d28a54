"""Each kind of table against plain loops in float64."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import rankdistill as rd
from rankdistill.config import TrainConfig
from rankdistill.data.sequences import Sequences
from rankdistill.models.matrix_factorization import MatrixFactorization
from rankdistill.ranker import Catalogue, Ranker
from rankdistill.tables import Table, TableConfig, table_of, whole
from rankdistill.tables.hashed import Hashed, bucket
from rankdistill.tables.low_rank import LowRank
from rankdistill.tables.product_quantised import ProductQuantised, codes_of
from rankdistill.training.optimizers import Adam

ROWS, DIM = 31, 6
KINDS: dict[str, dict[str, Any]] = {
    "low_rank": {"rank": 2},
    "hashed": {"buckets": 7, "hashes": 3},
    "product_quantised": {"parts": 3},
}
each_kind = pytest.mark.parametrize("kind", KINDS)


def options(kind: str) -> TableConfig:
    return TableConfig(dim=DIM, item_table=kind, **KINDS[kind])


def histories(rows: int = ROWS, users: int = 40, seed: int = 0) -> Sequences:
    generator = np.random.default_rng(seed)
    lengths = generator.integers(1, 9, users)
    items = (generator.random(lengths.sum()) ** 2 * (rows - 2)).astype(np.int32) + 1  # the last one never
    return Sequences.from_pairs(np.repeat(np.arange(users), lengths), items, users)


def table(kind: str) -> Table:
    torch.manual_seed(0)
    made = table_of(options(kind), ROWS, DIM)
    assert isinstance(made, Table)
    made.prepare(histories())
    return made.double()


def plain(made: Table, row: int) -> list[float]:
    """The vector of a row, number by number."""
    if isinstance(made, LowRank):
        factors, matrix = made.factors.tolist(), made.matrix.tolist()
        return [sum(factors[row][r] * matrix[r][d] for r in range(2)) for d in range(DIM)]
    if isinstance(made, Hashed):
        chosen = [int(bucket(torch.tensor(row), number, 7)) for number in range(3)]
        vectors, importance = made.vectors.tolist(), made.importance.tolist()[row]
        return [sum(importance[j] * vectors[chosen[j]][d] for j in range(3)) for d in range(DIM)]
    assert isinstance(made, ProductQuantised)
    codes, centroids = made.get_buffer("codes").tolist()[row], made.centroids.tolist()
    return [number for part in range(3) for number in centroids[part * 256 + codes[part]]]


@each_kind
def test_vectors_and_scores_are_those_of_plain_loops(kind: str) -> None:
    made, generator = table(kind), torch.Generator().manual_seed(1)
    for parameter in made.parameters():
        nn.init.normal_(parameter, generator=generator)
    vectors = torch.tensor([plain(made, row) for row in range(ROWS)], dtype=torch.float64)
    torch.testing.assert_close(made.whole(), vectors, rtol=0, atol=1e-12)
    rows = torch.tensor([[0, 30, 4], [4, 4, 17]])
    torch.testing.assert_close(made.read(rows), vectors[rows], rtol=0, atol=1e-12)
    queries, bias = torch.randn(2, DIM).double(), torch.randn(ROWS).double()
    for items in (None, torch.tensor([3, 3, 0]), rows):
        expected = [
            [float(vectors[item] @ query + bias[item]) for item in asked]
            for query, asked in zip(queries, _each(items), strict=True)
        ]
        scores = made.score(queries, bias, items, None)
        torch.testing.assert_close(scores, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-12)


def _each(items: Tensor | None) -> list[list[int]]:
    if items is None:
        return [list(range(ROWS))] * 2
    return items.tolist() if items.dim() == 2 else [items.tolist()] * 2


@each_kind
def test_gradients_are_right(kind: str) -> None:
    made = table(kind)
    names = [name for name, _ in made.named_parameters()]
    queries, bias = torch.randn(2, DIM).double().requires_grad_(), torch.zeros(ROWS).double().requires_grad_()
    rows = torch.tensor([[0, 3, 4], [4, 4, 17]])

    def scores(queries: Tensor, bias: Tensor, *parameters: Tensor) -> Tensor:
        state = dict(zip(names, parameters, strict=True))
        read = torch.func.functional_call(_Scores(made), {f"table.{name}": each for name, each in state.items()}, rows)
        return torch.einsum("bnd,bd->bn", read, queries) + bias[rows]

    assert torch.autograd.gradcheck(scores, (queries, bias, *made.parameters()))


class _Scores(nn.Module):
    def __init__(self, made: Table) -> None:
        super().__init__()
        self.table = made

    def forward(self, rows: Tensor) -> Tensor:
        return self.table.read(rows)


@pytest.mark.parametrize(
    ("kind", "numbers"),
    [
        ("low_rank", ROWS * 2 + 2 * DIM),
        ("hashed", 7 * DIM + 3 * ROWS),
        ("product_quantised", 256 * DIM),
    ],
)
def test_a_table_has_as_many_numbers_as_its_docstring_says(kind: str, numbers: int) -> None:
    assert sum(parameter.numel() for parameter in table(kind).parameters()) == numbers


@each_kind
def test_vectors_start_about_as_large_as_those_of_a_full_table(kind: str) -> None:
    torch.manual_seed(0)
    wide = {"low_rank": {"rank": 12}, "hashed": {"buckets": 900, "hashes": 2}, "product_quantised": {"parts": 6}}
    made = table_of(TableConfig(dim=48, item_table=kind, **wide[kind]), 4_000, 48)
    assert isinstance(made, Table)
    made.prepare(histories(4_000, 3_000))
    vectors = made.whole()
    assert vectors.std().item() == pytest.approx(1 / 48, rel=0.1)
    assert vectors.mean().item() == pytest.approx(0, abs=1e-3)
    full = table_of(TableConfig(dim=48), 4_000, 48)
    assert isinstance(full, nn.Parameter)
    assert whole(full) is full


def test_hashes_are_the_same_everywhere_and_spread_evenly() -> None:
    rows = torch.arange(10_000)
    first, second = (bucket(rows, number, 500) for number in (0, 1))
    assert first[:6].tolist() == FIRST
    for chosen in (first, second):
        assert 0 <= int(chosen.min()) <= int(chosen.max()) < 500
        counts = chosen.bincount(minlength=500)
        assert int(counts.min()) > 0
        assert int(counts.max()) < 45
    pairs = torch.stack([first, second], 1).unique(dim=0)
    assert len(pairs) > 9_500  # two items seldom share both
    prime = (1 << 31) - 1
    large = torch.tensor([prime - 1, prime - 2, 1 << 24])
    for number in range(4):
        a = int(bucket(torch.tensor(1), number, prime)) - int(bucket(torch.tensor(0), number, prime))
        b = int(bucket(torch.tensor(0), number, prime))
        expected = [(a * row + b) % prime % 977 for row in large.tolist()]  # of whole numbers of any size
        assert bucket(large, number, 977).tolist() == expected


FIRST = [412, 95, 278, 461, 291, 474]


def test_codes_are_quantiles_of_the_truncated_svd() -> None:
    rows, parts, train = 700, 4, histories(700, 900)
    codes = codes_of(train, rows, parts)
    matrix = np.zeros((900, rows))
    matrix[train.users, train.items] = 1
    _, _, vectors = np.linalg.svd(matrix, full_matrices=False)
    assert codes.shape == (rows, parts)
    assert codes.dtype == np.uint8
    for part in range(parts):
        component = vectors[part] / vectors[part][np.abs(vectors[part]).argmax()]
        order = sorted(range(rows), key=lambda row: round(float(component[row]), 9))
        expected = np.empty(rows, dtype=int)
        for place, row in enumerate(order):
            expected[row] = math.floor(place * 256 / rows)
        np.testing.assert_array_equal(codes[:, part], expected)
        assert np.bincount(codes[:, part]).max() <= -(-rows // 256)
    np.testing.assert_array_equal(codes, codes_of(train, rows, parts))


def test_items_that_the_same_users_have_share_more_codes_than_others() -> None:
    groups = np.random.default_rng(0).integers(0, 10, 600)
    users = np.repeat(np.arange(600), 8)
    items = (groups[users] * 60 + np.random.default_rng(1).integers(0, 60, len(users)) + 1).astype(np.int32)
    codes = codes_of(Sequences.from_pairs(users, items, 600), 601, 8)[1:].astype(int).reshape(10, 60, 8)
    within = np.abs(codes[:, 0] - codes[:, 1]).mean()
    across = np.abs(codes[:-1, 0] - codes[1:, 0]).mean()
    assert within < 0.8 * across


@pytest.mark.parametrize("rows", [3, 5, 6])
def test_a_catalogue_smaller_than_the_parts_has_codes(rows: int) -> None:
    codes = codes_of(histories(rows, 4), rows, 6)
    assert codes.shape == (rows, 6)
    for part in range(3 if rows > 3 else 1):
        assert len(set(codes[:, part].tolist())) == rows


def test_tables_of_the_same_items_keep_their_codes_once() -> None:
    config = rd.Caser.Config(dim=12, item_table="product_quantised", parts=4)
    model = rd.Caser(config, Catalogue(5, 30, 4))
    model.prepare(histories())
    assert [name for name in model.state_dict() if name.endswith("codes")] == ["history_vectors.codes"]
    codes = model.state_dict()["history_vectors.codes"]
    assert torch.equal(codes, torch.from_numpy(codes_of(histories(), 31, 4)))
    items = torch.arange(31)
    for vectors, dim in ((model.history_vectors, 12), (model.item_vectors, 24)):
        assert isinstance(vectors, ProductQuantised)
        expected = vectors.centroids.view(4, 256, dim // 4)[torch.arange(4), codes.long()].flatten(1)
        assert torch.equal(vectors.read(items), expected)


@each_kind
def test_a_training_reads_rows_and_the_whole_as_torchs_adam_does(kind: str, ways: str) -> None:
    torch.manual_seed(0)
    config = MatrixFactorization.Config(dim=DIM, item_table=kind, **KINDS[kind])
    by_row, whole_one = (MatrixFactorization(config, Catalogue(40, ROWS - 1, 1)) for _ in range(2))
    by_row.prepare(histories())
    whole_one.load_state_dict(by_row.state_dict())
    whole_one.double()
    start = {name: parameter.detach().clone() for name, parameter in by_row.named_parameters()}
    train = TrainConfig(weight_decay=1e-4)
    ours = Adam(by_row, train)
    by_row.updates = ours
    plain_adam = torch.optim.Adam(whole_one.parameters(), lr=train.learning_rate, weight_decay=train.weight_decay)
    generator = torch.Generator().manual_seed(3)
    for number in range(40):
        users = torch.randint(0, 40, (5,), generator=generator)
        items = torch.randint(0, ROWS, (5, 3), generator=generator)
        for model, optimizer in ((by_row, ours), (whole_one, plain_adam)):
            optimizer.zero_grad()
            _loss(model, users, items, number).backward()
            optimizer.step()
    ours.bring_all_up()
    assert {name for name, _ in by_row.named_parameters()} >= by_row.read_by_row
    for name, parameter in by_row.named_parameters():
        aim = whole_one.get_parameter(name).detach()
        moved = (aim - start[name]).norm()
        assert moved > 0, name
        assert (parameter.detach().double() - aim).norm() < 2e-3 * moved, name


def _loss(model: Ranker, users: Tensor, items: Tensor, number: int) -> Tensor:
    queries = model.encode(users, items)
    if number % 3 == 0:  # rows alone
        return (model.score(queries, items) - 1).square().mean()
    if number % 3 == 1:  # the whole, then rows of it
        return model.score(queries).logsumexp(1).mean() - model.score(queries, items).mean()
    return (model.score(queries, items[0]) - 1).square().mean()


@pytest.mark.parametrize(("dim", "rank", "parts"), [(50, 10, 5), (64, 12, 8), (100, 20, 10), (7, 1, 1), (1, 1, 1)])
def test_what_is_left_out_follows_the_vectors_length_and_the_number_of_items(dim: int, rank: int, parts: int) -> None:
    catalogue = Catalogue(5, 999, 1)
    tables = [
        MatrixFactorization(MatrixFactorization.Config(dim=dim, item_table=kind), catalogue).item_vectors
        for kind in ("low_rank", "hashed", "product_quantised")
    ]
    low_rank, hashed, quantised = tables
    assert isinstance(low_rank, LowRank)
    assert low_rank.factors.shape == (1000, rank)
    assert isinstance(hashed, Hashed)
    assert hashed.vectors.shape == (100, dim)
    assert hashed.importance.shape == (1000, 2)
    assert isinstance(quantised, ProductQuantised)
    assert quantised.get_buffer("codes").shape == (1000, parts)


@each_kind
def test_a_training_step_costs_the_same_whatever_the_catalogue(kind: str) -> None:
    """No tensor of a step is as long as the catalogue, but for the tables themselves."""
    rows = 50_000
    config = MatrixFactorization.Config(dim=8, item_table=kind, **{**KINDS[kind], **_parts(kind)})
    model = MatrixFactorization(config, Catalogue(10, rows - 1, 1))
    optimizer = Adam(model, TrainConfig())
    model.updates = optimizer
    with _Largest() as largest:
        scores = model.score(model.encode(torch.arange(4), torch.zeros(4, 1).long()), torch.arange(12).view(4, 3))
        optimizer.zero_grad()
        scores.sum().backward()
        optimizer.step()
    assert largest.numbers < 10_000


def _parts(kind: str) -> dict[str, int]:
    return {"parts": 4} if kind == "product_quantised" else {}


class _Largest(torch.utils._python_dispatch.TorchDispatchMode):  # type: ignore[misc]
    """Notes the most numbers that any operation has made."""

    numbers = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if all(each.alias_info is None for each in func._schema.returns):  # no view of a table
            made = result if isinstance(result, tuple | list) else (result,)
            self.numbers = max([self.numbers, *(each.numel() for each in made if isinstance(each, Tensor))])
        return result


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rank": 3}, "3 is for item_table = 'low_rank', which is 'full'; drop rank, or change the table"),
        (
            {"item_table": "low_rank", "rank": 3, "parts": 5},
            "5 is for item_table = 'product_quantised', which is 'low_rank'; drop parts, or change the table",
        ),
        (
            {"item_table": "product_quantised", "parts": 5, "hashes": 2},
            "2 is for item_table = 'hashed', which is 'product_quantised'; drop hashes, or change the table",
        ),
        ({"item_table": "product_quantised", "parts": 7}, "7 does not divide dim = 50"),
        ({"item_table": "low_rank", "rank": 50}, "50 is not below dim = 50"),
    ],
)
def test_options_that_do_not_go_together_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match="1 validation error") as caught:
        MatrixFactorization.Config(**given)
    assert f"Value error, {message} [" in str(caught.value)
