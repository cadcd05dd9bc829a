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
from embodied_gen.boxes.suppression import survivors


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

    Raises:
        ValueError: If shapes do not fit, or a label is no class of the draws.
    """
    _check(draws, detections, labels)
    overlap = iou(corners(draws[..., :4]).unsqueeze(1), corners(detections)[:, :, None, None])  # (B, M, n, N)
    index = labels[:, :, None, None, None].expand(*overlap.shape, 1)
    scores = survivors(draws)
    alone = (scores >= likely) & (scores > 0)
    of_class = alone.unsqueeze(1).expand(-1, labels.shape[1], -1, -1, -1).gather(-1, index).squeeze(-1)
    best, place = torch.where(of_class, overlap, -1.0).max(-1)
    found = best > threshold
    boxes = draws[..., :4].unsqueeze(1).expand(-1, labels.shape[1], -1, -1, -1)
    chosen = boxes.gather(3, place[..., None, None].expand(*place.shape, 1, 4)).squeeze(3)
    return torch.where(found.unsqueeze(-1), chosen, detections.unsqueeze(2)), found


def _check(draws: Tensor, detections: Tensor, labels: Tensor) -> None:
    """Raises `ValueError` for what does not fit together."""
    fits = draws.ndim == 4 and draws.shape[-1] > 4 and labels.ndim == 2 and len(labels) == len(draws)
    if not fits or detections.shape != (*labels.shape, 4):
        shapes = ", ".join(str(tuple(part.shape)) for part in (draws, detections, labels))
        raise ValueError(
            f"draws, detections and labels must have shapes (B, n, N, 4 + K), (B, M, 4) and (B, M); got {shapes}."
        )
    classes = draws.shape[-1] - 4
    if bool(((labels < 0) | (labels >= classes)).any()):
        raise ValueError(
            f"labels must be from 0 to {classes - 1}, the classes of the draws; got {int(labels.min())} to "
            f"{int(labels.max())}. Take detections and draws of one detector."
        )
