"""Boxes of vehicles: their corners, and whether two of them overlap.

A box is (x, y, heading, length, width), its middle at (x, y). Two boxes overlap unless one of their four axes
separates them: with d the vector between the middles and D the difference of headings, the axis u along box 1 does if

    |d . u| > (l_1 + l_2 |cos D| + w_2 |sin D|) / 2,

and so for the axis across and the axes of box 2. Boxes that touch overlap.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float64]


def corners(boxes: Boxes) -> NDArray[np.float64]:
    """Corners of boxes `(..., 5)` [m], front left first and counter-clockwise, shape `(..., 4, 2)`."""
    along = np.stack([np.cos(boxes[..., 2]), np.sin(boxes[..., 2])], axis=-1)[..., None, :]
    across = np.stack([-along[..., 1], along[..., 0]], axis=-1)
    forward = np.array([0.5, -0.5, -0.5, 0.5])[:, None] * boxes[..., 3, None, None]
    left = np.array([0.5, 0.5, -0.5, -0.5])[:, None] * boxes[..., 4, None, None]
    return np.asarray(boxes[..., None, :2] + forward * along + left * across)


def overlapping(first: Boxes, second: Boxes) -> NDArray[np.bool_]:
    """Whether boxes overlap, shapes `(..., 5)` that broadcast, in the broadcast shape without the last axis."""
    offset = second[..., :2] - first[..., :2]
    turn = second[..., 2] - first[..., 2]
    cosine, sine = np.abs(np.cos(turn)), np.abs(np.sin(turn))
    apart = _separated(offset, first, second, cosine, sine) | _separated(offset, second, first, cosine, sine)
    return ~apart


def between(start: Boxes, end: Boxes, shares: Sequence[float]) -> Boxes:
    """Boxes at some shares of the way from one to another of the same size, by linear interpolation.

    Args:
        start: Boxes, shape `(..., 5)`.
        end: Boxes, shape `(..., 5)`.
        shares: S numbers in [0, 1].

    Returns:
        Boxes, shape `(S, ..., 5)`.
    """
    change = end - start
    change[..., 2] = np.angle(np.exp(1j * change[..., 2]))
    return np.asarray(start + np.reshape(shares, (-1, *[1] * start.ndim)) * change)


def _separated(
    offset: NDArray[np.float64],
    box: Boxes,
    other: Boxes,
    cosine: NDArray[np.float64],
    sine: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Whether an axis of `box` separates the two."""
    along, across = np.cos(box[..., 2]), np.sin(box[..., 2])
    forward = np.abs(offset[..., 0] * along + offset[..., 1] * across)
    left = np.abs(offset[..., 1] * along - offset[..., 0] * across)
    length, width = other[..., 3], other[..., 4]
    beyond = forward > (box[..., 3] + length * cosine + width * sine) / 2
    beside = left > (box[..., 4] + length * sine + width * cosine) / 2
    return np.asarray(beyond | beside)
