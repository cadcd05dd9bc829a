"""Traffic-v0: drive one vehicle among others, on a built-in map or on a real one.

The ego is a kinematic bicycle (`envs.ego`); the others react to it by the Intelligent Driver Model (`envs.driving`),
repeat a recording, or follow tracks that are given at reset. Control at 10 Hz for 10 s.

With p the displacement of the ego in a step along its lane's direction [m], the reward is p / (speed limit x period),
clipped to [0, 1]. Every way through the map is right. An episode ends where the ego's box overlaps another's (boxes are
compared four times a step), where a corner of it is more than 0.3 m off the road, or where its front leaves the map at
the end of a lane without successors. It is a success if it ends without the first two and the ego left the map or its
progress, the sum of p, is at least half of the reference of `envs.company`.
"""

from collections.abc import Sequence
from typing import Any, final

import gymnasium
import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

from envs.actions import check_action
from envs.arguments import check_choice, check_whole
from envs.boxes import between, overlapping
from envs.company import PERIOD, Company, Reactive, Replayed, recorded
from envs.drawing import check_render_mode
from envs.ego import Ego
from envs.layout import BOX, POINTS, ROUTES, SPACING, STATE, Layout
from envs.maps import read_map
from envs.motorist import TrafficExpert
from envs.roads import RoadMap
from envs.sites import OFF_ROAD, Site
from envs.traffic_view import frame, scene

STEPS = 100
"""Steps of an episode, over which its reference is measured."""
ENOUGH = 0.5
"""Share of the reference that is a success."""
OTHERS = ("idm", "recorded")
_COMPARED = (0.25, 0.5, 0.75, 1.0)  # times within a step at which boxes are compared
_AROUND = 300.0  # room of the observation space around maps [m]
_STATE_LOW = [-np.pi, -40.0, 0.0, 0.0, 0.0]  # heading, speed, length, width, valid
_STATE_HIGH = [np.pi, 80.0, 100.0, 100.0, 1.0]


@final
class TrafficEnv(gymnasium.Env[NDArray[np.float64], NDArray[np.float32]]):
    """One vehicle among others on a road map.

    Observation, shape `(agents * 67,)`: see `envs.layout`; agent 0 is the ego, the others keep the slot that they have
    at reset, the nearest first. Action, shape `(2,)`, in [-1, 1]: acceleration in units of 6 m/s^2 (8 m/s^2 when
    braking) and steering angle in units of 0.6 rad, left positive. `info`: `is_success` at the last step, `collision`,
    `off_road`, `progress` [m].

    Args:
        map: "crossing", "merge" or the path of a CommonRoad or Lanelet2 file; of several one is drawn at each reset.
        agents: Vehicles with the ego; fewer are there where the map has no room for more.
        others: "idm" for traffic that reacts, "recorded" for the recording of the map's file.
        render_mode: "rgb_array" or None.

    Raises:
        ValueError: If a map is not understood, or has no recording where one is wanted.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012
    limits_of_steps = (STEPS, STEPS)
    """Of another length an episode could not be judged."""

    def __init__(
        self,
        *,
        map: str | Sequence[str] = "crossing",
        agents: int = 8,
        others: str = "idm",
        render_mode: str | None = None,
    ) -> None:
        check_render_mode(render_mode)
        check_whole("agents", agents, 1, 64)
        check_choice("others", others, OTHERS)
        self.render_mode, self.others = render_mode, others
        self.layout = Layout(agents)
        sources = map if isinstance(map, Sequence) and not isinstance(map, str) else [map]
        self._sites = [Site(read_map(source)) for source in sources]
        if not self._sites:
            raise ValueError("map must name at least one map; got none.")
        if others == "recorded":
            for site in self._sites:
                site.check_recording()
        self.action_space = Box(-1.0, 1.0, (2,), np.float32)
        self.observation_space = Box(*self._bounds(), dtype=np.float64)
        self._site = self._sites[0]

    @property
    def road(self) -> RoadMap:
        """The map of this episode."""
        return self._site.scenario.road

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float64], dict[str, Any]]:
        """Draw a map and traffic on it.

        Args:
            seed: Everything is a function of it and of the actions.
            options: {"tracks": states `(agents, T, 7)` in the layout of observations} replays rows 1, 2, ... for the
                others, one column a step, and starts the ego where row 0 does.

        Raises:
            ValueError: If tracks have another shape or numbers outside of the observation space.
        """
        super().reset(seed=seed)
        self._site = self._sites[int(self.np_random.integers(len(self._sites)))]
        self._company = self._drawn_company() if not options else Replayed(self._checked(options), STEPS)
        self._states = self._company.states()
        self._ego = Ego(self._states[0])
        self._steps = 0
        self._progress = 0.0
        self._collision = self._off_road = self._left = False
        return self._observation(), self._info()

    def step(self, action: NDArray[np.float32]) -> tuple[NDArray[np.float64], float, bool, bool, dict[str, Any]]:
        """Drive for one control period of 0.1 s.

        Raises:
            ValueError: If `action` is not two finite numbers.
        """
        check_action(action, 2, "in [-1, 1]")
        before, box = self._states, self._ego.box
        self._ego.drive(action, PERIOD)
        self._company.step(self._ego.box, self._ego.speed)
        self._states = self._company.states()
        self._steps += 1
        self._collision = _collides(between(box, self._ego.box, _COMPARED), before[1:], self._states[1:])
        self._off_road = not self._collision and not self._site.covers(self._ego.box)
        self._left = not (self._collision or self._off_road) and self._site.left(self._ego.box)
        reward = self._advance(self._ego.box[:2] - box[:2])
        terminated = self._collision or self._off_road or self._left
        return self._observation(), reward, terminated, not terminated and self._steps >= STEPS, self._info()

    def render(self) -> NDArray[np.uint8] | None:
        """The road around the ego, shape `(400, 400, 3)`, or None without a render mode."""
        return None if self.render_mode is None else frame(self.road, self._states, failed=self._failed)

    def expert(self) -> TrafficExpert:
        """A demonstrator that follows a random way and yields like the others."""
        return TrafficExpert(layout=self.layout, speed=min(site.speed for site in self._sites))

    def free_space(self) -> Any:
        """Where a corner of a vehicle may be, a shapely (multi)polygon [m]; lanes that end on the map go on."""
        return self.road.open.buffer(OFF_ROAD)

    def scene(self) -> dict[str, Any]:
        """The map in plain numbers [m], for plots: bounds and the outline of the road as lines."""
        return scene(self.road)

    @property
    def _failed(self) -> bool:
        return self._collision or self._off_road

    def _drawn_company(self) -> Company:
        site, agents = self._site, self.layout.agents
        if self.others == "idm":
            return Reactive(site.placement, agents, STEPS, self.np_random)
        return Replayed(recorded(site.scenario, site.placement, agents, STEPS, self.np_random), STEPS)

    def _checked(self, options: dict[str, Any]) -> NDArray[np.float64]:
        if set(options) != {"tracks"}:
            raise ValueError(f'options may hold "tracks" alone; got {", ".join(sorted(map(str, options)))}.')
        tracks = np.asarray(options["tracks"], dtype=np.float64)
        agents = self.layout.agents
        if tracks.ndim != 3 or tracks.shape[0] != agents or tracks.shape[1] < 1 or tracks.shape[2] != STATE:
            raise ValueError(f"tracks must have shape ({agents}, T, {STATE}), T >= 1; got {tracks.shape}.")
        low, high = self.observation_space.low[:STATE], self.observation_space.high[:STATE]  # type: ignore[attr-defined]
        if not ((tracks >= low) & (tracks <= high)).all():
            raise ValueError(f"tracks must be finite and lie within {low.round(2)} and {high.round(2)}.")
        if not (tracks[0, 0, -1] > 0.5 and (tracks[0, 0, 4:6] > 0).all()):
            raise ValueError("tracks must begin with a valid ego in row 0, with positive length and width.")
        return tracks

    def _advance(self, way: NDArray[np.float64]) -> float:
        """The reward of a displacement [m], shape `(2,)`; adds to the progress."""
        ways = self.road.ways
        place = ways.nearest(self._ego.box[:2], self._ego.heading)
        direction = ways.heading[place]
        ahead = float(way @ [np.cos(direction), np.sin(direction)])
        self._progress += ahead
        limit = float(self.road.limits([int(ways.number[place])])[0])
        return min(max(ahead / (limit * PERIOD), 0.0), 1.0)

    def _observation(self) -> NDArray[np.float64]:
        ego = self._ego
        self._states[0] = [ego.x, ego.y, ego.heading, ego.speed, ego.length, ego.width, 1.0]
        self._states[:, 2] = np.angle(np.exp(1j * self._states[:, 2]))
        there = np.flatnonzero(self._states[:, -1])
        routes = np.zeros((self.layout.agents, ROUTES, POINTS, 2))
        ways = self.road.ways
        for row, lanes in zip(there, ways.lanes(self._states[there, :2], self._states[there, 2]), strict=True):
            found = ways.ahead(lanes, ROUTES, POINTS * SPACING, SPACING)
            routes[row, : len(found)] = found
            routes[row, len(found) :] = found[0]
        return np.concatenate([self._states.ravel(), routes.ravel()])

    def _info(self) -> dict[str, Any]:
        enough = self._left or (self._steps >= STEPS and self._progress >= ENOUGH * self._company.reference)
        return {
            "is_success": enough and not self._failed,
            "collision": self._collision,
            "off_road": self._off_road,
            "progress": self._progress,
        }

    def _bounds(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Lowest and highest observations."""
        sides = np.array([site.scenario.road.bounds for site in self._sites])  # (maps, axis, side)
        low = np.minimum(sides[..., 0].min(0) - _AROUND, 0.0)
        high = np.maximum(sides[..., 1].max(0) + _AROUND, 0.0)
        agents, points = self.layout.agents, self.layout.agents * ROUTES * POINTS
        return (
            np.concatenate([np.tile([*low, *_STATE_LOW], agents), np.tile(low, points)]),
            np.concatenate([np.tile([*high, *_STATE_HIGH], agents), np.tile(high, points)]),
        )


def _collides(ego: NDArray[np.float64], before: NDArray[np.float64], after: NDArray[np.float64]) -> bool:
    """Whether the ego's boxes `(4, 5)` meet those of vehicles on their way between two states `(M, 7)`."""
    there = (before[:, -1] > 0) & (after[:, -1] > 0)
    start, end = before[there][:, BOX], after[there][:, BOX]
    return bool(overlapping(ego[:, None], between(start, end, _COMPARED)).any())
