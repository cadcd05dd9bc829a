"""Where an episode of Terrain-v0 takes place: a map, its true cost, a start and a goal, and what the ground is like.

On level ground the robot reaches 2 m/s on roads, 1.8 m/s on walkways and parking lots, 1.6 m/s on bare ground and
1.2 m/s in vegetation; where classes overlap, the highest of their speeds. Grades above 1 pull like 1. Beyond the map
everything is obstacle.
"""

import abc
from dataclasses import replace
from pathlib import Path
from typing import final

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import MultiPolygon, Polygon

from envs.arguments import check_choice, check_whole
from envs.cell_graph import CellGraph, Ways
from envs.terrain_cost import PREFERENCES, Preference, true_cost
from envs.terrain_demos import drawn
from envs.terrain_generator import SMALLEST, generated
from envs.terrain_map import LAYERS, TerrainMap, load
from envs.town import read_town

CELL = 0.5
"""Side of a cell of generated maps [m]."""
SMALLEST_CELL = 0.2
"""Least side of a cell of given maps [m]."""
APART, WITHIN = 12.0, 28.0
"""Least and largest distance of start and goal [m]."""
_SPEEDS = (2.0, 1.8, 1.2, 1.8)  # [m/s], in the order of the map's layers
_GROUND = 1.6  # on bare ground [m/s]
_TRIES = 100


@final
class TerrainSite:
    """A map with a goal.

    Args:
        terrain: The map; its origin is (0, 0).
        costs: Its true cost.
        ways: To the goal.
        start: Cell (row, column).

    Attributes:
        reference: Cost of the cheapest way from start to goal.
    """

    def __init__(self, terrain: TerrainMap, costs: NDArray[np.float64], ways: Ways, start: tuple[int, int]) -> None:
        self.terrain = terrain
        self.ways = ways
        self.start = terrain.centres_of(np.array(start))
        self.goal = terrain.centres_of(np.array(ways.goal))
        self.reference = float(ways.to_go[start])
        # Cells without a way to the goal lie behind obstacles; a border that is blocked saves a test of the map's end.
        self._costs = np.pad(np.where(np.isfinite(ways.to_go), costs, np.inf), 1, constant_values=np.inf)
        down, right = np.gradient(terrain.elevation.astype(np.float64), terrain.cell)
        grades = np.stack([right, down], axis=-1)
        self._grades = grades / np.maximum(1.0, np.linalg.norm(grades, axis=-1, keepdims=True))
        there = terrain.layers[: len(_SPEEDS)] > 0.5
        speeds = np.where(there, np.reshape(_SPEEDS, (-1, 1, 1)), 0.0).max(axis=0)
        self._speeds = np.where(there.any(axis=0), speeds, _GROUND)

    def cell_of(self, point: NDArray[np.float64]) -> tuple[int, int]:
        """The cell (row, column) of the map that is nearest to a point [m], shape `(2,)`."""
        rows, columns = self.terrain.shape
        row, column = self.terrain.cells_of(point).tolist()
        return min(max(row, 0), rows - 1), min(max(column, 0), columns - 1)

    def ground(self, point: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Speed on level ground [m/s] and grad h, shape `(2,)`, at a point."""
        cell = self.cell_of(point)
        return float(self._speeds[cell]), self._grades[cell]

    def costs_at(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Cost of a metre at points [m], shape `(P, 2)`; infinite in obstacles and off the map."""
        limit = np.array(self._costs.shape) - 1
        row, column = np.minimum(np.maximum(self.terrain.cells_of(points) + 1, 0), limit).T
        return self._costs[row, column]

    def paid(self, path: NDArray[np.float64]) -> tuple[float, int]:
        """Cost of a way `(P, 2)` [m] of pieces much shorter than a cell, and how many of them are free from its start.

        After the first that is not nothing counts.
        """
        metres = np.linalg.norm(np.diff(path, axis=0), axis=1)
        prices = self.costs_at((path[1:] + path[:-1]) / 2)
        free = np.isfinite(prices) & np.isfinite(self.costs_at(path[1:]))
        before = len(free) if free.all() else int(np.argmin(free))
        return float(metres[:before] @ prices[:before]), before

    def regret(self, cost: float, point: NDArray[np.float64]) -> float:
        """What a way that has cost so much and the cheapest from where it ends cost above the reference, a share."""
        left = float(self.ways.to_go[self.cell_of(point)])
        return (cost + left - self.reference) / self.reference

    def way_from(self, point: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points [m], shape `(L, 2)`, of the cheapest way from a point's cell to the goal."""
        return self.terrain.centres_of(self.ways.path(self.cell_of(point)))

    def free_space(self) -> Polygon | MultiPolygon:
        """Where there is no obstacle [m]."""
        centres = self.terrain.centres_of(np.argwhere(self.terrain.layer("obstacle") <= 0.5))
        low, high = centres - self.terrain.cell / 2, centres + self.terrain.cell / 2
        return shapely.union_all(shapely.box(*low.T, *high.T))


class Sites(abc.ABC):
    """A source of sites.

    Args:
        preference: Of the true cost.
        size: Cells along a side of a site.

    Attributes:
        cell: Side of a cell [m].
        names: Of the layers of its maps.
    """

    cell: float = CELL
    names: tuple[str, ...] = LAYERS

    def __init__(self, preference: Preference, size: int) -> None:
        self.preference, self.size = preference, size

    @final
    def draw(self, generator: np.random.Generator) -> TerrainSite:
        """A random site with start and goal on mapped cells.

        Raises:
            ValueError: If no map that was tried has room for a start and a goal.
        """
        for _ in range(_TRIES):
            terrain = self._map(generator)
            costs = true_cost(terrain, self.preference)
            cells = np.argwhere(terrain.known & np.isfinite(costs))
            if not len(cells):
                continue
            pair = drawn(CellGraph(costs, cell=terrain.cell), cells, generator, apart=APART, within=WITHIN)
            if pair is not None:
                return TerrainSite(terrain, costs, *pair)
        raise ValueError(
            f"none of {_TRIES} maps of {self.size} x {self.size} cells has connected cells {APART:g} m to "
            f"{WITHIN:g} m apart; choose a larger size or another map."
        )

    @abc.abstractmethod
    def _map(self, generator: np.random.Generator) -> TerrainMap:
        """A map of `size` x `size` cells whose origin is (0, 0)."""


@final
class NewMaps(Sites):
    """A generated map for each site."""

    def _map(self, generator: np.random.Generator) -> TerrainMap:
        return generated(int(generator.integers(2**31)), size=self.size, cell=CELL)


@final
class Windows(Sites):
    """Parts of one map, around random mapped cells.

    Args:
        terrain: The map.
        preference: Of the true cost.
        size: Cells along a side of a site.

    Raises:
        ValueError: If the map is smaller than a site, its cells are too small, or nothing of it is mapped.
    """

    def __init__(self, terrain: TerrainMap, preference: Preference, size: int) -> None:
        super().__init__(preference, size)
        if min(terrain.shape) < size:
            raise ValueError(f"a map of {terrain.shape} cells has no window of {size} x {size}; choose a smaller size.")
        if terrain.cell < SMALLEST_CELL:
            raise ValueError(
                f"cells must be {SMALLEST_CELL} m or larger, or the robot jumps over them; got {terrain.cell} m."
            )
        self._terrain, self._known = terrain, np.argwhere(terrain.known)
        self.cell, self.names = terrain.cell, terrain.names
        if not len(self._known):
            raise ValueError("nothing of the map can be crossed; it needs roads, walkways, vegetation or parking.")

    def _map(self, generator: np.random.Generator) -> TerrainMap:
        middle = self._known[generator.integers(len(self._known))]
        middle = middle + generator.integers(-self.size // 4, self.size // 4 + 1, size=2)
        row, column = np.clip(middle - self.size // 2, 0, np.array(self._terrain.shape) - self.size).tolist()
        part = self._terrain.part(slice(row, row + self.size), slice(column, column + self.size))
        return replace(part, origin=(0.0, 0.0))


def sites_of(map: str | Path | TerrainMap | None, preference: str, size: int) -> Sites:
    """The sites of an environment.

    Args:
        map: None for a new map for each site; else a map, or the path of a file: Lanelet2 (.osm, read at 0.5 m) or
            `TerrainMap.save`'s. Sites are then random windows of it.
        preference: "roads" or "green", the true cost.
        size: Cells along a side of a site.

    Raises:
        ValueError: If an argument is out of range or the map is not understood.
    """
    check_choice("preference", preference, PREFERENCES)
    check_whole("size", size, SMALLEST, 512)
    taste = PREFERENCES[preference]
    if map is None:
        return NewMaps(taste, size)
    return Windows(map if isinstance(map, TerrainMap) else _read(map), taste, size)


def _read(source: str | Path) -> TerrainMap:
    if not (isinstance(source, str | Path) and Path(source).is_file()):
        raise ValueError(f"map must be a terrain or the path of a file, .osm or .npz; there is no file {source}.")
    path = Path(source)
    return read_town(path, cell=CELL) if path.suffix == ".osm" else load(path)
