r"""Axis-parallel boxes and how much they overlap.

A box is its middle and size (cx, cy, w, h), or its corners (x0, y0, x1, y1) with x0 <= x1 and y0 <= y1. With A and B
two boxes and H the smallest box that holds both,

    IoU(A, B)  = |A n B| / |A u B|                      in [0, 1]
    GIoU(A, B) = IoU(A, B) - (|H| - |A u B|) / |H|      in [-1, 1]

of which the second has a slope where they do not meet. Boxes without area have an IoU of zero with everything. Shapes
broadcast, so that all pairs are `iou(a.unsqueeze(-2), b.unsqueeze(-3))`.

Source: Rezatofighi et al. 2019 (arXiv:1902.09630) for GIoU.
"""

import torch
from torch import Tensor

_LEAST = 1e-9  # area by which is divided where there is none


def corners(boxes: Tensor) -> Tensor:
    """Corners of boxes (cx, cy, w, h), `(..., 4)`; a negative size counts as none."""
    middle, half = boxes[..., :2], boxes[..., 2:].clamp(min=0) / 2
    return torch.cat([middle - half, middle + half], -1)


def centred(boxes: Tensor) -> Tensor:
    """Middle and size of corners, the inverse of `corners`, `(..., 4)`."""
    first, last = boxes[..., :2], boxes[..., 2:]
    return torch.cat([(first + last) / 2, last - first], -1)


def area(boxes: Tensor) -> Tensor:
    """Of corners, `(..., 4)` to `(...)`."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of corners, `(..., 4)` and `(..., 4)` to `(...)`."""
    shared, union = _shares(a, b)
    return shared / union.clamp(min=_LEAST)


def giou(a: Tensor, b: Tensor) -> Tensor:
    """Generalised intersection over union of corners, `(..., 4)` and `(..., 4)` to `(...)`."""
    shared, union = _shares(a, b)
    first, last = torch.minimum(a[..., :2], b[..., :2]), torch.maximum(a[..., 2:], b[..., 2:])
    hull = (last - first).prod(-1)
    return shared / union.clamp(min=_LEAST) - (hull - union) / hull.clamp(min=_LEAST)


def _shares(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Areas of intersection and union."""
    shared = _overlap(a, b, 0) * _overlap(a, b, 1)
    return shared, area(a) + area(b) - shared


def _overlap(a: Tensor, b: Tensor, axis: int) -> Tensor:
    """How long boxes overlap along an axis."""
    first, last = torch.maximum(a[..., axis], b[..., axis]), torch.minimum(a[..., axis + 2], b[..., axis + 2])
    return (last - first).clamp(min=0)
