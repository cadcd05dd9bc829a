"""Outlines of what lies on maps: lanes, and areas by what they are for.

    lane     lanelets of CommonRoad and Lanelet2 files
    others   the classes of a terrain, such as vegetation and obstacle: areas of Lanelet2 files and generated terrains

A generated terrain is a raster. Areas of fewer than four cells have no shape there, and corners that change an outline
by less than half the diagonal of a cell are steps of the raster: both are left out.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import shapely

from envs.maps import read_map
from envs.rasters import areas
from envs.terrain_generator import generated
from envs.terrain_map import CLASSES
from envs.town import read_areas

LANE = "lane"
KINDS = (LANE, *CLASSES)
_LEAST = 4  # cells of an area that has a shape
_STEP = 0.71  # half the diagonal of a cell, over its side


def check_kinds(kinds: Sequence[str], terrains: int) -> None:
    """Raises `ValueError` unless there are such kinds, and so many terrains that have them."""
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown or not kinds:
        raise ValueError(
            f"outlines have one of the kinds {', '.join(KINDS)}; got {', '.join(unknown) or 'none'}. Name some of "
            "these in --kinds."
        )
    if terrains < 0 or (terrains and LANE in kinds):
        raise ValueError(
            f"--terrains must be at least 0, and generated terrains have no lanes; got {terrains} and "
            f"{', '.join(kinds)}. Name other --kinds."
        )


def of_file(path: Path, kinds: Sequence[str]) -> tuple[list[shapely.Polygon], str]:
    """The outlines of some kinds on a map, and a line that counts them.

    Raises:
        ValueError: If the file is no map, or one without areas where areas are asked for.
    """
    found: dict[str, list[Any]] = {}
    if LANE in kinds:
        found[LANE] = _parts(lane.polygon for lane in read_map(path).road.lanelets.values())
    if set(kinds) - {LANE}:
        found |= {kind: _parts([area]) for kind, area in read_areas(path).items() if kind in kinds}
    said = ", ".join(f"{len(outlines)} {kind}" for kind, outlines in found.items())
    return [outline for outlines in found.values() for outline in outlines], f"{path}: {said}"


def of_terrains(count: int, kinds: Sequence[str], seed: int) -> tuple[list[shapely.Polygon], str]:
    """The outlines of some kinds on generated terrains of consecutive seeds, and a line that counts them."""
    maps = [generated(number) for number in range(seed, seed + count)]
    every = [
        (area, terrain.cell)
        for terrain in maps
        for kind in kinds
        for area in areas(terrain.layer(kind) > 0, cell=terrain.cell, origin=terrain.origin)
    ]
    found = [shapely.simplify(area, _STEP * cell) for area, cell in every if area.area > (_LEAST - 0.5) * cell**2]
    small = f"left out {len(every) - len(found)} of fewer than {_LEAST} cells"
    return found, f"{count} generated terrains: {len(found)} {', '.join(kinds)}; {small}"


def _parts(polygons: Iterable[Any]) -> list[Any]:
    return [part for part in shapely.get_parts(list(polygons)) if part.geom_type == "Polygon" and not part.is_empty]
