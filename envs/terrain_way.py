"""TerrainWay-v0: a whole way at once over ground whose true cost is hidden.

The maps, starts and goals of Terrain-v0, seed by seed, asked as one question and answered by one action: nobody drives.
Demonstrations are what Terrain-v0's expert follows, the cheapest ways over cells under the true cost, so that a data
set holds each map once.

An observation is a mapping, in float32 and in the map's frame, whose lower left corner is (0, 0):

    layers   those of the map, shape (C, H, W)
    places   start and goal [m], shape (4,)

Laid flat it ends with the places. The action is T + 1 way-points [m], x and y in turn, shape (2 (T + 1),); the last
may be repeated. Reward: -(true cost of the way), and -100 where it begins elsewhere than in the cell of the start,
enters an obstacle or leaves the map. Success: it does none of these and ends in the cell of the goal. The episode ends
at once.

Drawn are the cheapest way over cells and the last action, as far as it is free.

`info`: as Terrain-v0's; `regret` compares with the cheapest way over cells.
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
from envs.polylines import arc_length, at
from envs.terrain import CRASH_PRICE, Observation
from envs.terrain_map import TerrainMap
from envs.terrain_site import TerrainSite, sites_of
from envs.terrain_view import frame

_MOST = 10_000  # moves of a way
_PIECE = 0.05  # of a way, over the side of a cell


@final
class TerrainWayEnv(gymnasium.Env[Observation, NDArray[np.float32]]):
    """Ways on semantic maps.

    Args:
        map: None for a new map at each reset; else as `TerrainEnv`'s.
        preference: "roads" or "green", the true cost.
        size: Cells along a side of the map of an episode.
        moves: Moves of a way T, from 1 to 10,000.
        render_mode: "rgb_array" or None.

    Raises:
        ValueError: If an argument is out of range or the map is not understood.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 1}  # noqa: RUF012

    def __init__(
        self,
        *,
        map: str | Path | TerrainMap | None = None,
        preference: str = "roads",
        size: int = 64,
        moves: int = 96,
        render_mode: str | None = None,
    ) -> None:
        check_render_mode(render_mode)
        check_whole("moves", moves, 1, _MOST)
        self.render_mode = render_mode
        self._sites, self.moves = sites_of(map, preference, size), moves
        self._site: TerrainSite | None = None
        side, count = size * self._sites.cell, len(self._sites.names)
        self.action_space = Box(0.0, side, (2 * (moves + 1),), np.float32)
        layers, places = Box(0.0, 1.0, (count, size, size), np.float32), Box(0.0, side, (4,), np.float32)
        self.observation_space = Dict({"layers": layers, "places": places})  # type: ignore[assignment]

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Draw a map, a start and a goal; `options` are not used."""
        super().reset(seed=seed)
        self._site = self._sites.draw(self.np_random)
        self._shown, self._failed = self.site.start[None], False
        return self._observation(), self._info(0.0, self.site.start, good=False, collision=False)

    def step(self, action: NDArray[np.float32]) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Judge a way.

        Raises:
            ValueError: If `action` is not 2 (T + 1) finite numbers.
        """
        check_action(action, 2 * (self.moves + 1), "that are way-points [m]")
        site, way = self.site, np.asarray(action, np.float64).reshape(-1, 2)
        path = self._fine(way)
        cost, before = site.paid(path)
        begins, ends = (site.cell_of(a) == site.cell_of(b) for a, b in ((way[0], site.start), (way[-1], site.goal)))
        collision = before < len(path) - 1
        info = self._info(cost, path[before], good=begins and ends and not collision, collision=collision)
        self._shown, self._failed = path[: before + 1], collision or not begins
        reward = -cost - CRASH_PRICE * self._failed
        return self._observation(), reward, True, False, info

    def render(self) -> NDArray[np.uint8] | None:
        """The map from above with the last way and the cheapest one, shape `(384, 384, 3)`; None without a mode."""
        return None if self.render_mode is None else frame(self.site, self._shown, failed=self._failed)

    def expert(self) -> "WayExpert":
        """A demonstrator that knows the true cost of the map of the running episode."""
        return WayExpert(self)

    @property
    def site(self) -> TerrainSite:
        """Map, goal and hidden costs of the running episode, for demonstrators and judges.

        Raises:
            ValueError: Before the first reset.
        """
        if self._site is None:
            raise ValueError("there is no map before the first reset; call reset(seed=...).")
        return self._site

    def _fine(self, way: NDArray[np.float64]) -> NDArray[np.float64]:
        """The way in short pieces, one at least."""
        length = arc_length(way)
        count = max(2, 1 + int(np.ceil(length[-1] / (_PIECE * self._sites.cell))))
        return at(way, length, np.linspace(0.0, length[-1], count))

    def _observation(self) -> Observation:
        places = np.concatenate([self.site.start, self.site.goal]).astype(np.float32)
        return {"layers": self.site.terrain.layers.copy(), "places": places}

    def _info(self, cost: float, end: NDArray[np.float64], *, good: bool, collision: bool) -> dict[str, Any]:
        return {
            "is_success": good,
            "collision": collision,
            "cost": cost,
            "reference": self.site.reference,
            "regret": self.site.regret(cost, end),
        }


@final
class WayExpert:
    """The cheapest way over cells; one that has more moves than an action is cut off, and fails.

    Args:
        env: Whose running episode it knows.
    """

    def __init__(self, env: TerrainWayEnv) -> None:
        self._env = env

    def reset(self, seed: int) -> None:
        """Nothing is left to chance."""

    def act(self, observation: Any) -> NDArray[np.float32]:
        """The way, the last way-point repeated."""
        site = self._env.site
        way = site.way_from(site.start)[: self._env.moves + 1]
        return np.pad(way, ((0, self._env.moves + 1 - len(way)), (0, 0)), mode="edge").astype(np.float32).ravel()
