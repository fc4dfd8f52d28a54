"""Ranking distillation against the published code's outputs and against loops in float64."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from statistics import mean
from typing import Any, get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from rankdistill.distillation.ranking_distillation import (
    RankingDistillation,
    discrepancy_weights,
    distillation_loss,
    estimated_ranks,
    normalized,
    position_weights,
)
from rankdistill.loss import Batch, Loss, Objective, Shared, Step
from rankdistill.models.popularity import Popularity
from rankdistill.ranker import Catalogue
from rankdistill.testing import oracles

WEIGHTINGS = get_args(oracles.Weighting)


def doubles(values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


class Fixed(Popularity):
    """A student whose score of item i is the i-th number it was given, whoever asks."""

    def __init__(self, scores: Tensor) -> None:
        super().__init__(Popularity.Config(), Catalogue(9, len(scores) - 1, 3))
        self.get_buffer("counts").copy_(scores)
        self.double()


def step_of(student: Fixed, teacher: list[list[int]], *, epoch: int = 11, seed: int = 0) -> Step:
    rows = len(teacher)
    nothing = torch.zeros(rows, 0, dtype=torch.int64)
    batch = Batch(torch.zeros(rows, dtype=torch.int64), nothing, nothing, nothing, torch.tensor(teacher))
    queries = torch.ones(rows, 1, dtype=torch.float64)
    return Step(batch, queries, student, epoch, torch.Generator().manual_seed(seed))


def weights_of(step: Step, **options: Any) -> list[list[float]]:
    """The weights [B, K] of one step, one row a query whether or not they differ."""
    scores = step.teacher_item_scores
    method = RankingDistillation(RankingDistillation.Config(k=scores.shape[1], **options))
    return method.weights(step, scores).double().expand(scores.shape).tolist()


def student_and_lists(seed: int, k: int) -> tuple[Fixed, list[list[int]]]:
    generator = np.random.default_rng(seed)
    student = Fixed(torch.from_numpy(np.round(generator.normal(size=31), 1)))  # rounded: ties occur
    return student, [(1 + generator.permutation(30)[:k]).tolist() for _ in range(3)]


class TestPublishedCode:
    def test_estimated_ranks_are_the_same_counted_from_one(self, golden_case: dict[str, Any]) -> None:
        ranks = estimated_ranks(
            doubles(golden_case["teacher"]),
            doubles(golden_case["rank_samples"]),
            golden_case["num_items"] - 1,
        )
        assert (ranks - 1).tolist() == golden_case["estimated_rank_zero_based"]

    def test_discrepancy_weights_are_the_same(self, golden_case: dict[str, Any]) -> None:
        ranks = torch.tensor(golden_case["estimated_rank_zero_based"]) + 1
        ours = discrepancy_weights(ranks, golden_case["mu"])
        np.testing.assert_allclose(ours, golden_case["discrepancy"], rtol=0, atol=5e-7)

    def test_position_weights_are_the_same(self, golden_case: dict[str, Any]) -> None:
        ours = position_weights(golden_case["K"], golden_case["lam"])
        (expected,) = golden_case["by_weighting"]["position"]["weights"]
        np.testing.assert_allclose(ours, expected, rtol=0, atol=5e-7)

    @pytest.mark.parametrize("weighting", ["position", "hybrid"])
    def test_the_loss_with_its_weights_is_the_same(self, golden_case: dict[str, Any], weighting: str) -> None:
        expected = golden_case["by_weighting"][weighting]
        distilled = distillation_loss(doubles(golden_case["teacher"]), doubles(expected["weights"]))
        total = expected["ranking"] + golden_case["alpha"] * distilled.item()
        assert total == pytest.approx(expected["total"], rel=0, abs=1e-12)

    @pytest.mark.parametrize("weighting", ["position", "hybrid"])
    def test_scores_alone_lead_to_the_same_total(self, golden_case: dict[str, Any], weighting: str) -> None:
        case, scores = golden_case, doubles(golden_case["teacher"])
        ranks = estimated_ranks(scores, doubles(case["rank_samples"]), case["num_items"] - 1)
        weights = position_weights(case["K"], case["lam"])
        if weighting == "hybrid":
            weights = weights * discrepancy_weights(ranks, case["mu"])
        expected = case["by_weighting"][weighting]
        total = expected["ranking"] + case["alpha"] * distillation_loss(scores, weights).item()
        assert total == pytest.approx(expected["total"], rel=0, abs=1e-6)


@given(st.integers(0, 1000), st.integers(1, 12), st.integers(2, 500))
def test_estimated_ranks_agree_with_a_count(seed: int, k: int, num_items: int) -> None:
    generator = np.random.default_rng(seed)
    scores, samples = (np.round(generator.normal(size=(3, n)), 1) for n in (k, 20))
    ours = estimated_ranks(torch.from_numpy(scores), torch.from_numpy(samples), num_items)
    expected = [
        [oracles.estimated_rank(score, list(sample), num_items + 1) for score in row]
        for row, sample in zip(scores, samples, strict=True)
    ]
    assert ours.tolist() == expected


def test_sampled_items_that_the_user_has_do_not_count() -> None:
    scores, sample = torch.tensor([[0.5, -0.5]]), torch.tensor([[1.0, 0.0, 0.9, -1.0]])
    counted = torch.tensor([[False, True, True, True]])  # 0.9 above the first; 0.9 and 0.0 above the second
    assert estimated_ranks(scores, sample, 30, counted).tolist() == [[1 * 30 // 3 + 1, 2 * 30 // 3 + 1]]
    assert estimated_ranks(scores, sample, 30, torch.zeros_like(counted)).tolist() == [[1, 1]]


@given(st.integers(0, 1000), st.integers(1, 40))
def test_a_sample_of_every_item_gives_the_exact_rank(seed: int, num_items: int) -> None:
    scores = torch.from_numpy(np.random.default_rng(seed).normal(size=(2, num_items)))
    exact = scores.argsort(descending=True).argsort() + 1
    assert torch.equal(estimated_ranks(scores, scores, num_items), exact)


@given(st.integers(1, 200), st.floats(1e-3, 1e3))
def test_position_weights_agree_with_the_formula_and_sum_to_one(k: int, sharpness: float) -> None:
    ours = position_weights(k, sharpness)
    np.testing.assert_allclose(ours, oracles.position_weights(k, sharpness), rtol=1e-6, atol=1e-30)
    assert ours.double().sum().item() == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize("renormalize", [False, True])
@given(seed=st.integers(0, 1000), k=st.integers(1, 12))
def test_the_weights_of_a_step_agree_with_a_loop(
    weighting: oracles.Weighting, renormalize: bool, seed: int, k: int
) -> None:
    student, teacher = student_and_lists(seed, k)
    sample = step_of(student, teacher, seed=seed).sample(100).items.tolist()
    scores = student.get_buffer("counts")
    ours = weights_of(step_of(student, teacher, seed=seed), weighting=weighting, renormalize=renormalize)
    normal = renormalize and weighting in ("discrepancy", "hybrid")  # what the option speaks of
    for row, weights in zip(teacher, ours, strict=True):
        ranks = [oracles.estimated_rank(scores[item].item(), scores[sample].tolist(), 31) for item in row]
        expected = oracles.weights(weighting, ranks, renormalize=normal)
        np.testing.assert_allclose(weights, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_no_gradient_flows_through_the_weights(weighting: oracles.Weighting) -> None:
    student, teacher = student_and_lists(3, 5)
    table = student.get_buffer("counts").requires_grad_()
    step = step_of(student, teacher)
    method = RankingDistillation(RankingDistillation.Config(k=5, weighting=weighting))
    weights = torch.tensor(weights_of(step_of(student, teacher), weighting=weighting), dtype=torch.float64)
    expected = torch.zeros(31, dtype=torch.float64)
    by_item = -weights * torch.sigmoid(-step.teacher_item_scores.detach()) / len(teacher)
    expected.index_add_(0, torch.tensor(teacher).flatten(), by_item.flatten())
    (gradient,) = torch.autograd.grad(method(step), table)
    torch.testing.assert_close(gradient, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("weighting", ["discrepancy", "hybrid"])
def test_the_position_weight_alone_counts_through_the_warm_up_and_no_longer(
    weighting: oracles.Weighting,
) -> None:
    student, teacher = student_and_lists(4, 6)
    position = oracles.position_weights(6, 1.0)
    for epoch, warm in ((1, True), (10, True), (11, False)):
        for row in weights_of(step_of(student, teacher, epoch=epoch), weighting=weighting):
            assert (row == pytest.approx(position, rel=1e-6)) is warm
    later = weights_of(step_of(student, teacher, epoch=10), weighting=weighting, warmup_epochs=9)
    assert later[0] != pytest.approx(position, rel=1e-6)


def test_a_student_that_ranks_as_the_teacher_does_has_nothing_left_to_learn() -> None:
    scores = torch.arange(40, -1, -1, dtype=torch.float64)  # item 1 first, item 40 last
    for renormalize in (False, True):
        step = step_of(Fixed(scores), [[1, 2, 3, 4]])
        assert weights_of(step, rank_samples=4000, renormalize=renormalize) == [[0.0] * 4]


def test_the_rank_sample_is_drawn_uniformly_and_comes_with_its_scores() -> None:
    scores = torch.randn(31, dtype=torch.float64)
    counts = torch.zeros(31, dtype=torch.float64)
    for seed in range(200):
        sample = step_of(Fixed(scores), [[1]] * 3, seed=seed).sample(50)
        torch.testing.assert_close(sample.scores, scores[sample.items].expand(3, -1), rtol=1e-6, atol=0)
        assert bool(sample.unseen.all())
        counts += torch.bincount(sample.items, minlength=31)
    assert counts[0] == 0
    torch.testing.assert_close(counts[1:] / counts.sum(), torch.full((30,), 1 / 30).double(), rtol=0.2, atol=0)


def test_the_rank_sample_never_holds_the_padding_item() -> None:
    scores = torch.zeros(3, dtype=torch.float64)
    scores[0] = 9.0  # would stand above the teacher's item
    assert weights_of(step_of(Fixed(scores), [[1]]), weighting="discrepancy", rank_samples=500) == [[0.0]]


def test_lists_that_leave_no_weight_stay_zero_and_others_sum_to_one() -> None:
    ours = normalized(torch.tensor([[0.0, 0.0], [1e-30, 3e-30], [2.0, 6.0]]))
    np.testing.assert_allclose(ours, [[0, 0], [0.25, 0.75], [0.25, 0.75]], rtol=1e-6)


def test_the_distillation_loss_is_the_mean_of_loops_and_passes_gradcheck() -> None:
    torch.manual_seed(0)
    scores = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    weights = torch.rand(3, 4, dtype=torch.float64)
    expected = mean(oracles.distillation(*pair) for pair in zip(scores.tolist(), weights.tolist(), strict=True))
    assert distillation_loss(scores, weights).item() == pytest.approx(expected, rel=1e-12)
    assert torch.autograd.gradcheck(lambda s: distillation_loss(s, weights), (scores,))


class TestPresets:
    def test_the_default_is_the_published_code(self) -> None:
        config = RankingDistillation.Config()
        assert config == RankingDistillation.Config(preset="kdd18-code")
        assert (config.alpha, config.mixing, config.exclude, config.renormalize) == (
            1.0,
            "sum",
            "targets",
            False,
        )
        assert (config.k, config.weighting, config.rank_samples, config.warmup_epochs) == (
            10,
            "hybrid",
            100,
            10,
        )
        assert (config.position_sharpness, config.discrepancy_sharpness) == (1.0, 0.1)

    def test_the_paper_mixes_by_shares_keeps_seen_items_out_and_renormalizes(self) -> None:
        config = RankingDistillation.Config(preset="kdd18-paper")
        assert (config.alpha, config.mixing, config.exclude, config.renormalize) == (
            0.5,
            "convex",
            "seen",
            True,
        )

    def test_a_single_key_overrides_a_preset(self) -> None:
        config = RankingDistillation.Config(preset="kdd18-paper", alpha=0.3)
        assert (config.alpha, config.mixing) == (0.3, "convex")

    @pytest.mark.parametrize(
        "options",
        [
            {"preset": "kdd18"},
            {"preset": "kdd18-paper", "alpha": 1.5},
            {"k": 0},
            {"weighting": "linear"},
            {"position_sharpness": 0.0},
            {"rank_samples": 0},
        ],
    )
    def test_a_value_out_of_range_is_refused(self, options: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            RankingDistillation.Config(**options)


class Constant(Loss):
    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, step: Step) -> Tensor:
        return torch.tensor(self.value)


@pytest.mark.parametrize(
    ("mixing", "alpha", "total"),
    [("sum", 1.0, 10.0), ("sum", 0.5, 6.0), ("convex", 0.25, 3.5), ("convex", 1.0, 8.0)],
)
def test_the_objective_mixes_its_two_terms_by_either_convention(mixing: Any, alpha: float, total: float) -> None:
    objective = Objective(Constant(2.0), Constant(8.0), alpha=alpha, mixing=mixing)
    terms = objective(step_of(Fixed(torch.zeros(3)), [[1]]))
    assert {name: term.item() for name, term in terms.items()} == {
        "ranking_loss": 2.0,
        "distillation_loss": 8.0,
    }
    assert objective.total(terms).item() == total


def test_without_a_teacher_the_ranking_loss_is_all_whatever_the_convention() -> None:
    objective = Objective(Constant(2.0), alpha=0.5, mixing="convex")
    terms = objective(step_of(Fixed(torch.zeros(3)), [[1]]))
    assert list(terms) == ["ranking_loss"]
    assert objective.total(terms).item() == 2.0


class Recorded(Loss):
    """Remembers the steps that it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[Step] = []

    def forward(self, step: Step) -> Tensor:
        self.steps.append(step)
        return step.queries.mean()


def numbered_step(queries: int, seed: int = 0, listed: Tensor | None = None) -> Step:
    """A step of which everything that belongs to query q is q."""
    numbers = torch.arange(queries)
    of_each = numbers.unsqueeze(1).repeat(1, 2)
    sequences = Shared(torch.zeros(3), torch.zeros(3, 4), numbers, numbers)
    batch = Batch(
        users=numbers,
        history=of_each,
        targets=of_each,
        negatives=of_each,
        teacher_items=of_each,
        teacher_scores=of_each.double(),
        shared=sequences,
        easier_items=of_each.unsqueeze(1),
        teacher_queries=of_each.double(),
        listed=listed,
    )
    generator = torch.Generator().manual_seed(seed)
    return Step(batch, of_each.double(), Fixed(torch.zeros(queries)), 1, generator)


def test_a_share_of_the_queries_is_distilled_with_all_that_belongs_to_them() -> None:
    ranking, method = Recorded(), Recorded()
    objective, drawn = Objective(ranking, method, query_share=0.25), set()
    for seed in range(40):
        objective(numbered_step(8, seed))
        batch = method.steps[-1].batch
        assert batch.shared is not None
        assert batch.users.shape == (2,)
        assert batch.shared.sequences.shape == (3, 4)
        of_queries = [getattr(batch, field.name) for field in fields(batch) if field.name not in ("shared", "listed")]
        for each in (*of_queries, batch.shared.rows, batch.shared.columns, method.steps[-1].queries):
            assert (each.flatten(1) if each.dim() > 1 else each.unsqueeze(1)).eq(batch.users.unsqueeze(1)).all()
        drawn |= set(batch.users.tolist())
    assert drawn == set(range(8))
    assert all(step.batch.users.tolist() == list(range(8)) for step in ranking.steps)
    assert all(step.batch.teacher_items.shape == (8, 0) for step in ranking.steps)


def test_all_queries_are_distilled_in_the_step_itself_and_one_at_least() -> None:
    ranking, method = Recorded(), Recorded()
    step = numbered_step(8)
    state = step.generator.get_state()
    Objective(ranking, method)(step)
    assert ranking.steps == method.steps == [step]
    assert torch.equal(step.generator.get_state(), state)
    Objective(ranking, method, query_share=0.01)(step)
    assert len(method.steps[-1].queries) == 1


def test_queries_without_a_list_are_not_distilled_and_a_share_is_one_of_the_others() -> None:
    ranking, method = Recorded(), Recorded()
    listed = torch.tensor([True, False, False, True, True, False, True, False])
    step = numbered_step(8, listed=listed)
    Objective(ranking, method)(step)
    assert method.steps[-1].batch.users.tolist() == [0, 3, 4, 6]
    assert ranking.steps[-1].batch.users.tolist() == list(range(8))
    assert ranking.steps[-1].batch.teacher_items.shape == (8, 0)
    drawn = set()
    for seed in range(40):
        Objective(ranking, method, query_share=0.5)(numbered_step(8, seed, listed))
        assert len(method.steps[-1].queries) == 2
        drawn |= set(method.steps[-1].batch.users.tolist())
    assert drawn == {0, 3, 4, 6}


@pytest.mark.parametrize("known", [(), (2,), (0, 3), range(8)])
def test_a_query_without_a_list_counts_as_one_of_loss_0(known: Sequence[int]) -> None:
    listed = torch.zeros(8, dtype=torch.bool)
    listed[list(known)] = True
    step = numbered_step(8, listed=listed)
    queries = step.queries.clone().requires_grad_()
    loss = Objective(Recorded(), Recorded())(replace(step, queries=queries))["distillation_loss"]
    (gradient,) = torch.autograd.grad(loss, queries)
    torch.testing.assert_close(gradient, (listed.double() / 8).unsqueeze(1).expand_as(gradient) / gradient[0].numel())
    assert loss.item() == pytest.approx(sum(known) / 8)
