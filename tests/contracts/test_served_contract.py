"""What every model keeps to in production: for a user it knows it is the model itself, and it answers anybody."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from forms import each_form, trained
from torch import Tensor

import rankdistill as rd
from rankdistill.served import Served, served


def both(form: str, split: rd.Split) -> tuple[rd.Ranker, Served]:
    model = trained(form, split, epochs=2)
    return model, served(model, split.train)


def whole_histories(split: rd.Split, padding: int = 0) -> Tensor:
    """What all users have in training, PAD on the left."""
    longest = int(split.train.lengths.max()) + padding
    rows = np.zeros((split.num_users, longest), dtype=np.int64)
    for user, row in enumerate(rows):
        own = split.train.of(user)
        row[longest - len(own) :] = own
    return torch.from_numpy(rows)


def scores_of(form: Served, users: Tensor, history: Tensor) -> Tensor:
    with torch.no_grad():
        return form.adjust(form.score(form.encode(users, history)), history)


@each_form
def test_a_user_it_knows_gets_the_models_own_scores(form: str, split: rd.Split) -> None:
    model, production = both(form, split)
    users, history = torch.arange(split.num_users), whole_histories(split)
    recent = history[:, -split.history_length :]
    with torch.no_grad():
        wanted = model.adjust(model.score(model.encode(users, recent)), users)
    ranked = torch.from_numpy(np.setdiff1d(np.arange(1, split.num_items + 1), split.untrained_items))
    found = scores_of(production, users, history)
    torch.testing.assert_close(found[:, ranked], wanted[:, ranked], rtol=1e-5, atol=1e-5)
    others = np.setdiff1d(np.arange(split.num_items + 1), ranked.numpy())
    assert torch.isneginf(found[:, others]).all()


@each_form
@pytest.mark.parametrize("known", [True, False])
def test_padding_and_company_change_nothing(form: str, known: bool, split: rd.Split) -> None:
    _, production = both(form, split)
    users = torch.arange(split.num_users) if known else torch.full((split.num_users,), split.num_users)
    together = scores_of(production, users, whole_histories(split))
    torch.testing.assert_close(scores_of(production, users, whole_histories(split, 9)), together, rtol=1e-5, atol=1e-5)
    for user in (0, split.num_users - 1):
        alone = torch.from_numpy(split.train.of(user).astype(np.int64)).unsqueeze(0)
        torch.testing.assert_close(
            scores_of(production, users[user : user + 1], alone)[0], together[user], rtol=1e-5, atol=1e-5
        )


@each_form
def test_a_stranger_is_answered_by_the_history_even_by_none(form: str, split: rd.Split) -> None:
    _, production = both(form, split)
    stranger = torch.tensor([split.num_users])
    finite = torch.isfinite(scores_of(production, stranger, torch.zeros(1, 1, dtype=torch.int64)))
    assert finite.any()
    for history in ([[3]], [[3, 3, 8]], [[5, 9, 12, 1, 2, 30, 31]]):
        assert torch.equal(torch.isfinite(scores_of(production, stranger, torch.tensor(history))), finite)


@each_form
def test_the_model_itself_stays_as_it_is(form: str, split: rd.Split) -> None:
    model, _ = both(form, split)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    production = served(model, split.train)
    for tensor in production.model.state_dict().values():
        tensor.zero_()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert production.rule
