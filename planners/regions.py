r"""Regions of the plane: any polygon with holes, to stay in or to keep out of.

The signed distance phi to the boundary, positive inside, is computed once on a grid by exact geometry and read by
bilinear interpolation, so that a margin and its gradient cost a few loads on any device. Off the grid the distance to
the grid is subtracted. The margin of a segment is the smallest of several points along it.

Certification does not trust the grid: segments are tested against the polygon itself.

Source: Oleynikova et al. 2016, signed distance fields in trajectory optimisation; the geometry is shapely's (GEOS).
"""

import abc
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, final

import numpy as np
import shapely
import torch
from shapely.geometry import MultiPolygon, Polygon
from torch import Tensor
from torch.nn import functional

from planners.constraints import Constraint, _plane

ALONG = 2  # points read on each segment, its start included
CELLS = 256  # of the longer side of the grid
_STRETCH = 8  # cells between the points at which the depth of a broken constraint is measured


def polygon_of(points: Sequence[Sequence[float]], holes: Sequence[Sequence[Sequence[float]]] = ()) -> Polygon:
    """A polygon from its corners [m].

    Raises:
        ValueError: If it has fewer than three corners, no area, or crosses itself.
    """
    if len(points) < 3:
        raise ValueError(f"a polygon needs at least three corners; got {len(points)}.")
    return checked(Polygon(points, holes))


@final
class SignedDistance:
    """Signed distance to the boundary of a region on a grid, positive inside.

    Args:
        region: Polygon or polygons, valid and not empty.
        border: Width of the grid around the region's bounding box [m]; by default a quarter of its longer side.

    Raises:
        ValueError: If the region is empty or crosses itself.
    """

    def __init__(self, region: Polygon | MultiPolygon, border: float | None = None):
        self.region = checked(region)
        low, high = np.array(region.bounds[:2]), np.array(region.bounds[2:])
        around = float((high - low).max()) / 4 if border is None else border
        low, high = low - around, high + around
        self.cell = float((high - low).max()) / CELLS
        count = np.ceil((high - low) / self.cell).astype(int) + 1
        axes = [low[axis] + self.cell * np.arange(count[axis]) for axis in (0, 1)]
        points = shapely.points(*(grid.ravel() for grid in np.meshgrid(*axes, indexing="xy")))
        shapely.prepare(self.region)
        distance = shapely.distance(shapely.boundary(self.region), points)
        signed = np.where(shapely.covers(self.region, points), distance, -distance)
        high = low + self.cell * (count - 1)
        self._centre, self._half = torch.from_numpy((high + low) / 2), torch.from_numpy((high - low) / 2)
        self._values = torch.from_numpy(signed.reshape(1, 1, count[1], count[0]))  # rows of y, columns of x

    def __call__(self, p: Tensor) -> Tensor:
        """Signed distance of points `(..., 2)` [m], shape `(...)`; differentiable almost everywhere."""
        if self._values.device != p.device or self._values.dtype != p.dtype:
            self._values = self._values.to(p)  # once: regions stay where they are used
            self._centre, self._half = self._centre.to(p), self._half.to(p)
        at = (p - self._centre) / self._half  # the grid is [-1, 1]^2
        values = functional.grid_sample(
            self._values, at.view(1, 1, -1, 2), mode="bilinear", padding_mode="border", align_corners=True
        )
        off = (at.abs() - 1).clamp(min=0) * self._half
        return values.view(p.shape[:-1]) - (off.square().sum(-1) + 1e-24).sqrt()


class _OfRegion(Constraint, abc.ABC):
    """A constraint that reads a region along a path."""

    sign: float

    def __init__(self, region: Polygon | MultiPolygon, channels: Sequence[int]):
        self.distance = SignedDistance(region)
        self.channels = _plane(channels)

    def margins(self, y: Tensor) -> Tensor:
        """Distance of every segment to the boundary as the grid has it [m], `(B, N, T - 1)`; of the point if T is 1."""
        p = y[..., list(self.channels)]
        if p.shape[-2] == 1:
            return self.sign * self.distance(p)
        share = torch.linspace(0, 1, ALONG + 1, dtype=p.dtype, device=p.device)
        along = p[..., :-1, None, :] + share[:, None] * p.diff(dim=-2)[..., None, :]
        return (self.sign * self.distance(along)).amin(-1)

    def margin(self, y: Tensor) -> Tensor:
        """Distance of the whole path to the boundary on the polygon itself [m], shape `(B, N)`.

        Where the constraint is broken it is how deep the path lies on the wrong side, to some cells of the grid.
        """
        p = y[..., list(self.channels)].detach().double().cpu().numpy()
        lines = p.reshape(-1, *p.shape[2:])
        unknown = ~np.isfinite(lines).all((1, 2))
        lines = np.where(unknown[:, None, None], 0.0, lines).round(12)  # GEOS divides by the smallest numbers
        paths = shapely.points(lines[:, 0]) if lines.shape[1] == 1 else shapely.linestrings(lines)
        boundary = shapely.boundary(self.distance.region)
        signed = shapely.distance(boundary, paths)
        broken = self._breaks(paths)
        parts = shapely.segmentize(self._wrong(paths[broken]), _STRETCH * self.distance.cell)
        corners, owner = shapely.get_coordinates(parts, return_index=True)
        depth = np.full(int(broken.sum()), 1e-9)  # a part too small for geometry is wrong all the same
        np.maximum.at(depth, owner, shapely.distance(boundary, shapely.points(corners)))
        signed[broken] = -depth
        return torch.from_numpy(np.where(unknown, -np.inf, signed).reshape(p.shape[:2])).to(y)

    @abc.abstractmethod
    def _breaks(self, paths: np.ndarray) -> np.ndarray:
        """Whether paths are anywhere on the wrong side; touching the boundary is allowed."""

    @abc.abstractmethod
    def _wrong(self, paths: np.ndarray) -> np.ndarray:
        """The parts of paths on the wrong side."""

    def shapes(self) -> dict[str, list[dict[str, Any]]]:
        """Outlines of the region."""
        polygons = getattr(self.distance.region, "geoms", [self.distance.region])
        rings = [ring for polygon in polygons for ring in (polygon.exterior, *polygon.interiors)]
        outlines = [[list(map(float, corner)) for corner in ring.coords] for ring in rings]
        return {
            "lines": [
                {"role": "constraint", "start": a, "end": b} for outline in outlines for a, b in pairwise(outline)
            ]
        }


@final
class KeepInRegion(_OfRegion):
    """The position stays in a region, way-points and segments; a drivable area, say.

    Args:
        region: Polygon or polygons, with holes or without [m].
        channels: The two channels that are the position.

    Raises:
        ValueError: If the region is empty or crosses itself.
    """

    sign = 1.0

    def __init__(self, region: Polygon | MultiPolygon, *, channels: Sequence[int] = (0, 1)):
        super().__init__(region, channels)
        self.name = f"keep in the region of {self.distance.region.area:g} m^2"

    def _breaks(self, paths: np.ndarray) -> np.ndarray:
        return ~np.asarray(shapely.covers(self.distance.region, paths))

    def _wrong(self, paths: np.ndarray) -> np.ndarray:
        return np.asarray(shapely.difference(paths, self.distance.region))


@final
class KeepOutRegion(_OfRegion):
    """The position stays out of a region, way-points and segments; an obstacle, say.

    Args:
        region: Polygon or polygons, with holes or without [m].
        channels: The two channels that are the position.

    Raises:
        ValueError: If the region is empty or crosses itself.
    """

    sign = -1.0

    def __init__(self, region: Polygon | MultiPolygon, *, channels: Sequence[int] = (0, 1)):
        super().__init__(region, channels)
        self.name = f"keep out of the region of {self.distance.region.area:g} m^2"

    def _breaks(self, paths: np.ndarray) -> np.ndarray:
        return np.asarray(shapely.relate_pattern(self.distance.region, paths, "T********"))

    def _wrong(self, paths: np.ndarray) -> np.ndarray:
        return np.asarray(shapely.intersection(paths, self.distance.region))


def checked(region: Polygon | MultiPolygon) -> Polygon | MultiPolygon:
    """The region itself.

    Raises:
        ValueError: If it is empty or crosses itself.
    """
    if not shapely.is_valid(region):
        raise ValueError(
            f"a region must not cross itself: {shapely.is_valid_reason(region)}. Order its corners along the outline."
        )
    if region.is_empty or not region.area > 0:
        raise ValueError(f"a region must have an area; got {region.wkt[:80]}.")
    return region
