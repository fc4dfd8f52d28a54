"""Softmax over the catalogue against autograd of its definition, with the kernels and without."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from rankdistill.catalogue_softmax import NOTHING, catalogue_cross_entropy, known_and_others

QUERIES, TAU = 7, 3.0
WIDTHS = (2, 17, 33, 1000)
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


def scores_of(width: int, dtype: torch.dtype, seed: int = 0) -> Tensor:
    """Scores [QUERIES, width], one of which stands far above the others."""
    scores = 5 * torch.randn(QUERIES, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    scores[0, width // 2] = 500.0
    return scores.to(dtype)


def tolerance(dtype: torch.dtype) -> dict[str, float]:
    return {"rtol": 1e-5, "atol": 1e-6} if dtype == torch.float32 else {"rtol": 1e-12, "atol": 1e-14}


@DTYPES
@pytest.mark.usefixtures("ways")
@pytest.mark.parametrize("width", WIDTHS)
def test_cross_entropy_and_its_gradient(width: int, dtype: torch.dtype) -> None:
    scores, given = scores_of(width, dtype).requires_grad_(), scores_of(width, dtype, seed=1)
    loss, entropy = catalogue_cross_entropy(scores, given, TAU)
    weights = torch.arange(1, QUERIES + 1, dtype=dtype)
    (loss @ weights).backward()  # type: ignore[no-untyped-call]

    exact = scores.detach().double().requires_grad_()
    theirs = torch.softmax(given[:, 1:].double() / TAU, dim=1)
    wanted = -(theirs * torch.log_softmax(exact[:, 1:] / TAU, dim=1)).sum(1)
    (wanted @ weights.double()).backward()  # type: ignore[no-untyped-call]
    own = -torch.special.xlogy(theirs, theirs).sum(1)
    torch.testing.assert_close(loss, wanted.to(dtype), **tolerance(dtype))
    torch.testing.assert_close(entropy, own.to(dtype), **tolerance(dtype))
    assert scores.grad is not None
    assert exact.grad is not None
    torch.testing.assert_close(scores.grad, exact.grad.to(dtype), **tolerance(dtype))


@DTYPES
@pytest.mark.usefixtures("ways")
@pytest.mark.parametrize("width", WIDTHS)
def test_known_items_and_all_others(width: int, dtype: torch.dtype) -> None:
    scores = scores_of(width, dtype).requires_grad_()
    known = torch.randint(0, width, (QUERIES, 5), generator=torch.Generator().manual_seed(2))  # some are padding
    known[:, 1] = known[:, 0]
    found, others = known_and_others(scores, known)
    weights = torch.arange(1, 6, dtype=dtype)
    (found @ weights + 2 * others).sum().backward()

    exact = scores.detach().double().requires_grad_()
    hidden = torch.zeros(QUERIES, width, dtype=torch.bool).scatter_(1, known, True)
    hidden[:, 0] = True
    wanted = torch.logsumexp(exact.masked_fill(hidden, NOTHING), dim=1)
    (exact.gather(1, known) @ weights.double() + 2 * wanted).sum().backward()
    assert torch.equal(found, scores.gather(1, known))
    torch.testing.assert_close(others[wanted > NOTHING], wanted[wanted > NOTHING].to(dtype), **tolerance(dtype))
    assert scores.grad is not None
    assert exact.grad is not None
    some = ~hidden.all(1)
    torch.testing.assert_close(scores.grad[some], exact.grad[some].to(dtype), **tolerance(dtype))


@DTYPES
@pytest.mark.usefixtures("ways")
def test_nothing_is_left_where_all_items_are_known(dtype: torch.dtype) -> None:
    scores = scores_of(4, dtype).requires_grad_()
    found, others = known_and_others(scores, torch.tensor([[3, 1, 2]]).expand(QUERIES, 3))
    torch.logaddexp(found, others.unsqueeze(1)).sum().backward()  # type: ignore[no-untyped-call]
    assert (others == NOTHING).all()
    assert scores.grad is not None
    assert torch.equal(scores.grad, torch.tensor([0.0, 1.0, 1.0, 1.0], dtype=dtype).expand(QUERIES, 4))


def test_sums_over_a_large_catalogue_do_not_drift(ways: str) -> None:
    if ways == "torch":
        pytest.skip("torch's own sums in float32 drift")
    scores = 1e-3 * torch.randn(2, 1_000_001, generator=torch.Generator().manual_seed(0))
    exact, given = scores.double(), scores.flip(1).contiguous()
    others = known_and_others(scores, torch.tensor([[7], [9]]))[1]
    kept = exact.scatter(1, torch.tensor([[0, 7], [0, 9]]), -torch.inf)
    torch.testing.assert_close(others.double(), torch.logsumexp(kept, dim=1), rtol=2e-6, atol=0)
    loss = catalogue_cross_entropy(scores, given, 1.0)[0].double()
    theirs = torch.softmax(given[:, 1:].double(), dim=1)
    wanted = -(theirs * torch.log_softmax(exact[:, 1:], dim=1)).sum(1)
    torch.testing.assert_close(loss, wanted, rtol=2e-6, atol=0)


@pytest.mark.usefixtures("ways")
def test_scores_that_are_no_numbers_give_a_loss_that_is_none() -> None:
    scores = scores_of(100, torch.float32)
    scores[:, 40] = torch.nan
    assert catalogue_cross_entropy(scores, scores_of(100, torch.float32), TAU)[0].isnan().all()
    assert known_and_others(scores, torch.tensor([[3, 1, 2]]).expand(QUERIES, 3))[1].isnan().all()
