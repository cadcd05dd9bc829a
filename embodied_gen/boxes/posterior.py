r"""What several draws say of one box.

A detector that draws sets of boxes gives a spread to each of them: in every draw, the box of a detection is the most
overlapping one of its class, if it overlaps by more than a threshold. Over draws these boxes are samples of where the
object is, and the share of draws that have one is how sure it is there.

A draw may hold several boxes of one object. The most overlapping of many is always near the detection, whatever the
spread of each: of boxes of one class in one place only the likeliest one of the draw is followed.
"""

import torch
from torch import Tensor

from embodied_gen.boxes.geometry import corners, iou
from embodied_gen.boxes.suppression import suppress


def followed(
    draws: Tensor, detections: Tensor, labels: Tensor, *, threshold: float = 0.5, likely: float = 0.05
) -> tuple[Tensor, Tensor]:
    """The box of each detection in each draw.

    Args:
        draws: Sets of boxes and scores in physical units, as `BoxSet` has them, shape `(B, n, N, 4 + K)`.
        detections: Boxes (cx, cy, w, h), shape `(B, M, 4)`.
        labels: Their classes, int64, shape `(B, M)`.
        threshold: Least IoU with the detection, in [0, 1].
        likely: Least score of that class, in [0, 1].

    Returns:
        Boxes (cx, cy, w, h), shape `(B, M, n, 4)`, and whether the draw has one, bool, shape `(B, M, n)`; where it
        has none the box is the detection itself.
    """
    overlap = iou(corners(draws[..., :4]).unsqueeze(1), corners(detections)[:, :, None, None])  # (B, M, n, N)
    index = labels[:, :, None, None, None].expand(*overlap.shape, 1)
    of_class = _alone(draws, likely).unsqueeze(1).expand(-1, labels.shape[1], -1, -1, -1).gather(-1, index).squeeze(-1)
    best, place = torch.where(of_class, overlap, -1.0).max(-1)
    found = best > threshold
    boxes = draws[..., :4].unsqueeze(1).expand(-1, labels.shape[1], -1, -1, -1)
    chosen = boxes.gather(3, place[..., None, None].expand(*place.shape, 1, 4)).squeeze(3)
    return torch.where(found.unsqueeze(-1), chosen, detections.unsqueeze(2)), found


def _alone(draws: Tensor, likely: float) -> Tensor:
    """Which boxes of which classes are likely and have no likelier duplicate in their draw, bool, `(B, n, N, K)`."""
    sets, classes = draws.flatten(0, 1), draws.shape[-1] - 4
    scores = sets[..., 4:].flatten(1)
    most = int((scores >= likely).sum(1).max())
    score, pair = scores.topk(most, 1)
    boxes = sets[..., :4].gather(1, (pair // classes).unsqueeze(-1).expand(-1, -1, 4))
    kept = suppress(corners(boxes), score, pair % classes) & (score >= likely)
    return torch.zeros_like(scores, dtype=torch.bool).scatter(1, pair, kept).view(*draws.shape[:3], classes)
