r"""Suppression of duplicates: of boxes of one class in one place the most likely is kept.

With boxes in the order of falling scores, and d_ij = 1 where i < j have one class and overlap by more than a threshold,
greedy suppression is the one solution of

    kept_j = 1 unless some i has kept_i d_ij = 1.

Iterating the equation from all ones fixes at least one more box in the order each time, so that it ends with that
solution, in as many rounds as the longest chain of boxes that suppress one another; mostly a few. Every round is one
matrix product for all images.

Source: greedy suppression as a fixed point, Zheng et al. 2020 (arXiv:2005.03572), cluster NMS.
"""

import torch
from torch import Tensor

from embodied_gen.boxes.geometry import iou

_PAIRS, _MANY = 1 << 20, 1 << 26  # that are compared at once: of a processor, whose caches hold them, and of others


def suppress(boxes: Tensor, scores: Tensor, labels: Tensor, *, threshold: float = 0.5) -> Tensor:
    """Which boxes are kept.

    Args:
        boxes: Corners, shape `(B, P, 4)`.
        scores: Shape `(B, P)`; of equal ones the first goes before the others.
        labels: Classes, int64, shape `(B, P)`; boxes of different classes leave one another alone.
        threshold: IoU above which a box is a duplicate, in [0, 1].

    Returns:
        Bool, shape `(B, P)`.

    Raises:
        ValueError: If the threshold is out of range.
    """
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold must be an IoU in [0, 1]; got {threshold}.")
    order = scores.argsort(dim=1, descending=True, stable=True)
    sorted_boxes = boxes.gather(1, order.unsqueeze(-1).expand_as(boxes))
    size = max(1, (_PAIRS if boxes.device.type == "cpu" else _MANY) // max(1, boxes.shape[1] ** 2))
    parts = zip(sorted_boxes.split(size), labels.gather(1, order).split(size), strict=True)
    kept = torch.cat([_fixed_point(_duplicates(*part, threshold)) for part in parts])
    return torch.zeros_like(kept).scatter(1, order, kept)


def _duplicates(boxes: Tensor, labels: Tensor, threshold: float) -> Tensor:
    """d_ij of boxes in order, `(B, P, P)`, of their dtype."""
    overlap = iou(boxes.unsqueeze(2), boxes.unsqueeze(1)) > threshold
    same = labels.unsqueeze(2) == labels.unsqueeze(1)
    return (overlap & same).triu(1).to(boxes.dtype)


def _fixed_point(duplicates: Tensor) -> Tensor:
    """What greedy suppression keeps, from d_ij of boxes in order; `(B, P, P)` to bool `(B, P)`."""
    kept = torch.ones(duplicates.shape[:2], dtype=torch.bool, device=duplicates.device)
    for _ in range(duplicates.shape[1]):
        again = ~((kept.to(duplicates.dtype).unsqueeze(1) @ duplicates).squeeze(1) > 0)
        if torch.equal(again, kept):
            break
        kept = again
    return kept
