"""RRT-Connect goes around what is in the way, keeps its limits, and is a function of the seed."""

import numpy as np
import pytest
import shapely

from planners.execution import Execution
from planners.rrt import RRTConnect

pytest.importorskip("ompl", reason="OMPL is not installed")

ROOM = shapely.box(-1, -1, 1, 1)
WALL = shapely.box(-0.1, -1, 0.1, 0.4)
PERIOD = 0.01


class Follow(Execution):
    """The state that is wanted, which the world below obeys."""

    size = 4

    def act(self, states, wanted):
        return wanted


def planner(region=ROOM, obstacles=(WALL,), **changes):
    arguments = {"period": PERIOD, "speed": 2.0, "acceleration": 8.0, "clearance": 0.1, "replan": 300} | changes
    return RRTConnect(Follow(), region, obstacles, state=(0, 1, 2, 3), goal=(4, 5), **arguments)


def observation(start=(-0.6, -0.5), velocity=(0.0, 0.0), goal=(0.6, -0.5)):
    return np.array([*start, *velocity, *goal], np.float32)


def planned(agent, seed=0, **where):
    memory = agent.remember(seed, observation(**where))
    agent.plan([memory])
    return memory.chunks[0][1]


@pytest.mark.parametrize("seed", range(5))
def test_a_plan_leads_around_the_wall_within_its_limits(seed):
    agent = planner()
    plan = planned(agent, seed)
    free = shapely.difference(ROOM, WALL)
    assert shapely.covers(free, shapely.linestrings(plan[:, :2]))
    np.testing.assert_allclose(plan[-1], [0.6, -0.5, 0, 0], atol=1e-6)
    assert np.linalg.norm(plan[:, 2:], axis=1).max() <= 2.0 + 1e-9
    # The shortest way leads over the two corners of the wall.
    shortest = 2 * np.hypot(0.5, 0.9) + 0.2
    length = np.linalg.norm(np.diff(plan[:, :2], axis=0), axis=1).sum()
    assert 0.99 * shortest < length < 1.6 * shortest
    assert (agent.plans, agent.infeasible) == (1, 0)


def test_plans_are_followed_to_the_goal_by_many_episodes_at_once():
    agent = planner()
    memories = [agent.remember(seed, observation(start=(-0.6, 0.2 * seed - 0.5))) for seed in range(3)]
    for _ in range(250):
        for memory, action in zip(memories, agent.plan(memories), strict=True):
            memory.see(np.concatenate([action[0], memory.observations[-1, 4:]])[None])
    assert all(np.linalg.norm(m.observations[-1, :2] - m.observations[-1, 4:]) < 1e-3 for m in memories)
    assert (agent.plans, agent.infeasible) == (3, 0)


def test_a_plan_is_a_function_of_the_seed_whatever_was_planned_before():
    first, agent = planned(planner(), seed=3), planner()
    other = planned(agent, seed=4)
    np.testing.assert_array_equal(planned(agent, seed=3), first)
    assert not np.array_equal(other, first)


def test_episodes_do_not_depend_on_what_lies_beside_them():
    agent = planner()
    memories = [agent.remember(seed, observation()) for seed in range(4)]
    agent.plan(memories)
    for seed, memory in enumerate(memories):
        np.testing.assert_array_equal(memory.chunks[0][1], planned(agent, seed))


def test_a_moving_start_keeps_its_speed_along_the_path():
    still = planned(planner(obstacles=()), start=(-0.8, 0.0), goal=(0.8, 0.0))
    moving = planned(planner(obstacles=()), start=(-0.8, 0.0), velocity=(1.5, 0.0), goal=(0.8, 0.0))
    assert moving[0, 2] > 1.4 and still[0, 2] < 0.2


def test_a_start_outside_is_led_back_and_a_plan_that_leaves_the_region_counted():
    agent = planner()
    plan = planned(agent, start=(-1.05, -0.5))
    np.testing.assert_allclose(plan[-1], [0.6, -0.5, 0, 0], atol=1e-6)
    assert (agent.plans, agent.infeasible) == (1, 1)


def test_where_no_way_leads_to_the_goal_it_stays_and_says_so():
    agent = planner(obstacles=[shapely.box(-0.1, -1, 0.1, 1)], iterations=500)
    plan = planned(agent)
    np.testing.assert_allclose(plan, np.tile([-0.6, -0.5, 0, 0], (300, 1)), atol=1e-6)
    assert (agent.plans, agent.infeasible) == (1, 1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: planner(speed=0.0), "must be positive and clearance not negative; got 0.01, 0.0, 8.0"),
        (lambda: planner(clearance=-1.0), "clearance not negative; got .* -1.0"),
        (lambda: planner(clearance=0.9), "no place of the region has a clearance of 0.9 m; use less"),
        (lambda: planner(obstacles=[ROOM]), "a region must have an area"),
    ],
)
def test_impossible_numbers_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
