r"""How much masks overlap, with slopes, and their boxes.

    IoU(p, q)  = sum p q / sum (p + q - p q)            for masks p, q in [0, 1] of the same pixels

It is the overlap of sets where masks are 0 or 1, and defined for probabilities.

Source: Ren and Zemel 2017 (arXiv:1605.09410).
"""

import torch
from torch import Tensor

from embodied_gen.rounding import product

_LEAST = 1e-9  # area by which is divided where there is none


def mask_iou(p: Tensor, q: Tensor) -> Tensor:
    """Soft IoU of all pairs of masks, `(B, T, P)` and `(B, N, P)` to `(B, T, N)`; zero where both are empty."""
    shared = product(p, q.mT)  # sums of thousands of pixels
    union = p.sum(2).unsqueeze(2) + q.sum(2).unsqueeze(1) - shared
    return shared / union.clamp(min=_LEAST)


def boxes_of(masks: Tensor) -> Tensor:
    """The smallest boxes (cx, cy, w, h) around masks, shares of the image, `(B, N, H, W)` to `(B, N, 4)`.

    Those of empty masks are zero.
    """
    sides = [_span(masks.amax(along)) for along in (2, 3)]
    first, last = (torch.stack([side[end] for side in sides], -1) for end in (0, 1))
    return torch.cat([(first + last) / 2, last - first], -1)


def _span(there: Tensor) -> tuple[Tensor, Tensor]:
    """Beginning and end of what is positive along the last axis, shares of it; zeros where nothing is."""
    length = there.shape[-1]
    place = torch.arange(length, device=there.device, dtype=there.dtype)
    found = there > 0
    last = torch.where(found, place + 1, 0.0).amax(-1)
    first = torch.minimum(torch.where(found, place, float(length)).amin(-1), last)
    return first / length, last / length
