"""Road maps: lanelets, how they connect, and the area that may be driven on.

A map is a directed graph of lanelets, with an edge to every successor. The drivable area is the union of the lanelets'
polygons. Maps leave hairline gaps between lanelets that touch, so the union is closed: grown by 5 cm and shrunk by
as much, which fills gaps up to 10 cm wide and changes nothing else by more than millimetres.
"""

from collections.abc import Iterable
from functools import cached_property
from typing import Any, final

import networkx as nx
import numpy as np
import shapely
from numpy.typing import NDArray

from envs.lanelets import Lanelet
from envs.polylines import Points
from envs.ways import Ways

DEFAULT_LIMIT = 50 / 3.6
"""Speed limit where a map does not say [m/s]."""
_CLOSING = 0.05  # [m]
_BEYOND = 80.0  # how far a lane is carried on beyond the map [m]


@final
class RoadMap:
    """Lanelets for vehicles and what follows from them.

    Args:
        name: For messages.
        lanelets: All lanelets; their references must stay among them.

    Raises:
        ValueError: If there is no lanelet, a number occurs twice, or a reference leads nowhere.
    """

    def __init__(self, name: str, lanelets: Iterable[Lanelet]) -> None:
        self.name = name
        self.lanelets: dict[int, Lanelet] = {}
        for lane in lanelets:
            if lane.id in self.lanelets:
                raise ValueError(f"{name}: lanelet {lane.id} occurs twice; numbers must be unique.")
            self.lanelets[lane.id] = lane
        if not self.lanelets:
            raise ValueError(f"{name} holds no lanelets for vehicles, so there is no road to drive on.")
        for lane in self.lanelets.values():
            self._check_references(lane)

    @cached_property
    def graph(self) -> Any:
        """A networkx DiGraph: an edge from every lanelet to each successor; nodes and edges have its `length` [m]."""
        graph = nx.DiGraph()
        graph.add_nodes_from((lane.id, {"length": lane.length}) for lane in self.lanelets.values())
        graph.add_edges_from(
            (lane.id, after, {"length": lane.length}) for lane in self.lanelets.values() for after in lane.successors
        )
        return graph

    @cached_property
    def drivable(self) -> Any:
        """The union of all lanelets' polygons with gaps up to 10 cm closed, a shapely (multi)polygon, prepared."""
        grown = [lane.polygon.buffer(_CLOSING, join_style="mitre") for lane in self.lanelets.values()]
        area = shapely.union_all(grown).buffer(-_CLOSING, join_style="mitre")
        shapely.prepare(area)
        return area

    @cached_property
    def open(self) -> Any:
        """The drivable area with the lanes that end on the map carried on straight, both ways.

        What the map ends with is not the end of the road: vehicles come from there and go there.
        """
        strips = [strip for lane in self.lanelets.values() for strip in self._strips(lane)]
        area = shapely.union_all([self.drivable, *(strip.buffer(_CLOSING, join_style="mitre") for strip in strips)])
        shapely.prepare(area)
        return area

    @cached_property
    def bounds(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """The box around all lanelets [m], `((x_min, x_max), (y_min, y_max))`."""
        left, bottom, right, top = self.drivable.bounds
        return (left, right), (bottom, top)

    @cached_property
    def ways(self) -> Ways:
        """Look-ups of lanes and of ways ahead for many poses at once."""
        return Ways(self.lanelets)

    def routes(
        self, position: Points, heading: float, *, count: int = 3, length: float = 50.0, spacing: float = 5.0
    ) -> Points:
        """Up to `count` ways ahead of a pose, from the lanelet that fits its position and heading best.

        A way follows successors and goes on straight where they end. The branches of the own lane come first, the
        straightest first of all, then those of lanes beside it that run the same way.

        Args:
            position: [m], shape `(2,)`.
            heading: [rad].
            count: How many ways at most, >= 1.
            length: How far they go [m].
            spacing: Distance of points along a way [m]; the first point is this far ahead.

        Returns:
            Points [m], shape `(R, length // spacing, 2)`, 1 <= R <= count.

        Raises:
            ValueError: If the pose is not finite, or count or spacing are not positive and within length.
        """
        if not (np.isfinite(position).all() and np.isfinite(heading)):
            raise ValueError(f"a pose must be finite; got position {position} and heading {heading}.")
        if count < 1 or not 0 < spacing <= length:
            raise ValueError(f"need count >= 1 and 0 < spacing <= length; got {count}, {spacing} and {length}.")
        (lanes,) = self.ways.lanes(np.asarray(position, dtype=np.float64)[None], np.array([heading]))
        return self.ways.ahead(lanes, count, length, spacing)

    def limits(self, numbers: Iterable[int]) -> NDArray[np.float64]:
        """Speed limits of lanelets [m/s], 50 km/h where the map does not say."""
        found = [self.lanelets[number].speed_limit for number in numbers]
        return np.array([DEFAULT_LIMIT if limit is None else limit for limit in found])

    def _strips(self, lane: Lanelet) -> list[Any]:
        """The lane carried on beyond its ends where nothing follows or goes before."""
        left, right = lane.left, lane.right
        ends = []
        if not lane.successors:
            ends.append((left[-1], right[-1], lane.centre[-1] - lane.centre[-2]))
        if not lane.predecessors:
            ends.append((left[0], right[0], lane.centre[0] - lane.centre[1]))
        outwards = [(a, b, _BEYOND * way / np.linalg.norm(way)) for a, b, way in ends]
        return [shapely.Polygon([a, a + way, b + way, b]).convex_hull for a, b, way in outwards]

    def _check_references(self, lane: Lanelet) -> None:
        beside = [number for number in (lane.left_neighbour, lane.right_neighbour) if number is not None]
        for number in (*lane.successors, *lane.predecessors, *beside):
            if number not in self.lanelets:
                raise ValueError(f"{self.name}: lanelet {lane.id} refers to lanelet {number}, which is not there.")
