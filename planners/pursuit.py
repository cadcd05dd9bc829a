r"""Pursuit: way-points in metres become forces, whoever planned them.

The way's corners are rounded off by a Gaussian; the point w(s) a distance ahead of the way's nearest point is pursued,

    a = k (w(s) - x) - d v,    shortened to length 1.

Nothing is known of the ground or of what it costs. The nearest point is looked for on the next stretch of the way
alone, so that a way may cross itself. Numbers that suit Terrain-v0's robot are the defaults.
"""

from collections.abc import Callable, Sequence
from typing import final

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d

from embodied_gen.control import Chunk, Memory
from planners.execution import Tracker
from planners.map_ways import Ways
from planners.replanning import SOON, Replanner
from planners.time_profile import resampled

SPACING = 0.1
"""Of a way's points [m]."""
_ROUNDED = 0.25  # width of the Gaussian [m]
_WINDOW = 1.5  # stretch of the way on which the nearest point is looked for [m]


@final
class Pursuit:
    """Follows ways.

    Args:
        ahead: Distance of the point that is pursued from the nearest one [m], > 0.
        gain: k, action units a metre, > 0.
        damping: d, action units a metre a second, >= 0.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(self, *, ahead: float = 0.5, gain: float = 3.0, damping: float = 0.3):
        if not (ahead > 0 and gain > 0 and damping >= 0):
            raise ValueError(
                f"ahead and gain must be positive and damping not negative; got {ahead}, {gain} and {damping}."
            )
        self.ahead = ahead
        self._tracker = Tracker((0, 1), (2, 3), p=gain, d=damping)

    def rounded(self, points: np.ndarray) -> np.ndarray:
        """Way-points [m] `(L, 2)` as points `SPACING` apart or less with corners rounded off, from end to end."""
        even, spacing = resampled(points, SPACING)
        if spacing < SPACING / 4:  # no room for a corner, and a Gaussian of that many points would have no end
            return even
        beyond = round(4 * _ROUNDED / spacing)
        longer = np.pad(even, ((beyond, beyond), (0, 0)), mode="reflect", reflect_type="odd")  # keeps the ends
        return gaussian_filter1d(longer, _ROUNDED / spacing, axis=0)[beyond:-beyond]

    def left(self, way: np.ndarray, position: np.ndarray) -> np.ndarray:
        """What is left of a rounded way from its point nearest to a position `(2,)`; at least its last point."""
        return way[int(np.argmin(self._distances(way, position))) :]

    def away(self, way: np.ndarray, position: np.ndarray) -> float:
        """Distance of a position to the next stretch of a rounded way [m]."""
        return float(self._distances(way, position).min())

    def act(self, way: np.ndarray, state: np.ndarray) -> np.ndarray:
        """The action `(2,)` at a state x, y and their velocities `(4,)`, for what is left of a rounded way."""
        target = way[min(round(self.ahead / SPACING), len(way) - 1)]
        action = self._tracker.act(state[None], np.concatenate([target, [0, 0]])[None])[0]
        return action / max(1.0, float(np.linalg.norm(action)))

    def _distances(self, way: np.ndarray, position: np.ndarray) -> np.ndarray:
        return np.linalg.norm(way[: round(_WINDOW / SPACING)] - position, axis=1)


@final
class WayAgent(Replanner):
    """Plans a way, pursues it, and plans anew after a while or where it has strayed.

    Args:
        ways: The planner for an observation `(O,)`, which may hold the map of its episode.
        pursuit: Follows ways.
        state: Channels of the observation that are x, y and their velocities.
        goal: Channels of the observation that are the goal.
        replan: Control steps after which a way is planned anew, a quarter of them where it is not good, >= 1.
        astray: Distance from the way beyond which it is planned anew [m], > 0.
        device: Of the draws.

    Raises:
        ValueError: If a number is out of range.
    """

    actions = 1

    def __init__(
        self,
        ways: Callable[[np.ndarray], Ways],
        pursuit: Pursuit,
        *,
        state: Sequence[int],
        goal: Sequence[int],
        replan: int = 50,
        astray: float = 1.0,
        device: torch.device | str = "cpu",
    ):
        if len(state) != 4 or len(goal) != 2 or replan < 1 or not astray > 0:
            raise ValueError(
                "state must name 4 channels and goal 2, replan be at least 1 and astray positive; "
                f"got {list(state)}, {list(goal)}, {replan} and {astray}."
            )
        super().__init__(None, torch.device(device))
        self.ways, self.pursuit, self.state, self.goal = ways, pursuit, list(state), list(goal)
        self.replan, self.astray = replan, astray

    @property
    def action_size(self) -> int:
        """Two: a force in the plane."""
        return 2

    def plan(self, memories: Sequence[Memory]) -> np.ndarray:
        """The next action of each episode, shape `(S, 1, 2)`."""
        self._plan_in_blocks([memory for memory in memories if self._is_due(memory)])
        return np.stack([self._pursued(memory) for memory in memories])[:, None].astype(np.float32)

    def _plan_anew(self, memories: Sequence[Memory]) -> int:
        for memory in memories:
            seen = memory.observations[-1].astype(np.float64)
            planner = self.ways(memory.observations[-1])
            points, good = planner.way(seen[self.state[:2]], seen[self.goal], generator=memory.generator)
            memory.chunks = [Chunk(memory.step, self.pursuit.rounded(points), good)]
        return sum(not memory.chunks[0].feasible for memory in memories)

    def _is_due(self, memory: Memory) -> bool:
        if not memory.chunks:
            return True
        made, way, good = memory.chunks[0]
        place = memory.observations[-1, self.state[:2]]
        late = memory.step - made >= (self.replan if good else max(self.replan // SOON, 1))
        return late or self.pursuit.away(way, place) > self.astray

    def _pursued(self, memory: Memory) -> np.ndarray:
        """The action; what of the way lies behind is forgotten."""
        state, (made, way, good) = memory.observations[-1, self.state].astype(np.float64), memory.chunks[0]
        memory.chunks = [Chunk(made, self.pursuit.left(way, state[:2]), good)]
        return self.pursuit.act(memory.chunks[0].values, state)
