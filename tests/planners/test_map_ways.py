"""One map, four planners: all go around what is dear, none through what is blocked, and one executor follows them."""

import math
from itertools import pairwise

import gymnasium
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import LineString

import envs  # noqa: F401 - registers the environments
from embodied_gen import draws
from embodied_gen.events import GridPath, Trajectory
from embodied_gen.graphs import Grid, shortest
from embodied_gen.heads import DenoisingHead, Guide, MaxEntHead
from embodied_gen.heads.parametrisation import Clean
from embodied_gen.heads.schedules import Rectified
from embodied_gen.nets import LinearMap, Positive
from envs.terrain_cost import ROADS, true_cost
from planners import CostAlong, CostMap, KeepInRegion, guide_of
from planners.cem import CEM
from planners.cost_along import DriveCost
from planners.map_ways import CheapestWays, DrawnWays, DrivenWays, SoftWays
from planners.mppi import MPPI
from planners.pursuit import SPACING, Pursuit, WayAgent
from planners.sampling import Effort, Problem

SIZE, CELL = 12, 0.5
START, GOAL = np.array([0.75, 2.75]), np.array([5.25, 3.25])
PERIOD = 0.2
EFFORT = Effort(horizon=40, hold=8, actions=40, iterations=8)


def block(inside):
    """A block of cells between start and goal on ground of cost 1."""
    values = torch.ones(SIZE, SIZE)
    values[3:9, 4:8] = inside
    return CostMap(values, CELL)


MUD, ROCK = block(20.0), block(math.inf)


def drive(map, constraints=()):
    """A body that moves as it is told, at 1.5 m/s along each axis."""
    bound = (1.5, 1.5)
    return Problem(
        lambda states, actions: states + PERIOD * actions,
        DriveCost(map),
        state=(0, 1),
        goal=(2, 3),
        low=(-1.5, -1.5),
        high=bound,
        constraints=constraints,
    )


def drawn(map):
    """A head that knows nothing of the map, and the map as its guide."""
    event = GridPath(Grid(SIZE, SIZE), 24, cell=CELL)
    head = MaxEntHead(event, Positive(LinearMap(channels_in=1), floor=1.0), candidates=256)

    def context(start, goal):
        return {"layers": torch.zeros(1, 1, SIZE, SIZE), "start": start, "goal": goal}

    return DrawnWays(head, context, guide_of([KeepInRegion(map.free_space())], [CostAlong(map)]))


KINDS = {
    "cheapest": CheapestWays,
    "soft": lambda map: SoftWays(map, 0.05),
    "mppi": lambda map: DrivenWays(MPPI(drive(map), EFFORT, temperature=1.0)),
    "cem": lambda map: DrivenWays(CEM(drive(map), EFFORT)),
    "drawn": drawn,
}


def cost_of(map, points):
    return CostAlong(map)(torch.from_numpy(np.ascontiguousarray(points))[None, None]).item()


def taken(map, points, numbers):
    """Moves of a way over cells, which are free, or this raises: number, row and column of each."""
    cells = [divmod(map.located(place, "way-point"), map.grid.width) for place in points]
    return [(numbers[c - a, d - b], a, b) for (a, b), (c, d) in pairwise(cells)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_planner_goes_around_a_dear_block_to_the_goal(kind):
    points, good = KINDS[kind](MUD).way(START, GOAL, generator=draws.generator(0))
    assert good and points.dtype == np.float64 and points.shape[1] == 2
    assert np.linalg.norm(points[0] - START) < CELL and np.linalg.norm(points[-1] - GOAL) < CELL
    straight = cost_of(MUD, np.stack([START, GOAL]))
    assert cost_of(MUD, points) < straight / 2 and straight > 30


@pytest.mark.parametrize("kind", ["cheapest", "soft", "drawn"])
def test_ways_over_cells_stay_in_the_free_space(kind):
    points, good = KINDS[kind](ROCK).way(START, GOAL, generator=draws.generator(0))
    assert good and ROCK.free_space().covers(LineString(points))


def test_a_plan_on_a_model_holds_where_the_free_space_is_its_constraint():
    ways = DrivenWays(MPPI(drive(ROCK, [KeepInRegion(ROCK.free_space())]), EFFORT, temperature=1.0))
    points, good = ways.way(START, GOAL, generator=draws.generator(0))
    assert good and ROCK.free_space().covers(LineString(points.round(6)))


@given(st.integers(0, 10_000))
@settings(max_examples=20)
def test_the_cheapest_way_costs_what_csgraph_says_and_enters_no_obstacle(seed):
    source = torch.Generator().manual_seed(seed)
    values = torch.rand(8, 9, generator=source) + 0.05
    values[torch.rand(8, 9, generator=source) < 0.3] = math.inf
    values[0, 0] = values[-1, -1] = 1.0
    map = CostMap(values, CELL, (-1.0, 3.0))
    ends = torch.tensor([0, 71])
    start, goal = map.centres(ends)
    ask = {"generator": draws.generator(0)}
    try:
        other = shortest(map.grid, map.moves[None], ends[:1], ends[1:])
    except ValueError:
        with pytest.raises(ValueError, match=r"no path of map 0 starts at cell \(0, 0\)"):
            CheapestWays(map).way(start, goal, **ask)
        return
    points, _ = CheapestWays(map).way(start, goal, **ask)
    numbers = {move: number for number, move in enumerate(map.grid.moves)}
    paid = sum(float(map.moves[step]) for step in taken(map, points, numbers))
    assert paid == pytest.approx(float(other.costs(map.moves[None])), rel=1e-6)
    assert map.free_space().covers(LineString(points))


def test_the_colder_the_soft_policy_the_nearer_to_the_cheapest_way():
    numbers = {move: number for number, move in enumerate(MUD.grid.moves)}

    def paid(ways, seed):
        points, _ = ways.way(START, GOAL, generator=draws.generator(seed))
        return sum(float(MUD.moves[step]) for step in taken(MUD, points, numbers))

    best = paid(CheapestWays(MUD), 0)
    cold, warm = (np.array([paid(SoftWays(MUD, heat), seed) for seed in range(8)]) for heat in (0.005, 0.15))
    assert cold.min() >= best - 1e-6 and cold.mean() - best < 0.1 < warm.mean() - best


@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_a_guide_with_the_map_lowers_what_draws_of_a_diffusion_head_cost(scale):
    event = Trajectory(8, [0.0, 0.0], [6.0, 6.0])

    class Anywhere(torch.nn.Module):
        """The clean estimate of independent normals of deviation 0.5."""

        def forward(self, x, t, c):
            t = t.view(-1, 1, 1)
            return 0.25 * (1 - t) * x / (0.25 * (1 - t) ** 2 + t**2)

    head = DenoisingHead(event, Anywhere(), schedule=Rectified(), parametrisation=Clean())
    values = torch.ones(SIZE, SIZE)
    values[:, 6:] = 5.0
    map, c = CostMap(values, CELL), torch.zeros(4, 1)
    guide = Guide(cost=CostAlong(map, unit=5.0), scale=scale)

    def mean(guide):
        x = head.sample(c, 16, generator=draws.generator(0), guide=guide)
        return CostAlong(map)(event.unscale(x)).mean().item()

    assert mean(guide) < 0.8 * mean(None)


def test_pursuit_follows_a_way_round_a_corner_to_its_end():
    pursuit, corner = Pursuit(), np.array([[0.0, 0.0], [3.0, 0.0], [3.0, 3.0]])
    way = pursuit.rounded(corner)
    assert np.linalg.norm(np.diff(way, axis=0), axis=1).max() < SPACING + 1e-9
    state, closest = np.zeros(4), []
    for _ in range(60):
        way = pursuit.left(way, state[:2])
        action = pursuit.act(way, state)
        assert np.linalg.norm(action) <= 1 + 1e-9
        state[2:] += 0.1 * (10 * action - 5 * state[2:])
        state[:2] += 0.1 * state[2:]
        closest.append(LineString(corner).distance(LineString([state[:2], state[:2] + 1e-6])))
    assert np.linalg.norm(state[:2] - corner[-1]) < 0.1 and max(closest) < 0.4


@pytest.mark.parametrize("length", [1e-2, 1e-6, 1e-15])
def test_a_way_that_hardly_goes_anywhere_is_left_as_it_is(length):
    way = Pursuit().rounded(np.array([[1.0, 2.0], [1.0 + length, 2.0]]))
    assert len(way) == 3 and way[0].tolist() == [1, 2] and way[-1].tolist() == [1 + length, 2]


def test_a_way_of_one_point_is_a_place_to_stay():
    pursuit = Pursuit()
    way = pursuit.rounded(np.array([[1.0, 2.0]]))
    assert np.allclose(pursuit.act(pursuit.left(way, np.array([1.0, 2.0])), np.array([1.0, 2.0, 0.0, 0.0])), 0)


TERRAIN = {
    "cheapest": CheapestWays,
    "soft": lambda map: SoftWays(map, 0.05),
    "mppi": lambda map: DrivenWays(MPPI(drive(map), EFFORT, temperature=1.0)),
}


@pytest.mark.parametrize("kind", TERRAIN)
def test_one_executor_brings_the_robot_to_its_goal_on_the_true_map(kind):
    env = gymnasium.make("embodied/Terrain-v0")
    observation, info = env.reset(seed=3)
    site = env.unwrapped.site
    ways = TERRAIN[kind](CostMap(torch.from_numpy(true_cost(site.terrain, ROADS)), site.terrain.cell))
    agent = WayAgent(lambda _: ways, Pursuit(), state=range(4), goal=(4, 5), replan=30 if kind == "mppi" else 400)
    memory = agent.remember(0, observation["state"])
    ended = False
    while not ended:
        observation, _, terminated, truncated, info = env.step(agent.plan([memory])[0, 0])
        memory.see(observation["state"][None])
        ended = terminated or truncated
    assert info["is_success"] and info["regret"] < 0.3 and agent.infeasible == 0


def test_an_agent_that_has_strayed_plans_anew_and_counts_what_does_not_hold():
    agent = WayAgent(lambda _: CheapestWays(MUD), Pursuit(), state=range(4), goal=(4, 5), replan=5)
    seen = np.array([*START, 0, 0, *GOAL], np.float32)
    memory = agent.remember(0, seen)
    for step, plans in enumerate([1, 1, 2, 2, 2, 2, 2, 3]):
        assert agent.plan([memory]).shape == (1, 1, 2)
        assert (agent.plans, agent.infeasible) == (plans, 0)
        seen[1] = 0.25 if step else START[1]  # 2.5 m off, once
        memory.see(seen[None])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DriveCost(MUD, eager=0.5), "eager must be at least 1 and finite; got 0.5"),
        (lambda: SoftWays(MUD, 0.0), "temperature must be"),
        (lambda: DrivenWays(MPPI(drive(MUD), Effort())), r"actions must equal the horizon, .* got 5, 50, \[0, 1\]"),
        (lambda: DrawnWays(None, None, Guide(cost=None), count=4), "needs a guide with a cost and a draw; got 4 draws"),
        (lambda: Pursuit(ahead=0.0), "ahead and gain must be positive .*; got 0.0, 3.0 and 0.3"),
        (lambda: WayAgent(None, Pursuit(), state=(0, 1), goal=(4, 5)), r"state must name 4 channels .* got \[0, 1\]"),
        (lambda: CheapestWays(CostMap(torch.full((3, 3), -1.0), 1.0)), "A\\* needs costs that are not negative"),
        (
            lambda: CheapestWays(ROCK).way(np.array([3.0, 3.0]), GOAL, generator=draws.generator(0)),
            r"start must lie in a free cell; \[3.0, 3.0\] m lies in the obstacle cell \(6, 6\)",
        ),
    ],
)
def test_bad_input_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
