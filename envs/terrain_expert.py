"""Terrain-v0's demonstrator: the cheapest way under the true cost, followed by pursuit.

It knows what no policy sees, the true cost, and asks the environment for the cheapest way from where the robot is. The
way's corners are rounded off by a Gaussian; the point w(s) 0.5 m ahead of the way's nearest point is pursued with

    a = k (w(s) - x) - d v,    shortened to length 1,    k = 3 / m,  d = 0.3 s/m,

and where the robot strays more than 1 m from its way it asks for another. It makes no random choices: what differs
between episodes is the map.
"""

from collections.abc import Callable, Mapping
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from envs.polylines import arc_length, resample, smoothed

_AHEAD = 0.5  # [m]
_STEP = 0.1  # spacing of the way's points [m]
_ROUNDED = 0.25  # width of the Gaussian [m]
_WINDOW = 15  # points of the way among which the nearest is looked for, from the last one on
_ASTRAY = 1.0  # [m]
_GAIN, _DAMPING = 3.0, 0.3  # k [1/m], d [s/m]


@final
class TerrainExpert:
    """Follows the cheapest way.

    Args:
        way: Points [m], shape `(L, 2)`, of the cheapest way from a place, shape `(2,)`, to the goal of the episode.
    """

    def __init__(self, *, way: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> None:
        self._way = way
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Forget the way; `seed` has nothing to decide."""
        self._points: NDArray[np.float64] | None = None
        self._nearest = 0

    def act(self, observation: Any) -> NDArray[np.float32]:
        """Force, shape `(2,)`, for an observation with its `state`, as a mapping or flat."""
        state = state_of(observation)
        position, velocity = state[:2], state[2:4]
        if self._points is None or self._distances(position).min() > _ASTRAY:
            self._points, self._nearest = self._dense(position), 0
        self._nearest += int(np.argmin(self._distances(position)))
        target = self._points[min(self._nearest + round(_AHEAD / _STEP), len(self._points) - 1)]
        action = _GAIN * (target - position) - _DAMPING * velocity
        return (action / max(1.0, float(np.linalg.norm(action)))).astype(np.float32)

    def _distances(self, position: NDArray[np.float64]) -> NDArray[np.float64]:
        assert self._points is not None
        return np.linalg.norm(self._points[self._nearest : self._nearest + _WINDOW] - position, axis=1)

    def _dense(self, position: NDArray[np.float64]) -> NDArray[np.float64]:
        way = self._way(position)
        if len(way) < 2:
            return way
        rounded = smoothed(way, step=_STEP, width=_ROUNDED)
        length = arc_length(rounded)[-1]
        return resample(np.concatenate([rounded, way[-1:]]), max(2, round(float(length) / _STEP)))


def state_of(observation: Any) -> NDArray[np.float64]:
    """Position, velocity and goal, shape `(6,)`, of an observation, a mapping or flat, in which they come last."""
    return np.asarray(observation["state"] if isinstance(observation, Mapping) else observation[-6:], dtype=np.float64)
