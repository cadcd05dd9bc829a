"""Traffic to start from: vehicles placed on a map at random.

Places are uniform over all lanes within a radius of vehicle 0. A vehicle is placed where its box stays on the road all
along its path (a truck that does not fit becomes a car), where it overlaps nobody, and where it can go on without an
accident: it meets nobody head-on without room to pass, it stands in nobody's way inside a crossing, and it keeps a gap
to those before and behind it. Speeds are the wanted ones times U[0.7, 1], lowered until everybody can follow the
vehicle ahead and stop, comfortably, where somebody else goes first.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
import shapely
from numpy.typing import NDArray

from envs.boxes import corners, overlapping
from envs.conflicts import Zones, concatenated, zones_between
from envs.driving import Traffic
from envs.paths import STEP, Path, path_of, stays, walk
from envs.polylines import Points
from envs.right_of_way import order
from envs.roads import RoadMap
from envs.vehicles import TRUCKS, Vehicle, draw_vehicle

TOLERANCE = 0.05
"""How far corners of boxes may be off the road at the points of a path [m]."""
_TRIES = 40  # places looked at for each vehicle
_HORIZON = 12.0  # time for which paths are long enough at the wanted speed [s]
_ROOM = 25.0  # path beyond that [m]
_APART = np.array([0.0, 0.0, 0.0, 2.0, 0.4])  # added to a box that must be free of others [m]
_GAP = 2.0  # smallest gap to a vehicle ahead at the start [m]
_STOP = 2.0  # braking for those who go first [m/s^2]


@final
@dataclass(frozen=True, eq=False)
class _Placed:
    """A vehicle that has its place: its path, where it is on it [m], its box and its zones with those before it."""

    vehicle: Vehicle
    path: Path
    s: float
    box: NDArray[np.float64]
    zones: Zones


@final
class Placement:
    """Places vehicles on one map.

    Args:
        road: The map.
    """

    def __init__(self, road: RoadMap) -> None:
        self.road = road
        self._allowed = road.drivable.buffer(TOLERANCE, join_style="mitre")
        shapely.prepare(self._allowed)

    def draw(self, count: int, generator: np.random.Generator, *, radius: float = 80.0) -> Traffic:
        """Traffic of up to `count` vehicles; fewer where there is no room for more.

        Args:
            count: How many vehicles, >= 1.
            generator: What to draw from.
            radius: Largest distance from vehicle 0 [m].

        Raises:
            ValueError: If not even one vehicle fits on the road.
        """
        placed = [self._first(generator)]
        ways = self.road.ways
        near = np.flatnonzero(np.linalg.norm(ways.point - placed[0].box[:2], axis=1) < radius)
        for _ in range(_TRIES * (count - 1)):
            if len(placed) == count:
                break
            found = self._try(placed, int(near[generator.integers(len(near))]), generator)
            if found is not None:
                placed.append(found)
        return _traffic(placed, generator)

    def inside(self, points: Points) -> NDArray[np.bool_]:
        """Whether points [m], `(M, 2)`, are on the road or within `TOLERANCE` of it."""
        return np.asarray(shapely.contains_xy(self._allowed, points[:, 0], points[:, 1]))

    def covers(self, box: NDArray[np.float64]) -> bool:
        """Whether all corners of a box `(5,)` are on the road or within `TOLERANCE` of it."""
        return bool(self.inside(corners(box)).all())

    def path(self, vehicle: Vehicle, number: int, s: float, generator: np.random.Generator) -> tuple[Path, float]:
        """A random path of a vehicle from arc length `s` [m] of a lanelet on, and where on the path that is [m]."""
        limit = vehicle.eagerness * float(self.road.limits([number])[0])
        lanes, s = walk(self.road, number, s, limit * _HORIZON + _ROOM, generator)
        limits = vehicle.eagerness * self.road.limits(lane.id for lane in lanes)
        return path_of(lanes, limits, length=vehicle.length, width=vehicle.width, lateral=vehicle.lateral), s

    def _first(self, generator: np.random.Generator) -> _Placed:
        """Vehicle 0, a car, has road ahead for the whole horizon, if any place on the map has."""
        places = len(self.road.ways.number)
        for attempt in range(4 * _TRIES):
            wanted = _HORIZON if attempt < 3 * _TRIES else 0.0
            found = self._try([], int(generator.integers(places)), generator, wanted=wanted, trucks=0.0)
            if found is not None:
                return found
        raise ValueError(f"{self.road.name}: no place was found where a car fits on the road; check the lanes' widths.")

    def _try(
        self,
        placed: list[_Placed],
        place: int,
        generator: np.random.Generator,
        *,
        wanted: float = 0.0,
        trucks: float = TRUCKS,
    ) -> _Placed | None:
        """A vehicle at a place, if it fits; `wanted` is the time for which its path must be long enough [s]."""
        number, s = int(self.road.ways.number[place]), float(self.road.ways.s[place])
        vehicle = draw_vehicle(generator, trucks=trucks)
        path, s = self.path(vehicle, number, s, generator)
        half = vehicle.length / 2
        if not half <= s <= path.length - half - _GAP or path.length - s < wanted * float(path.speeds.max()):
            return None
        box = _box(vehicle, path, s)
        if placed and overlapping(box + _APART, np.stack([other.box for other in placed])).any():
            return None
        if not stays(path, vehicle.length, vehicle.width, self.inside):
            return None
        zones = zones_between(len(placed), path, [other.path for other in placed])
        found = _Placed(vehicle, path, s, box, zones)
        return found if _peaceful([*placed, found]) else None


def _peaceful(placed: list[_Placed]) -> bool:
    """Whether the last vehicle can go on with those before it."""
    zones = placed[-1].zones
    if not len(zones):
        return True
    s = np.array([one.s for one in placed])[zones.pair]
    half = np.array([one.vehicle.length for one in placed])[zones.pair] / 2
    ahead = (s - half < zones.leave).all(1)
    inside = ahead & (s + half > zones.enter).all(1)
    u = s - zones.align
    gap = np.abs(u[:, 0] - u[:, 1]) - half.sum(1)
    close = np.where(zones.together, gap < _GAP, True)
    return not bool(((ahead & zones.opposed) | (inside & close)).any())


def _box(vehicle: Vehicle, path: Path, s: float) -> NDArray[np.float64]:
    along = STEP * np.arange(len(path.points))
    x, y, heading = (np.interp(s, along, line) for line in (*path.points.T, path.headings))
    return np.array([x, y, heading, vehicle.length, vehicle.width])


def _traffic(placed: list[_Placed], generator: np.random.Generator) -> Traffic:
    vehicles, paths = [one.vehicle for one in placed], [one.path for one in placed]
    s, zones = np.array([one.s for one in placed]), concatenated([one.zones for one in placed])
    wanted = [np.interp(one.s, STEP * np.arange(len(one.path.points)), one.path.speeds) for one in placed]
    speed = np.array(wanted) * generator.uniform(0.7, 1.0, len(s))
    return Traffic(vehicles, paths, zones, s, lowered_speeds(zones, vehicles, s, speed))


def lowered_speeds(
    zones: Zones, vehicles: list[Vehicle], s: NDArray[np.float64], speed: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Speeds at which everybody can follow and yield, none above the given ones [m/s], shape `(N,)`."""
    length = np.array([vehicle.length for vehicle in vehicles])
    headway = np.array([vehicle.headway for vehicle in vehicles])
    rows, speed = np.arange(len(zones)), speed.copy()
    for _ in range(len(vehicles)):  # a queue of N settles in N rounds
        now = order(zones, s, speed, length, np.ones(len(s), dtype=np.bool_), np.full(len(zones), -1))
        leader, second = zones.pair[rows, now.first], zones.pair[rows, 1 - now.first]
        u = s[zones.pair] - zones.align
        gap = u[rows, now.first] - u[rows, 1 - now.first] - (length[leader] + length[second]) / 2 - _GAP
        stop = np.sqrt(2 * _STOP * np.maximum(now.distance[rows, 1 - now.first] - 1.0, 0.0))
        follow = np.minimum(
            np.sqrt(speed[leader] ** 2 + 2 * _STOP * np.maximum(gap, 0.0)),
            np.maximum(gap / headway[second], 0.0) + 0.5 * speed[leader],
        )
        most = np.where(
            now.inside[rows, 1 - now.first], follow, np.where(zones.together, np.maximum(follow, stop), stop)
        )
        before = speed.copy()
        np.minimum.at(speed, second[now.alive], most[now.alive])
        if np.array_equal(before, speed):
            break
    return speed
