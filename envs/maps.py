"""Maps by name or from files.

    crossing   two roads with a lane in each direction cross at a right angle; every turn is possible
    merge      a motorway of two lanes with an on-ramp from the right that ends in its right lane

Both are built from the parameters below, traffic drives on the right. A file is read by what its outermost element
says it is: CommonRoad or OSM with Lanelet2 relations.
"""

from pathlib import Path

import numpy as np

from envs import commonroad, lanelet2, xml_file
from envs.lanelets import Lanelet, lanelet
from envs.polylines import Points, headings
from envs.roads import RoadMap
from envs.scenarios import Scenario

BUILT_IN = ("crossing", "merge")
PERIOD = 0.1
"""Time between steps where a map has no recordings [s]."""

_WIDTH = 3.5  # of a lane [m]
_ARM = 160.0  # length of each arm of the crossing [m]
_CORNER = 12.0  # distance of the arms' ends from the middle of the crossing [m]
_TOWN, _MOTORWAY, _RAMP = 50 / 3.6, 100 / 3.6, 70 / 3.6  # speed limits [m/s]
_BEFORE, _AFTER = 300.0, 450.0  # motorway before and after the nose of the ramp [m]
_TAPER = 100.0  # over which the ramp goes over into the right lane [m]


def read_map(source: str | Path) -> Scenario:
    """The map of a built-in name, or of a file, with its recordings.

    Args:
        source: "crossing", "merge", or the path of a CommonRoad or Lanelet2 file.

    Raises:
        ValueError: If there is neither such a name nor such a file, or the file is not understood.
    """
    if source == "crossing":
        return Scenario(RoadMap("crossing", _crossing()), (), PERIOD)
    if source == "merge":
        return Scenario(RoadMap("merge", _merge()), (), PERIOD)
    if not (isinstance(source, str | Path) and Path(source).is_file()):
        raise ValueError(f"a map must be one of {', '.join(BUILT_IN)} or the path of a file; got {source!r}.")
    path = Path(source)
    root = next(xml_file.read(path))
    if root.tag == "commonRoad":
        return commonroad.read(path)
    if root.tag == "osm":
        return Scenario(lanelet2.read(path), (), PERIOD)
    raise root.error(f"<{root.tag}> is no map; CommonRoad begins with <commonRoad> and Lanelet2 with <osm>")


def _crossing() -> list[Lanelet]:
    """Arm k points to the direction k pi / 2; lanelet k enters the crossing, 4 + k leaves it, 10 + 4 k + j turns."""
    lanes = []
    for k in range(4):
        turns = [(j, (k + 2 + j) % 4) for j in (-1, 0, 1)]  # right, straight, left as seen from arm k's entry
        lane = _straight(_ARM + _CORNER, _CORNER, _WIDTH / 2)
        lanes.append(_strip(k, _turned(lane, k), _TOWN, successors=[_connection(k, j) for j, _ in turns]))
        away = _turned(lane[::-1] * [1, -1], k)
        into = [_connection((k - 2 - j) % 4, j) for j in (-1, 0, 1)]
        lanes.append(_strip(4 + k, away, _TOWN, predecessors=into))
        for j, out in turns:
            line = _turned(_turn(j), k)
            lanes.append(_strip(_connection(k, j), line, _TOWN, successors=[4 + out], predecessors=[k]))
    return lanes


def _connection(arm: int, j: int) -> int:
    return 10 + 4 * arm + j + 1


def _turn(j: int) -> Points:
    """From arm 0's lane into the crossing: j = -1 to the right, 0 straight on, 1 to the left."""
    half = _WIDTH / 2
    if j == 0:
        return _straight(_CORNER, -_CORNER, half)
    # Heading -x at (c, half); a quarter circle of radius c -+ half to the side of the turn.
    radius = _CORNER + j * half
    angle = np.linspace(0.0, np.pi / 2, 25)
    return np.stack([_CORNER - radius * np.sin(angle), half - j * radius * (1 - np.cos(angle))], axis=1)


def _merge() -> list[Lanelet]:
    """Lanelets 0, 1: the right lane before and after the nose; 2, 3: the left lane; 4: the ramp; 5: its taper."""
    right, left = 0.0, _WIDTH
    ramp = _straight(-_BEFORE / 2, 0.0, -_WIDTH, count=60)
    ramp[:, 1] -= 12.0 * (ramp[:, 0] / ramp[0, 0]) ** 2  # comes from below, parallel at the nose
    taper = _straight(0.0, _TAPER, 0.0, count=60)
    taper[:, 1] = -_WIDTH * (1 + np.cos(np.pi * taper[:, 0] / _TAPER)) / 2
    before, beside, after = (-_BEFORE, 0.0), (0.0, _TAPER), (_TAPER, _AFTER)
    return [
        _strip(0, _straight(*before, right), _MOTORWAY, successors=[1], left_neighbour=3),
        _strip(1, _straight(*beside, right), _MOTORWAY, successors=[2], predecessors=[0], left_neighbour=4),
        _strip(2, _straight(*after, right), _MOTORWAY, predecessors=[1, 7], left_neighbour=5),
        _strip(3, _straight(*before, left), _MOTORWAY, successors=[4], right_neighbour=0),
        _strip(4, _straight(*beside, left), _MOTORWAY, successors=[5], predecessors=[3], right_neighbour=1),
        _strip(5, _straight(*after, left), _MOTORWAY, predecessors=[4], right_neighbour=2),
        _strip(6, ramp, _RAMP, successors=[7]),
        _strip(7, taper, _RAMP, successors=[2], predecessors=[6]),
    ]


def _straight(start: float, end: float, y: float, count: int = 20) -> Points:
    return np.stack([np.linspace(start, end, count), np.full(count, y)], axis=1)


def _turned(line: Points, quarters: int) -> Points:
    cosine, sine = round(np.cos(quarters * np.pi / 2)), round(np.sin(quarters * np.pi / 2))
    return line @ np.array([[cosine, sine], [-sine, cosine]], dtype=np.float64)


def _strip(
    number: int,
    line: Points,
    limit: float,
    *,
    successors: list[int] | None = None,
    predecessors: list[int] | None = None,
    left_neighbour: int | None = None,
    right_neighbour: int | None = None,
) -> Lanelet:
    """A lanelet of the lanes' width around a centre line."""
    direction = headings(line)[:, None]
    # At the ends that is the direction of half a step inside; lanes must join at the direction of the end itself.
    direction[0], direction[-1] = 2 * direction[0] - direction[1], 2 * direction[-1] - direction[-2]
    side = _WIDTH / 2 * np.concatenate([-np.sin(direction), np.cos(direction)], axis=1)
    return lanelet(
        number,
        line + side,
        line - side,
        successors=successors or (),
        predecessors=predecessors or (),
        left_neighbour=left_neighbour,
        right_neighbour=right_neighbour,
        speed_limit=limit,
    )
