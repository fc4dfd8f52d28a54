"""The distillation methods after ranking distillation, each against loops in float64 and its own rules of drawing."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from dataclasses import replace
from statistics import mean
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from rankdistill.data.sequences import Sequences
from rankdistill.distillation.cd import CD
from rankdistill.distillation.cross_entropy import CrossEntropy
from rankdistill.distillation.dcd import DCD
from rankdistill.distillation.dllm2rec import DLLM2Rec
from rankdistill.distillation.hetcomp import HetComp
from rankdistill.distillation.list_softmax import ListSoftmax
from rankdistill.distillation.margin_mse import MarginMSE
from rankdistill.distillation.rankdistil import RankDistil
from rankdistill.distillation.rce_kd import RceKD
from rankdistill.distillation.rrd import RRD
from rankdistill.distillation.unkd import UnKD, popularity_groups
from rankdistill.listwise import best_columns, is_in, places_in
from rankdistill.loss import Batch, Step
from rankdistill.models.popularity import Popularity
from rankdistill.ranker import Catalogue, Ranker
from rankdistill.seen import SeenItems
from rankdistill.testing import oracles

ITEMS, QUERIES = 60, 5


class Table(Ranker):
    """Scores of its own [B, I + 1] for the queries 0, 1, ..., which come as users."""

    Config = Popularity.Config

    def __init__(self, scores: Tensor) -> None:
        super().__init__(Popularity.Config(), Catalogue(QUERIES, ITEMS, 3))
        self.scores = scores

    def encode(self, users: Tensor, history: Tensor) -> Tensor:
        return self.scores[users]

    def score(self, queries: Tensor, items: Tensor | None = None) -> Tensor:
        if items is None:
            return queries
        return queries[:, items] if items.dim() == 1 else queries.gather(1, items)


def step_of(k: int, *, seed: int = 0, of: int = 0) -> Step:
    """Random scores of student and teacher, and the teacher's list; one target and three negatives a query."""
    numbers = torch.Generator().manual_seed(of)
    ours, theirs = torch.randn(2, QUERIES, ITEMS + 1, generator=numbers, dtype=torch.float64)
    student, teacher = Table(ours), Table(theirs)
    order = theirs[:, 1:].argsort(dim=1, descending=True) + 1
    targets, negatives, listed = order[:, :1], order[:, 20:23], order[:, 1 : k + 1]
    users = torch.arange(QUERIES)
    history = torch.zeros(QUERIES, 3, dtype=torch.int64)
    batch = Batch(users, history, targets, negatives, listed, theirs.gather(1, listed))
    return Step(batch, ours, student, 1, torch.Generator().manual_seed(seed), teacher=teacher)


def rows_of(step: Step, items: Tensor) -> list[tuple[list[float], list[float]]]:
    """The student's and the teacher's scores of items [B, n], a pair of lists a query."""
    teacher = step.teacher
    assert isinstance(teacher, Table)
    ours, theirs = step.queries.gather(1, items), teacher.scores.gather(1, items)
    return list(zip(ours.tolist(), theirs.tolist(), strict=True))


def own_lists(step: Step, size: int) -> list[list[int]]:
    """The student's best items, the target left out, by sorting."""
    found = []
    for scores, targets in zip(step.queries.tolist(), step.batch.targets.tolist(), strict=True):
        ranked = sorted(range(1, ITEMS + 1), key=lambda item: -scores[item])
        found.append([item for item in ranked if item not in targets][:size])
    return found


def test_the_students_list_is_its_best_items_without_the_targets() -> None:
    step = step_of(10)
    assert step.best(17).tolist() == own_lists(step, 17)


def test_where_the_teachers_lists_leave_out_what_is_seen_so_does_the_students() -> None:
    step = step_of(10)
    train = Sequences.from_pairs(np.repeat(np.arange(QUERIES), 3), np.array(own_lists(step, 3)).ravel(), QUERIES)
    seen = replace(step, seen=SeenItems(train, torch.device("cpu")))
    assert seen.best(8, "seen").tolist() == [row[3:] for row in own_lists(step, 11)]
    assert seen.best(8).tolist() == own_lists(step, 8)


def test_places_count_from_one_and_end_behind_the_list() -> None:
    lists = torch.tensor([[7, 3, 9], [1, 2, 3]])
    assert places_in(torch.tensor([[9, 7, 4], [4, 3, 1]]), lists, 9).tolist() == [[3, 1, 4], [4, 3, 1]]


@pytest.mark.parametrize(("width", "size"), [(30, 7), (30, 30), (5000, 1), (5000, 600), (5000, 5000)])
@pytest.mark.usefixtures("ways")
def test_the_best_columns_are_those_that_sorting_finds(width: int, size: int) -> None:
    numbers = torch.Generator().manual_seed(1)
    scores = torch.stack([torch.randperm(width, generator=numbers) - 0.4 * width for _ in range(9)])
    scores[1, ::2] = -torch.inf
    scores[2] = scores[2].sort().values  # a sample of the row says little of it
    scores[3] *= 1e30
    best = best_columns(scores, size, none_of(scores))
    assert torch.equal(best[2:], scores.argsort(dim=1, descending=True)[2:, :size])
    assert torch.equal(scores[1].gather(0, best[1]), scores[1].sort(descending=True).values[:size])


@pytest.mark.parametrize(("width", "size"), [(30, 7), (5000, 1), (5000, 600), (5000, 4996)])
@pytest.mark.usefixtures("ways")
def test_columns_that_are_left_out_come_after_all_others(width: int, size: int) -> None:
    numbers = torch.Generator().manual_seed(1)
    scores = torch.stack([torch.randperm(width, generator=numbers).float() for _ in range(9)])
    left_out = scores.argsort(dim=1, descending=True)[:, [0, 2, 2, size]]
    kept = scores.scatter(1, left_out, -1.0).argsort(dim=1, descending=True)[:, :size]
    assert torch.equal(best_columns(scores, size, left_out), kept)
    everything = best_columns(scores, width, left_out)
    assert torch.equal(everything[:, -3:].sort(1).values, left_out[:, [0, 1, 3]].sort(1).values)


def none_of(scores: Tensor) -> Tensor:
    return torch.empty(len(scores), 0, dtype=torch.int64)


def test_of_equal_scores_the_kernel_takes_the_first_columns(ways: str) -> None:
    if ways == "torch":
        pytest.skip("torch promises no order of equal scores")
    scores = torch.zeros(2, 4000)
    scores[0, 17], scores[1, ::3] = 1.0, -0.0
    assert best_columns(scores, 5, none_of(scores)).tolist() == [[17, 0, 1, 2, 3], [0, 1, 2, 3, 4]]


@pytest.mark.usefixtures("ways")
def test_places_are_those_of_a_search_through_the_list() -> None:
    numbers = torch.Generator().manual_seed(2)
    lists = torch.stack([torch.randperm(50, generator=numbers)[:20] for _ in range(6)])
    items = torch.randint(0, 50, (6, 30), generator=numbers)
    wanted = [
        [listed.index(item) + 1 if item in listed else 21 for item in row]
        for listed, row in zip(lists.tolist(), items.tolist(), strict=True)
    ]
    assert places_in(items, lists, 49).tolist() == wanted
    assert is_in(items, lists).tolist() == [[place < 21 for place in row] for row in wanted]


@pytest.mark.parametrize("tail", [0, 25])
def test_rrd(tail: int) -> None:
    step = step_of(8)
    drawn = step_of(8).draw(tail).tolist()
    wanted = []
    for scores, listed, (target,) in zip(
        step.queries.tolist(), step.batch.teacher_items.tolist(), step.batch.targets.tolist(), strict=True
    ):
        below = [scores[item] for item in drawn if item not in listed and item != target]
        wanted.append(oracles.relaxed_ranking([scores[item] for item in listed], below))
    assert RRD(RRD.Config(k=8, tail=tail))(step).item() == pytest.approx(mean(wanted), rel=1e-12)


class TestListSoftmax:
    @pytest.mark.parametrize("decay", [0.0, 1.0, 2.5])
    @pytest.mark.parametrize("tail", [3, 40])
    def test_loss(self, tail: int, decay: float) -> None:
        step = step_of(8)
        drawn = set(step_of(8).draw(tail).tolist())
        worth = [place**-decay for place in range(1, 9)]
        wanted = []
        for scores, listed, (target,) in zip(
            step.queries.tolist(), step.batch.teacher_items.tolist(), step.batch.targets.tolist(), strict=True
        ):
            others = [scores[item] for item in drawn - {*listed, target}]
            rest = (ITEMS - 9) * mean(map(math.exp, others)) if others else 0.0
            total = sum(math.exp(scores[item]) for item in listed) + rest
            terms = [part * (math.log(total) - scores[item]) for part, item in zip(worth, listed, strict=True)]
            wanted.append(sum(terms) / sum(worth))
        found = ListSoftmax(ListSoftmax.Config(k=8, tail=tail, decay=decay))(step).item()
        assert found == pytest.approx(mean(wanted), rel=1e-6)  # its weights are float32

    def test_a_sample_of_everything_is_the_softmax_over_the_catalogue(self) -> None:
        step = step_of(8)
        scores = step.queries.clone()
        scores.scatter_(1, step.batch.targets, -torch.inf)
        best = torch.log_softmax(scores[:, 1:], dim=1).gather(1, step.batch.teacher_items[:, :1] - 1)
        found = ListSoftmax(ListSoftmax.Config(k=8, tail=5000, decay=60.0))(step).item()  # the first place is all
        assert found == pytest.approx(-best.mean().item(), rel=1e-9)


class TestDCD:
    config = DCD.Config(k=12, student_list=15, head=6, tail=5, temperature=4.0)

    def test_loss(self) -> None:
        step = step_of(12)
        head, tail, *idle = DCD(self.config).drawn(step_of(12))
        rows = zip(rows_of(step, head), rows_of(step, tail), *(each.tolist() for each in idle), strict=True)
        wanted = [
            oracles.relaxed_ranking(
                [score for score, skip in zip(above, no_head, strict=True) if not skip],
                [score for score, skip in zip(below, no_tail, strict=True) if not skip],
            )
            for (above, _), (below, _), no_head, no_tail in rows
        ]
        assert DCD(self.config)(step).item() == pytest.approx(mean(wanted), rel=1e-12)

    def test_the_head_is_in_the_teachers_order_and_what_both_agree_on_has_no_part(self) -> None:
        step = step_of(12)
        drawn = (each.tolist() for each in DCD(self.config).drawn(step))
        rows = zip(step.batch.teacher_items.tolist(), own_lists(step, 15), *drawn, strict=True)
        for listed, own, ahead, behind, idle_ahead, idle_behind in rows:
            theirs = {item: listed.index(item) + 1 if item in listed else 13 for item in [*ahead, *behind]}
            ours = {item: own.index(item) + 1 if item in own else 16 for item in [*ahead, *behind]}
            assert ahead == sorted(ahead, key=listed.index)
            assert len(set(ahead)) == 6
            assert idle_ahead == [ours[item] <= theirs[item] for item in ahead]
            assert idle_behind == [theirs[item] <= ours[item] for item in behind]

    def test_what_the_student_ranks_far_too_low_is_drawn_as_its_weight_says(self) -> None:
        one = DCD.Config(k=12, student_list=15, head=1, tail=1, temperature=4.0)
        step = step_of(12)
        (listed, *_), (own, *_) = step.batch.teacher_items.tolist(), own_lists(step, 15)
        ranks = [own.index(item) + 1 if item in own else 16 for item in listed]
        weights = [math.tanh(max((ours - theirs) / 4.0, 0.0)) for theirs, ours in enumerate(ranks, start=1)]
        counts = Counter(int(DCD(one).drawn(step_of(12, seed=seed))[0][0, 0]) for seed in range(3000))
        for item, weight in zip(listed, weights, strict=True):
            assert counts[item] / 3000 == pytest.approx(weight / sum(weights), abs=0.035)


class TestCD:
    @pytest.mark.parametrize("guide", ["teacher", "student"])
    def test_loss(self, guide: Any) -> None:
        method = CD(CD.Config(k=9, items=14, guide=guide, scale=2.0, shift=0.5))
        step = step_of(9)
        items = step.batch.teacher_items.gather(1, method.drawn(step_of(9)))
        wanted = [
            oracles.binary_cross_entropy(ours, [1 / (1 + math.exp(-(score + 0.5) / 2.0)) for score in theirs])
            for ours, theirs in rows_of(step, items)
        ]
        assert method(step).item() == pytest.approx(mean(wanted), rel=1e-12)

    @pytest.mark.parametrize("drawing", ["linear", "exponential"])
    @pytest.mark.parametrize("guide", ["teacher", "student"])
    def test_the_higher_the_likelier(self, guide: Any, drawing: Any) -> None:
        method = CD(CD.Config(k=6, items=4000, guide=guide, drawing=drawing, decay=2.0))
        step = step_of(6)
        columns = method.drawn(step)[0].tolist()
        (scores, _), *_ = rows_of(step, step.batch.teacher_items)
        order = list(range(6)) if guide == "teacher" else sorted(range(6), key=lambda column: -scores[column])
        chances = [6.0 - rank if drawing == "linear" else math.exp(-rank / 2.0) for rank in range(6)]
        for rank, column in enumerate(order):
            assert columns.count(column) / 4000 == pytest.approx(chances[rank] / sum(chances), abs=0.03)


@pytest.mark.parametrize("measure", ["cross_entropy", "kl"])
def test_cross_entropy(measure: Any) -> None:
    step, tau = step_of(5), 3.0
    wanted = []
    for ours, theirs in rows_of(step, torch.arange(1, ITEMS + 1).expand(QUERIES, -1)):
        cool = [[score / tau for score in scores] for scores in (ours, theirs)]
        entropy = oracles.cross_entropy(cool[1], cool[1]) if measure == "kl" else 0.0
        wanted.append(tau**2 * (oracles.cross_entropy(*cool) - entropy))
    method = CrossEntropy(CrossEntropy.Config(measure=measure, temperature=tau))
    assert method(step).item() == pytest.approx(mean(wanted), rel=1e-12)


def test_the_gradient_of_the_cross_entropy_is_that_of_its_parts() -> None:
    step, tau = step_of(5), 3.0
    step.queries.requires_grad_()
    CrossEntropy(CrossEntropy.Config(temperature=tau))(step).backward()  # type: ignore[no-untyped-call]
    found, step.queries.grad = step.queries.grad, None
    given = torch.softmax(step.ask_teacher(None)[:, 1:] / tau, dim=1)
    loss = -(given * torch.log_softmax(step.score(None)[:, 1:] / tau, dim=1)).sum(1).mean()
    (tau**2 * loss).backward()  # type: ignore[no-untyped-call]
    assert found is not None
    assert step.queries.grad is not None
    torch.testing.assert_close(found, step.queries.grad, rtol=1e-12, atol=1e-15)


class TestRceKD:
    config = RceKD.Config(k=10, student_list=20, adaptive=8, temperature=5.0, beta=2.0)

    def test_loss(self) -> None:
        step = step_of(10)
        own, drawn = RceKD(self.config).lists(step_of(10))
        assert own.tolist() == own_lists(step, 10)
        wanted = []
        for query, (student, adaptive, listed) in enumerate(
            zip(own.tolist(), drawn.tolist(), step.batch.teacher_items.tolist(), strict=True)
        ):
            ours, theirs = rows_of(step, torch.arange(ITEMS + 1).expand(QUERIES, -1))[query]
            outside = [*adaptive, *(item for item in listed if item not in student and item not in adaptive)]
            inner, outer = (
                oracles.cross_entropy([ours[item] for item in items], [theirs[item] for item in items])
                for items in (student, outside)
            )
            weight = math.exp(-2.0 * len(set(listed) & set(adaptive)) / 10)
            wanted.append((1 - weight) * inner + weight * outer)
        assert RceKD(self.config)(step).item() == pytest.approx(mean(wanted), rel=1e-7)  # w is float32

    def test_items_above_many_of_the_teachers_are_drawn_as_their_weights_say(self) -> None:
        one = RceKD.Config(k=10, student_list=20, adaptive=1, temperature=2.0)
        step = step_of(10)
        (listed, *_), (pool, *_) = step.batch.teacher_items.tolist(), own_lists(step, 20)
        places = [pool.index(item) + 1 if item in pool else 21 for item in listed]
        below = [sum(place >= rank for place in places) for rank in range(1, 21)]
        chances = [math.exp((count + 1) / 2.0) for count in below]
        counts = Counter(int(RceKD(one).lists(step_of(10, seed=seed))[1][0, 0]) for seed in range(3000))
        for item, chance in zip(pool, chances, strict=True):
            assert counts[item] / 3000 == pytest.approx(chance / sum(chances), abs=0.035)


class TestUnKD:
    def method(self, **options: Any) -> UnKD:
        found = UnKD(UnKD.Config(k=20, groups=3, **options))
        occurrences = np.repeat(np.arange(1, ITEMS + 1), np.arange(ITEMS, 0, -1))
        found.prepare(Sequences.from_pairs(np.zeros(len(occurrences), dtype=np.int64), occurrences, QUERIES), ITEMS)
        return found

    def test_groups_have_about_the_same_popularity_and_fall_with_it(self) -> None:
        counts = np.array([0, 50, 1, 30, 20, 9, 10])
        assert popularity_groups(counts, 2).tolist() == [1, 0, 1, 0, 1, 1, 1]

    def test_loss(self) -> None:
        step = step_of(20)
        preferred, other, drawn = self.method(pairs=7).pairs(step_of(20))
        assert drawn.all()
        wanted = [
            sum(oracles.pairwise([scores[a]], [scores[b]]) for a, b in zip(above, below, strict=True))
            for (scores, _), above, below in zip(
                rows_of(step, step.batch.teacher_items), preferred.tolist(), other.tolist(), strict=True
            )
        ]
        assert self.method(pairs=7)(step).item() == pytest.approx(mean(wanted), rel=1e-12)

    def test_pairs_are_of_one_group_and_in_the_teachers_order(self) -> None:
        method, step = self.method(pairs=300), step_of(20)
        preferred, other, _ = method.pairs(step)
        groups = method.get_buffer("group")[step.batch.teacher_items]
        assert (preferred < other).all()
        assert torch.equal(groups.gather(1, preferred), groups.gather(1, other))

    def test_every_group_that_has_a_pair_is_as_likely(self) -> None:
        method, step = self.method(pairs=6000), step_of(20)
        groups = method.get_buffer("group")[step.batch.teacher_items]
        found = groups.gather(1, method.pairs(step)[0])
        for row, listed in zip(found.tolist(), groups.tolist(), strict=True):
            several = [group for group, count in Counter(listed).items() if count > 1]
            for group in several:
                assert row.count(group) / 6000 == pytest.approx(1 / len(several), abs=0.03)

    def test_the_second_of_a_pair_is_drawn_by_its_rank_in_the_group(self) -> None:
        method, step = self.method(pairs=20_000, decay=3.0), step_of(20)
        groups = method.get_buffer("group")[step.batch.teacher_items]
        pairs = zip(*(each.tolist() for each in method.pairs(step)[:2]), strict=True)
        for listed, (above, below) in zip(groups.tolist(), pairs, strict=True):
            found = Counter(zip(above, below, strict=True))
            for group in set(listed):
                columns = [column for column, each in enumerate(listed) if each == group]
                weight = {column: math.exp(-(rank + 1) / 3.0) for rank, column in enumerate(columns)}
                total, drawn = sum(weight.values()), sum(found[a, b] for a in columns for b in columns)
                for a, b in itertools.combinations(columns, 2):
                    wanted = sum(
                        weight[one] / total * weight[two] / (total - weight[one]) for one, two in ((a, b), (b, a))
                    )
                    assert found[a, b] / drawn == pytest.approx(wanted, abs=0.03)

    def test_a_list_without_two_items_of_a_group_teaches_nothing(self) -> None:
        method, step = UnKD(UnKD.Config(k=2, groups=2)), step_of(2)
        counts = torch.ones(ITEMS + 1, dtype=torch.int64)
        counts[step.batch.teacher_items[:, 0]] = 0
        method.register_buffer("group", counts)
        listed = step.batch.teacher_items
        assert (counts[listed[:, 0]] != counts[listed[:, 1]]).any()
        loss = method(step)
        assert torch.isfinite(loss)
        assert not method.pairs(step)[2][counts[listed[:, 0]] != counts[listed[:, 1]]].any()


def test_dllm2rec() -> None:
    step, k = step_of(6), 6
    config = DLLM2Rec.Config(k=k, position_share=0.2, confidence_share=0.7, agreement_share=0.4, position_sharpness=2.0)
    own = own_lists(step, k)
    wanted = []
    for query, (ours, theirs) in enumerate(rows_of(step, step.batch.teacher_items)):
        listed, total = step.batch.teacher_items[query].tolist(), oracles.log_sum_exp(theirs)
        position = oracles.position_weights(k, 2.0)
        weights = [
            0.2 * position[r] + 0.7 * math.exp(theirs[r] - total) + 0.4 * (listed[r] in own[query]) for r in range(k)
        ]
        wanted.append(oracles.distillation(ours, weights))
    assert DLLM2Rec(config)(step).item() == pytest.approx(mean(wanted), rel=1e-7)  # w is float32


def test_margin_mse() -> None:
    step = step_of(4)
    step.batch.negatives[0, 1] = 0  # PAD: nothing was drawn
    others = torch.cat([step.batch.negatives, step.batch.teacher_items], dim=1)
    wanted = []
    for (above, t_above), (below, t_below), items in zip(
        rows_of(step, step.batch.targets), rows_of(step, others), others.tolist(), strict=True
    ):
        kept = [column for column, item in enumerate(items) if item]
        wanted.append(oracles.margin_mse(above, [below[c] for c in kept], t_above, [t_below[c] for c in kept]))
    assert MarginMSE(MarginMSE.Config())(step).item() == pytest.approx(mean(wanted), rel=1e-12)


class TestRankDistil:
    def test_loss(self) -> None:
        method, step = RankDistil(RankDistil.Config(k=7, orders=3, tail=20)), step_of(7)
        again = step_of(7)
        orders, drawn = method.orders(again), again.draw(20).tolist()
        wanted = []
        for scores, listed, (target,), some in zip(
            step.queries.tolist(),
            step.batch.teacher_items.tolist(),
            step.batch.targets.tolist(),
            orders.tolist(),
            strict=True,
        ):
            below = [scores[item] for item in drawn if item not in listed and item != target]
            wanted += [oracles.relaxed_ranking([scores[listed[c]] for c in order], below) for order in some]
        assert method(step).item() == pytest.approx(mean(wanted), rel=1e-12)

    def test_an_item_is_first_as_often_as_the_teachers_softmax_says(self) -> None:
        step = step_of(5)
        method = RankDistil(RankDistil.Config(k=5, orders=4000, temperature=2.0))
        first = method.orders(step)[:, :, 0]
        assert step.batch.teacher_scores is not None
        for row, given in zip(first.tolist(), step.batch.teacher_scores.tolist(), strict=True):
            chances = [math.exp(score / 2.0) for score in given]
            for column, chance in enumerate(chances):
                assert row.count(column) / 4000 == pytest.approx(chance / sum(chances), abs=0.035)


def climbing(k: int, levels: int, *, of: int = 0) -> Step:
    """A step with easier lists: the first is the student's own list, disturbed, the later ones nearer the teacher's."""
    step = step_of(k, of=of)
    numbers, listed = np.random.default_rng(of), step.batch.teacher_items.tolist()
    rows = []
    for own, last in zip(own_lists(step, k), listed, strict=True):
        lists = []
        for level in range(levels):
            kept = numbers.random(k) < level / levels
            mixed = [there if keep else here for here, there, keep in zip(own, last, kept, strict=True)]
            rest = [item for item in own + last if item not in mixed]
            unique = list(dict.fromkeys(mixed))
            lists.append((unique + rest)[:k])
        rows.append(lists)
    return replace(step, batch=replace(step.batch, easier_items=torch.tensor(rows)))


def naive_ndcg(own: list[int], listed: list[int]) -> float:
    def gain(place: int) -> float:
        return float(2 ** math.exp(-(place - 1) / 10) - 1)

    found = sum(gain(listed.index(item) + 1) / math.log2(at + 2) for at, item in enumerate(own) if item in listed)
    return found / sum(gain(at + 1) / math.log2(at + 2) for at in range(len(own)))


def naive_hetcomp(scores: list[float], targets: list[int], lists: list[list[int]], own: list[int], r: float) -> float:
    """The loss of one query, and the climb, item by item."""
    reached = [number for number, each in enumerate(lists, start=1) if naive_ndcg(own, each) >= r]
    level = min(len(lists), 1 + max(reached, default=0))
    listed = lists[level - 1]
    others = [scores[item] for item in range(1, ITEMS + 1) if item not in listed and item not in targets]
    loss = sum(oracles.relaxed_ranking([scores[item]], others) for item in targets)
    if level == len(lists):
        return loss + oracles.relaxed_ranking([scores[item] for item in listed], others)
    return loss + sum(oracles.relaxed_ranking([scores[item]], others) for item in listed)


@pytest.mark.parametrize("reached", [0.0, 0.3, 0.6, 0.9, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_hetcomp(reached: float, seed: int) -> None:
    step = climbing(8, 3, of=seed)
    batch, own = step.batch, own_lists(step, 8)
    assert batch.easier_items is not None
    wanted = [
        naive_hetcomp(scores, targets, [*easier, last], mine, reached)
        for scores, targets, easier, last, mine in zip(
            step.queries.tolist(),
            batch.targets.tolist(),
            batch.easier_items.tolist(),
            batch.teacher_items.tolist(),
            own,
            strict=True,
        )
    ]
    found = HetComp(HetComp.Config(k=8, reached=reached))(step)
    assert found.item() == pytest.approx(mean(wanted), abs=1e-10)


def test_hetcomp_climbs_as_the_student_reaches_list_after_list() -> None:
    step, method = climbing(8, 2), HetComp(HetComp.Config(k=8, reached=0.9))
    first = torch.arange(1, 9).expand(QUERIES, -1)
    lists = [first, first + 8, first + 16]  # with nothing in common
    batch = replace(step.batch, easier_items=torch.stack(lists[:2], dim=1), teacher_items=lists[2], targets=first + 24)
    places = []
    for learned in (first + 40, *lists):
        high = torch.linspace(19, 12, 8, dtype=torch.float64).expand(QUERIES, -1)
        scores = torch.zeros_like(step.queries).scatter(1, learned, high)
        here = replace(step, batch=batch, queries=scores, student=Table(scores))
        target, final = method.target(here, here.score(None))
        places += [number for number, each in enumerate(lists) if torch.equal(target, each)]
        assert final.tolist() == [places[-1] == 2] * QUERIES
    assert places == [0, 1, 2, 2]


def test_hetcomp_passes_over_targets_that_are_none() -> None:
    step = climbing(6, 2)
    padded = replace(step.batch, targets=torch.cat([torch.zeros_like(step.batch.targets), step.batch.targets], dim=1))
    method = HetComp(HetComp.Config(k=6))
    assert method(replace(step, batch=padded)).item() == pytest.approx(method(step).item())
