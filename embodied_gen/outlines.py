"""Outlines of obstacles and lanes between shapely's polygons and tensors of vertices, (x, y, present)."""

from collections.abc import Sequence

import shapely
import torch
from torch import Tensor


def vertices_of(outlines: Sequence[shapely.Polygon], vertices: int) -> Tensor:
    """The rings of polygons without holes as vertices, shape `(B, V, 3)`, absent ones last and zero.

    Raises:
        ValueError: If a polygon has holes or more than V vertices.
    """
    value = torch.zeros(len(outlines), vertices, 3)
    for row, outline in zip(value, outlines, strict=True):
        ring = torch.tensor(outline.exterior.coords[:-1])[:, :2]
        if len(outline.interiors) or len(ring) > vertices:
            raise ValueError(
                f"outlines must have no holes and at most {vertices} vertices; got {len(outline.interiors)} holes and "
                f"{len(ring)} vertices. Simplify the polygon or fill its holes."
            )
        row[: len(ring), :2], row[: len(ring), 2] = ring, 1
    return value


def outlines_of(value: Tensor) -> list[shapely.Polygon]:
    """Polygons of vertices, shape `(B, V, 3)`; a polygon may be invalid, and is empty below three vertices."""
    rings = [row[row[:, 2] > 0.5, :2].tolist() for row in value.detach().cpu()]
    return [shapely.Polygon(ring if len(ring) >= 3 else None) for ring in rings]
