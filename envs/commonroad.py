"""CommonRoad files, versions 2018b and 2020a: lanelets, speed limits, obstacles with their trajectories.

Read are the lanelets that are open to vehicles (2020a names crosswalks, sidewalks and bicycle lanes as types of
their own), static obstacles and dynamic ones with a trajectory. An interval of a state counts as its middle. A speed
limit is an element of the lanelet in 2018b and a traffic sign with a value in m/s in 2020a. References to lanelets that
are not in the file, or not for vehicles, end there. Signals, intersections, planning problems and the surroundings are
not read.

Source: Althoff, Koschi and Manzinger 2017, CommonRoad: composable benchmarks for motion planning on roads; the
XML documentation of versions 2018b and 2020a.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from envs import xml_file
from envs.lanelets import Lanelet, lanelet
from envs.roads import RoadMap
from envs.scenarios import Scenario, Track
from envs.xml_file import Node

VERSIONS = ("2018b", "2020a")
_FOOT = {"crosswalk", "sidewalk", "bicycleLane"}  # types of lanelets that are not for vehicles
_LIMIT_SIGNS = {"274", "274.1", "R2-1"}
_LAST = 10**6  # time step


def read(path: str | Path) -> Scenario:
    """The map and the tracks of a CommonRoad file.

    Raises:
        ValueError: If the file is no CommonRoad file of a known version, or something in it makes no sense; the error
            names the file with the line, or the lanelet or obstacle.
    """
    reading = _Reading()
    nodes = xml_file.read(path)
    root = next(nodes)
    if root.tag != "commonRoad":
        raise root.error(f"not a CommonRoad file, the outermost element is <{root.tag}>")
    version = root.attribute("commonRoadVersion")
    if version not in VERSIONS:
        raise root.error(f"commonRoadVersion must be one of {', '.join(VERSIONS)}; got {version!r}")
    period = root.number("timeStepSize")
    if not 0 < period <= 10:
        raise root.error(f"timeStepSize must lie in (0, 10] s; got {period:g}")
    for node in nodes:
        reading.add(node)
    name = root.attributes.get("benchmarkID", Path(path).stem)
    return Scenario(RoadMap(name, reading.lanelets()), reading.tracks, period)


@final
class _Reading:
    """What has been read so far; signs come after the lanelets that refer to them."""

    def __init__(self) -> None:
        self.tracks: list[Track] = []
        self._lanelets: dict[int, Node] = {}
        self._signs: dict[int, float] = {}

    def add(self, node: Node) -> None:
        if node.tag == "lanelet":
            self._add_lanelet(node)
        elif node.tag == "trafficSign":
            self._add_sign(node)
        elif node.tag in ("obstacle", "dynamicObstacle", "staticObstacle"):
            self.tracks.append(_track(node))

    def lanelets(self) -> list[Lanelet]:
        return [self._lanelet(number, node) for number, node in self._lanelets.items()]

    def _add_lanelet(self, node: Node) -> None:
        number = node.whole("id")
        if number in self._lanelets:
            raise node.error(f"lanelet {number} occurs twice")
        if not _FOOT & {kind.text for kind in node.all("laneletType")}:
            self._lanelets[number] = node

    def _add_sign(self, node: Node) -> None:
        for element in node.all("trafficSignElement"):
            value = element.find("additionalValue")
            if value is not None and element.need("trafficSignID").text in _LIMIT_SIGNS:
                self._signs[node.whole("id")] = value.number()

    def _lanelet(self, number: int, node: Node) -> Lanelet:
        limits = [limit.number() for limit in node.all("speedLimit")]
        signs = [sign.whole("ref") for sign in node.all("trafficSignRef")]
        limits += [self._signs[sign] for sign in signs if sign in self._signs]
        return lanelet(
            number,
            _bound(node.need("leftBound")),
            _bound(node.need("rightBound")),
            successors=self._known(node.all("successor")),
            predecessors=self._known(node.all("predecessor")),
            left_neighbour=self._beside(node, "adjacentLeft"),
            right_neighbour=self._beside(node, "adjacentRight"),
            speed_limit=min(limits, default=None),
        )

    def _known(self, nodes: Iterable[Node]) -> list[int]:
        return [number for node in nodes if (number := node.whole("ref")) in self._lanelets]

    def _beside(self, node: Node, tag: str) -> int | None:
        same = [beside for beside in node.all(tag) if beside.attributes.get("drivingDir") == "same"]
        return next(iter(self._known(same)), None)


def _track(node: Node) -> Track:
    role, kind = node.find("role"), node.need("type").text
    static = node.tag == "staticObstacle" or (role is not None and role.text == "static")
    length, width = _size(node.need("shape"))
    first = node.need("initialState")
    trajectory = node.find("trajectory")
    if trajectory is None and not static:
        raise node.error("a dynamic obstacle needs a <trajectory>; sets of occupied places are not read")
    later = trajectory.all("state") if trajectory is not None and not static else []
    steps = [_step(state) for state in (first, *later)]
    if steps != list(range(steps[0], steps[0] + len(steps))):
        raise node.error("the states of an obstacle must follow each other step by step")
    states = np.array([_state(state, static=static) for state in (first, *later)])
    return Track(node.whole("id"), kind, length, width, steps[0], states, static)


def _state(node: Node, *, static: bool) -> tuple[float, float, float, float]:
    x, y = _place(node.need("position"))
    heading = _value(node.need("orientation"))
    speed = 0.0 if static else _value(node.need("velocity"))
    return x, y, float(np.angle(np.exp(1j * heading))), speed


def _step(node: Node) -> int:
    time = node.need("time", "exact").number()
    if time != int(time) or abs(time) > _LAST:
        raise node.error(f"a time step must be a whole number up to {_LAST}; got {time:g}")
    return int(time)


def _value(node: Node) -> float:
    """A number, or the middle of an interval."""
    exact = node.find("exact")
    if exact is not None:
        return exact.number()
    return (node.need("intervalStart").number() + node.need("intervalEnd").number()) / 2


def _place(node: Node) -> tuple[float, float]:
    """A point, or the centre of a rectangle or circle that stands for an interval."""
    found = node.find("point") or node.find("rectangle", "center") or node.find("circle", "center")
    if found is None:
        raise node.error("a <position> must be a point, or a rectangle or circle with a centre")
    return _point(found)


def _size(node: Node) -> tuple[float, float]:
    """Length and width [m] of the box around a shape."""
    rectangle, radius = node.find("rectangle"), node.find("circle", "radius")
    if rectangle is not None:
        return rectangle.need("length").number(), rectangle.need("width").number()
    if radius is not None:
        return 2 * radius.number(), 2 * radius.number()
    corners = np.abs([_point(point) for point in node.need("polygon").all("point")])
    if len(corners) < 3:
        raise node.error("a polygon needs three points or more")
    return 2 * float(corners[:, 0].max()), 2 * float(corners[:, 1].max())


def _bound(node: Node) -> NDArray[np.float64]:
    return np.array([_point(point) for point in node.all("point")]).reshape(-1, 2)


def _point(node: Node) -> tuple[float, float]:
    return node.need("x").number(), node.need("y").number()
