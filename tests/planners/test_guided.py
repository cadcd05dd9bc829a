"""The planner takes the quickest way that is good, goes around what is new, and says when it cannot."""

import numpy as np
import pytest
import shapely
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from straight_ways import PERIOD, STRIDES, Follow, Straight, Stubborn, T, observation, planner, travel

from embodied_gen import draws
from embodied_gen.blocks import PlannerControl
from embodied_gen.encoder import StateEncoder
from embodied_gen.events import Trajectory
from embodied_gen.heads import RegressionHead
from embodied_gen.nets import ResidualMLP
from embodied_gen.predictor import Predictor
from planners import (
    AccelerationLimit,
    Constraint,
    DoubleIntegrator,
    KeepInRegion,
    KeepOutDisc,
    KeepOutRegion,
    SpeedLimit,
)
from planners.course import Course
from planners.execution import Execution, InverseDynamics, OnCourse, Tracker
from planners.guided import GuidedPlanner, planner_of


@pytest.mark.parametrize("limit", [2.0, 5.0, 7.6, 20.0])
def test_the_quickest_way_within_the_limits_is_taken(limit):
    agent = planner(lambda period: [SpeedLimit(limit, period)])
    memory = agent.remember(0, observation())
    agent.plan([memory])
    # 1.2 m in s (T - 1) steps of 10 ms.
    expected = next(s for s in range(1, STRIDES + 1) if 1.2 / (s * PERIOD * (T - 1)) <= limit * 0.999)
    assert len(memory.chunks[0][1]) == expected * (T - 1)
    assert (agent.plans, agent.infeasible) == (1, 0)


def test_plans_are_followed_to_the_goal():
    agent = planner(lambda period: [SpeedLimit(4.0, period)])
    memories = [agent.remember(seed, observation(goal=goal)) for seed, goal in enumerate([(0.6, 0.0), (0.0, 0.5)])]
    positions = travel(agent, memories, 60)
    for episode, memory in enumerate(memories):
        assert np.linalg.norm(positions[-1, episode] - memory.observations[-1, 4:]) < 0.05
        speed = np.linalg.norm(np.diff(positions[:, episode], axis=0), axis=1) / PERIOD
        assert speed.max() < 4.2
    assert agent.plans >= 2 * 6 and agent.infeasible == 0


def test_an_obstacle_that_no_free_way_avoids_is_gone_around_by_guided_ones():
    disc = KeepOutDisc((0.0, 0.02), 0.15)
    agent = planner(lambda period: [disc])
    memory = agent.remember(0, observation())
    agent.plan([memory])
    assert agent.infeasible == 0
    way = torch.from_numpy(memory.chunks[0][1])[None, None]
    assert disc.margin(way) >= 0


ROOM = shapely.box(-0.9, -0.5, 0.9, 0.5)
INSIDE = KeepInRegion(ROOM)


def plan_among(obstacle):
    """The agent after its first plan in a corridor with an obstacle, and the way that it follows."""
    outside = KeepOutRegion(obstacle)
    agent = planner(lambda period: [INSIDE, outside, SpeedLimit(8.0, period)])
    memory = agent.remember(0, observation())
    agent.plan([memory])
    return agent, np.concatenate([[[-0.6, 0.0]], memory.chunks[0].values[:, :2]])


@given(st.floats(-0.1, 0.1), st.floats(0.03, 0.12), st.sampled_from([-1, 1]), st.floats(0.05, 0.15), st.integers(2, 8))
@settings(max_examples=5, deadline=None)
def test_an_obstacle_between_start_and_goal_is_gone_around_swept(x, off, side, size, corners):
    obstacle = shapely.Point(x, side * off).buffer(size, quad_segs=corners)
    agent, way = plan_among(obstacle)
    assert agent.infeasible == 0
    line = shapely.LineString(way)
    assert ROOM.covers(line) and not line.intersects(obstacle.buffer(-1e-6))
    assert np.linalg.norm(way[-1] - (0.6, 0.0)) <= 0.05 + 1e-6


@pytest.mark.parametrize("wide", [0.02, 0.3])
def test_a_closed_corridor_is_infeasible_also_where_way_points_could_hop_across(wide):
    agent, _ = plan_among(shapely.box(-wide / 2, -0.6, wide / 2, 0.6))
    assert (agent.plans, agent.infeasible) == (1, 1)


def test_where_nothing_arrives_a_way_that_holds_is_followed_before_one_that_breaks():
    around_the_goal = KeepOutDisc((0.6, 0.0), 0.15)
    agent = planner(lambda period: [around_the_goal])
    memory = agent.remember(0, observation())
    agent.plan([memory])
    assert agent.infeasible == 1
    assert around_the_goal.margin(torch.from_numpy(memory.chunks[0].values)[None, None]) >= 0


@pytest.mark.parametrize(("limit", "plans"), [(4.0, 2), (0.5, 7)])
def test_a_plan_that_is_not_good_is_made_anew_four_times_as_often(limit, plans):
    agent = planner(lambda period: [SpeedLimit(limit, period)], replan=12)
    travel(agent, [agent.remember(0, observation())], 20)
    assert agent.plans == plans


def test_where_nothing_is_good_the_way_that_misses_least_is_taken_and_counted():
    agent = planner(lambda period: [SpeedLimit(0.5, period)])
    memory = agent.remember(0, observation())
    agent.plan([memory])
    assert (agent.plans, agent.infeasible) == (1, 1)
    assert len(memory.chunks[0][1]) == STRIDES * (T - 1)  # the slowest


class Lacking(Constraint):
    """Never holds, and lacks a millimetre less for each stride up to the fifth."""

    name = "lacking"

    def __init__(self, period):
        self.period = period

    def margins(self, y):
        away = (self.period / PERIOD - 5).abs()
        return (-0.01 - 0.001 * away).expand(*y.shape[:2], 1)


def test_ways_that_miss_by_a_millimetre_more_or_less_are_told_apart():
    agent = planner(lambda period: [Lacking(period)])
    memory = agent.remember(0, observation())
    agent.plan([memory])
    assert len(memory.chunks[0][1]) == 5 * (T - 1)


def test_an_episode_is_planned_alike_whatever_lies_beside_it():
    agent = planner(lambda period: [SpeedLimit(3.0, period), KeepOutDisc((0.0, 0.0), 0.1)], block=4)
    starts = [(-0.6, 0.1 * k - 0.2) for k in range(5)]
    together = [agent.remember(k, observation(start)) for k, start in enumerate(starts)]
    positions = travel(agent, together, 15)
    for k, start in enumerate(starts):
        alone = agent.remember(k, observation(start))
        np.testing.assert_array_equal(travel(agent, [alone], 15)[:, 0], positions[:, k])
    changed = agent.with_block(2)
    assert changed.block == 2 and changed.action_size == 2 and changed.actions == 1


def test_a_tracker_is_a_controller_of_two_gains():
    tracker = Tracker((0, 1), (2, 3), p=10.0, d=2.0)
    states, wanted = np.array([[1.0, 2.0, 3.0, 4.0]]), np.array([[1.5, 2.0, 3.0, 5.0]])
    assert tracker.act(states, wanted).tolist() == [[5.0, 2.0]] and tracker.size == 2


class AsAsked(Execution):
    """The velocity that is asked for is the action."""

    size = 2

    def act(self, states, wanted):
        return wanted[:, 2:]


def test_on_course_an_error_of_position_falls_e_fold_within_the_time_and_the_plan_is_followed_where_there_is_none():
    course = OnCourse(AsAsked(), Course((0, 1), (2, 3), period=PERIOD, time=0.05))
    speed = np.array([0.7, -0.3])
    plan = np.array([np.concatenate([k * PERIOD * speed, speed]) for k in range(101)])
    for start, factor in ((np.zeros(2), 0.0), (np.array([0.02, 0.05]), 1.0)):
        position = start.copy()
        for wanted in plan[1:]:
            state = np.concatenate([position, speed])[None]
            position = position + PERIOD * course.act(state, wanted[None])[0]
        # Euler's steps of dx/dt = -x / time.
        np.testing.assert_allclose(position - plan[-1, :2], factor * start * (1 - PERIOD / 0.05) ** 100, atol=1e-12)
    assert course.size == 2


class Body(Execution):
    """A body of bounded acceleration, which takes the velocity that its course asks for."""

    size = 2

    def __init__(self, acceleration):
        self.course = Course((0, 1), (2, 3), period=PERIOD, time=0.05, acceleration=acceleration)

    def act(self, states, wanted):
        return self.course.asked(states, wanted)[:, 2:]

    def held(self, ways, period):
        return self.course.held(ways, period)

    def stopping(self, state):
        return self.course.stopping(state)


def test_what_is_certified_is_what_the_body_makes_of_a_way():
    agent = planner(execution=Body(20.0))
    memory = agent.remember(0, observation())
    agent.plan([memory])
    states = np.concatenate([observation()[None, :4], memory.chunks[0].values])
    assert agent.infeasible == 0
    assert np.abs(np.diff(states[:, 2:], axis=0)).max() <= 20.0 * PERIOD * 1.01
    assert len(memory.chunks[0].values) > (T - 1)  # the quickest would need more than there is


def start(speed, x=-0.6):
    """At x, with a speed towards the goal."""
    return np.array([x, 0, speed, 0, 0.6, 0], np.float32)


class Sometimes(Straight):
    """Of which every other way is no number."""

    every = 2

    def _sample(self, c, rows, generator, guide):
        x = super()._sample(c, rows, generator, guide)
        x[:: self.every] = torch.nan
        return x


class Never(Sometimes):
    every = 1


@pytest.mark.parametrize("limits", [lambda period: (), lambda period: [SpeedLimit(20.0, period)]])
def test_ways_that_are_no_numbers_are_not_followed_where_there_are_others(limits):
    agent = planner(limits, Sometimes)
    memory = agent.remember(0, observation())
    agent.plan([memory])
    assert np.isfinite(memory.chunks[0].values).all() and agent.infeasible == 0
    agent = planner(limits, Never, execution=Body(5.0))
    memory = agent.remember(0, start(0.5))
    assert np.isfinite(agent.plan([memory])).all() and agent.infeasible == 1


NOWHERE = KeepOutDisc((0.6, 0.0), 0.3)  # about the goal


def test_where_nothing_is_good_a_way_is_followed_after_which_the_body_can_stop():
    agent = planner(lambda period: [NOWHERE], execution=Body(5.0), replan=8, tolerance=0.05)
    memory = agent.remember(0, start(0.5))
    for _ in range(120):
        action = agent.plan([memory])[0, 0]
        last = memory.observations[-1]
        speed = last[2:4] + np.clip(action - last[2:4], -5.0 * PERIOD, 5.0 * PERIOD)
        memory.see(np.concatenate([last[:2] + PERIOD * (last[2:4] + speed) / 2, speed, last[4:]])[None])
        assert np.linalg.norm(memory.observations[-1, :2] - NOWHERE.centre) >= 0.3
    assert agent.infeasible == agent.plans > 30
    assert memory.observations[-1, 0] > -0.4  # nearer than where it began


def test_a_body_that_has_to_stop_stops_and_says_that_its_plan_is_not_good():
    agent = planner(lambda period: [NOWHERE], Stubborn, execution=Body(5.0))
    for speed, x, stops in ((1.0, 0.19, True), (2.0, 0.2, False)):  # it needs 0.1 m to stop, or 0.4 m, and has 0.1 m
        memory = agent.remember(0, start(speed, x))
        agent.plan([memory])
        states = memory.chunks[0].values
        assert np.allclose(states[-1, 2:], 0) == stops
        assert not memory.chunks[0].feasible


def test_a_plan_is_made_anew_where_the_agent_has_strayed():
    agent = planner(drift=0.05)
    memory = agent.remember(0, observation())
    agent.plan([memory])
    for away, plans in ((0.0, 1), (0.04, 1), (0.06, 2)):
        states = memory.chunks[0].values[0].copy()
        states[1] += away
        other = agent.remember(0, observation())
        other.chunks = memory.chunks
        other.see(np.concatenate([states, [0.6, 0.0]]).astype(np.float32)[None])
        agent.plans = 1
        agent.plan([other])
        assert agent.plans == plans, away


@pytest.mark.parametrize("block", [None, 2, 4])
def test_inverse_dynamics_are_the_predictors_answer_whatever_the_number_of_rows(block):
    net = ResidualMLP(horizon=1, channels_in=2, channels_out=2, context=4, width=8, depth=1)
    torch.nn.init.normal_(net.output.weight)  # starts at zero
    head = RegressionHead(Trajectory(1, [-1.0, -1.0], [1.0, 1.0]), net)
    predictor = Predictor(StateEncoder(2, torch.zeros(2), torch.ones(2)), head)
    inverse = InverseDynamics(predictor, (2, 3), block=block)
    states, wanted = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    pairs = torch.from_numpy(np.stack([states[:, 2:], wanted[:, 2:]], 1))
    expected = predictor.predict(pairs, generator=draws.generator(0))[:, 0]
    np.testing.assert_allclose(inverse.act(states, wanted), expected.numpy(), atol=1e-6)
    assert inverse.size == 2


def test_a_double_integrators_steps_hold_and_others_do_not():
    t = 0.1 * torch.arange(6.0)
    x = torch.stack([t**2, 0.5 * t, 2 * t, 0.5 + 0 * t], -1)[None, None]  # constant acceleration
    assert DoubleIntegrator(1e-4, 0.1).margin(x) >= 0
    assert DoubleIntegrator(1e-4, 0.2).margin(x) < 0
    two = x.repeat(2, 1, 1, 1)
    period = torch.tensor([0.1, 0.2]).view(2, 1, 1)
    assert (DoubleIntegrator(1e-4, period).margin(two) >= 0).tolist() == [[True], [False]]
    assert (AccelerationLimit(2.1, period).margin(two) >= 0).tolist() == [[True], [True]]
    assert (SpeedLimit(1.0, period).margin(two) >= 0).tolist() == [[False], [True]]


CONTROL = {"state": (0, 1, 2, 3), "goal": (4, 5), "reaches": (0, 1), "horizon": T, "strides": STRIDES}


def test_a_run_that_says_nothing_of_its_planner_has_the_planners_own_numbers():
    own = GuidedPlanner(
        planner().predictor, Follow(), period=PERIOD, **{k: v for k, v in CONTROL.items() if k != "horizon"}
    )
    built = planner_of(own.predictor, PlannerControl(**CONTROL), Follow(), period=PERIOD)
    names = ("state", "goal", "reaches", "strides", "period", "candidates", "replan", "tolerance", "drift", "buffer")
    assert {name: getattr(built, name) for name in names} == {name: getattr(own, name) for name in names}


def test_what_a_run_says_of_its_planner_is_obeyed():
    control = PlannerControl(**CONTROL, candidates=2, replan=7, tolerance=0.1)
    limits = lambda period: [SpeedLimit(4.0, period)]  # noqa: E731
    built = planner_of(planner().predictor, control, Follow(), period=PERIOD, limits=limits, buffer=0.2, block=4)
    assert (built.candidates, built.replan, built.tolerance) == (2, 7, 0.1)
    assert (built.limits, built.buffer, built.block) == (limits, 0.2, 4)


def test_guided_ways_keep_further_from_what_they_avoid_with_a_buffer():
    disc = KeepOutDisc((0.0, 0.02), 0.15)
    margins = []
    for buffer in (0.0, 0.05):
        agent = planner(lambda period: [disc], buffer=buffer)
        memory = agent.remember(0, observation())
        agent.plan([memory])
        margins.append(disc.margin(torch.from_numpy(memory.chunks[0][1])[None, None]).item())
    assert 0 <= margins[0] < margins[1] - 0.02


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: planner(candidates=0),
            "at least 1, tolerance positive, drift and buffer not negative; got 0, 10",
        ),
        (lambda: planner(tolerance=0.0), "not negative; got 3, 10, 0.0, 0.05 and 0.0"),
        (
            lambda: Course((0, 1), (2,), period=0.1, time=0.1),
            r"position and velocity must name as many channels; got \[0, 1\] and \[2\]",
        ),
        (
            lambda: Course((0, 1), (2, 3), period=0.1, time=0.05),
            "period must be positive and at most time; got 0.1 and 0.05",
        ),
        (lambda: Tracker((0, 1), (2,), p=1, d=1), r"position and velocity must name as many channels; got \[0, 1\]"),
    ],
)
def test_impossible_numbers_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
