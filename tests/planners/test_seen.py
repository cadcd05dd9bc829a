"""Constraints made anew for every plan: in time, each about its own episode, and followed by a planner of ways."""

import math

import numpy as np
import pytest
import torch
from shapely.geometry import LineString, Point
from straight_ways import Proposed, Straight, Stubborn, T, denoised, observation, planner, travel

from embodied_gen import draws
from embodied_gen.forecasting.baselines import ConstantVelocity, TurnedVelocity
from planners import Constraint, KeepOutDisc, SpeedLimit
from planners.foreseen import ForeseenPeople
from planners.replanning import joined
from planners.scenes import ABSENT
from planners.seen import AlongWays, at_steps

RADIUS, EVERY, AHEAD = 0.1, 4, 48
HEADS = pytest.mark.parametrize("head", [Straight, Proposed, denoised])


def people(observed):
    """One person, if there is one: whether, position and step of a frame follow the goal."""
    there, start, step = observed[:, 6], observed[:, None, 7:9], observed[:, None, 9:11]
    tracks = start[:, :, None] + torch.arange(-7.0, 1.0)[:, None] * step[:, :, None]
    present = (there > 0)[:, None, None].expand(tracks.shape[:3])
    return tracks * present[..., None], present


def foreseen(forecaster=None, draws=1):
    return ForeseenPeople(
        forecaster or ConstantVelocity(),
        people,
        draws=draws,
        nearest=1,
        radius=RADIUS,
        gap=0.1,
        every=EVERY,
        most=math.inf,
    )


def beside(person, **where):
    """An observation with a person at a place, who goes by a step in a frame; None for nobody."""
    return np.concatenate([observation(**where), [person is not None, *(person or (0, 0, 0, 0))]]).astype(np.float32)


def walk(others):
    """Whoever is there, a control step later."""
    return np.concatenate([others[:1], others[1:3] + others[3:] / EVERY, others[3:]])


def limits(period):
    return [SpeedLimit(4.0, period)]


def agent_of(head=Straight, seen=True, forecaster=None, draws=1, **changes):
    if seen:
        changes = {"seen": foreseen(forecaster, draws), "ahead": AHEAD} | changes
    return planner(changes.pop("limits", limits), head, **changes)


def nearest(path, person, start=(-0.6, 0.0)):
    """Smallest distance of a path from a person who goes on straight, at any moment."""
    path = np.concatenate([[start], path])
    steps = np.arange(len(path))[:, None] / EVERY
    return Point(0, 0).distance(LineString(path - np.array(person[:2]) - steps * np.array(person[2:])))


# Across the way when the agent would be there, from either side; towards it; ahead of it and more slowly; in it.
MEETINGS = (
    (0.0, -0.4, 0.0, 0.1),
    (0.05, 0.4, 0.0, -0.1),
    (0.5, 0.01, -0.08, 0.0),
    (-0.3, 0.0, 0.02, 0.0),
    (0, 0, 0, 0),
)


@HEADS
@pytest.mark.parametrize("person", MEETINGS)
def test_somebody_who_is_met_on_the_straight_way_is_gone_around_or_waited_for(head, person):
    blind = travel(agent_of(seen=False), [agent_of(seen=False).remember(0, observation())], 32)[:, 0]
    assert nearest(blind, person) < RADIUS  # there is something to do
    agent = agent_of(head)
    path = travel(agent, [agent.remember(0, beside(person))], 70, walk)[:, 0]
    assert nearest(path, person) >= RADIUS - 1e-5
    assert np.linalg.norm(path - (0.6, 0.0), axis=1).min() <= 0.05 + 1e-5


@HEADS
@pytest.mark.parametrize("around", [(), (KeepOutDisc((0.0, 0.02), 0.15),), (KeepOutDisc((0.6, 0.0), 0.15),)])
def test_with_nobody_there_plans_are_those_of_a_planner_that_sees_nothing(head, around):
    paths = []
    for agent in (
        agent_of(
            head, limits=lambda period: [*limits(period), *around], seen=seen, forecaster=TurnedVelocity(), draws=3
        )
        for seen in (True, False)
    ):
        paths.append(travel(agent, [agent.remember(0, beside(None))], 14, walk))
    np.testing.assert_array_equal(*paths)


@HEADS
def test_an_episode_is_planned_alike_whatever_lies_beside_it(head):
    agent = agent_of(head, forecaster=TurnedVelocity(), draws=3, block=4)
    seen = [beside(person, start=(-0.6, 0.05 * k)) for k, person in enumerate([*MEETINGS[:3], None, MEETINGS[4]])]
    together = travel(agent, [agent.remember(k, one) for k, one in enumerate(seen)], 12, walk)
    for k, one in enumerate(seen):
        np.testing.assert_array_equal(travel(agent, [agent.remember(k, one)], 12, walk)[:, 0], together[:, k])


def test_somebody_who_is_met_in_one_episode_is_not_in_the_others():
    agent, blind = agent_of(), agent_of(seen=False)
    memories = [agent.remember(k, beside(person)) for k, person in enumerate([None, MEETINGS[-1], None])]
    agent.plan(memories)
    for k in (0, 2):
        alone = blind.remember(k, observation())
        blind.plan([alone])
        np.testing.assert_array_equal(memories[k].chunks[0].values, alone.chunks[0].values)
    assert nearest(memories[1].chunks[0].values[:, :2], MEETINGS[-1]) >= RADIUS - 1e-5


def test_what_is_left_of_a_plan_is_followed_until_somebody_steps_in_its_way():
    agent = agent_of(replan=8)
    memory = agent.remember(0, beside(None))
    travel(agent, [memory], 8, walk)
    first = memory.chunks[0].values[8:]
    step_in = np.array([1, 0.2, 0.02, 0, 0], np.float32)
    memory.observations[-1, 6:] = step_in
    agent.plan([memory])
    here = memory.observations[-1, :2]
    assert (
        nearest(first[:, :2], step_in[1:], here)
        < RADIUS
        <= nearest(memory.chunks[0].values[:, :2], step_in[1:], here) + 1e-5
    )


def test_it_is_seen_anew_for_every_plan_with_the_episodes_own_generator():
    asked = []

    def seen(observed, generators):
        asked.append((observed.clone(), generators))
        return ()

    agent = planner(limits, seen=seen, replan=5)
    memories = [agent.remember(seed, observation(start=(-0.6, 0.1 * seed))) for seed in range(2)]
    travel(agent, memories, 15)
    assert len(asked) == agent.plans == 6
    assert all(len(observed) == 1 and len(generators) == 1 for observed, generators in asked)
    for (_, (generator,)), memory in zip(asked[:2], memories, strict=True):
        assert generator is memory.generator


def test_a_way_that_holds_but_for_what_is_seen_is_not_good():
    agent = agent_of(Stubborn)
    memory = agent.remember(0, beside((-0.2, 0, 0, 0)))  # somebody stands on all ways
    agent.plan([memory])
    assert (agent.plans, agent.infeasible) == (1, 1)


@pytest.mark.parametrize("stride", [1, 2, 5])
def test_states_of_control_steps_are_those_of_the_joined_way_and_stand_still_after_it(stride):
    ways = draws.normal((1, 2, T, 4), generator=draws.generator(stride), like=torch.zeros(()))
    steps = stride * (T - 1)
    found = at_steps(ways, torch.tensor([stride]), steps + 3)
    for way, states in zip(ways[0], found[0], strict=True):
        np.testing.assert_allclose(states[0], way[0])
        np.testing.assert_allclose(states[1 : steps + 1], joined(way.numpy(), stride), atol=1e-6)
        np.testing.assert_array_equal(states[steps:], way[-1:].expand(4, -1))
    torch.testing.assert_close(at_steps(ways, torch.tensor([stride]), 3), found[:, :, :4], atol=0, rtol=0)


class Below(Constraint):
    """Stays below a height at every step; a margin for each of some steps."""

    name = "below"

    def __init__(self, height, every):
        self.height, self.every = height, every

    def margins(self, y):
        return self.height - y[:, :, :: self.every, 1]


def test_margins_along_ways_are_those_of_a_plain_loop_over_episodes_and_ways():
    seen = [[Below(0.3, 1), Below(0.1, 3)], [], [Below(-0.2, 2)]]
    strides = torch.tensor([1, 3, 2, 2, 5, 1])  # two of each episode
    ways = draws.normal((6, 4, T, 4), generator=draws.generator(0), like=torch.zeros(()))
    along = AlongWays(seen, strides, 10)
    margins, smallest = along.margins(ways), along.margin(ways)
    assert margins.shape == (6, 4, 11 + 4)
    for row in range(6):
        path = at_steps(ways[[row]], strides[[row]], 10)
        expected = [constraint.margins(path)[0] for constraint in seen[row // 2]]
        expected = torch.cat([*expected, torch.zeros(4, 0)], -1)
        count = expected.shape[-1]
        torch.testing.assert_close(margins[row, :, :count], expected, atol=0, rtol=0)
        assert (margins[row, :, count:] == ABSENT).all()
        least = expected.amin(-1) if count else torch.full((4,), torch.inf)
        torch.testing.assert_close(smallest[row], least, atol=0, rtol=0)


def test_nothing_is_seen_and_nothing_drawn_where_nobody_is():
    generator = draws.generator(0)
    before = generator.get_state()
    seen = foreseen(TurnedVelocity(), draws=3)
    assert len(seen(torch.from_numpy(beside(None))[None], [generator])) == 0
    assert generator.get_state().equal(before)
    assert len(seen(torch.from_numpy(beside(MEETINGS[0]))[None], [generator])) == 1


def test_impossible_numbers_are_named():
    with pytest.raises(ValueError, match="ahead must be at least 1; got 0"):
        planner(limits, ahead=0)
    with pytest.raises(ValueError, match="there must be as many strides of each episode; got 3 of 2 episodes"):
        AlongWays([[], []], torch.tensor([1, 2, 3]), 4)
    with pytest.raises(ValueError, match=r"at most 49 way-points.*got 1 and 51. Shorten the horizon"):
        agent = agent_of(ahead=50)
        agent.plan([agent.remember(0, beside(MEETINGS[0]))])
