r"""Surfaces: pictures of depth, the normals that they show, and what an observation of both and of colours is.

A pinhole camera, x to the right, y down and z ahead, sees at the pixel coordinates (u, v), whose origin is the upper
left corner, so that the middle of the first pixel is (1/2, 1/2), and at the depth z the point

    P = z ((u - W / 2) / f, (v - H / 2) / f, 1),    f = H / (2 tan(fov / 2)),

with the vertical field of view fov. Depth is z, the distance along the optical axis. The differences of P from a
neighbour in its row and from one in its column span the surface; of the two neighbours the one of nearer depth is
taken, which keeps to one side of an edge. The normal is the cross product of both, of unit length, and looks at the
camera: n . P < 0.
"""

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from embodied_gen.images.shards import DEPTH_UNIT

_LEAST = 1e-12  # length of a cross product that has a direction [m^2]


@final
@dataclass(frozen=True)
class DepthPictures:
    """Depth of N pictures by one camera.

    Attributes:
        depth: int16, in units of `DEPTH_UNIT`, shape `(N, H, W)`.
        fov: Vertical field of view [rad], in (0, pi).
    """

    depth: Tensor
    fov: float

    def metres(self, index: Tensor | slice) -> Tensor:
        """Depth of some pictures [m], float, shape `(B, H, W)`."""
        return self.depth[index].to(torch.get_default_dtype()) * DEPTH_UNIT


def observed(images: Tensor, depth: Tensor, fov: float) -> Tensor:
    """What a segmenter of surfaces sees of pictures: colours 0..255, depth [m] and normals, as 7 channels.

    Args:
        images: Colours, uint8, shape `(B, 3, H, W)`.
        depth: [m], floating point, shape `(B, H, W)`.
        fov: Vertical field of view [rad].

    Returns:
        Shape `(B, 7, H, W)`, with the dtype of the depth.

    Raises:
        ValueError: If colours are no bytes, sizes differ, or `normals_of` refuses the depth.
    """
    if images.dtype != torch.uint8 or tuple(images.shape) != (len(depth), 3, *depth.shape[1:]):
        raise ValueError(
            f"images must be bytes, torch.uint8, of shape {(len(depth), 3, *depth.shape[1:])}, as their depth is; got "
            f"{images.dtype} {tuple(images.shape)}."
        )
    return torch.cat([images.to(depth.dtype), depth.unsqueeze(1), normals_of(depth, fov)], 1)


def normals_of(depth: Tensor, fov: float) -> Tensor:
    """Unit normals of pictures of depth, in the camera's frame.

    Args:
        depth: [m], floating point, shape `(B, H, W)`, at least two pixels a side.
        fov: Vertical field of view [rad], in (0, pi).

    Returns:
        x, y and z of each pixel, shape `(B, 3, H, W)`; zero where depth has no surface.

    Raises:
        ValueError: If the dtype, the shape or the field of view is wrong.
    """
    if not depth.dtype.is_floating_point or depth.ndim != 3 or min(depth.shape[1:]) < 2:
        raise ValueError(
            "depth must be metres in floating point, of shape (B, H, W) with two pixels a side at least; got "
            f"{depth.dtype} {tuple(depth.shape)}."
        )
    if not 0 < fov < math.pi:
        raise ValueError(f"the field of view must lie between 0 and pi [rad]; got {fov}.")
    points = _points(depth, fov)
    normals = torch.linalg.cross(_difference(points, 2), _difference(points, 3), dim=1)
    normals = normals / normals.norm(dim=1, keepdim=True).clamp(min=_LEAST)
    away = (normals * points).sum(1, keepdim=True) > 0
    return torch.where(away, -normals, normals)


def _points(depth: Tensor, fov: float) -> Tensor:
    """Points of pixels [m], shape `(B, 3, H, W)`."""
    height, width = depth.shape[1:]
    focal = height / (2 * math.tan(fov / 2))
    across = (torch.arange(width, dtype=depth.dtype, device=depth.device) + 0.5 - width / 2) / focal
    down = (torch.arange(height, dtype=depth.dtype, device=depth.device) + 0.5 - height / 2) / focal
    return torch.stack([across * depth, down.unsqueeze(1) * depth, depth], 1)


def _difference(points: Tensor, axis: int) -> Tensor:
    """To each pixel's point from the one before along an axis, or from it to the next, whichever is nearer in depth."""
    step = points.diff(dim=axis)
    last = step.shape[axis] - 1
    back = torch.cat([step.narrow(axis, 0, 1), step], axis)
    ahead = torch.cat([step, step.narrow(axis, last, 1)], axis)
    return torch.where(ahead[:, 2:].abs() < back[:, 2:].abs(), ahead, back)
