"""Terrains from Lanelet2 maps: areas by what they are for, rasterised.

    road        lanelets of subtype road, highway, play_street, bus_lane or emergency_lane
    walkway     lanelets and areas of subtype walkway, crosswalk, stairs or traffic_island, and bicycle lanes
    vegetation  areas of subtype vegetation
    parking     areas of subtype parking or exit, the ways into private ground
    obstacle    areas of subtype building or keepout; walls, fences and guard rails, one cell wide

A lanelet covers what is between its bounds, an area what its outer ways enclose without what its inner ways do. All
classes are as drawn and may overlap. Heights are not on such maps: the elevation is 0.

Source: Poggenhans et al. 2018, Lanelet2: a high-definition map framework for the future of automated driving; its
tagging guide.
"""

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from envs import lanelet2, osm
from envs.lanelets import lanelet
from envs.osm import Osm, members, tags_of
from envs.rasters import covered
from envs.terrain_map import CLASSES, LAYERS, TerrainMap
from envs.xml_file import Node

MOST_CELLS = 2**26
"""Largest number of cells of a map."""
_ROADS = ("road", "highway", "play_street", "bus_lane", "emergency_lane")
_WALKWAYS = ("walkway", "crosswalk", "stairs", "traffic_island", "bicycle_lane", "shared_walkway")
_KINDS = {
    **dict.fromkeys(_ROADS, "road"),
    **dict.fromkeys(_WALKWAYS, "walkway"),
    "vegetation": "vegetation",
    **dict.fromkeys(("parking", "exit"), "parking"),
    **dict.fromkeys(("building", "keepout"), "obstacle"),
}
_BARRIERS = ("wall", "fence", "guard_rail")


def read_areas(path: str | Path, *, barrier: float = 0.5) -> dict[str, Any]:
    """The area of every class of a Lanelet2 file, shapely (multi)polygons [m].

    Args:
        path: File.
        barrier: Width of walls, fences and guard rails [m].

    Raises:
        ValueError: If the file is no OSM file, holds no area of any class, or something in it makes no sense; the error
            names the file with the line, or the lanelet.
    """
    document = osm.read(path)
    found: dict[str, list[Any]] = defaultdict(list)
    for relation in document.relations:
        tags = tags_of(relation)
        kind = _KINDS.get(tags.get("subtype", ""))
        if kind is not None and tags.get("type") == "lanelet":
            found[kind].append(_between_bounds(relation, document))
        elif kind is not None and tags.get("type") == "multipolygon":
            found[kind].append(_enclosed(relation, document))
    if not found:
        raise ValueError(f"{path} holds no lanelets and areas for a terrain: roads, walkways, vegetation, parking.")
    for way, tags in document.tags.items():
        if tags.get("type") in _BARRIERS and document.complete(way):
            line = shapely.LineString(document.line(way))
            found["obstacle"].append(line.buffer(barrier / 2, cap_style="flat"))
    return {name: shapely.union_all(found[name]) for name in CLASSES}


def read_town(path: str | Path, *, cell: float = 1.0) -> TerrainMap:
    """The terrain of a Lanelet2 file, in metres around the middle of its nodes; one cell of margin on each side.

    Args:
        path: File.
        cell: Side of a cell [m].

    Raises:
        ValueError: As `read_areas`, or if the cells have no size or are too many.
    """
    if not 0 < cell < np.inf:
        raise ValueError(f"cells must have a positive size [m]; got {cell}.")
    # The diagonal of a cell: a slanting barrier then has no gap to slip through.
    areas = read_areas(path, barrier=1.42 * cell)
    bounds = shapely.total_bounds(list(areas.values()))
    low, high = np.floor(bounds[:2] / cell).astype(int) - 1, np.ceil(bounds[2:] / cell).astype(int) + 1
    columns, rows = (high - low).tolist()
    if rows * columns > MOST_CELLS:
        raise ValueError(f"{path} would have {rows} x {columns} cells; use larger cells than {cell} m.")
    x, y = (low * cell).tolist()
    layers = np.zeros((len(LAYERS), rows, columns), dtype=np.float32)
    for layer, name in zip(layers, CLASSES, strict=False):
        layer[covered(areas[name], (rows, columns), cell=cell, origin=(x, y))] = 1
    return TerrainMap(layers, LAYERS, np.zeros((rows, columns), dtype=np.float32), cell, (x, y))


def _between_bounds(relation: Node, document: Osm) -> Any:
    strip = lanelet2.strip(relation, document)
    left, right = ([document.points[node] for node in nodes] for nodes in strip.nodes)
    return lanelet(strip.number, left, right).polygon


def _enclosed(relation: Node, document: Osm) -> Any:
    outer, inner = (_rings(relation, role, document) for role in ("outer", "inner"))
    if outer.is_empty:
        raise relation.error("the outer ways of an area must be there and close; got none that does")
    return outer.difference(inner)


def _rings(relation: Node, role: str, document: Osm) -> Any:
    """What the ways of a role enclose."""
    ways = members(relation, role)
    for way in ways:
        if not document.complete(way):
            raise relation.error(f"way {way} of an area needs two nodes or more that are in the file")
    lines = [shapely.LineString(document.line(way)) for way in ways]
    # Noded first: ways may cross where the drawing is careless.
    return shapely.union_all(shapely.get_parts(shapely.polygonize([shapely.union_all(lines)])))
