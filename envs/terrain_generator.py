"""Random terrains: meadows and bare ground with roads, paths, parking lots, trees, rocks, ponds and hills.

Meadows and ponds are where a smooth random field exceeds a level, hills are another one. A field is white noise blurred
by a Gaussian and scaled to mean 0 and deviation 1. Roads and paths cross the map from side to side on lines

    y(x) = a + b (x - L / 2) + m g(x),

with g a field in one dimension, or the same with x and y exchanged, and cover what is within half their width. Trees
grow in meadows and rocks lie between them, one cell each, independently with a fixed density. Roads, paths and lots
replace what was there. All lengths are in metres: another cell size gives other maps of the same kind.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter, gaussian_filter1d

from envs.terrain_map import CLASSES, LAYERS, TerrainMap

SMALLEST = 16
"""Fewest cells along a side."""
_ROADS, _PATHS, _LOTS = 3, 2, 2
_ROAD, _PATH, _PAVEMENT = 1.6, 0.6, 2.6  # half widths; the pavement's from the middle of the road [m]
_MEANDER, _BEND = 2.5, 5.0  # m [m] and the width of g's Gaussian [m]
_MEADOW, _POND, _HILL = 4.0, 5.0, 8.0  # widths of the Gaussians of fields [m]
_MEADOWS, _PONDS, _PAVEMENTS = -0.2, 1.7, -0.3  # levels of fields
_TREES, _ROCKS = 0.06, 0.03  # [1 / m^2]
_LOT = np.array([[5.0, 8.0], [2.5, 4.0]])  # sides of a lot, longest and least [m]
_GRADE = (0.1, 0.3)  # range of a map's steep grades, the 99th percentile

Mask = NDArray[np.bool_]


def generated(seed: int, *, size: int = 64, cell: float = 0.5) -> TerrainMap:
    """The terrain of a seed.

    Args:
        seed: At least 0; another seed gives another map.
        size: Cells along a side.
        cell: Side of a cell [m].

    Raises:
        ValueError: If the map is too small or the cells have no size.
    """
    if size < SMALLEST or not 0 < cell < np.inf:
        raise ValueError(f"a terrain needs {SMALLEST} cells a side or more of positive size; got {size} of {cell} m.")
    generator = np.random.default_rng(seed)
    middles = [_line(generator, size, cell, upright=bool(index % 2)) for index in range(_ROADS)]
    away = _distance(np.logical_or.reduce(middles), cell)
    paths = np.logical_or.reduce([_line(generator, size, cell, upright=bool(index % 2)) for index in range(_PATHS)])
    road = away < _ROAD
    pavement = (away < _PAVEMENT) & (_field(generator, size, _MEADOW / cell) > _PAVEMENTS)
    walkway = (pavement | (_distance(paths, cell) < _PATH)) & ~road
    parking = _lots(generator, np.argwhere(road), size, cell) & ~road & ~walkway
    paved = road | walkway | parking
    meadow = _field(generator, size, _MEADOW / cell) > _MEADOWS
    pond = _field(generator, size, _POND / cell) > _PONDS
    density = np.where(meadow, _TREES, _ROCKS)
    obstacle = (pond | (generator.random((size, size)) < density * cell**2)) & ~paved
    masks = {
        "road": road,
        "walkway": walkway,
        "vegetation": meadow & ~paved & ~obstacle,
        "parking": parking,
        "obstacle": obstacle,
    }
    elevation = _hills(generator, size, cell)
    slope = np.clip(np.hypot(*np.gradient(elevation, cell)), 0.0, 1.0)
    layers = np.stack([*(masks[name] for name in CLASSES), slope]).astype(np.float32)
    return TerrainMap(layers, LAYERS, elevation.astype(np.float32), cell)


def _field(generator: np.random.Generator, size: int, width: float) -> NDArray[np.float64]:
    field = gaussian_filter(generator.standard_normal((size, size)), width)
    return (field - field.mean()) / field.std()


def _line(generator: np.random.Generator, size: int, cell: float, *, upright: bool) -> Mask:
    """Cells under a line from west to east, or upright from south to north, as far as it stays on the map."""
    x = np.arange(0.0, size, 0.25)
    bends = gaussian_filter1d(generator.standard_normal(len(x)), 4 * _BEND / cell)
    middle, lean = generator.uniform(0.15, 0.85) * size, generator.uniform(-0.4, 0.4)
    y = middle + lean * (x - size / 2) + _MEANDER / cell * (bends - bends.mean()) / bends.std()
    column, row = np.floor(x).astype(int), np.floor(y).astype(int)
    on = (row >= 0) & (row < size)
    cells = np.zeros((size, size), dtype=bool)
    cells[row[on], column[on]] = True
    return cells.T if upright else cells


def _lots(generator: np.random.Generator, beside: NDArray[np.int64], size: int, cell: float) -> Mask:
    """Rectangles around random cells among `beside`, `(N, 2)`."""
    rows, columns = np.indices((size, size))
    lots = np.zeros((size, size), dtype=bool)
    for row, column in beside[generator.integers(len(beside), size=_LOTS)]:
        tall, wide = generator.permutation(generator.uniform(_LOT[1], _LOT[0])) / cell
        lots |= (np.abs(rows - row) <= tall) & (np.abs(columns - column) <= wide)
    return lots


def _hills(generator: np.random.Generator, size: int, cell: float) -> NDArray[np.float64]:
    hills = _field(generator, size, _HILL / cell)
    steep = np.quantile(np.hypot(*np.gradient(hills, cell)), 0.99)
    return hills * generator.uniform(*_GRADE) / steep


def _distance(mask: Mask, cell: float) -> NDArray[np.float64]:
    """Distance to the nearest cell of a mask [m]."""
    return cell * distance_transform_edt(~mask)
