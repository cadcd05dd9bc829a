"""A margin of collision that is not negative is a proof, and what is clear is not rejected."""

import math
from itertools import combinations

import pytest
import scene_cases as cases
import shapely
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from planners import NoCollision, feasible
from planners.boxes import boxes_of, outline, separation, turned_to
from planners.collisions import TOLERANCE

pytestmark = pytest.mark.usefixtures("double")

poses = st.tuples(cases.near, cases.near, cases.angles)
steps = st.tuples(poses, poses, poses)
size = st.tuples(cases.sizes, cases.sizes)


def dense(y, count=1000):
    """Least separation of each sample's pairs over many poses of every step: `(B, N, A, T, 7)` to `(B, N)`."""
    boxes, _ = boxes_of(y)
    start, end = boxes[..., :-1, :], boxes[..., 1:, :]
    share = torch.linspace(0, 1, count, dtype=y.dtype)[:, None, None, None, None, None]
    poses = start + share * (turned_to(start, end) - start)
    i, j = torch.triu_indices(y.shape[2], y.shape[2], 1)
    return separation(poses[:, :, :, i], poses[:, :, :, j]).amin((0, 3, 4))


def apart_at_steps(y):
    """Least distance of two boxes at a step, by geometry: one scene `(1, 1, A, T, 7)`."""
    polygons = shapely.polygons(outline(boxes_of(y)[0])[0, 0, ..., ::2, :].numpy())
    return min(shapely.distance(a, b).min() for a, b in combinations(polygons, 2))


@given(st.lists(steps, min_size=2, max_size=3), size, size)
@settings(max_examples=60)
def test_whatever_is_certified_collides_at_no_moment_and_what_is_clear_is_certified(paths, first, second):
    sizes = [first, second, first]
    y = cases.scene(*[[cases.agent(*p, *sizes[k]) for p in path] for k, path in enumerate(paths)])
    margin, least = NoCollision().margin(y).item(), dense(y).item()
    if margin >= 0:
        assert least >= 0
    if least > 0:
        assert least - margin <= max(TOLERANCE, 0.1 * least) + 0.03  # what a thousand poses miss
        assert margin <= apart_at_steps(y) + 1e-9
    if least > 0.02:
        assert margin >= 0


@pytest.mark.parametrize("seed", range(4))
def test_traffic_is_judged_as_by_a_thousand_poses(seed):
    y = cases.traffic(seed, samples=64, agents=3, steps=5, spread=10.0)
    margin, least = NoCollision().margin(y), dense(y)
    assert 0.1 < (least > 0).double().mean() < 0.9
    assert (least[margin >= 0] >= 0).all()
    assert (margin[least > 0.01] >= 0).all()


def test_cars_that_change_places_between_two_steps_collide():
    y = cases.scene(
        [cases.agent(-5, 0, 0), cases.agent(5, 0, 0)], [cases.agent(5, 0, math.pi), cases.agent(-5, 0, math.pi)]
    )
    quarter = cases.scene(
        [cases.agent(-5, 0, 0), cases.agent(5, 0, 0)], [cases.agent(0, -25, 0), cases.agent(0, 15, 0)]
    )
    assert NoCollision().margin(y).item() < 0
    assert not feasible([NoCollision()], quarter).any() and (NoCollision().margins(quarter)[..., :2] > 0).all()


def test_cars_that_pass_each_other_have_the_gap_between_them():
    y = cases.scene(
        [cases.agent(10.0 * k, 0, 0) for k in range(4)], [cases.agent(30 - 10.0 * k, 3, math.pi) for k in range(4)]
    )
    assert NoCollision().margin(y).item() == pytest.approx(1, rel=0.1)
    assert NoCollision(0.8).margin(y).item() == pytest.approx(0.2, rel=0.1)
    assert NoCollision(1.2).margin(y).item() < 0


def test_a_long_truck_that_turns_sweeps_more_than_its_poses():
    truck = [cases.agent(0, 0, 0, 12, 2), cases.agent(0, 0, math.pi / 2, 12, 2)]
    y = cases.scene(truck, [cases.agent(4.3, 4.3, math.pi / 4, 1, 1)] * 2)
    at_steps = separation(*boxes_of(y)[0][0, 0]).amin()
    assert at_steps > 0.5 and NoCollision().margin(y).item() < 0


@pytest.mark.parametrize("gap", [0.0, 1.0, 3.0])
def test_what_is_certified_is_at_most_what_is_steered_by(gap):
    # Small boxes far apart: along their sides two that face each other's corners are nearer than they are.
    y = cases.traffic(samples=2000, agents=3, steps=2, spread=10.0)
    y[..., 4:6] *= 0.2
    constraint = NoCollision(gap)
    assert (constraint.margin(y) <= constraint.margins(y).amin(-1) + 1e-9).all()


def test_margins_hold_pairs_at_steps_then_halfway():
    y = cases.traffic(agents=3, steps=4)
    margins = NoCollision().margins(y).view(1, 4, 3, 7)
    boxes, _ = boxes_of(y)
    assert margins[:, :, 1, :4].equal(separation(boxes[:, :, 0], boxes[:, :, 2]))
    assert NoCollision().margins(y[..., :1, :]).shape == (1, 4, 3)
    assert NoCollision(0.5).margins(y).equal(NoCollision().margins(y) - 0.5)


def test_named_agents_stay_clear_of_every_other():
    y = cases.traffic(agents=4)
    assert NoCollision(agents=[1]).margins(y).shape[-1] == 3 * 11
    assert NoCollision(agents=[0, 1, 2, 3]).margins(y).equal(NoCollision().margins(y))
    far = y.clone()
    far[:, :, 1, :, 0] += 1000
    assert (NoCollision(agents=[1]).margins(far) > 0).all()
    assert (NoCollision(agents=[1]).margin(far) > 100).all()


def test_a_single_agent_collides_with_nobody():
    y = cases.traffic(agents=1)
    assert (NoCollision().margins(y) > 0).all() and feasible([NoCollision()], y).all()


@given(st.floats(-4, 4), st.floats(-1e3, 1e3), st.floats(-1e3, 1e3))
@settings(max_examples=20)
def test_turning_and_moving_the_whole_scene_changes_nothing(angle, x, z):
    y = cases.traffic()
    new = cases.moved(y, angle, x, z)
    torch.testing.assert_close(NoCollision().margins(new), NoCollision().margins(y), atol=1e-6, rtol=0)
    torch.testing.assert_close(NoCollision().margin(new), NoCollision().margin(y), atol=2e-3, rtol=0.1)


def test_the_order_of_agents_changes_nothing():
    y = cases.traffic(agents=4)
    for order in ([3, 1, 0, 2], [1, 0, 3, 2]):
        torch.testing.assert_close(NoCollision().margin(y[:, :, order]), NoCollision().margin(y))
        torch.testing.assert_close(NoCollision().margins(y[:, :, order]).amin(-1), NoCollision().margins(y).amin(-1))


def test_samples_are_judged_alone():
    y = cases.traffic(contexts=2, samples=3, agents=3)
    for b in range(2):
        for n in range(3):
            assert NoCollision().margin(y)[b, n] == NoCollision().margin(y[b : b + 1, n : n + 1])[0, 0]


def test_the_absent_are_ignored_while_they_are_absent():
    crossing = [cases.agent(0, 0, 0, valid=v) for v in (0, 1, 0)]
    y = cases.scene(crossing, [cases.agent(x, 0, 0) for x in (-4, 8, 0)])
    y[0, 0, 0, 0] = torch.nan
    y[0, 0, 0, 0, 6] = 0
    assert NoCollision().margin(y).item() > 0 and (NoCollision().margins(y) > 0).all()
    y[0, 0, 0, 2, 6] = 1
    assert NoCollision().margin(y).item() < 0
    nobody = y.clone()
    nobody[..., 6] = 0
    assert feasible([NoCollision()], nobody).all()


def test_no_gradient_flows_to_the_absent_and_all_are_finite():
    y = cases.traffic(agents=3)
    y[:, :, 1] = y[:, :, 0]  # the same box twice
    y[:, :, 2, 1:, 6] = 0
    y[:, :, 2, 1:, :6] = torch.nan
    y.requires_grad_()
    NoCollision().margins(y).sum().backward()
    assert y.grad.isfinite().all() and (y.grad[:, :, 2, 1:] == 0).all() and (y.grad[:, :, 2, 0] != 0).any()


def test_the_gradient_of_margins_is_that_of_finite_differences():
    y = cases.traffic(samples=2, agents=3, steps=3, spread=3.0).requires_grad_()
    assert (NoCollision().margins(y) < 0).any()
    assert torch.autograd.gradcheck(NoCollision().margins, y, eps=1e-7, atol=1e-5)


def test_what_is_no_number_never_holds():
    for channel in range(7):
        y = cases.traffic(agents=2, spread=100.0)
        y[0, 1, 0, 2, channel] = torch.nan
        holds = feasible([NoCollision()], y)[0].tolist()
        assert holds == [True, channel in (3, 6), True, True]  # the speed is no part of a box


def test_single_precision_is_certified_in_double():
    y = cases.moved(cases.traffic(samples=16, agents=3), 0.0, 5000, 5000).float()
    assert NoCollision().margin(y).equal(NoCollision().margin(y.double()).float())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: NoCollision(-1), "gap must be at least 0 and finite; got -1"),
        (lambda: NoCollision(agents=[0, 0]), r"agents must name different agents by numbers from 0; got \[0, 0\]"),
        (lambda: NoCollision(agents=[]), r"agents must name different agents by numbers from 0; got \[\]"),
        (
            lambda: NoCollision(agents=[5]).margins(cases.traffic()),
            "there is no agent 5; the scene has 4 agents, 0 to 3",
        ),
        (
            lambda: NoCollision().margins(torch.zeros(1, 1, 5, 7)),
            r"a scene has shape \(B, N, A, T, 7\); got \(1, 1, 5, 7\)",
        ),
    ],
)
def test_impossible_constraints_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
