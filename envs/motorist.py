"""The expert of Traffic-v0.

It follows one of its ways by pure pursuit, delta = atan(2 l sin(alpha) / L), where alpha is the direction from the
rear axle to a point of the way at distance L, and l the wheelbase; at forks it goes on with a random branch. Its
speed is that of one vehicle of the Intelligent Driver Model (`envs.driving`) among the others, of which it knows no
more than an observation says: each may take any of its ways, so each of them counts as a vehicle of its own. A way
that begins beside a vehicle, on another lane, does not count.
"""

from dataclasses import replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from envs.conflicts import zones_between
from envs.driving import Traffic
from envs.ego import ACCELERATION, BRAKING, STEERING, WHEELBASE
from envs.layout import Layout
from envs.paths import STEP, Path, path_along
from envs.polylines import Points, extended, smoothed, without_repeats
from envs.vehicles import Vehicle, draw_vehicle

_BESIDE = 1.5  # lateral offset of the first point of a way on another lane [m]
_BEHIND = 15.0  # straight path behind a vehicle [m]
_BEYOND = 60.0  # straight path beyond the last point of a way [m]
_ROUNDING = 2.0  # of a way's corners [m]
_PREVIEW = 0.4  # time for which pure pursuit looks ahead [s]
_NEAREST, _FARTHEST = 2.5, 15.0  # how far it looks ahead at least and at most [m]
_ALIKE = 0.3  # ways that fit the last choice this much alike are a fork [m]


@final
class TrafficExpert:
    """Drives among others with random habits.

    Args:
        layout: Of the observations.
        speed: What counts as the speed limit, which an observation does not say [m/s].
    """

    def __init__(self, *, layout: Layout, speed: float) -> None:
        self.layout, self.speed = layout, speed
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Draw the habits of the next episode from `seed` and forget the way."""
        self._generator = np.random.default_rng(seed)
        self._habits = draw_vehicle(self._generator)
        self._way: Points | None = None

    def act(self, observation: NDArray[Any]) -> NDArray[np.float32]:
        """Pedals and steering, shape `(2,)`, for an observation of Traffic-v0, shape `(layout.size,)`."""
        states, routes = self.layout.states_of(observation), self.layout.routes_of(observation)
        self._way = self._chosen(states[0], routes[0])
        mine = replace(self._habits, length=states[0, 4], width=states[0, 5])
        own = self._path(states[0], _curve(states[0], self._way), mine)
        vehicles, paths, speeds = self._others(states[1:], routes[1:])
        zones = zones_between(len(paths), own, paths)
        s = np.full(len(paths) + 1, _BEHIND)
        traffic = Traffic([*vehicles, mine], [*paths, own], zones, s, np.array([*speeds, states[0, 3]]))
        rate = float(traffic.accelerations()[-1])
        pedal = rate / (ACCELERATION if rate >= 0 else BRAKING)
        action = np.clip([pedal, _steering(states[0], own) / STEERING], -1.0, 1.0)
        return np.asarray(action, dtype=np.float32)

    def _others(
        self, states: NDArray[np.float64], routes: NDArray[np.float64]
    ) -> tuple[list[Vehicle], list[Path], list[float]]:
        """A vehicle for every way of every other."""
        vehicles, paths, speeds = [], [], []
        for state, ways in zip(states, routes, strict=True):
            if state[-1] > 0:
                vehicle = Vehicle(length=state[4], width=state[5])
                for way in _own_ways(state, ways):
                    vehicles.append(vehicle)
                    paths.append(self._path(state, way, vehicle))
                    speeds.append(float(state[3]))
        return vehicles, paths, speeds

    def _chosen(self, state: NDArray[np.float64], ways: Points) -> Points:
        """The way that goes on with the last choice, a random one where several do."""
        own = _own_ways(state, ways)
        if self._way is None:
            return np.asarray(own[self._generator.integers(len(own))])
        known = _curve(state, self._way)
        misfit = np.array([_misfit(way[:-1], known) for way in own])
        alike = np.flatnonzero(misfit <= misfit.min() + _ALIKE)
        return np.asarray(own[alike[self._generator.integers(len(alike)) if len(alike) > 1 else 0]])

    def _path(self, state: NDArray[np.float64], way: Points, vehicle: Vehicle) -> Path:
        """A path from behind a vehicle along a way; the vehicle's middle is at `_BEHIND` on it."""
        tail = state[:2] - _BEHIND * np.array([np.cos(state[2]), np.sin(state[2])])
        corners = without_repeats(extended(np.concatenate([tail[None], state[None, :2], way]), 0.0, _BEYOND))
        points = smoothed(corners, step=STEP, width=_ROUNDING)
        limits = np.full(len(points), self.speed * vehicle.eagerness)
        return path_along(points, limits, length=vehicle.length, width=vehicle.width, lateral=vehicle.lateral)


def _own_ways(state: NDArray[np.float64], ways: Points) -> list[Points]:
    """The ways that begin on a vehicle's own lane, without repeats; the first of all where none does."""
    offset = ways[:, 0] - state[:2]
    beside = np.abs(offset[:, 1] * np.cos(state[2]) - offset[:, 0] * np.sin(state[2]))
    kept = [way for way, aside in zip(ways, beside, strict=True) if aside < _BESIDE] or [ways[0]]
    return [way for row, way in enumerate(kept) if not any(np.array_equal(way, other) for other in kept[:row])]


def _curve(state: NDArray[np.float64], way: Points) -> Points:
    """A smooth curve from a pose through the points of a way, about every metre."""
    spacing = float(np.linalg.norm(way[-1] - way[-2]))
    direction = spacing * np.array([np.cos(state[2]), np.sin(state[2])])
    knots = np.concatenate([state[None, :2], way])
    ends = ((1, direction), (2, np.zeros(2)))
    spline = CubicSpline(np.arange(len(knots)), knots, bc_type=ends)
    return np.asarray(spline(np.arange(0.0, len(way) + 1e-9, STEP / spacing)[1:]))


def _misfit(way: Points, known: Points) -> float:
    """The largest distance of a way's points `(P, 2)` from a line of points every metre `(Q, 2)` [m]."""
    return float(np.linalg.norm(way[:, None] - known, axis=-1).min(1).max())


def _steering(state: NDArray[np.float64], path: Path) -> float:
    """Steering angle towards a point of the path ahead [rad]."""
    x, y, heading, speed, length = state[:5].tolist()
    wheelbase = WHEELBASE * length
    ahead = min(max(_PREVIEW * speed, _NEAREST), _FARTHEST)
    target = path.points[round((_BEHIND + ahead) / STEP)]
    rear = np.array([x, y]) - wheelbase / 2 * np.array([np.cos(heading), np.sin(heading)])
    way = target - rear
    alpha = np.arctan2(way[1], way[0]) - heading
    return float(np.arctan(2 * wheelbase * np.sin(alpha) / np.linalg.norm(way)))
