"""Constraints on paths apply to agents of scenes and to spans of steps; who is absent is left out."""

import math

import pytest
import scene_cases as cases
import torch

from planners import (
    AccelerationLimit,
    AttributeRange,
    Bicycle,
    CurvatureLimit,
    During,
    Fixed,
    KeepDistance,
    KeepInBox,
    KeepInRegion,
    KeepOutDisc,
    LongitudinalAcceleration,
    NoCollision,
    OfAgents,
    OnRoad,
    ReachPoint,
    SpeedLimit,
    Unicycle,
    feasible,
    polygon_of,
)

pytestmark = pytest.mark.usefixtures("double")

REGION = polygon_of([(-9, -9), (9, -9), (9, 9), (-9, 9)])
ON_PATHS = [
    KeepOutDisc((1, 2), 3),
    KeepInBox((-9, -9), (9, 9)),
    KeepInRegion(REGION),
    SpeedLimit(6, 0.2),
    AccelerationLimit(9, 0.2),
    CurvatureLimit(0.2),
    ReachPoint((3, 4), 5, step=2),
    AttributeRange("speed", 4, 7),
    AttributeRange("heading", -1, 1),
    LongitudinalAcceleration(-4, 4, 0.2),
    Unicycle(0.05, 0.2),
    Bicycle(0.05, 0.2),
]
PLACES = ON_PATHS[:3]


def named(constraints):
    return pytest.mark.parametrize("constraint", constraints, ids=lambda c: c.name)


@named(ON_PATHS)
def test_an_agent_has_the_margins_of_its_path(constraint):
    y = cases.traffic(contexts=2, samples=3)
    each = [constraint.margins(y[:, :, k]) for k in range(4)]
    assert OfAgents(constraint).margins(y).equal(torch.cat(each, -1))
    assert OfAgents(constraint, [2]).margins(y).equal(each[2])
    exact = torch.stack([constraint.margin(y[:, :, k]) for k in (3, 0)]).amin(0)
    assert OfAgents(constraint, [3, 0]).margin(y).equal(exact)
    assert OfAgents(constraint).shapes() == constraint.shapes()


@named(ON_PATHS)
def test_a_span_of_a_path_is_judged_as_a_path(constraint):
    y = cases.traffic()
    path = y[:, :, 0]
    for wanted, whole, cut in ((constraint, path, path[..., 1:5, :]), (OfAgents(constraint), y, y[..., 1:5, :])):
        for first, last in ((1, 4), (-5, -2), (1, -2)):
            assert During(wanted, first, last).margins(whole).equal(wanted.margins(cut))
            assert During(wanted, first, last).margin(whole).equal(wanted.margin(cut))
    assert During(constraint, 1, 4).shapes() == constraint.shapes()


@named([NoCollision(), KeepDistance(3)])
def test_constraints_between_agents_hold_during_spans_too(constraint):
    y = cases.traffic()
    assert During(constraint, 3, 3).margins(y).equal(constraint.margins(y[..., 3:4, :]))


def with_absence(y, agent, first, last):
    """The agent is there from first to last alone, and elsewhere no number at all."""
    y = y.clone()
    y[:, :, agent, :first], y[:, :, agent, last + 1 :] = torch.nan, torch.nan
    y[:, :, agent, :, 6] = 0
    y[:, :, agent, first : last + 1, 6] = 1
    return y


@named(ON_PATHS)
def test_an_agent_is_judged_while_it_is_there(constraint):
    y = with_absence(cases.traffic(), 1, 1, 4).requires_grad_()
    wanted = OfAgents(constraint, [1])
    inner = OfAgents(constraint, [1])
    if isinstance(constraint, ReachPoint):
        inner = OfAgents(ReachPoint(constraint.point, constraint.tolerance, step=1), [1])
    torch.testing.assert_close(wanted.margin(y), inner.margin(y[..., 1:5, :]))
    torch.testing.assert_close(wanted.margins(y).amin(-1), inner.margins(y[..., 1:5, :]).amin(-1))
    wanted.margins(y).sum().backward()
    assert y.grad.isfinite().all() and (y.grad[:, :, 1, [0, 5]] == 0).all() and (y.grad[:, :, 1, 2] != 0).any()


@named(ON_PATHS)
def test_who_is_never_there_never_offends(constraint):
    y = with_absence(cases.traffic(), 1, 0, -1)
    y[:, :, 1, :, 6] = 0
    assert (OfAgents(constraint, [1]).margins(y) > 100).all() and feasible([OfAgents(constraint, [1])], y).all()
    others = OfAgents(constraint, [0, 2, 3])
    torch.testing.assert_close(OfAgents(constraint).margin(y), others.margin(y))


@named(PLACES)
def test_an_agent_that_is_there_for_one_step_is_judged_at_it(constraint):
    y = with_absence(cases.traffic(), 1, 3, 3)
    torch.testing.assert_close(OfAgents(constraint, [1]).margin(y), constraint.margin(y[:, :, 1, 3:4]))


def test_a_point_is_to_be_reached_only_by_those_that_are_there():
    goal = OfAgents(ReachPoint((99, 99), 0.1, step=5), [1])
    assert not feasible([goal], cases.traffic()).any()
    assert feasible([goal], with_absence(cases.traffic(), 1, 0, 3)).all()


def test_a_gap_in_time_is_crossed_straight():
    y = cases.scene([cases.agent(x, 0, 0, valid=abs(x) > 1) for x in (-4, -3, 0, 3, 4)])
    assert OfAgents(KeepOutDisc((0, 0), 1)).margin(y).item() == pytest.approx(-1, abs=1e-5)


@named([*(OfAgents(c, [0, 2]) for c in ON_PATHS), KeepDistance(3, 0.5)])
def test_the_gradient_of_margins_is_that_of_finite_differences(constraint):
    y = cases.traffic(samples=2, agents=3, steps=4).requires_grad_()
    assert torch.autograd.gradcheck(constraint.margins, y, eps=1e-7, atol=1e-4)


def test_a_projection_changes_the_agents_and_the_span_that_it_is_of_alone():
    y = with_absence(cases.traffic(), 1, 1, 5)
    y = torch.where(y.isnan(), 50.0, y)
    wanted = During(OfAgents(AttributeRange("speed", 8, 9), [0, 1]), 1, 4)
    new = wanted.project(y)
    assert wanted.projects and feasible([wanted], new).all()
    changed = (new != y).nonzero().T
    assert set(changed[2].tolist()) == {0, 1} and set(changed[3].tolist()) <= {1, 2, 3, 4}
    assert set(changed[4].tolist()) == {3}
    absent = During(OfAgents(AttributeRange("speed", 8, 9), [1]), 0, 0)
    assert absent.project(y).equal(y)
    assert not During(OfAgents(SpeedLimit(1, 1)), 0, 1).projects


def test_a_scene_that_starts_as_given_is_one_fixed_span():
    y, start = cases.traffic(samples=3), cases.traffic(9, samples=1)[0, 0]
    mask = torch.zeros(4, 6, 7, dtype=torch.bool)
    mask[:, 0] = True
    fixed = Fixed(start, mask, 1e-3, angles=[2])
    assert not feasible([fixed], y).any() and feasible([fixed], fixed.project(y)).all()
    assert fixed.project(y)[:, :, :, 0].equal(start[:, 0].expand(1, 3, 4, 7))
    assert fixed.project(y)[:, :, :, 1:].equal(y[:, :, :, 1:])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: During(SpeedLimit(1, 1), 3, 2), "a span must not end before it starts; got steps 3 to 2"),
        (
            lambda: During(SpeedLimit(1, 1), 2, 9).margins(cases.traffic()[:, :, 0]),
            "speed at most 1 m/s, steps 2 to 9: the span must lie in a path of 6 steps, 0 to 5",
        ),
        (
            lambda: During(SpeedLimit(1, 1), -9, -1).margins(cases.traffic()[:, :, 0]),
            "steps -9 to -1: the span must lie in a path of 6 steps",
        ),
        (
            lambda: During(SpeedLimit(1, 1), 4, -3).margins(cases.traffic()[:, :, 0]),
            "steps 4 to -3: the span must lie in a path of 6 steps",
        ),
        (
            lambda: OfAgents(SpeedLimit(1, 1), [0, 7]).margins(cases.traffic()),
            "agents 0, 7: there is no agent 7; the scene has 4 agents, 0 to 3",
        ),
        (lambda: OfAgents(SpeedLimit(1, 1), [-1]), r"agents must name different agents by numbers from 0; got \[-1\]"),
        (lambda: OfAgents(During(SpeedLimit(1, 1), 0, 1)), "a span of steps goes around the agents: During"),
        (
            lambda: OfAgents(SpeedLimit(1, 1)).margin(cases.traffic()[:, :, 0]),
            r"a scene has shape \(B, N, A, T, 7\); got \(1, 4, 6, 7\)",
        ),
        (lambda: KeepDistance(), "gap and headway must be at least 0 and one of them positive; got 0.0 and 0.0"),
        (lambda: KeepDistance(-1, 2), "gap and headway must be at least 0"),
        (lambda: KeepDistance(1, ahead=[8]).margins(cases.traffic()), "there is no agent 8"),
    ],
)
def test_impossible_constraints_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_period_for_each_context_is_that_of_all_its_agents():
    y = cases.traffic(contexts=2, samples=3)
    period = torch.tensor([0.2, 0.4]).view(2, 1, 1)
    for kind in (SpeedLimit, AccelerationLimit, Unicycle, Bicycle):
        both = OfAgents(kind(5.0, period)).margins(y)
        for b, each in enumerate((0.2, 0.4)):
            torch.testing.assert_close(both[b : b + 1], OfAgents(kind(5.0, each)).margins(y[b : b + 1]))


def test_distance_is_kept_to_who_is_ahead_in_the_same_strip():
    follower = cases.agent(0, 0, 0, 4, 2, speed=10)

    usual = KeepDistance(5, 1.0, agents=[0])

    def margin(x, y, heading=0.0, keep=usual):
        return keep.margin(cases.scene([follower], [cases.agent(x, y, heading, 4, 2)])).item()

    assert margin(30, 0) == pytest.approx(30 - 4 - 5 - 10)
    assert margin(12, 0) < 0
    assert margin(12, 2.5) == pytest.approx(0.5)  # beside
    assert margin(-6, 0) == pytest.approx(6)  # behind
    assert margin(30, 0, math.pi / 2) == pytest.approx(30 - 3 - 5 - 10)  # across, half as long
    assert margin(12, 0, keep=KeepDistance(5, 1.0, agents=[0], ahead=[0])) > 100
    assert margin(12, 0, keep=KeepDistance(5, 1.0, agents=[1])) > 0  # the other one follows nobody


def test_distances_do_not_change_with_the_frame_or_the_order():
    y, keep = cases.traffic(), KeepDistance(3, 0.5)
    torch.testing.assert_close(keep.margins(cases.moved(y, 1.1, 50, -70)), keep.margins(y))
    torch.testing.assert_close(keep.margin(y[:, :, [2, 0, 3, 1]]), keep.margin(y))
    gone = with_absence(y, 1, 0, 2)
    assert (keep.margins(gone).unflatten(-1, (12, 6))[..., 3:][:, :, [0, 3, 4, 5]] > 100).all()
    assert keep.margins(gone).isfinite().all() and keep.margin(y[:, :, :1]).gt(100).all()


@pytest.mark.parametrize(
    "margins",
    [
        NoCollision().margins,
        NoCollision(agents=[1]).margins,
        KeepDistance(1.0).margins,
        OnRoad(REGION).margins,
        During(NoCollision(), 1, 2).margins,
    ],
)
def test_what_a_sampler_steers_by_never_waits_for_numbers(margins):
    y = cases.traffic(agents=3)
    # On the meta device there are no numbers: what has to look at one fails.
    assert margins(y.to("meta")).shape == margins(y).shape
