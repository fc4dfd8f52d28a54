"""What every model keeps to: a file in `models/` is under this contract by being there."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from forms import FORMS, each_form, trained
from pydantic import ValidationError
from torch import Tensor

import rankdistill as rd
from rankdistill import plugins
from rankdistill.config import Section, TrainConfig
from rankdistill.errors import CheckpointError, ConfigError
from rankdistill.losses.pointwise import pointwise_loss
from rankdistill.model_folder import load_ids, load_model, save_model
from rankdistill.pipeline import build
from rankdistill.ranker import model_state, rank
from rankdistill.training.checkpoint import Checkpoint
from rankdistill.training.optimizers import Adam

USERS = torch.tensor([0, 3, 3, 59])
HISTORY = torch.tensor([[1, 2, 3, 4, 5], [0, 0, 0, 7, 40], [0, 0, 0, 0, 0], [9, 9, 9, 9, 9]])


def model_of(form: str, split: rd.Split, seed: int = 0) -> rd.Ranker:
    return build(FORMS[form], split, seed).eval()


def queries_of(model: rd.Ranker) -> Tensor:
    with torch.no_grad():
        return model.encode(USERS, HISTORY)


def same(one: rd.Ranker, other: rd.Ranker) -> bool:
    first, second = model_state(one), model_state(other)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@each_form
def test_its_config_says_what_it_is_and_describes_every_option(form: str) -> None:
    config = FORMS[form]
    assert isinstance(config, Section)
    assert plugins.kind_of(config) == form.partition(":")[0]
    undescribed = [name for name, field in type(config).model_fields.items() if not field.description]
    assert set(undescribed) <= {"kind"}
    assert type(config).model_validate(config.model_dump(mode="json")) == config
    with pytest.raises(ValidationError):
        type(config)(no_such_option=1)


@each_form
def test_scores_have_the_shapes_of_what_was_asked(form: str, split: rd.Split) -> None:
    model = model_of(form, split)
    queries = queries_of(model)
    assert queries.shape[0] == len(USERS)
    assert model.score(queries).shape == (len(USERS), split.num_items + 1)
    assert model.score(queries, torch.ones(len(USERS), 3, dtype=torch.int64)).shape == (len(USERS), 3)
    assert model.score(queries, torch.tensor([5, 1])).shape == (len(USERS), 2)


@each_form
def test_scores_of_some_items_are_those_of_the_whole_catalogue(form: str, split: rd.Split) -> None:
    model = model_of(form, split).double()
    queries, generator = queries_of(model), torch.Generator().manual_seed(0)
    everything = model.score(queries)
    each = torch.randint(0, split.num_items + 1, (len(USERS), 7), generator=generator)
    torch.testing.assert_close(model.score(queries, each), everything.gather(1, each), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(model.score(queries, each[0]), everything[:, each[0]], rtol=1e-10, atol=1e-12)


@each_form
def test_a_query_is_answered_the_same_alone_and_in_a_batch_and_twice(form: str, split: rd.Split) -> None:
    model = model_of(form, split).double()
    together = model.score(queries_of(model))
    assert torch.equal(together, model.score(queries_of(model)))
    for row in range(len(USERS)):
        alone = model.score(model.encode(USERS[row : row + 1], HISTORY[row : row + 1]))
        torch.testing.assert_close(alone[0], together[row], rtol=1e-10, atol=1e-12)


@each_form
def test_a_padded_and_an_empty_history_are_answered(form: str, split: rd.Split) -> None:
    model = model_of(form, split)
    assert torch.isfinite(model.score(queries_of(model))).all()


@each_form
def test_the_same_seed_builds_the_same_model(form: str, split: rd.Split) -> None:
    one = model_of(form, split, seed=3)
    torch.rand(7)
    assert same(one, model_of(form, split, seed=3))
    if list(one.parameters()):
        assert not same(one, model_of(form, split, seed=4))


@each_form
def test_all_that_is_learned_gets_a_finite_gradient_and_nothing_else_does(form: str, split: rd.Split) -> None:
    model = model_of(form, split).train()
    learned = dict(model.named_parameters())
    if learned:
        windows = split.windows
        queries = model.encode(torch.from_numpy(windows.users), torch.from_numpy(windows.history()).long())
        items = torch.from_numpy(windows.targets()).long()
        pointwise_loss(model.score(queries, items), model.score(queries, items % split.num_items + 1)).backward()
    gradients = {name: parameter.grad for name, parameter in learned.items()}
    assert [name for name, gradient in gradients.items() if gradient is None] == []
    assert all(torch.isfinite(gradient).all() for gradient in gradients.values() if gradient is not None)
    assert not any(buffer.requires_grad for buffer in model.buffers())


@each_form
def test_training_ends_in_finite_numbers_and_the_same_ones_twice(form: str, split: rd.Split) -> None:
    one, other = (trained(form, split, epochs=1) for _ in range(2))
    assert same(one, other)
    assert all(torch.isfinite(tensor).all() for tensor in model_state(one).values())


@each_form
def test_a_training_that_goes_on_from_its_checkpoint_ends_in_the_same_bits(
    form: str, split: rd.Split, tmp_path: Path
) -> None:
    def trained_to(epochs: int, folder: Path, *, resume: bool) -> rd.Ranker:
        config = TrainConfig(epochs=epochs, batch_size=128, device="cpu")
        return rd.train(FORMS[form], split, rd.Settings(train=config, checkpoint=Checkpoint(folder, {}, resume=resume)))

    for name in ("through", "stopped"):
        (tmp_path / name).mkdir()
    whole = trained_to(2, tmp_path / "through", resume=False)
    stopped = trained_to(1, tmp_path / "stopped", resume=False)
    assert same(trained_to(2, tmp_path / "stopped", resume=True), whole)
    assert same(stopped, whole) != bool(list(whole.parameters()))


@each_form
@pytest.mark.parametrize("k", [1, 10, 40])
def test_lists_hold_no_padding_nothing_excluded_and_nothing_twice(form: str, split: rd.Split, k: int) -> None:
    model, queries = model_of(form, split), split.test_queries
    lists = rank(model, queries, k)
    seen = queries.exclude.seen
    assert seen is not None
    never = set(queries.exclude.never.tolist())
    for row, user in enumerate(queries.users):
        listed = [item for item in lists.items[row].tolist() if item]
        allowed = set(range(1, split.num_items + 1)) - set(seen.of(int(user)).tolist()) - never
        assert len(set(listed)) == len(listed) == min(k, len(allowed))
        assert set(listed) <= allowed


@each_form
def test_exact_ranks_are_the_places_in_the_whole_list(form: str, split: rd.Split) -> None:
    lists = rank(model_of(form, split), split.test_queries, split.num_items)
    exact = lists.target_ranks
    assert exact is not None
    rows = np.searchsorted(lists.query_ids, exact.query_ids)
    np.testing.assert_array_equal(lists.ranks_of(rows, exact.items), exact.ranks)


@each_form
def test_a_model_comes_back_from_its_folder_bit_by_bit(form: str, split: rd.Split, tmp_path: Path) -> None:
    model = trained(form, split, epochs=1)
    save_model(tmp_path, model, split.user_ids, split.item_ids, {"role": "teacher"})
    again, card = load_model(tmp_path)
    assert type(again) is type(model)
    assert (again.config, again.catalogue) == (model.config, model.catalogue)
    assert torch.equal(again.eval().score(again.encode(USERS, HISTORY)), model.score(queries_of(model)))
    assert (card["kind"], card["role"]) == (plugins.kind_of(model.config), "teacher")
    assert card["parameters"] == model.parameters_count
    assert card["bytes"] == (tmp_path / "model.safetensors").stat().st_size
    users, items = load_ids(tmp_path)
    assert users.values.equals(split.user_ids.values)
    assert items.values.equals(split.item_ids.values)


def test_a_folder_may_be_named_by_text(split: rd.Split, tmp_path: Path) -> None:
    model = model_of("caser", split)
    save_model(tmp_path, model, split.user_ids, split.item_ids, {})
    assert same(load_model(str(tmp_path))[0], model)


class TestDamagedFolder:
    @pytest.fixture
    def folder(self, split: rd.Split, tmp_path: Path) -> Path:
        save_model(tmp_path / "teacher", model_of("caser", split), split.user_ids, split.item_ids, {})
        return tmp_path / "teacher"

    def refused(self, folder: Path) -> str:
        with pytest.raises(CheckpointError) as caught:
            load_model(folder)
        assert "\n" not in str(caught.value)
        assert "teacher" in str(caught.value)
        return str(caught.value)

    def test_truncated_weights_are_refused(self, folder: Path) -> None:
        weights = folder / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-4])
        assert "truncated or changed" in self.refused(folder)

    @pytest.mark.parametrize(("name", "message"), [("model.json", "no model here"), ("model.safetensors", "no such")])
    def test_a_missing_file_is_refused(self, folder: Path, name: str, message: str) -> None:
        (folder / name).unlink()
        assert message in self.refused(folder)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "model.json: cannot be read (Expecting value: "),
            ("{", "model.json: cannot be read (Expecting property name "),
            ("[]", "model.json: holds no model card; train the model again"),
            ("7", "model.json: holds no model card; train the model again"),
            ('{"kind": "caser"}', "model.safetensors: truncated or changed since it was written (SHA-256 differs)"),
        ],
    )
    def test_a_card_that_is_none_is_refused(self, folder: Path, text: str, message: str) -> None:
        (folder / "model.json").write_text(text)
        assert message in self.refused(folder)

    @pytest.mark.parametrize(("key", "message"), [("kind", "('kind')"), ("config", "('config')"), ("sha256", "SHA-")])
    def test_a_card_that_lacks_a_key_is_refused(self, folder: Path, key: str, message: str) -> None:
        card = json.loads((folder / "model.json").read_text())
        del card[key]
        (folder / "model.json").write_text(json.dumps(card))
        assert message in self.refused(folder)

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"config": {"kind": "caser", "dim": 7}}, "Error(s) in loading state_dict for Caser"),
            ({"config": {"dimm": 7}}, "1 validation error for Config"),
            ({"catalogue": {"num_users": 3}}, "missing 2 required positional arguments"),
        ],
    )
    def test_a_card_of_another_model_is_refused(self, folder: Path, change: dict[str, Any], reason: str) -> None:
        card = json.loads((folder / "model.json").read_text())
        (folder / "model.json").write_text(json.dumps({**card, **change}))
        message = self.refused(folder)
        assert "the card does not fit the weights (" in message
        assert reason in message
        assert message.endswith("; train it again")


@each_form
def test_it_says_whether_it_learns_anything_by_gradient(form: str, split: rd.Split) -> None:
    assert plugins.behind("models", FORMS[form]).learns == bool(list(model_of(form, split).parameters()))


@each_form
def test_a_card_of_another_catalogue_is_refused(form: str, split: rd.Split, tmp_path: Path) -> None:
    save_model(tmp_path, model_of(form, split), split.user_ids, split.item_ids, {})
    card = json.loads((tmp_path / "model.json").read_text())
    card["catalogue"]["num_items"] += 1
    (tmp_path / "model.json").write_text(json.dumps(card))
    with pytest.raises(CheckpointError, match="the card does not fit the weights"):
        load_model(tmp_path)


@each_form
def test_its_tables_are_parameters_and_learn_by_row_what_they_learn_as_a_whole(form: str, split: rd.Split) -> None:
    by_row, whole = model_of(form, split), model_of(form, split)
    names = dict(by_row.named_parameters())
    assert by_row.read_by_row <= set(names)
    if not names:
        return
    ours, config = Adam(by_row, TrainConfig()), TrainConfig()
    plain = torch.optim.Adam(whole.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    by_row.updates = ours
    generator = torch.Generator().manual_seed(0)
    for _ in range(12):
        items = torch.randint(1, split.num_items + 1, (len(USERS), 3), generator=generator)
        for model, optimizer in ((by_row, ours), (whole, plain)):
            optimizer.zero_grad()
            scores = model.adjust(model.score(model.encode(USERS, HISTORY), items), USERS, items)
            pointwise_loss(scores[:, :1], scores[:, 1:], items[:, 1:]).backward()
            optimizer.step()
    ours.bring_all_up()
    start, aim = model_state(model_of(form, split)), model_state(whole)
    for name in names:
        learned = model_state(by_row)[name]
        most = 1e-3 if name in by_row.read_by_row else 1e-2  # where a gradient is zero, Adam follows its rounding
        assert (learned - aim[name]).norm() < most * (aim[name] - start[name]).norm(), name


@pytest.mark.parametrize(
    "kind",
    [kind for kind in plugins.kinds("models") if "history_length" in plugins.find("models", kind).Config.model_fields],
)
class TestHistoryLength:
    def test_a_model_of_few_items_is_that_of_short_windows(self, kind: str, split: rd.Split) -> None:
        config = plugins.find("models", kind).Config
        ours = build(config(history_length=3), split, 0).double().eval()
        short = build(config(), replace(split, history_length=3), 0).double().eval()
        assert same(ours, short)
        assert ours.parameters_count < build(config(), split, 0).parameters_count
        with torch.no_grad():
            assert torch.equal(ours.encode(USERS, HISTORY), short.encode(USERS, HISTORY[:, -3:]))

    def test_the_length_of_the_windows_is_the_default(self, kind: str, split: rd.Split) -> None:
        config = plugins.find("models", kind).Config
        assert same(build(config(history_length=split.history_length), split, 0), build(config(), split, 0))

    def test_more_items_than_the_windows_have_are_refused(self, kind: str, split: rd.Split) -> None:
        with pytest.raises(ConfigError) as caught:
            build(plugins.find("models", kind).Config(history_length=6), split, 0)
        assert str(caught.value) == (
            "history_length = 6 of the model is more than [windows] history_length = 5; lower it, or leave it out for "
            "the whole history"
        )
