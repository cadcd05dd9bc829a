"""Lanelet2 maps: OSM XML with relations of type lanelet, positions in latitude and longitude.

Read are lanelets for vehicles: subtypes road, highway and play_street, or whatever has a tag participant:vehicle; where
participants are named the subtype says nothing any more. Bounds may be stored in either direction: they are turned so
that both run the same way and the left one is on the left of it. A lanelet succeeds another where both its bounds begin
at the nodes at which the other's end, and is beside it where they share a bound in the same direction. A lanelet with
one_way=no becomes two, the one against the bounds with the negative number.

Speed limits are tags speed_limit [km/h], or by law where there is none: play_street 7, road 50 (100 where location is
nonurban), highway 130.

Source: Poggenhans et al. 2018, Lanelet2: a high-definition map framework for the future of automated driving; its
tagging guide.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from envs import osm
from envs.lanelets import Lanelet, lanelet
from envs.osm import Osm, members, tags_of
from envs.roads import RoadMap
from envs.xml_file import Node

_LIMITS = {"play_street": 7.0, "road": 50.0, "highway": 130.0}  # [km/h]
_NONURBAN_ROAD = 100.0  # [km/h]


@final
@dataclass(frozen=True)
class Strip:
    """A lanelet in one direction of travel.

    Attributes:
        number: Its number.
        ways: Ways of its left and right bound, each with whether it is reversed.
        nodes: Nodes of its left and right bound in the direction of travel.
        speed_limit: [m/s].
    """

    number: int
    ways: tuple[tuple[str, bool], tuple[str, bool]]
    nodes: tuple[tuple[str, ...], tuple[str, ...]]
    speed_limit: float

    def reversed(self) -> "Strip":
        """The same area in the opposite direction."""
        (left, one), (right, other) = self.ways
        nodes = (self.nodes[1][::-1], self.nodes[0][::-1])
        return Strip(-self.number, ((right, not other), (left, not one)), nodes, self.speed_limit)


def read(path: str | Path) -> RoadMap:
    """The map of a Lanelet2 file.

    Raises:
        ValueError: If the file is no OSM file, holds no lanelets for vehicles, or something in it makes no sense; the
            error names the file with the line, or the lanelet.
    """
    document = osm.read(path)
    strips = []
    for relation in document.relations:
        tags = tags_of(relation)
        if tags.get("type") == "lanelet" and _for_vehicles(tags):
            strips.append(strip(relation, document))
            if tags.get("one_way") in ("no", "false"):
                strips.append(strips[-1].reversed())
    return RoadMap(Path(path).stem, _connected(strips, document))


def strip(relation: Node, document: Osm) -> Strip:
    """A lanelet with its bounds turned the right way.

    Raises:
        ValueError: If it has not one bound on each side, or a bound is not in the file.
    """
    ways = [_bound(relation, side, document) for side in ("left", "right")]
    nodes = [document.ways[way] for way in ways]
    flipped = [False, _opposite(*(document.line(way) for way in ways))]
    line = [bound[::-1] if flip else bound for bound, flip in zip(nodes, flipped, strict=True)]
    outline = np.array([document.points[node] for node in (*line[0], *line[1][::-1])])
    if _area(outline) > 0:  # counter-clockwise: the left bound is on the right of where it leads
        flipped, line = [not flip for flip in flipped], [bound[::-1] for bound in line]
    both = (ways[0], flipped[0]), (ways[1], flipped[1])
    return Strip(relation.whole("id"), both, (line[0], line[1]), _speed_limit(relation))


def _bound(relation: Node, side: str, document: Osm) -> str:
    found = members(relation, side)
    if len(found) != 1:
        raise relation.error(f"a lanelet needs one way as its {side} bound; got {len(found)}")
    if not document.complete(found[0]):
        raise relation.error(f"the {side} bound, way {found[0]}, needs two nodes or more that are in the file")
    return found[0]


def _connected(strips: list[Strip], document: Osm) -> Iterable[Lanelet]:
    """Lanelets with their successors and neighbours."""
    starts, ends, lefts, rights = (defaultdict(list) for _ in range(4))
    for strip in strips:
        left, right = strip.nodes
        starts[left[0], right[0]].append(strip.number)
        ends[left[-1], right[-1]].append(strip.number)
        lefts[strip.ways[0]].append(strip.number)
        rights[strip.ways[1]].append(strip.number)
    for strip in strips:
        left, right = strip.nodes
        yield lanelet(
            strip.number,
            [document.points[node] for node in left],
            [document.points[node] for node in right],
            successors=starts.get((left[-1], right[-1]), ()),
            predecessors=ends.get((left[0], right[0]), ()),
            left_neighbour=next(iter(rights.get(strip.ways[0], ())), None),
            right_neighbour=next(iter(lefts.get(strip.ways[1], ())), None),
            speed_limit=strip.speed_limit,
        )


def _opposite(left: NDArray[np.float64], right: NDArray[np.float64]) -> bool:
    """Whether two lines side by side run in opposite directions."""
    same = np.linalg.norm(left[0] - right[0]) + np.linalg.norm(left[-1] - right[-1])
    return bool(same > np.linalg.norm(left[0] - right[-1]) + np.linalg.norm(left[-1] - right[0]))


def _area(outline: NDArray[np.float64]) -> float:
    """Signed area of a polygon `(P, 2)`, positive if its corners run counter-clockwise."""
    x, y = (outline - outline[0]).T
    return float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum()) / 2


def _for_vehicles(tags: dict[str, str]) -> bool:
    named = {tag.split(":")[1]: value for tag, value in tags.items() if tag.startswith("participant:")}
    if named:
        return named.get("vehicle", "no") in ("yes", "true")
    return tags.get("subtype") in _LIMITS


def _speed_limit(relation: Node) -> float:
    """[m/s]."""
    tags = tags_of(relation)
    if "speed_limit" in tags:
        text = tags["speed_limit"].removesuffix("km/h").strip()
        try:
            return float(text) / 3.6
        except ValueError:
            raise relation.error(f"speed_limit must be a number of km/h; got {text[:40]!r}") from None
    if tags.get("subtype") == "road" and tags.get("location") == "nonurban":
        return _NONURBAN_ROAD / 3.6
    return _LIMITS.get(tags.get("subtype", ""), _LIMITS["road"]) / 3.6
