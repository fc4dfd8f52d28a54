"""The probability of an order above a tail, against sums in logarithms and in exact arithmetic's place, `math.fsum`."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from rankdistill.listwise import relaxed_ranking_loss


def naive(head: list[float], tail: list[float], hidden: list[bool]) -> float:
    """Term by term, hidden items left out."""
    left = [score for score, out in zip(head, hidden, strict=True) if not out]
    terms = []
    for place, score in enumerate(left):
        below = [*left[place:], *tail]
        top = max(below)
        terms.append(top + math.log(math.fsum(math.exp(each - top) for each in below)) - score)
    return math.fsum(terms)


def drawn(*shape: int, seed: int, spread: float = 1.0) -> Tensor:
    return spread * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("spread", [1.0, 30.0, 300.0])
@pytest.mark.parametrize("tail", [0, 1, 7])
def test_the_loss_of_an_order_is_that_of_its_terms(spread: float, tail: int) -> None:
    head, below = drawn(6, 9, seed=1, spread=spread), drawn(6, tail, seed=2, spread=spread)
    hidden = drawn(6, 9, seed=3) > 0.5
    for out in (torch.zeros_like(hidden), hidden):
        rows = zip(head.tolist(), below.tolist(), out.tolist(), strict=True)
        wanted = torch.tensor([naive(*row) for row in rows], dtype=torch.float64)
        torch.testing.assert_close(relaxed_ranking_loss(head, below, out), wanted, rtol=1e-9, atol=1e-9)
        single = relaxed_ranking_loss(head.float(), below.float(), out)
        assert single.dtype == torch.float32
        torch.testing.assert_close(single.double(), wanted, rtol=1e-4, atol=1e-4)


def test_several_orders_of_a_query_share_its_tail() -> None:
    heads, tail = drawn(4, 3, 5, seed=1), drawn(4, 6, seed=2)
    apart = [relaxed_ranking_loss(heads[:, number], tail) for number in range(3)]
    torch.testing.assert_close(relaxed_ranking_loss(heads, tail), torch.stack(apart, dim=1))


@pytest.mark.parametrize("tail", [0, 4])
@pytest.mark.parametrize("hides", [False, True])
def test_the_gradient_is_that_of_small_steps(tail: int, hides: bool) -> None:
    head, below = drawn(3, 2, 5, seed=1).requires_grad_(), drawn(3, tail, seed=2).requires_grad_()
    hidden = drawn(3, 2, 5, seed=3) > 0.5 if hides else None
    assert torch.autograd.gradcheck(lambda *given: relaxed_ranking_loss(*given, hidden), (head, below))


def test_scores_further_apart_than_numbers_reach_pull_up_what_is_too_low() -> None:
    head = torch.tensor([[0.0, -5000.0, 2000.0], [3.0, -4000.0, -9000.0]], requires_grad=True)
    loss = relaxed_ranking_loss(head, torch.zeros(2, 1))
    loss.sum().backward()
    assert head.grad is not None
    assert torch.isfinite(loss).all()
    assert torch.isfinite(head.grad).all()
    torch.testing.assert_close(loss[0], torch.tensor(2000.0 + 7000.0))
    assert (head.grad[:, 1] < 0).all()
