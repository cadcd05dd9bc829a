"""OSM files: places in latitude and longitude, ways through them, and relations between ways.

Positions are metres around the middle of all places (`envs.mercator`). Members of a way or relation are looked up when
they are asked for, since a file may name what it does not hold.
"""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from envs import xml_file
from envs.mercator import Mercator
from envs.xml_file import Node


@final
@dataclass
class Osm:
    """A document.

    Attributes:
        places: Latitude and longitude [degrees] by the number of a node.
        ways: Nodes of every way.
        tags: Tags of every way.
        relations: All relations as they stand in the file.
    """

    places: dict[str, tuple[float, float]] = field(default_factory=dict)
    ways: dict[str, tuple[str, ...]] = field(default_factory=dict)
    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    relations: list[Node] = field(default_factory=list)

    @cached_property
    def points(self) -> dict[str, NDArray[np.float64]]:
        """Places of all nodes [m], `(2,)` each."""
        if not self.places:
            return {}
        places = np.array(list(self.places.values()))
        project = Mercator(*((places.min(0) + places.max(0)) / 2).tolist())
        return dict(zip(self.places, project(places[:, 0], places[:, 1]), strict=True))

    def complete(self, way: str) -> bool:
        """Whether a way has two nodes or more and all are in the file."""
        nodes = self.ways.get(way, ())
        return len(nodes) >= 2 and all(node in self.places for node in nodes)

    def line(self, way: str) -> NDArray[np.float64]:
        """Corners of a complete way [m], shape `(P, 2)`."""
        return np.array([self.points[node] for node in self.ways[way]])


def read(path: str | Path) -> Osm:
    """The document in a file.

    Raises:
        ValueError: If the file is no OSM file, or something in it makes no sense; the error names the line.
    """
    nodes = xml_file.read(path)
    root = next(nodes)
    if root.tag != "osm":
        raise root.error(f"not an OSM file, the outermost element is <{root.tag}>")
    document = Osm()
    for node in nodes:
        if node.tag == "node":
            document.places[node.attribute("id")] = _place(node)
        elif node.tag == "way":
            document.ways[node.attribute("id")] = tuple(each.attribute("ref") for each in node.all("nd"))
            document.tags[node.attribute("id")] = tags_of(node)
        elif node.tag == "relation":
            document.relations.append(node)
    return document


def tags_of(node: Node) -> dict[str, str]:
    """The tags of a way or a relation."""
    return {tag.attribute("k"): tag.attribute("v") for tag in node.all("tag")}


def members(relation: Node, role: str) -> list[str]:
    """The ways that play a role in a relation."""
    return [member.attribute("ref") for member in relation.all("member") if member.attributes.get("role") == role]


def _place(node: Node) -> tuple[float, float]:
    latitude, longitude = node.number("lat"), node.number("lon")
    if not (abs(latitude) <= 90 and abs(longitude) <= 360):
        raise node.error(f"lat and lon must be degrees on the earth; got {latitude:g} and {longitude:g}")
    return latitude, longitude
