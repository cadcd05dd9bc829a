r"""Constraints and costs of sets of boxes, such as a detector draws.

A set y has shape `(B, N, S, 4 + K)`: S slots with a box (cx, cy, w, h), in shares of the image, and scores of K
classes; s is the highest score of a slot. Constraints are about things that are likely, and ask nothing of slots that
hold none:

    apart     b - max_{j != i} s_i s_j IoU_ij                       no two likely boxes in one place
    within    max(least distance to the region's rim, a - s_i)      a box lies in the region, or is unlikely

    count     (sum_{i <= n} max(0, 1/2 - s_(i))^2 + sum_{i > n} max(0, s_(i) - 1/2)^2) / unit^2        n things

with the falling scores s_(1), s_(2), ..: how far scores are from those of a set with n likely boxes, squared. What is
not sure to be a thing costs nothing where enough others are.

A set that a detector draws holds most things several times, and is read as what becomes of it when it is merged: each
pair of a box and a class is a thing of its own, and one that a likelier pair of its class suppresses (IoU above a half)
is a duplicate, which neither conflicts with that one nor counts. Two likely classes of one slot are two things in one
place. So s_i is the highest score that is left to a slot, or the highest two of one slot are taken where i = j, and the
scores that are counted are the S highest of all that are left.
"""

import math
from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from embodied_gen.boxes import corners, iou, survivors
from planners.constants import Constant
from planners.constraints import Constraint

_THING = 0.5  # score from which on a box is a thing, as in the values of `BoxSet`


@final
class BoxesApart(Constraint):
    """No two likely boxes are in one place.

    Args:
        bound: Largest overlap b of two boxes, as s_i s_j IoU, in (0, 1).

    Raises:
        ValueError: If the bound is out of range.
    """

    def __init__(self, bound: float):
        if not 0 < bound < 1:
            raise ValueError(f"bound must be an overlap strictly between 0 and 1; got {bound}.")
        self.bound = bound
        self.name = f"no two boxes overlap by more than {bound:g}"

    def margins(self, y: Tensor) -> Tensor:
        """The bound minus the worst overlap of each box, `(B, N, S)`."""
        require_boxes(y, self.name)
        return self.bound - _shared(y).amax(-1)


@final
class BoxesWithin(Constraint):
    """Every likely box lies in a rectangle of the image.

    Args:
        low: Its upper left corner, shares of the image.
        high: Its lower right corner, below and to the right of the first.
        likely: Score a up to which a box may lie anywhere, in [0, 1).

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(self, low: Sequence[float], high: Sequence[float], *, likely: float = 0.5):
        pairs = list(zip(low, high, strict=True))
        if len(pairs) != 2 or not all(-math.inf < a < b < math.inf for a, b in pairs):
            raise ValueError(f"low must be below high in both axes, all finite; got {list(low)} and {list(high)}.")
        if not 0 <= likely < 1:
            raise ValueError(f"likely must be a score in [0, 1); got {likely}.")
        self.low, self.high, self.likely = tuple(map(float, low)), tuple(map(float, high)), likely
        self._low, self._high = Constant(self.low), Constant(self.high)
        self.name = f"boxes with a score above {likely:g} lie in {list(self.low)} to {list(self.high)}"

    def margins(self, y: Tensor) -> Tensor:
        """By how much each box lies within the rectangle, or is not likely, `(B, N, S)`."""
        require_boxes(y, self.name)
        ends = corners(y[..., :4])
        inside = torch.minimum(ends[..., :2] - self._low.like(y), self._high.like(y) - ends[..., 2:]).amin(-1)
        return torch.maximum(inside, self.likely - _score(y))


@final
class BoxCount:
    """A cost of sets that do not hold a known number of things.

    Args:
        count: Things n, >= 0.
        unit: Distance of scores to those of such a set at a cost of one, > 0.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(self, count: int, *, unit: float = 0.1):
        if not (isinstance(count, int) and count >= 0) or not 0 < unit < math.inf:
            raise ValueError(
                f"count must be a whole number of at least 0 and unit positive and finite; got {count} and {unit}."
            )
        self.count, self.unit = count, unit
        self.name = f"{count} things"

    def __call__(self, y: Tensor) -> Tensor:
        """The squared distance over that of the unit, `(B, N)`."""
        require_boxes(y, self.name)
        score = _alone(y).flatten(2).topk(y.shape[2], -1).values
        wanted, others = score[..., : self.count], score[..., self.count :]
        # Things that the set has no slot for are as far away as those without any score.
        lacking = (_THING**2) * (self.count - wanted.shape[-1])
        off = (_THING - wanted).clamp(min=0).square().sum(-1) + (others - _THING).clamp(min=0).square().sum(-1)
        return (off + lacking) / self.unit**2


def require_boxes(y: Tensor, name: str) -> None:
    """Raises `ValueError` if y is no set of boxes."""
    if y.ndim != 4 or y.shape[-1] < 5:
        raise ValueError(f"{name}: sets of boxes have shape (B, N, S, 4 + K) with K >= 1; got {tuple(y.shape)}.")


def _score(y: Tensor) -> Tensor:
    return y[..., 4:].amax(-1)


def _alone(y: Tensor) -> Tensor:
    """Scores that are left without duplicates, in [0, 1], `(B, N, S, K)`."""
    return survivors(y).clamp(0, 1)


def _overlaps(y: Tensor) -> Tensor:
    """IoU of all pairs of boxes of a set, `(B, N, S, S)`; zero of a box with itself, which has no slope."""
    ends = corners(y[..., :4])
    self_pairs = torch.eye(y.shape[2], dtype=torch.bool, device=y.device)
    return torch.where(self_pairs, 0.0, iou(ends.unsqueeze(-2), ends.unsqueeze(-3)))


def _shared(y: Tensor) -> Tensor:
    """s_i s_j IoU_ij of slots, and of the two likeliest classes of a slot in the last column; `(B, N, S, S + 1)`."""
    scores = _alone(y)
    first, *others = scores.topk(min(2, scores.shape[-1]), -1).values.unbind(-1)
    second = others[0] if others else torch.zeros_like(first)
    between = _overlaps(y) * first.unsqueeze(-1) * first.unsqueeze(-2)
    return torch.cat([between, (first * second).unsqueeze(-1)], -1)
