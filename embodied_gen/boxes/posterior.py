r"""What several draws say of one box.

A detector that draws sets of boxes gives a spread to each of them: in every draw, the box of a detection is the most
overlapping one of its class, if it overlaps by more than a threshold. Over draws these boxes are samples of where the
object is, and the share of draws that have one is how sure it is there.
"""

import torch
from torch import Tensor

from embodied_gen.boxes.geometry import corners, iou


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
    of_class = draws[..., 4:].unsqueeze(1).expand(-1, labels.shape[1], -1, -1, -1).gather(-1, index).squeeze(-1)
    best, place = torch.where(of_class >= likely, overlap, -1.0).max(-1)
    found = best > threshold
    boxes = draws[..., :4].unsqueeze(1).expand(-1, labels.shape[1], -1, -1, -1)
    chosen = boxes.gather(3, place[..., None, None].expand(*place.shape, 1, 4)).squeeze(3)
    return torch.where(found.unsqueeze(-1), chosen, detections.unsqueeze(2)), found
