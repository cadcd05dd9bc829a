"""Paths of vehicles along lanes, with the speed that a driver wants at each place.

A path joins centre lines and rounds off their kinks with a Gaussian of 2 m; it is kept as a point every STEP. The
wanted speed keeps to the driver's share of the speed limit and to a lateral acceleration v^2 |curvature| <= a_lat;
braking for a curve begins early enough that it takes no more than BRAKING:
v(s)^2 <= v(s + h)^2 + 2 BRAKING h.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d

from envs.boxes import corners
from envs.lanelets import Lanelet
from envs.polylines import Points, headings, smoothed
from envs.roads import RoadMap
from envs.ways import joined

STEP = 1.0
"""Spacing of a path's points [m]."""
BRAKING = 1.5
"""Largest braking for a curve [m/s^2]."""
_ROUNDING = 2.0  # [m]
_BEHIND = 15.0  # path wanted behind a start [m]
_MARGIN = 0.2  # kept around a vehicle's sides [m]
_SWING = 3.0  # most that a box swings out of its path [m]


@final
@dataclass(frozen=True, eq=False)
class Path:
    """A way through a map for a vehicle.

    Attributes:
        points: Every `STEP` [m], shape `(P, 2)`.
        headings: [rad], continuous, shape `(P,)`.
        speeds: What the driver wants [m/s], shape `(P,)`.
        reach: Half the width of the strip that the vehicle sweeps, with a margin [m], shape `(P,)`.
    """

    points: Points
    headings: NDArray[np.float64]
    speeds: NDArray[np.float64]
    reach: NDArray[np.float64]

    @property
    def length(self) -> float:
        """Arc length of the last point [m]."""
        return STEP * (len(self.points) - 1)


def walk(
    road: RoadMap, number: int, s: float, length: float, generator: np.random.Generator
) -> tuple[list[Lanelet], float]:
    """Lanelets from one on, a random branch at every fork, and the arc length of the start on them.

    Args:
        road: The map.
        number: The lanelet of the start.
        s: Where on it the start is [m].
        length: How far the walk goes beyond the start, where the map allows it [m].
        generator: Chooses the branches; one number for every fork.
    """
    lanes = [road.lanelets[number]]
    ahead = lanes[0].length - s
    while ahead < length and lanes[-1].successors:
        branches = lanes[-1].successors
        lanes.append(road.lanelets[branches[generator.integers(len(branches)) if len(branches) > 1 else 0]])
        ahead += lanes[-1].length
    while s < _BEHIND and lanes[0].predecessors:
        lanes.insert(0, road.lanelets[lanes[0].predecessors[0]])
        s += lanes[0].length
    return lanes, s


def path_of(
    lanes: Sequence[Lanelet], limits: NDArray[np.float64], *, length: float, width: float, lateral: float
) -> Path:
    """The path of a vehicle along lanelets.

    Args:
        lanes: Lanelets that follow each other.
        limits: Wanted speed on each where it is straight [m/s].
        length: Of the vehicle [m].
        width: Of the vehicle [m].
        lateral: Largest lateral acceleration [m/s^2].
    """
    points = smoothed(joined(lanes), step=STEP, width=_ROUNDING)
    ends = np.cumsum([lane.length for lane in lanes])
    place = np.minimum(np.searchsorted(ends, STEP * np.arange(len(points)), side="right"), len(lanes) - 1)
    return path_along(points, limits[place], length=length, width=width, lateral=lateral)


def path_along(points: Points, limits: NDArray[np.float64], *, length: float, width: float, lateral: float) -> Path:
    """The path of a vehicle along smooth points every `STEP` `(P, 2)` with wanted speeds `(P,)`; see `path_of`."""
    direction = headings(points)
    bend = np.abs(np.gradient(direction)) / STEP
    speeds = np.minimum(limits, np.sqrt(lateral / np.maximum(bend, 1e-6)))
    # A box swings out of a circle by about l^2 / 8 times its curvature; its ends enter a curve before its middle.
    widest = maximum_filter1d(bend, 2 * round(length / (2 * STEP)) + 1)
    reach = width / 2 + _MARGIN + np.minimum(widest * length**2 / 8, _SWING)
    return Path(points, direction, _brakeable(speeds), reach)


def stays(path: Path, length: float, width: float, inside: Callable[[Points], NDArray[np.bool_]]) -> bool:
    """Whether the box of a vehicle stays in an area all along a path, once it is on the path as a whole.

    Args:
        path: The path of the box's middle.
        length: Of the box [m].
        width: Of the box [m].
        inside: Whether points [m], `(M, 2)`, lie in the area.
    """
    s = STEP * np.arange(len(path.points))
    whole = (s >= length / 2) & (s <= path.length - length / 2)
    places = np.concatenate([path.points[whole], path.headings[whole, None]], axis=1)
    # A quarter of a metre apart: the outline of a road has notches.
    between = [(1 - share) * places[:-1] + share * places[1:] for share in (0.0, 0.25, 0.5, 0.75)]
    places = np.concatenate([*between, places[-1:]])
    boxes = np.concatenate([places, np.tile([length, width], (len(places), 1))], axis=1)
    return bool(inside(corners(boxes).reshape(-1, 2)).all())


def _brakeable(speeds: NDArray[np.float64]) -> NDArray[np.float64]:
    """The largest speeds below the given ones that braking can follow."""
    # With w(s) = v(s)^2 + 2 b s the rule says that w never falls: its largest such minorant is a running minimum.
    ramp = 2 * BRAKING * STEP * np.arange(len(speeds))
    lowest = np.minimum.accumulate((speeds**2 + ramp)[::-1])[::-1]
    return np.sqrt(np.maximum(lowest - ramp, 0.0))
