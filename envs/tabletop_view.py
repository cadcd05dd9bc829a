"""Views of a table: a picture and all that is true of it.

A thing is seen by the pixels that a rendering of identities gives it. Its box is the tightest one around them, (x0, y0,
x1, y1) in pixel coordinates with the origin at the upper left corner, so that a box of one pixel has width 1. Things of
fewer than `LEAST` pixels are not in the view: they have no box, their pixels count as background, and `dropped` says
how many there are.

Depth is MuJoCo's depth buffer in metres along the optical axis. Normals are made from the depth (`envs.pinhole`).
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from envs.pinhole import Pinhole

LEAST = 8
"""Pixels of a thing that is in a view, at least."""


@final
@dataclass(frozen=True, eq=False)
class View:
    """A picture of H x W pixels with M things.

    Attributes:
        rgb: Colours, uint8, shape `(H, W, 3)`.
        depth: [m], float32, shape `(H, W)`.
        instances: 0 where there is no thing, else 1 + its place among the M; uint8, shape `(H, W)`.
        boxes: x0, y0, x1, y1 [px] of what is visible of each thing, float32, shape `(M, 4)`.
        labels: Classes, int64, shape `(M,)`.
        poses: Position [m] and quaternion (w, x, y, z) of each thing in the world, shape `(M, 7)`.
        things: Their places in the scene, int64, shape `(M,)`.
        dropped: Things of the scene that are not in the view.
        camera: What took it.
    """

    rgb: NDArray[np.uint8]
    depth: NDArray[np.float32]
    instances: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    poses: NDArray[np.float64]
    things: NDArray[np.int64]
    dropped: int
    camera: Pinhole

    @property
    def masks(self) -> NDArray[np.bool_]:
        """Pixels of each thing, shape `(M, H, W)`."""
        return self.instances == np.arange(1, len(self.labels) + 1)[:, None, None]

    @property
    def normals(self) -> NDArray[np.float32]:
        """Unit normals in the camera's frame (x right, y down, z ahead), shape `(H, W, 3)`."""
        return self.camera.normals(self.depth)


def seen(identities: NDArray[np.integer], count: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Which things are in a view.

    Args:
        identities: 1 + the place in the scene of the thing at each pixel, 0 where there is none, shape `(H, W)`.
        count: Things of the scene.

    Returns:
        Instances, shape `(H, W)`, and the M places in the scene of those that are in the view.
    """
    pixels = np.bincount(identities.ravel(), minlength=count + 1)
    pixels[0] = 0
    kept = np.flatnonzero(pixels >= LEAST)
    number = np.zeros(count + 1, dtype=np.uint8)
    number[kept] = np.arange(1, len(kept) + 1)
    return number[identities], kept - 1


def boxes_of(instances: NDArray[np.uint8], count: int) -> NDArray[np.float32]:
    """Tight boxes of instances 1 to `count`, shape `(count, 4)`; each has a pixel."""
    masks = instances == np.arange(1, count + 1)[:, None, None]
    spans = []
    for axis in (1, 2):  # over rows: columns that are touched; over columns: rows
        touched = masks.any(axis=axis)
        spans.append((touched.argmax(axis=1), touched.shape[1] - touched[:, ::-1].argmax(axis=1)))
    (left, right), (top, bottom) = spans
    return np.stack([left, top, right, bottom], axis=1).astype(np.float32)
