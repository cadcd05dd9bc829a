"""Walls: the map that pedestrians walk by, as straight pieces.

A file of walls has one geometry a line in well-known text, in the frame of the tracks [m]: polygons, of which outline
and holes count, or lines. Pieces are no longer than a metre, so that the nearest points on the nearest pieces say how
what is near runs.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import shapely
import torch
from torch import Tensor

from embodied_gen import well_known_text

_PIECE = 1.0  # longest piece [m]
_HELD = 1 << 22  # numbers that are compared at once


def _has_length(geometry: shapely.Geometry) -> bool:
    return not geometry.is_empty and "Point" not in geometry.geom_type and geometry.length > 0


_WALLS = well_known_text.Described(
    one="a wall",
    many="walls",
    such_as="LINESTRING (0 0, 5 0)",
    must_be="a polygon or a line with a length",
    fits=_has_length,
)


def read(path: Path) -> list[shapely.Geometry]:
    """The walls of a file, polygons and lines [m].

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a line is no geometry, or one without extent, or there is none; names file and line.
    """
    return well_known_text.read(path, _WALLS)


def pieces_of(walls: Sequence[shapely.Geometry]) -> Tensor:
    """The outlines and lines of walls in pieces, ends [m], float64, shape `(K, 2, 2)`."""
    lines = shapely.get_parts([w.boundary if "Polygon" in w.geom_type else w for w in walls])
    ends = [_ends(shapely.get_coordinates(line)) for line in shapely.segmentize(lines, _PIECE)]
    return torch.from_numpy(np.concatenate(ends))


def nearest_points(places: Tensor, walls: Tensor, count: int) -> Tensor:
    """The nearest points on the nearest pieces, the nearest first.

    Args:
        places: [m], shape `(..., 2)`.
        walls: Ends of K pieces [m], shape `(K, 2, 2)`.
        count: P, at most K.

    Returns:
        [m], shape `(..., P, 2)`.

    Raises:
        ValueError: If there are fewer pieces.
    """
    if count > len(walls):
        raise ValueError(f"there are {len(walls)} pieces of walls, fewer than the {count} points that are asked for.")
    flat, walls = places.reshape(-1, 2), walls.to(places)
    parts = [_nearest(part, walls, count) for part in flat.split(max(1, _HELD // (4 * len(walls))))]
    return torch.cat(parts).view(*places.shape[:-1], count, 2)


def _nearest(places: Tensor, walls: Tensor, count: int) -> Tensor:
    start, along = walls[:, 0], walls[:, 1] - walls[:, 0]
    away = places.unsqueeze(1) - start
    share = ((away * along).sum(-1) / along.square().sum(-1)).clamp(0, 1)
    points = start + share.unsqueeze(-1) * along
    apart = (points - places.unsqueeze(1)).square().sum(-1)
    index = apart.topk(count, largest=False).indices
    return points.gather(1, index.unsqueeze(-1).expand(-1, -1, 2))


def _ends(corners: np.ndarray) -> np.ndarray:
    """Neighbouring corners that differ, `(N, 2)` to `(K, 2, 2)`."""
    ends = np.stack([corners[:-1], corners[1:]], 1)
    return ends[(ends[:, 0] != ends[:, 1]).any(1)]
