r"""Suppression of duplicates: of boxes of one class in one place the most likely is kept.

With boxes in the order of falling scores, and d_ij = 1 where i < j have one class and overlap by more than a threshold,
greedy suppression is the one solution of

    kept_j = 1 unless some i has kept_i d_ij = 1.

Iterating the equation from all ones fixes at least one more box in the order each time, so that it ends with that
solution, in as many rounds as the longest chain of boxes that suppress one another; mostly a few. Every round is one
matrix product for all images.

Many boxes are taken in blocks of the order: a block is compared with itself and with what earlier ones have kept, which
is the same solution, with memory for few pairs at once. Who needs so many boxes and no more has it end with the block
that brings them.

Where torchvision is installed and its operator works, that finds the solution of a block, ten times as quickly on a CPU
(`boxes.compiled`).

Source: greedy suppression as a fixed point, Zheng et al. 2020 (arXiv:2005.03572), cluster NMS.
"""

import torch
from torch import Tensor

from embodied_gen.boxes import compiled
from embodied_gen.boxes.geometry import corners, iou

BLOCK = 1000
"""Boxes that are compared with one another at once."""
_PAIRS, _MANY = 1 << 20, 1 << 26  # that are compared at once: of a processor, whose caches hold them, and of others


def suppress(
    boxes: Tensor, scores: Tensor, labels: Tensor, *, threshold: float = 0.5, enough: int | None = None
) -> Tensor:
    """Which boxes are kept.

    Args:
        boxes: Corners, shape `(B, P, 4)`.
        scores: Shape `(B, P)`; of equal ones the first goes before the others.
        labels: Classes, int64, shape `(B, P)`; boxes of different classes leave one another alone.
        threshold: IoU above which a box is a duplicate, in [0, 1].
        enough: Boxes of an image after which less likely blocks of `BLOCK` boxes are dropped unseen; none where None.

    Returns:
        Bool, shape `(B, P)`.

    Raises:
        ValueError: If the threshold is out of range.
    """
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold must be an IoU in [0, 1]; got {threshold}.")
    order = scores.argsort(dim=1, descending=True, stable=True)
    sorted_boxes = boxes.gather(1, order.unsqueeze(-1).expand_as(boxes))
    pairs = boxes.shape[1] * min(boxes.shape[1], BLOCK)
    size = max(1, (_PAIRS if boxes.device.type == "cpu" else _MANY) // max(1, pairs))
    parts = zip(sorted_boxes.split(size), labels.gather(1, order).split(size), strict=True)
    kept = torch.cat([_by_blocks(*part, threshold, enough) for part in parts])
    return torch.zeros_like(kept).scatter(1, order, kept)


def survivors(sets: Tensor, *, threshold: float = 0.5) -> Tensor:
    """Scores of sets of boxes, of which a pair of a box and a class that a likelier pair suppresses has none.

    Args:
        sets: Boxes (cx, cy, w, h) and scores of classes, shape `(..., S, 4 + K)`.
        threshold: IoU above which a box is a duplicate, in [0, 1].

    Returns:
        Shape `(..., S, K)`, with the slope of the scores that are left.

    Raises:
        ValueError: If the threshold is out of range.
    """
    scores = sets[..., 4:]
    with torch.no_grad():
        classes = scores.transpose(-1, -2)
        boxes = corners(sets[..., :4]).unsqueeze(-3).expand(*classes.shape, 4)
        by_class, place = classes.reshape(-1, classes.shape[-1]), boxes.reshape(-1, *boxes.shape[-2:])
        kept = suppress(place, by_class, torch.zeros_like(by_class, dtype=torch.long), threshold=threshold)
    return torch.where(kept.view_as(classes).transpose(-1, -2), scores, 0.0)


def _by_blocks(boxes: Tensor, labels: Tensor, threshold: float, enough: int | None) -> Tensor:
    """Which of boxes in order are kept, bool, `(B, P)`."""
    kept = torch.zeros(boxes.shape[:2], dtype=torch.bool, device=boxes.device)
    for first in range(0, boxes.shape[1], BLOCK):
        block = slice(first, first + BLOCK)
        own, label = boxes[:, block], labels[:, block]
        free = torch.ones_like(kept[:, block])
        if first > 0:
            count = kept.sum(1)
            wanting = count < (boxes.shape[1] if enough is None else enough)  # an image does not wait for the others
            if not bool(wanting.any()):
                break
            there, index = kept[:, :first].to(torch.uint8).topk(int(count.max()), 1)
            earlier = boxes.gather(1, index.unsqueeze(-1).expand(-1, -1, 4))
            repeated = _same(earlier, labels.gather(1, index), own, label, threshold) & there.bool().unsqueeze(2)
            free = wanting.unsqueeze(1) & ~repeated.any(1)
        kept[:, block] = _greedy(own, label, free, threshold)
    return kept


def _greedy(boxes: Tensor, labels: Tensor, free: Tensor, threshold: float) -> Tensor:
    """Which of the boxes in order that are free are kept, bool, `(B, P)`."""
    found = compiled.greedy(boxes, labels, free, threshold)
    if found is not None:
        return found
    return _fixed_point(_same(boxes, labels, boxes, labels, threshold).triu(1).to(boxes.dtype), free)


def _same(a: Tensor, of_a: Tensor, b: Tensor, of_b: Tensor, threshold: float) -> Tensor:
    """Which boxes are of one class and in one place, bool, `(B, P, Q)`."""
    overlap = iou(a.unsqueeze(2), b.unsqueeze(1)) > threshold
    return overlap & (of_a.unsqueeze(2) == of_b.unsqueeze(1))


def _fixed_point(duplicates: Tensor, free: Tensor) -> Tensor:
    """What greedy suppression keeps of those that are free, from d_ij of boxes in order; `(B, P, P)` to `(B, P)`."""
    kept = free
    for _ in range(duplicates.shape[1]):
        again = free & ~((kept.to(duplicates.dtype).unsqueeze(1) @ duplicates).squeeze(1) > 0)
        if torch.equal(again, kept):
            break
        kept = again
    return kept
