r"""Regions of the plane: any polygon with holes, to stay in or to keep out of.

The signed distance phi to the boundary, positive inside, is computed once on a grid by exact geometry and read by
bilinear interpolation, so that a margin and its gradient cost a few loads on any device. Off the grid the distance to
the grid is subtracted. It is read at way-points and between them.

Certification does not trust the grid: segments are tested against the polygon itself, unless the grid, whose error is
bounded, leaves no doubt that a point of them is on the wrong side.

Source: Oleynikova et al. 2016, signed distance fields in trajectory optimisation; the geometry is shapely's (GEOS).
"""

import abc
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, final

import numpy as np
import shapely
import torch
from shapely.geometry import MultiPolygon, Polygon
from torch import Tensor
from torch.nn import functional

from embodied_gen.nets.bilinear import bilinear
from planners.constraints import Place, _plane, position
from planners.parts import parts

ALONG = 2  # parts of a segment at whose ends the grid is read
CELLS = 256  # of the longer side of the grid
LARGEST = 20_000_000  # cells of a grid
_STRETCH = 8  # cells between the points at which the depth of a broken constraint is measured
_READINGS = 64  # of a segment at most; one that needs more is longer than the grid is wide, and ends far outside
_TOUCHED = 1e-9  # depth [m] of a path of which the grid sees no part on the wrong side


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
        cell: Width of a cell of the grid [m], > 0; by default the longer side over `CELLS`.

    Raises:
        ValueError: If the region is empty or crosses itself, or a cell has no width.
    """

    def __init__(self, region: Polygon | MultiPolygon, border: float | None = None, *, cell: float | None = None):
        if cell is not None and not 0 < cell < math.inf:
            raise ValueError(f"cell must be positive and finite; got {cell}.")
        self.region = checked(region)
        low, high = np.array(region.bounds[:2]), np.array(region.bounds[2:])
        around = float((high - low).max()) / 4 if border is None else border
        low, high = low - around, high + around
        self.cell = float((high - low).max()) / CELLS if cell is None else cell
        wanted = np.ceil((high - low) / self.cell) + 1
        if not wanted.prod() <= LARGEST:
            raise ValueError(
                f"a grid of {wanted[0]:.0f} x {wanted[1]:.0f} cells of {self.cell:g} m is too large; give wider cells, "
                "or the part of the region that matters."
            )
        count = wanted.astype(int)
        axes = [low[axis] + self.cell * np.arange(count[axis]) for axis in (0, 1)]
        self.boundary = shapely.boundary(self.region)
        shapely.prepare([self.region, self.boundary])
        signed = np.stack([self._row(axes[0], y) for y in axes[1]])  # row by row: points take much memory
        high = low + self.cell * (count - 1)
        values = torch.from_numpy(signed.reshape(1, count[1], count[0]))  # rows of y, columns of x
        self._grid: tuple[Tensor, ...] = (
            values,
            torch.from_numpy((high + low) / 2),
            torch.from_numpy((high - low) / 2),
        )
        self._read: tuple[Tensor, ...] = self._grid

    def _row(self, x: np.ndarray, y: float) -> np.ndarray:
        """Signed distance at points of one row of the grid."""
        points = shapely.points(x, y)
        distance = shapely.distance(self.boundary, points)
        return np.where(shapely.covers(self.region, points), distance, -distance)

    def __call__(self, p: Tensor) -> Tensor:
        """Signed distance of points `(..., 2)` [m], shape `(...)`; differentiable almost everywhere."""
        if self._read[0].device != p.device or self._read[0].dtype != p.dtype:
            self._read = tuple(part.to(p) for part in self._grid)  # once: regions stay where they are used
        grid, centre, half = self._read
        at = (p - centre) / half  # the grid is [-1, 1]^2
        values = bilinear(grid, at.view(1, -1, 2))
        off = functional.softshrink(at, 1.0) * half
        a, b = off.unbind(-1)
        return values.view(p.shape[:-1]) - (torch.addcmul(a * a, b, b) + 1e-24).sqrt()

    def error(self, dtype: torch.dtype) -> float:
        """Largest error on the grid [m] when read in a floating type: of the interpolation, and of coordinates."""
        _, centre, half = self._grid
        reach = float((centre.abs() + half).max())
        return self.cell / math.sqrt(2) + 8 * torch.finfo(dtype).eps * reach


class _OfRegion(Place, abc.ABC):
    """A constraint that reads a region along a path."""

    sign: float

    def __init__(self, region: Polygon | MultiPolygon, channels: Sequence[int]):
        self.distance = SignedDistance(region)
        self.channels = _plane(channels)

    def margins(self, y: Tensor) -> Tensor:
        """Distance to the boundary as the grid has it [m] at way-points and between them, `(B, N, P)`."""
        p = position(y, self.channels)
        between = [torch.lerp(p[..., :-1, :], p[..., 1:, :], share / ALONG) for share in range(1, ALONG)]
        return self.sign * self.distance(torch.cat([p, *between], -2))

    def margin(self, y: Tensor) -> Tensor:
        """Distance of the whole path to the boundary on the polygon itself [m], shape `(B, N)`.

        Where the constraint is broken it is how deep the path lies on the wrong side, to some cells of the grid.
        """
        p = position(y.detach(), self.channels).flatten(0, 1)
        unknown = ~p.isfinite().flatten(1).all(1)
        p = torch.where(unknown[:, None, None], 0.0, p)
        margins = self._on_grid(p)
        near = margins >= -self.distance.error(p.dtype)  # the others are wrong beyond the grid's errors
        margins[near] = self._exact(p[near], margins[near])
        return torch.where(unknown, -torch.inf, margins).view(y.shape[:2])

    def _on_grid(self, p: Tensor) -> Tensor:
        """Smallest distance as the grid has it [m], read along paths `(M, T, 2)`; shape `(M,)`."""
        steps = p.diff(dim=1, append=p[:, -1:])
        stretches = steps.norm(dim=-1) / (_STRETCH * self.distance.cell)
        count = stretches.ceil().clamp(1, _READINGS).long().flatten()
        points, segment = parts(p.flatten(0, 1), steps.flatten(0, 1), count, 0.0)
        smallest = p.new_full((len(p),), torch.inf)
        return smallest.scatter_reduce(0, segment // p.shape[1], self.sign * self.distance(points), "amin")

    def _exact(self, p: Tensor, on_grid: Tensor) -> Tensor:
        """Distances of paths to the boundary, with the depth of the grid where they are on the wrong side; `(M,)`."""
        lines = p.double().cpu().numpy().round(12)  # GEOS divides by the smallest numbers
        paths = shapely.points(lines[:, 0]) if lines.shape[1] == 1 else shapely.linestrings(lines)
        broken = torch.from_numpy(self._breaks(paths)).to(p.device)
        distance = torch.from_numpy(shapely.distance(self.distance.boundary, paths)).to(p)
        return torch.where(broken, on_grid.clamp(max=-_TOUCHED), distance)

    @abc.abstractmethod
    def _breaks(self, paths: np.ndarray) -> np.ndarray:
        """Whether paths are anywhere on the wrong side; touching the boundary is allowed."""

    def shapes(self) -> dict[str, list[dict[str, Any]]]:
        """Outlines of the region."""
        return outlines(self.distance.region)


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


def outlines(region: Polygon | MultiPolygon) -> dict[str, list[dict[str, Any]]]:
    """The rings of a region as shapes to draw; see `Constraint.shapes`."""
    polygons = getattr(region, "geoms", [region])
    rings = [ring for polygon in polygons for ring in (polygon.exterior, *polygon.interiors)]
    corners = [[list(map(float, corner)) for corner in ring.coords] for ring in rings]
    return {"lines": [{"role": "constraint", "start": a, "end": b} for ring in corners for a, b in pairwise(ring)]}


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
