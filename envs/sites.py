"""Places to drive at: a map with where vehicles may start, where the road ends and where the map does."""

from typing import Any, final

import numpy as np
import shapely
from numpy.typing import NDArray

from envs.boxes import corners
from envs.company import PERIOD
from envs.placement import Placement
from envs.scenarios import Scenario

OFF_ROAD = 0.3
"""Distance of a corner from the road at which a vehicle is off it [m]."""
_BEYOND = 10.0  # road beyond the ends of the map [m]


@final
class Site:
    """A map with what an episode on it needs.

    Args:
        scenario: The map and its recordings.

    Attributes:
        placement: Places vehicles on the map.
        speed: Mean speed limit of all lanes [m/s].
    """

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        road = scenario.road
        self.placement = Placement(road)
        lanes = list(road.lanelets.values())
        # The mean speed limit: what a driver who knows the town but no signs would drive.
        self.speed = float(np.average(road.limits(lane.id for lane in lanes), weights=[lane.length for lane in lanes]))
        ends = [lane for lane in lanes if not lane.successors]
        self._ends = np.array([(lane.centre[-2], lane.centre[-1]) for lane in ends]).reshape(-1, 2, 2)
        self._widths = np.array([np.linalg.norm(lane.left[-1] - lane.right[-1]) for lane in ends])
        # A front that leaves the map is not off the road.
        beyond = [_beyond(lane.left[-1], lane.right[-1], lane.centre[-1] - lane.centre[-2]) for lane in ends]
        self._allowed = shapely.union_all([road.drivable, *beyond]).buffer(OFF_ROAD)
        shapely.prepare(self._allowed)

    def check_recording(self) -> None:
        """Refuse a map without a recording of the right period."""
        name, scenario = self.scenario.road.name, self.scenario
        if not any(not track.static for track in scenario.tracks):
            raise ValueError(f"{name} has no recorded vehicles; use others='idm'.")
        if abs(scenario.period - PERIOD) > 1e-9:
            raise ValueError(f"{name} is recorded every {scenario.period:g} s; {PERIOD} s is needed, or others='idm'.")

    def covers(self, box: NDArray[np.float64]) -> bool:
        """Whether no corner of a box is off the road by more than `OFF_ROAD`."""
        points = corners(box)
        return bool(shapely.contains_xy(self._allowed, points[:, 0], points[:, 1]).all())

    def left(self, box: NDArray[np.float64]) -> bool:
        """Whether the front of a box is beyond the end of a lane without successors."""
        direction = np.array([np.cos(box[2]), np.sin(box[2])])
        along = self._ends[:, 1] - self._ends[:, 0]
        along = along / np.linalg.norm(along, axis=1, keepdims=True)
        offset = box[:2] + direction * box[3] / 2 - self._ends[:, 1]
        ahead = (offset * along).sum(1)
        beside = np.abs(offset[:, 0] * along[:, 1] - offset[:, 1] * along[:, 0])
        at_end = (ahead >= 0) & (ahead < box[3]) & (beside < self._widths / 2)
        return bool((at_end & (along @ direction > 0.5)).any())


def _beyond(left: NDArray[np.float64], right: NDArray[np.float64], along: NDArray[np.float64]) -> Any:
    """The area of a few metres beyond the end of a lane."""
    step = _BEYOND * along / np.linalg.norm(along)
    return shapely.convex_hull(shapely.multipoints([left, right, right + step, left + step]))
