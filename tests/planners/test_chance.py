"""Chance of a collision with people who are forecast: against brute force, bounds, limits, and planning with it."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from embodied_gen import draws
from embodied_gen.control import RecedingHorizon
from embodied_gen.forecasting.baselines import ConstantVelocity, Standing
from embodied_gen.forecasting.collisions import closest
from planners.chance import ChanceOfCollision
from planners.foreseen import ForeseenPeople, carried_back
from planners.mppi import MPPI
from planners.omnidirectional import Omnidirectional
from planners.sampling import Effort, Problem
from planners.scenes import ABSENT

RADIUS, GAP = 0.5, 0.3


def case(seed, *, every=2, others=3):
    """Forecasts of two contexts, who is there, and paths with two channels more than positions."""
    like, stream = torch.zeros((), dtype=torch.float64), draws.generator(seed)
    forecasts = draws.normal((2, 4, others, 4, 2), generator=stream, like=like)
    present = torch.ones(2, others, dtype=torch.bool)
    present[1, 0] = False
    paths = draws.normal((2, 5, 3 * every + 1, 4), generator=stream, like=like)
    return ChanceOfCollision(forecasts, present, radius=RADIUS, gap=GAP, every=every), forecasts, present, paths


def by_hand(forecasts, present, paths, every, fine=200):
    """Smallest distances `(B, N, K, A)` at many moments."""
    steps = paths.shape[2] - 1
    times = np.linspace(0, steps, steps * fine + 1)
    own = torch.stack([at(paths[..., :2], t) for t in times], -2)
    others = torch.stack([at(forecasts, t / every) for t in times], -2)
    apart = (own[:, :, None, None] - others[:, None]).norm(dim=-1).amin(-1)
    return apart.masked_fill(~present[:, None, None], torch.inf)


def at(path, time):
    low = min(int(time), path.shape[-2] - 2)
    return path[..., low, :] + (time - low) * (path[..., low + 1, :] - path[..., low, :])


@given(st.integers(0, 99), st.integers(1, 3))
@settings(max_examples=10, deadline=None)
def test_chance_and_harm_are_those_of_many_moments(seed, every):
    constraint, forecasts, present, paths = case(seed, every=every)
    closest = by_hand(forecasts, present, paths, every)
    harm = ((RADIUS + GAP - closest) / GAP).clamp(0, 1).mean(2)
    there = present[:, None].expand_as(harm)
    torch.testing.assert_close(-constraint.margins(paths)[there], harm[there], atol=0.03, rtol=0)
    assert (constraint.margins(paths)[~there] == ABSENT).all()
    for moved in (-0.02, 0.02):  # the chance lies between those of a little less and a little more room
        chance = (closest < RADIUS + moved).any(-1).double().mean(-1)
        assert ((constraint.chance(paths) - chance) * moved <= 1e-9).all()


@given(st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_the_harm_of_all_is_at_least_the_chance_which_is_at_least_that_of_each(seed):
    constraint, forecasts, present, paths = case(seed)
    harm = (-constraint.margins(paths)).clamp(min=0)
    assert (harm.sum(-1) >= constraint.chance(paths) - 1e-9).all()
    for who in range(3):
        alone = ChanceOfCollision(forecasts[:, :, [who]], present[:, [who]], radius=RADIUS, gap=GAP, every=2)
        assert (alone.chance(paths) <= constraint.chance(paths) + 1e-9).all()


@given(st.integers(0, 99))
@settings(max_examples=10, deadline=None)
def test_harm_falls_where_a_path_follows_its_gradient(seed):
    constraint, _, _, paths = case(seed)
    paths.requires_grad_(True)
    lacking = (-constraint.margins(paths)).clamp(min=0).sum()
    (slope,) = torch.autograd.grad(lacking, paths)
    assert slope.isfinite().all() and not slope[..., 2:].any()
    if slope.any():
        step = 1e-4 * slope / slope.norm()
        assert (-constraint.margins(paths - step)).clamp(min=0).sum() < lacking


@given(st.integers(0, 99), st.sampled_from([1.0, 1.5, math.inf]))
@settings(max_examples=20, deadline=None)
def test_harm_and_its_slope_are_those_of_the_distances_of_all_at_all_steps(seed, most):
    _, forecasts, present, paths = case(seed, every=1)
    constraint = ChanceOfCollision(forecasts, present, radius=RADIUS, gap=GAP, most=most)
    paths.requires_grad_(True)
    apart = paths[:, :, None, None, :, :2] - forecasts[:, None]
    harm = ((RADIUS + GAP - closest(apart)) / GAP).clamp(0, most).mean(2) * present[:, None]
    found = (-constraint.margins(paths)).clamp(min=0)
    torch.testing.assert_close(found, harm)
    slopes = [torch.autograd.grad(each.sum(), paths)[0] for each in (found, harm)]
    torch.testing.assert_close(*slopes)


def test_inside_of_a_collision_there_is_a_slope_where_harm_has_no_bound():
    there, step = torch.zeros(1, 1, 1, 3, 2), torch.tensor([[0.5, 0.0]])
    path = (torch.arange(-1.0, 2.0)[:, None] * step + torch.tensor([0.0, 0.1]))[None, None].requires_grad_(True)
    for most, rises in ((1.0, False), (2.0, False), (math.inf, True)):
        constraint = ChanceOfCollision(there, torch.ones(1, 1, dtype=torch.bool), radius=RADIUS, gap=GAP, most=most)
        (slope,) = torch.autograd.grad(constraint.margins(path).sum(), path)
        assert bool((slope[..., 1].sum() > 0) == rises) and constraint.chance(path) == 1


@pytest.mark.parametrize("number", [torch.nan, torch.inf])
def test_a_path_that_is_no_number_collides_with_whoever_is_there_and_the_others_are_judged_as_ever(number):
    constraint, _, _, paths = case(0)
    broken = paths.clone()
    broken[:, 2, 3, 0] = number
    chance, harm = constraint.chance(broken), constraint.margins(broken)
    assert (chance[:, 2] == 1).all() and not (harm[:, 2] > 0)[constraint._present].any()
    kept = [0, 1, 3, 4]
    torch.testing.assert_close(chance[:, kept], constraint.chance(paths)[:, kept], atol=0, rtol=0)
    torch.testing.assert_close(harm[:, kept], constraint.margins(paths)[:, kept], atol=0, rtol=0)


def test_nobody_and_only_the_absent_are_no_danger():
    _, forecasts, present, paths = case(0)
    empty = ChanceOfCollision(forecasts, torch.zeros_like(present), radius=RADIUS, gap=GAP, every=2)
    assert not empty.chance(paths).any() and (empty.margins(paths) == ABSENT).all()


def test_paths_may_end_before_the_forecasts_and_not_after():
    constraint, _, _, paths = case(0)
    assert (constraint.chance(paths[:, :, :3]) <= constraint.chance(paths)).all()
    with pytest.raises(ValueError, match=r"2 contexts and at most 7 way-points.*got 2 and 8. Shorten the horizon"):
        constraint.margin(torch.zeros(2, 5, 8, 2))
    with pytest.raises(ValueError, match="got 3 and 7"):
        constraint.margin(torch.zeros(3, 5, 7, 2))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"radius": 0.0}, r"radius and gap must be positive, every at least 1 and allowed in \[0, 1\); got 0.0"),
        ({"gap": -1.0}, "got 0.5, -1.0"),
        ({"every": 0}, "got 0.5, 0.3, 0"),
        ({"allowed": 1.0}, "got 0.5, 0.3, 1 and 1.0"),
        ({"most": 0.5}, "most must be at least 1; got 0.5"),
        ({"forecasts": torch.zeros(2, 4, 3, 2)}, r"forecasts must have shape \(B, K, A, 1 \+ F, 2\).*\(2, 4, 3, 2\)"),
        ({"present": torch.ones(2, 4, dtype=torch.bool)}, r"present must have shape \(2, 3\); got \(2, 4\)"),
        ({"forecasts": torch.full((2, 4, 3, 5, 2), torch.nan)}, "forecasts must be finite; mark who is not there"),
    ],
)
def test_bad_arguments_are_named(change, message):
    usual = {"forecasts": torch.zeros(2, 4, 3, 5, 2), "present": torch.ones(2, 3, dtype=torch.bool)}
    with pytest.raises(ValueError, match=message):
        ChanceOfCollision(**usual | {"radius": RADIUS, "gap": GAP} | change)


def test_the_past_of_who_came_late_is_straight_and_stands_still_without_a_step():
    whole = torch.stack([torch.arange(8.0), -torch.arange(8.0)], -1)
    there = torch.arange(8) >= torch.tensor([0, 3, 6, 7, 8])[:, None]
    found = carried_back(whole.expand(5, 8, 2) * there[..., None], there)
    torch.testing.assert_close(found[:3], whole.expand(3, 8, 2))
    torch.testing.assert_close(found[3], whole[-1:].expand(8, 2))
    assert not found[4].any()


ROBOT = Omnidirectional(speed=1.5, acceleration=3.0, period=0.1)


def people(observed):
    """One person, as the observation has it: position and step after the robot and the goal."""
    start, step = observed[:, None, 6:8], observed[:, None, 8:10]
    times = torch.arange(-7.0, 1.0)[:, None]
    tracks = start[:, :, None] + times * step[:, :, None]
    return tracks, torch.ones(tracks.shape[:3], dtype=torch.bool)


def problem(forecaster):
    return Problem(
        ROBOT,
        lambda states, actions, goal: (states[..., :2] - goal[:, None]).norm(dim=-1).mean(1) / 1.5,
        range(4),
        (4, 5),
        (-1, -1),
        (1, 1),
        seen=ForeseenPeople(forecaster, people, draws=1, radius=RADIUS, gap=GAP, every=4),
    )


def closest_in_a_meeting(forecaster, seed):
    """Smallest distance of a robot from somebody who walks across its way and does not give way, and how it ends."""
    agent = RecedingHorizon(
        MPPI(problem(forecaster), Effort(horizon=32, hold=4, actions=4, samples=64, iterations=3, penalty=5.0))
    )
    agent.reset(seed)
    state, person, step, apart = torch.tensor([[0.0, -3, 0, 0]]), torch.tensor([-3.0, 0.0]), torch.tensor([0.12, 0]), []
    for _ in range(80):
        observed = torch.cat([state[0], torch.tensor([0.0, 3.0]), person, 4 * step])
        state = ROBOT(state, torch.from_numpy(agent.act(observed.numpy()))[None])
        person = person + step
        apart.append(float((state[0, :2] - person).norm()))
    return min(apart), float((state[0, :2] - torch.tensor([0.0, 3.0])).norm())


def test_a_planner_that_knows_where_somebody_goes_passes_and_arrives():
    for seed in range(2):
        apart, left = closest_in_a_meeting(ConstantVelocity(), seed)
        assert apart > RADIUS and left < 0.3
    assert closest_in_a_meeting(Standing(), 0)[0] < apart


@given(st.lists(st.floats(-2, 2), min_size=6, max_size=6))
def test_the_robot_keeps_to_its_limits(numbers):
    state, action = torch.tensor(numbers[:4])[None].double(), torch.tensor(numbers[4:])[None].double()
    state[:, 2:] *= 1.5 / max(1.5, float(state[:, 2:].norm()))
    after = ROBOT(state, action)
    assert float(after[:, 2:].norm()) <= 1.5 + 1e-9
    assert float((after - state)[:, 2:].norm()) <= 0.3 + 1e-9
    torch.testing.assert_close(after[:, :2], state[:, :2] + 0.1 * after[:, 2:])


def test_numbers_of_a_robot_that_are_not_positive_are_named():
    with pytest.raises(ValueError, match=r"speed, acceleration and period must be positive; got 1.5, 0.0 and 0.1"):
        Omnidirectional(speed=1.5, acceleration=0.0, period=0.1)


@pytest.mark.parametrize("wrong", [{"draws": 0}, {"draws": 1, "nearest": 0}])
def test_numbers_of_forecasts_are_named(wrong):
    with pytest.raises(ValueError, match="draws and nearest must be at least 1"):
        ForeseenPeople(Standing(), people, radius=RADIUS, gap=GAP, every=4, **wrong)
