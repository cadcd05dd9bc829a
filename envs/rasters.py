"""Polygons as rasters, which cells of a grid have their centre inside, and rasters as polygons.

A row of centres at height y meets each side of an outline that has one end at most y and the other above it, at one
x. Between the first and the second such crossing of a row it is inside, between the second and the third outside, and
so on: a cell is covered where the number of crossings to the left of its centre is odd. All sides and rows are counted
at once. Sides are half-open, so that of areas which share a border no cell belongs to both.
"""

from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray


def covered(area: Any, shape: tuple[int, int], *, cell: float, origin: tuple[float, float]) -> NDArray[np.bool_]:
    """Cells whose centre lies in an area, shape `(H, W)`.

    Args:
        area: Valid shapely polygon or polygons, with holes or without [m].
        shape: Rows and columns; row i has its centres at y = origin[1] + (i + 1/2) cell.
        cell: Side of a cell [m].
        origin: Lower left corner of cell (0, 0) [m].
    """
    start, end = _sides(area, cell, origin)
    up = start[:, 1] <= end[:, 1]
    low, high = np.where(up[:, None], start, end), np.where(up[:, None], end, start)
    # Rows i with low_y <= i < high_y; centres have whole coordinates here.
    first = np.clip(np.ceil(low[:, 1]), 0, shape[0]).astype(np.int64)
    after = np.clip(np.ceil(high[:, 1]), 0, shape[0]).astype(np.int64)
    count = after - first
    side = np.repeat(np.arange(len(low)), count)
    row = np.arange(len(side)) - np.repeat(np.cumsum(count) - count, count) + first[side]
    share = (row - low[side, 1]) / (high[side, 1] - low[side, 1])
    x = low[side, 0] + share * (high[side, 0] - low[side, 0])
    column = np.clip(np.ceil(x), 0, shape[1]).astype(np.int64)
    crossings = np.zeros((shape[0], shape[1] + 1), dtype=bool)
    np.logical_xor.at(crossings, (row, column), True)
    return np.logical_xor.accumulate(crossings, axis=1)[:, :-1]


def areas(mask: NDArray[np.bool_], *, cell: float, origin: tuple[float, float]) -> list[Any]:
    """The polygons [m] of cells that share sides, with holes where they go around others.

    Args:
        mask: Cells, shape `(H, W)`; see `covered` for where they lie.
        cell: Side of a cell [m].
        origin: Lower left corner of cell (0, 0) [m].
    """
    row, column = mask.nonzero()
    # Corners in whole numbers, so that neighbours share theirs exactly.
    parts = shapely.get_parts(shapely.union_all(shapely.box(column, row, column + 1, row + 1)))
    return list(shapely.transform(parts, lambda corners: np.array(origin) + cell * corners))


def _sides(area: Any, cell: float, origin: tuple[float, float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ends of all sides of all outlines, `(S, 2)` each, in units of cells from the centre of cell (0, 0)."""
    rings = shapely.get_rings(shapely.get_parts(area))
    corners, ring = shapely.get_coordinates(rings, return_index=True)
    corners = (corners - np.array(origin)) / cell - 0.5
    joined = ring[1:] == ring[:-1]
    return corners[:-1][joined], corners[1:][joined]
