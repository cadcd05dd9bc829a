r"""Curvature of planned paths: how sharply they turn at a way-point.

Between steps a and b with the turn phi it is that of the circle through their three way-points,

    kappa = 2 sin(phi) / |a + b|                                                      up to a right angle.

Beyond it the circle grows again where the steps are of different lengths, up to a straight line for a reversal. In its
place

    kappa^2 = 4 (sin(phi)^2 / (|a|^2 + |b|^2) + (s + s^2) / (2 min(|a|, |b|)^2)),     s = -cos(phi),

grows with the turn up to 2 / min(|a|, |b|). It is the circle's at a right angle, and at any turn between steps of one
length.
"""

import math
from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from planners.constraints import Constraint, _length, _need, _plane, position


@final
class CurvatureLimit(Constraint):
    """The path turns no more sharply than a limit.

    Args:
        limit: [1/m], > 0; the inverse of a turning radius.
        channels: The two channels that are the position.
    """

    def __init__(self, limit: float, *, channels: Sequence[int] = (0, 1)):
        if not 0 < limit < math.inf:
            raise ValueError(f"limit must be positive and finite; got {limit}.")
        self.limit = limit
        self.channels = _plane(channels)
        self.name = f"curvature at most {limit:g} /m"

    def margins(self, y: Tensor) -> Tensor:
        """Limit minus curvature at every inner way-point [1/m], `(B, N, T - 2)`.

        Where two way-points coincide there is no circle and nothing is turned. Steps that are shorter than 1e-6 m count
        as the less, the shorter they are.

        Raises:
            ValueError: If the path has fewer than three way-points.
        """
        _need(y, 3, "a curvature")
        step = position(y, self.channels).diff(dim=-2)
        a, b = step[..., :-1, :], step[..., 1:, :]
        along = a[..., 0] * b[..., 0] + a[..., 1] * b[..., 1]
        aside = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
        first, second = _length(a), _length(b)
        back = torch.relu(-along / (first * second))
        chord = first.square() + second.square() + 2 * torch.relu(along)
        shorter = torch.minimum(first, second)
        turned = (aside / (first * second)).square() / chord + (back + back.square()) / (2 * shorter.square())
        return self.limit - 2 * (turned + 1e-16).sqrt()
