"""A pinhole camera: pixels, points and directions.

The camera's frame has x to the right, y down and z ahead along the optical axis; pixel coordinates (u, v) have their
origin at the upper left corner of the picture, so that the middle of the first pixel is (1/2, 1/2). A point (x, y, z)
of that frame is seen at

    u = W / 2 + f x / z,    v = H / 2 + f y / z,    f = H / (2 tan(fov / 2)),

with the vertical field of view fov. Depth is z, the distance along the optical axis and not along the ray.

Normals of a depth picture: a pixel's point P and its neighbours span the surface. Of the two neighbours in a row, and
of the two in a column, the one whose depth is nearer is taken, which keeps to one side of an edge; the normal is the
cross product of both differences, of unit length, turned towards the camera (n . P < 0).
"""

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]


@final
@dataclass(frozen=True, eq=False)
class Pinhole:
    """Where a camera is and what it sees.

    Attributes:
        position: Of its centre in the world [m], shape `(3,)`.
        axes: Columns are its x, y and z in the world, shape `(3, 3)`.
        fov: Vertical field of view [rad].
        size: Width and height of its pictures [px].
    """

    position: Numbers
    axes: Numbers
    fov: float
    size: tuple[int, int]

    @property
    def focal(self) -> float:
        """Focal length f [px]."""
        return self.size[1] / (2 * np.tan(self.fov / 2))

    def project(self, points: NDArray[Any]) -> Numbers:
        """Pixel coordinates of points of the world [m], `(..., 3)` to `(..., 2)`."""
        seen = (np.asarray(points) - self.position) @ self.axes
        return np.asarray(np.array(self.size) / 2 + self.focal * seen[..., :2] / seen[..., 2:])

    def seen(self, pixels: NDArray[Any], depth: NDArray[Any]) -> Numbers:
        """Points in the camera's frame [m], `(..., 3)`, at pixel coordinates `(..., 2)` and depths `(...)` [m]."""
        ahead = np.asarray(depth, dtype=np.float64)[..., None]
        return np.concatenate([(pixels - np.array(self.size) / 2) / self.focal * ahead, ahead], axis=-1)

    def points(self, pixels: NDArray[Any], depth: NDArray[Any]) -> Numbers:
        """Points in the world [m], shape `(..., 3)`, at pixel coordinates `(..., 2)` and depths `(...)` [m]."""
        return np.asarray(self.position + self.seen(pixels, depth) @ self.axes.T)

    def middles(self) -> Numbers:
        """Pixel coordinates of the middles of all pixels, shape `(H, W, 2)`."""
        width, height = self.size
        return np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), axis=-1)

    def normals(self, depth: NDArray[Any]) -> NDArray[np.float32]:
        """Unit normals in the camera's frame, shape `(H, W, 3)`, from a depth picture `(H, W)`; see the module."""
        points = self.seen(self.middles(), depth)
        normals = np.cross(_difference(points, 0), _difference(points, 1))
        normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-12)
        away = np.einsum("hwc,hwc->hw", normals, points) > 0
        return np.where(away[..., None], -normals, normals).astype(np.float32)


def _difference(points: Numbers, axis: int) -> Numbers:
    """From each pixel's point to the next along an axis, or from the last to it, whichever differs less in depth."""
    step = np.diff(points, axis=axis)
    first, last = np.take(step, [0], axis), np.take(step, [-1], axis)
    back, ahead = np.concatenate([first, step], axis), np.concatenate([step, last], axis)
    return np.where(np.abs(ahead[..., 2:]) < np.abs(back[..., 2:]), ahead, back)
