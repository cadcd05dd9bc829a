"""Rides over Terrain-v0: maps that planners are given, planners that read them, and how an episode is judged.

A map is what a metre of ground costs: the true cost, or what a head learned from whole ways on other maps. Every map is
given in units of its own mean cost of a demonstrated metre, and kept between a tenth and fifty of them, so that one
setting of a planner serves all. One executor, `planners.pursuit`, follows all ways.
"""

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, final

import gymnasium
import numpy as np
import scored
import torch
from torch import Tensor

import envs  # noqa: F401 - registers the environments
from embodied_gen import experiment
from embodied_gen.control import Agent
from embodied_gen.demos import store
from embodied_gen.heads import HasCostMap
from envs.terrain_cost import PREFERENCES, true_cost
from envs.terrain_site import TerrainSite
from planners import CostMap
from planners.ahead_ways import AheadWays
from planners.cost_along import DriveCost
from planners.map_ways import CheapestWays, DrivenWays, SoftWays, Ways
from planners.mppi import MPPI
from planners.pursuit import Pursuit, WayAgent
from planners.replanning import Replanner
from planners.sampling import Effort, Problem

_NETWORKS = {"linear": ("linear", 0.1), "convolutional": None}  # kind and learning rate, or those of the config
LEARNERS = {
    f"{head}, {network}": (f"configs/terrain_{config}.yaml", how)
    for (head, config), (network, how) in product(
        {"max-ent": "max_ent", "max-margin": "margin", "LEARCH": "learch"}.items(), _NETWORKS.items()
    )
}
CLONING = {
    "behaviour cloning, flow matching": "configs/terrain_flow.yaml",
    "behaviour cloning, least squares": "configs/terrain_regression.yaml",
}
PLANNER = "configs/terrain_planner.yaml"
TRUE = "true"
# Chosen on the true maps of seeds from 2,000,000 on, in demonstrated metres.
TEMPERATURE = 0.02  # of the soft policy
WASTE, DRAWS = 1.0, 256  # the guide's unit, and stretches drawn at a time
EAGER, HEAT = 4.0, 0.5  # of MPPI
REPLAN = {"A*": 400, "soft policy": 400, "MPPI": 20, "guided flow matching": 15}
SETTINGS = {"soft": TEMPERATURE, "waste": WASTE, "draws": DRAWS, "eager": EAGER, "heat": HEAT, "replan": REPLAN}
FAILED = 1.0  # least regret of an episode that does not reach its goal
_LEAST, _MOST = 0.1, 50.0  # of a map, demonstrated metres
_SPEED, _STEP = 1.5, 0.2  # of the body that MPPI imagines, along each axis [m/s], and its time step [s]

Makes = Callable[[TerrainSite], CostMap]


@final
@dataclass(frozen=True)
class Ride:
    """What became of an episode; `trail` are its positions [m], shape `(steps + 1, 2)`."""

    regret: float
    success: bool
    collision: bool
    steps: int
    plans: int
    plan_seconds: float
    trail: np.ndarray


def trained(config: str, folder: Path, how: tuple[str, float] | None = None) -> experiment.Run:
    """The run of a config, collected for and trained where it is not yet; with a network of the map and its rate."""
    path = Path(config)
    if how is not None:
        path = scored.variant(path, folder.with_suffix(".yaml"), _network(*how))
    scored.run(["collect", str(path), "--if-missing"])
    scored.train(path, folder, seed=0)
    return experiment.load(folder)


def _network(kind: str, rate: float) -> Callable[[dict[str, Any]], None]:
    """Changes a config's network of the map, and its learning rate."""

    def change(content: dict[str, Any]) -> None:
        content["head"]["map"]["kind"], content["train"]["rate"] = kind, rate

    return change


def true_maps(preference: str, run: experiment.Run) -> Makes:
    """Maps of the true cost, in units of a metre that the demonstrations of a run's data set show."""
    taste = PREFERENCES[preference]
    unit = _true_unit(run)

    def make(site: TerrainSite) -> CostMap:
        costs = torch.from_numpy(true_cost(site.terrain, taste))
        return _map(costs, unit, site)

    return make


def learned_maps(run: experiment.Run) -> Makes:
    """Maps that a run makes of the layers."""
    head, encoder = run.predictor.head, run.predictor.encoder
    assert isinstance(head, HasCostMap)
    seen, ways = _demonstrations(run)

    @torch.no_grad()
    def costs(observations: Tensor) -> Tensor:
        return head.cost_map(encoder(observations))

    unit = _unit(torch.cat([costs(part) for part in seen.split(16)]), head.event.states(head.event.scale(ways)))

    def make(site: TerrainSite) -> CostMap:
        places = np.concatenate([site.terrain.layers.ravel(), site.start, site.goal]).astype(np.float32)
        return _map(costs(torch.from_numpy(places).view(1, 1, -1))[0], unit, site)

    return make


def ways_of(planner: str, map: CostMap, run: experiment.Run) -> Ways:
    """A planner of a name on a map; the run is that of the stretch ahead."""
    match planner:
        case "A*":
            return CheapestWays(map)
        case "soft policy":
            return SoftWays(map, TEMPERATURE)
        case "MPPI":
            effort = Effort(horizon=40, hold=8, actions=40, iterations=8)
            return DrivenWays(MPPI(_drive(map), effort, temperature=HEAT))
        case "guided flow matching":
            return AheadWays(run.predictor, map, unit=WASTE, count=DRAWS)
        case _:
            raise ValueError(f"planner must be one of {', '.join(REPLAN)}; got {planner!r}.")


def ridden(planner: str, maps: Makes, run: experiment.Run, seed: int, preference: str) -> Ride:
    """An episode by a planner on maps."""
    env = _env(preference)
    observation, _ = env.reset(seed=seed)
    ways = ways_of(planner, maps(env.unwrapped.site), run)
    agent = WayAgent(lambda _: ways, Pursuit(), state=range(4), goal=(4, 5), replan=REPLAN[planner])
    return _play(env, observation, agent, seed, lambda seen: seen["state"])


def cloned(run: experiment.Run, seed: int, preference: str) -> Ride:
    """An episode by a policy."""
    env = _env(preference)
    observation, _ = env.reset(seed=seed)
    keys = sorted(run.experiment.env.keys)
    return _play(env, observation, run.policy(), seed, lambda seen: np.concatenate([seen[key].ravel() for key in keys]))


def _play(
    env: Any,
    observation: dict[str, np.ndarray],
    agent: Agent,
    seed: int,
    flat: Callable[[dict[str, np.ndarray]], np.ndarray],
) -> Ride:
    memory, trail, seconds, asked = agent.remember(seed, flat(observation)), [observation["state"][:2]], 0.0, 0
    ended = False
    while not ended:
        started = time.process_time()
        actions = agent.plan([memory])[0]
        seconds, asked = seconds + time.process_time() - started, asked + 1
        for action in actions:
            observation, _, terminated, truncated, info = env.step(action)
            memory.see(flat(observation)[None])
            trail.append(observation["state"][:2])
            ended = terminated or truncated
            if ended:
                break
    regret = float(info["regret"]) if info["is_success"] else max(FAILED, float(info["regret"]))
    plans = agent.plans if isinstance(agent, Replanner) else asked
    return Ride(
        regret=regret,
        success=bool(info["is_success"]),
        collision=bool(info["collision"]),
        steps=len(trail) - 1,
        plans=plans,
        plan_seconds=seconds / plans,
        trail=np.array(trail),
    )


@functools.cache
def _env(preference: str) -> Any:
    return gymnasium.make("embodied/Terrain-v0", preference=preference)


def _drive(map: CostMap) -> Problem:
    """A body that moves as it is told."""
    bound = (_SPEED, _SPEED)
    return Problem(
        lambda states, actions: states + _STEP * actions,
        DriveCost(map, eager=EAGER),
        state=(0, 1),
        goal=(2, 3),
        low=(-_SPEED, -_SPEED),
        high=bound,
    )


def _map(costs: Tensor, unit: float, site: TerrainSite) -> CostMap:
    shown = (costs.double() / unit).clamp(_LEAST, _MOST).masked_fill(costs.isinf(), torch.inf)
    return CostMap(shown, site.terrain.cell)


def _demonstrations(run: experiment.Run) -> tuple[Tensor, Tensor]:
    """Observations `(E, 1, O)` and ways `(E, T + 1, 2)` [m] of a run's data set."""
    data = run.experiment.task[1]
    episodes = store.read(data.dataset, root=Path(data.root), episodes=data.episodes)
    examples = run.experiment.control.examples(episodes)
    batch = examples.batch(torch.arange(len(examples)))
    return batch.observations, batch.value


def _unit(costs: Tensor, states: Tensor) -> float:
    """Mean cost of a cell that demonstrations visit, costs `(E, H, W)` and numbers of cells `(E, T + 1)`."""
    fresh = torch.cat([torch.ones_like(states[:, :1], dtype=torch.bool), states.diff(dim=1) != 0], 1)
    return float(costs.flatten(1).gather(1, states)[fresh].double().mean())


def _true_unit(run: experiment.Run) -> float:
    """The same of the true cost, on the maps of the data set's seeds."""
    block, data = run.experiment.task
    env: Any = gymnasium.make(block.id, **block.kwargs)
    costs = []
    for seed in range(data.seed, data.seed + data.episodes):
        env.reset(seed=seed)
        site = env.unwrapped.site
        way = site.way_from(site.start)
        costs.append(site.costs_at(way))
    return float(np.concatenate(costs).mean())
