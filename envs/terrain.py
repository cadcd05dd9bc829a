"""Terrain-v0: drive a small robot to a goal over ground whose true cost is hidden.

The map has layers that are seen (`envs.terrain_map`) and a cost of every metre that is not (`envs.terrain_cost`); what
the cost is like can be learnt from demonstrations alone. By default each episode has a new map: another seed, another
map. With a given map it has a window of it. Control at 10 Hz, at most 400 steps.

An observation is a mapping, all in float32 and in the window's frame, whose lower left corner is (0, 0):

    state    position [m], velocity [m/s], goal [m], shape (6,)
    near     the layers of the cells around the robot's, shape (C, K, K); what is off the map is obstacle
    layers   those of the whole map, shape (C, H, W), for planners on maps

Laid flat, in whole or in parts, it ends with the state.

Action a in R^2: force in units of the largest, shortened to length 1 (`envs.rover`). Reward: -(cost of the way of the
step) - 0.1 / s, and -100 where an obstacle is entered or the map left, which ends the episode. Success, which ends it
too: the robot is within 0.5 m of the goal.

`info`: `is_success`; `collision`; `cost`, the integral of the true cost along the way so far; `reference`, that of the
cheapest way over cells from start to goal; `regret`, (cost + cheapest way from here - reference) / reference. Ways are
not bound to cells: where corners are cut the regret may be a little below 0.
"""

from pathlib import Path
from typing import Any, final

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict
from numpy.typing import NDArray

from envs.actions import check_action
from envs.arguments import check_whole
from envs.drawing import check_render_mode
from envs.rover import CONTROL_PERIOD, Rover
from envs.terrain_expert import TerrainExpert
from envs.terrain_map import LAYERS, TerrainMap
from envs.terrain_site import TerrainSite, sites_of
from envs.terrain_view import frame

GOAL_RADIUS = 0.5
"""Largest distance from the goal at success [m]."""
TIME_PRICE = 0.1
"""[1/s]."""
CRASH_PRICE = 100.0
"""Of entering an obstacle or leaving the map."""
_FASTEST = 8.0  # more than the robot reaches downhill [m/s]
_OBSTACLE = LAYERS.index("obstacle")

Observation = dict[str, NDArray[np.float32]]


@final
class TerrainEnv(gymnasium.Env[Observation, NDArray[np.float32]]):
    """A robot on a semantic map.

    Args:
        map: None for a new map at each reset; else a map, or the path of a file: Lanelet2 (.osm, read at 0.5 m) or
            `TerrainMap.save`'s. Each episode then takes place in a random window of it.
        preference: "roads" or "green", the true cost.
        size: Cells along a side of the map of an episode.
        near: Cells along a side of the layers around the robot, odd.
        render_mode: "rgb_array" or None.

    Raises:
        ValueError: If an argument is out of range or the map is not understood.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012

    def __init__(
        self,
        *,
        map: str | Path | TerrainMap | None = None,
        preference: str = "roads",
        size: int = 64,
        near: int = 11,
        render_mode: str | None = None,
    ) -> None:
        check_render_mode(render_mode)
        self._sites = sites_of(map, preference, size)
        check_whole("near", near, 1, size)
        if near % 2 == 0:
            raise ValueError(f"near must be an odd number of cells up to {size}; got {near}.")
        self.render_mode = render_mode
        self.near = near
        self.cell, self.names = self._sites.cell, self._sites.names
        self._rover = Rover()
        self._site: TerrainSite | None = None
        self.action_space = Box(-1.0, 1.0, (2,), np.float32)
        self.observation_space = self._space(size)  # type: ignore[assignment]

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Draw a map, a start and a goal; `options` are not used."""
        super().reset(seed=seed)
        self._site = self._sites.draw(self.np_random)
        self._layers = self.site.terrain.layers
        half = self.near // 2
        self._padded = np.pad(self._layers, ((0, 0), (half, half), (half, half)))
        self._padded[_OBSTACLE] = np.pad(self._layers[_OBSTACLE], half, constant_values=1)
        self._rover.place(self.site.start)
        self._last_free = self.site.start
        self._trail = [self.site.start]
        self._cost, self._collision = 0.0, False
        return self._observation(), self._info()

    def step(self, action: NDArray[np.float32]) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Push the robot for one control period of 0.1 s.

        Raises:
            ValueError: If `action` is not two finite numbers.
        """
        check_action(action, 2, "in [-1, 1]")
        speed, grade = self.site.ground(self._rover.position)
        path = self._rover.drive(action, speed=speed, grade=grade)
        cost = self._advance(path)
        info = self._info()
        reward = -cost - TIME_PRICE * CONTROL_PERIOD - CRASH_PRICE * self._collision
        return self._observation(), reward, self._collision or info["is_success"], False, info

    def render(self) -> NDArray[np.uint8] | None:
        """The map from above with the way so far and the cheapest one, shape `(384, 384, 3)`; None without a mode."""
        return None if self.render_mode is None else frame(self.site, np.array(self._trail), failed=self._collision)

    def expert(self) -> TerrainExpert:
        """A demonstrator that knows the true cost of the map of the running episode."""
        return TerrainExpert(way=lambda position: self.site.way_from(position))

    @property
    def site(self) -> TerrainSite:
        """Map, goal and hidden costs of the running episode, for demonstrators and judges.

        Raises:
            ValueError: Before the first reset.
        """
        if self._site is None:
            raise ValueError("there is no map before the first reset; call reset(seed=...).")
        return self._site

    def scene(self) -> dict[str, Any]:
        """Bounds and goal in plain numbers [m], for plots."""
        rows, columns = self.site.terrain.shape
        return {
            "bounds": [[0.0, columns * self.cell], [0.0, rows * self.cell]],
            "discs": [{"role": "goal", "centre": self.site.goal.tolist(), "radius": GOAL_RADIUS}],
            "lines": [],
        }

    def _advance(self, path: NDArray[np.float64]) -> float:
        """Adds a piece of way `(P, 2)` to the record; returns its cost."""
        cost, before = self.site.paid(path)
        self._collision = before < len(path) - 1
        self._cost += cost
        self._last_free = path[before]
        self._trail.append(path[-1])
        return cost

    def _observation(self) -> Observation:
        position = self._rover.position
        row, column = self.site.cell_of(position)
        state = np.concatenate([position, self._rover.velocity, self.site.goal]).astype(np.float32)
        near = self._padded[:, row : row + self.near, column : column + self.near].copy()
        return {"layers": self._layers.copy(), "near": near, "state": state}

    def _info(self) -> dict[str, Any]:
        site = self.site
        away = float(np.linalg.norm(self._rover.position - site.goal))
        return {
            "is_success": not self._collision and away <= GOAL_RADIUS,
            "collision": self._collision,
            "cost": self._cost,
            "reference": site.reference,
            "regret": site.regret(self._cost, self._last_free),
        }

    def _space(self, size: int) -> Dict:
        count, side = len(self.names), size * self.cell
        bound = [(-1.0, side + 1.0), (-1.0, side + 1.0), (-_FASTEST, _FASTEST), (-_FASTEST, _FASTEST), (0.0, side)]
        low, high = np.array([*bound, (0.0, side)], dtype=np.float32).T
        return Dict(
            {
                "layers": Box(0.0, 1.0, (count, size, size), np.float32),
                "near": Box(0.0, 1.0, (count, self.near, self.near), np.float32),
                "state": Box(low, high, dtype=np.float32),
            }
        )
