r"""Where to pick a thing of which only boxes are known.

A pick at p succeeds on a box with centre c and sides s if p is well inside: with the relative distance
r = max over both axes of 2 |p - c| / s, if r < k, where k is the share of a box that is surely on the thing. Of N boxes
that may be the thing's, with weights w (posterior samples, or detections with their scores), the place is the one of
the N centres and their weighted mean that has the largest

    sum_n w_n max(0, 1 - r_n(p) / k) / sum_n w_n,

the mean safety of the pick. One box gives its centre; boxes around one thing give about their mean; boxes of two things
give a place on one of them, never between. The support of a place is the share of w with r_n < k, an estimate of the
chance that the pick succeeds.

Where several things will do, a set of boxes for each of them, the likeliest pick comes first: the chance of a place is
its support times the mean weight of its boxes, which is the share of draws that hold the thing at all.
"""

from typing import NamedTuple, final

import torch
from torch import Tensor


class Place(NamedTuple):
    """Where to pick."""

    at: Tensor  # shares of the picture's width and height, (B, 2)
    support: Tensor  # share of the boxes on which the pick succeeds, (B,)


@final
class BoxGrasp:
    """Chooses places from boxes.

    Args:
        size: Width and height of the picture [px].
        core: Share k of a box's sides, in (0, 1].

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(self, size: tuple[int, int], *, core: float = 0.5):
        if min(size) < 1:
            raise ValueError(f"size must be a width and a height of at least 1 px; got {size}.")
        if not 0 < core <= 1:
            raise ValueError(f"core must be a share of a box in (0, 1]; got {core}.")
        self.size, self.core = size, core

    def choose(self, boxes: Tensor, weights: Tensor | None = None) -> Place:
        """The place for each of B things.

        Args:
            boxes: x0, y0, x1, y1 [px], shape `(B, N, 4)`.
            weights: Not negative, shape `(B, N)`; boxes of weight 0 are padding. All equal where None.

        Raises:
            ValueError: If shapes do not fit, a thing has no box that weighs something, or such a box has no area.
        """
        weights = boxes.new_ones(boxes.shape[:-1]) if weights is None else weights.to(boxes)
        _check(boxes, weights)
        there = (weights > 0).unsqueeze(-1)
        weights = weights / weights.sum(-1, keepdim=True)
        centres = torch.where(there, (boxes[..., :2] + boxes[..., 2:]) / 2, 0.0)
        sides = torch.where(there, boxes[..., 2:] - boxes[..., :2], 1.0)
        mean = (weights.unsqueeze(-1) * centres).sum(1, keepdim=True)
        # Padding repeats the mean, so that it can be no better than it.
        places = torch.cat([mean, torch.where(there, centres, mean)], dim=1)  # (B, N + 1, 2)
        offset = (places.unsqueeze(2) - centres.unsqueeze(1)).abs()
        relative = (2 * offset / sides.unsqueeze(1)).amax(-1) / self.core  # (B, N + 1, N)
        safety = torch.einsum("bpn,bn->bp", (1 - relative).clamp(min=0), weights)
        best = safety.argmax(1)
        rows = torch.arange(len(boxes), device=boxes.device)
        support = torch.einsum("bn,bn->b", (relative[rows, best] < 1).to(weights), weights)
        return Place(places[rows, best] / boxes.new_tensor(self.size), support)

    def ranked(self, boxes: Tensor, weights: Tensor) -> Place:
        """Places on M things of which any will do, the likeliest pick first.

        Args:
            boxes: Of N draws for each thing, x0, y0, x1, y1 [px], shape `(M, N, 4)`.
            weights: How much each draw has of the thing, in [0, 1], shape `(M, N)`; a thing may have none.

        Returns:
            Places of the things that some box has, with their chances as support, `(m, 2)` and `(m,)`, m <= M.

        Raises:
            ValueError: As `choose`, or if a weight is above one.
        """
        if bool((weights > 1).any()):
            raise ValueError(f"weights must lie in [0, 1]; got {weights.max().item():g}.")
        some = (weights > 0).any(-1)
        place = self.choose(boxes[some], weights[some])
        chance = place.support * weights[some].to(place.support).mean(-1)
        order = chance.argsort(descending=True, stable=True)
        return Place(place.at[order], chance[order])


def _check(boxes: Tensor, weights: Tensor) -> None:
    if boxes.ndim != 3 or boxes.shape[-1] != 4 or weights.shape != boxes.shape[:2]:
        raise ValueError(
            f"boxes must have shape (B, N, 4) and weights (B, N); got {tuple(boxes.shape)} and {tuple(weights.shape)}."
        )
    if not (weights.isfinite().all() and (weights >= 0).all() and (weights > 0).any(-1).all()):
        raise ValueError("weights must be finite, none negative and one positive for each thing. Leave out the others.")
    empty = (weights > 0) & ~(boxes[..., 2:] > boxes[..., :2]).all(-1)
    if empty.any():
        box = boxes[empty][0].tolist()
        raise ValueError(f"a box must have x0 < x1 and y0 < y1; got {box}. Give it the weight 0, or leave it out.")
