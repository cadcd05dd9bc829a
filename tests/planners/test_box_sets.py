"""Constraints on sets of boxes against counting, and their slopes."""

from itertools import combinations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from embodied_gen.boxes import corners, iou
from embodied_gen.events import BoxSet
from planners import BoxCount, BoxesApart, BoxesWithin, feasible, guide_of

seeds = st.integers(0, 10_000)


def sets(seed, contexts=2, samples=3, slots=7, classes=2):
    stream = torch.Generator().manual_seed(seed)
    y = torch.rand(contexts, samples, slots, 4 + classes, generator=stream, dtype=torch.float64)
    return torch.cat([y[..., :2], 0.1 + 0.4 * y[..., 2:4], y[..., 4:]], -1)


def each(y):
    return [[rows for rows in samples] for samples in y]


def kept_by_loop(rows):
    """Pairs (score, slot) of a box and a class that no likelier pair of the class suppresses, by falling scores."""
    ends, scores = corners(rows[:, :4]), rows[:, 4:].tolist()
    kept = []
    for score, slot, label in sorted(
        ((s, i, k) for i, row in enumerate(scores) for k, s in enumerate(row)), reverse=True
    ):
        if all(label != other or iou(ends[slot], ends[place]) <= 0.5 for _, place, other in kept):
            kept.append((score, slot, label))
    return [(score, slot) for score, slot, _ in kept]


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_boxes_are_apart_just_where_no_likely_pair_overlaps_too_much(seed):
    y = sets(seed)
    found = BoxesApart(0.2).margin(y)
    for b, samples in enumerate(each(y)):
        for n, rows in enumerate(samples):
            ends, kept = corners(rows[:, :4]), kept_by_loop(rows)
            worst = max(s * t * iou(ends[i], ends[j]).item() for (s, i), (t, j) in combinations(kept, 2))
            assert found[b, n].item() == pytest.approx(0.2 - worst)


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_boxes_are_within_just_where_every_likely_one_is(seed):
    y = sets(seed)
    constraint = BoxesWithin((0.1, 0.0), (0.9, 0.8), likely=0.7)
    for b, samples in enumerate(each(y)):
        for n, rows in enumerate(samples):
            ends = corners(rows[rows[:, 4:].amax(1) > 0.7][:, :4])
            inside = (ends[:, 0] >= 0.1) & (ends[:, 1] >= 0) & (ends[:, 2] <= 0.9) & (ends[:, 3] <= 0.8)
            assert bool(feasible([constraint], y)[b, n]) == bool(inside.all())


@settings(max_examples=20, deadline=None)
@given(seeds, st.integers(1, 5), st.integers(1, 4))
def test_things_are_counted_and_not_what_repeats_them(seed, things, copies):
    # Boxes far apart, each several times: as many things as boxes, whatever the order of slots.
    stream = torch.Generator().manual_seed(seed)
    x = 0.1 + 0.18 * torch.arange(things, dtype=torch.float64)
    rows = torch.stack([x, x, 0 * x + 0.1, 0 * x + 0.1, 0 * x + 1, 0 * x], -1).repeat(copies, 1)
    empty = sets(seed, 1, 1)[0, 0] * torch.tensor([1, 1, 1, 1, 0, 0])
    y = torch.cat([rows, empty])
    y = y[torch.randperm(len(y), generator=stream)][None, None]
    assert BoxCount(things)(y).item() == pytest.approx(0)
    assert BoxCount(things + 2, unit=0.5)(y).item() == pytest.approx(2)  # two boxes lack a half
    assert BoxCount(things - 1, unit=0.5)(y).item() == pytest.approx(1)  # one has a half too much
    assert BoxCount(len(y[0, 0]) + 1, unit=0.5)(y).item() == pytest.approx(len(y[0, 0]) + 1 - things)


@settings(max_examples=20, deadline=None)
@given(seeds, st.integers(0, 9))
def test_the_cost_of_a_count_is_the_least_change_of_scores_that_gives_it(seed, count):
    y = sets(seed, slots=7)
    for samples, costs in zip(y, BoxCount(count)(y), strict=True):
        for rows, cost in zip(samples, costs, strict=True):
            kept = [score for score, _ in kept_by_loop(rows)] + [0.0] * 7
            score = kept[:7] + [0.0] * max(0, count - 7)  # a set has no more things than slots
            change = [max(0, 0.5 - s) if rank < count else max(0, s - 0.5) for rank, s in enumerate(score)]
            assert cost.item() == pytest.approx(sum(c**2 for c in change) / 0.01)


@settings(max_examples=20, deadline=None)
@given(seeds, st.integers(0, 9))
def test_a_set_costs_what_the_merged_set_costs(seed, count):
    event = BoxSet(2, 14)  # as many slots as there are pairs of a box and a class
    y = torch.cat([sets(seed), torch.zeros(2, 3, 7, 6, dtype=torch.float64)], 2)
    merged = event.unscale(event.merged(event.scale(y).flatten(0, 1).unsqueeze(1))).view_as(y)
    for cost in (BoxesApart(0.2).margin, BoxCount(count)):
        torch.testing.assert_close(cost(y), cost(merged))


def test_two_likely_classes_of_a_slot_are_two_things_in_one_place():
    y = torch.tensor([[0.5, 0.5, 0.2, 0.2, 0.9, 0.8]])[None, None]
    assert BoxesApart(0.3).margin(y).item() == pytest.approx(0.3 - 0.9 * 0.8)


def test_boxes_that_a_likelier_one_of_their_class_suppresses_are_left_alone():
    # Two boxes of one class, IoU 0.8, a third of another class over them.
    y = torch.tensor([[0.5, 0.5, 0.2, 0.2, 0.9, 0], [0.5, 0.5, 0.2, 0.16, 0.8, 0], [0.5, 0.5, 0.2, 0.2, 0, 0.4]])
    apart = BoxesApart(0.3)
    assert apart.margin(y[None, None, :2]).item() == pytest.approx(0.3)
    assert apart.margin(y[None, None]).item() == pytest.approx(0.3 - 0.9 * 0.4)
    far = y.clone()
    far[1, 0] = 0.6  # IoU 2 / 7: both are kept, and in one another's way
    assert apart.margin(far[None, None, :2]).item() == pytest.approx(0.3 - 0.9 * 0.8 * 2 / 7)


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_slopes_are_those_of_finite_differences(seed):
    y = sets(seed, 1, 1)
    direction = torch.randn(y.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    functions = [lambda y: BoxesApart(0.2).margins(y).sum(), lambda y: BoxesWithin((0, 0), (1, 1)).margins(y).sum()]
    for function in [*functions, lambda y: BoxCount(3)(y).sum()]:
        (slope,) = torch.autograd.grad(function(y.requires_grad_()), y)
        with torch.no_grad():
            ahead, behind = (function(y + h * direction) for h in (1e-7, -1e-7))
        assert (slope * direction).sum().item() == pytest.approx((ahead - behind).item() / 2e-7, rel=1e-3, abs=1e-4)


def test_a_guide_holds_constraints_and_costs_of_sets_together():
    guide = guide_of([BoxesApart(0.3), BoxesWithin((0, 0), (1, 1))], [BoxCount(2)], scale=3.0)
    y = sets(1)
    assert guide.margins(y).shape == (2, 3, 14) and guide.cost(y).shape == guide.certify(y).shape == (2, 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: BoxesApart(1.0), "strictly between 0 and 1; got 1.0"),
        (lambda: BoxesWithin((0, 1), (1, 1)), r"low must be below high in both axes.*got \[0, 1\] and \[1, 1\]"),
        (lambda: BoxesWithin((0, 0), (1, 1), likely=1.0), r"a score in \[0, 1\); got 1.0"),
        (lambda: BoxCount(-1), "count must be a whole number of at least 0 and unit positive and finite; got -1"),
        (lambda: BoxCount(1.5), "whole number of at least 0 .* got 1.5"),
        (lambda: BoxCount(1, unit=0), "got 1 and 0"),
        (lambda: BoxesApart(0.5).margins(torch.zeros(2, 3, 4)), r"shape \(B, N, S, 4 \+ K\).*got \(2, 3, 4\)"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
