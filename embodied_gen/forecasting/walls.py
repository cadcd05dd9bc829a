"""Walls: the map that pedestrians walk by, as straight pieces.

A file of walls has one geometry a line in well-known text, in the frame of the tracks [m]: polygons, of which outline
and holes count, or lines. Pieces are no longer than a metre, so that the nearest points on the nearest pieces say how
what is near runs.

Source: well-known text as in OGC 06-103r4, through shapely.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import shapely
import torch
from torch import Tensor

_PIECE = 1.0  # longest piece [m]
_HELD = 1 << 22  # numbers that are compared at once


def read(path: Path) -> list[shapely.Geometry]:
    """The walls of a file, polygons and lines [m].

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a line is no geometry, or one without extent, or there is none; names file and line.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file of walls {path}. Name one with a line of well-known text for each.")
    found = [
        _geometry(line, path, number) for number, line in enumerate(path.read_text().splitlines(), 1) if line.strip()
    ]
    if not found:
        raise ValueError(f"{path}, line 1: there are no walls. Give a line of well-known text for each.")
    return found


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


def _geometry(line: str, path: Path, number: int) -> shapely.Geometry:
    try:
        geometry = shapely.from_wkt(line)
    except shapely.errors.GEOSException as error:
        raise ValueError(
            f"{path}, line {number}: a wall must be well-known text, such as LINESTRING (0 0, 5 0); got {line[:60]!r}."
        ) from error
    if geometry.is_empty or "Point" in geometry.geom_type or not geometry.length > 0:
        raise ValueError(f"{path}, line {number}: a wall must be a polygon or a line with a length; got {line[:60]!r}.")
    if not np.isfinite(shapely.get_coordinates(geometry)).all():
        raise ValueError(f"{path}, line {number}: coordinates must be finite; got {line[:60]!r}.")
    return geometry


def _ends(corners: np.ndarray) -> np.ndarray:
    """Neighbouring corners that differ, `(N, 2)` to `(K, 2, 2)`."""
    ends = np.stack([corners[:-1], corners[1:]], 1)
    return ends[(ends[:, 0] != ends[:, 1]).any(1)]
