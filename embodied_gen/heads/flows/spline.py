r"""Monotone rational-quadratic splines with linear tails.

Between the knots (x_k, y_k) and (x_{k+1}, y_{k+1}), of slopes d_k and d_{k+1} and mean slope s, with the share
a = (x - x_k) / (x_{k+1} - x_k),

    y(x)  = y_k + (y_{k+1} - y_k) (s a^2 + d_k a (1 - a)) / (s + (d_k + d_{k+1} - 2 s) a (1 - a))
    y'(x) = s^2 (d_{k+1} a^2 + 2 s a (1 - a) + d_k (1 - a)^2) / (s + (d_k + d_{k+1} - 2 s) a (1 - a))^2,

increasing with a continuous slope wherever knots and slopes are positive and in order. The inverse is the root of a
quadratic equation, in the form that does not cancel. Outside of the knots the map is the identity; the slopes of the
outermost knots are one.

Sources: Gregory and Delbourgo 1982; Durkan et al. 2019, "Neural Spline Flows" (arXiv:1906.04032), eq. 4 to 8.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from embodied_gen.softmax import softmax

LEAST = 1e-3  # width and height of a bin as a share of all, and slope at a knot


class Knots(NamedTuple):
    """Knots of splines, each of shape `(..., K + 1)`: places and values ascending from -bound to bound, slopes > 0."""

    x: Tensor
    y: Tensor
    slope: Tensor


class _Bins(NamedTuple):
    """The bin of each value: its lower knot, width, height and the slopes at both ends, each of shape `(...)`."""

    x: Tensor
    y: Tensor
    width: Tensor
    height: Tensor
    slope: Tensor
    next_slope: Tensor


def knots(raw: Tensor, bound: float) -> Knots:
    """Knots from free numbers; zeros give the identity.

    Args:
        raw: K widths, K heights and K - 1 slopes, free, shape `(..., 3 K - 1)`.
        bound: The outermost knots lie at +-bound.
    """
    k = (raw.shape[-1] + 1) // 3
    widths, heights, slopes = raw.split([k, k, k - 1], -1)
    shift = math.log(math.expm1(1 - LEAST))  # where softplus gives a slope of one
    inner = LEAST + functional.softplus(slopes + shift)
    return Knots(_ends(widths, bound), _ends(heights, bound), functional.pad(inner, (1, 1), value=1.0))


def forward(x: Tensor, at: Knots) -> tuple[Tensor, Tensor]:
    """Values and logarithms of the slopes of splines; x of shape `(...)`."""
    inside, bins = _find(x, at.x, at)
    a = ((x - bins.x) / bins.width).clamp(0, 1)
    mean = bins.height / bins.width
    between = a * (1 - a)
    below = mean + (bins.slope + bins.next_slope - 2 * mean) * between
    y = bins.y + bins.height * (mean * a.square() + bins.slope * between) / below
    above = bins.next_slope * a.square() + 2 * mean * between + bins.slope * (1 - a).square()
    log_slope = 2 * mean.log() + above.log() - 2 * below.log()
    return torch.where(inside, y, x), torch.where(inside, log_slope, 0.0)


def inverse(y: Tensor, at: Knots) -> Tensor:
    """Where splines take the values y; shape `(...)`."""
    inside, bins = _find(y, at.y, at)
    mean = bins.height / bins.width
    share = ((y - bins.y) / bins.height).clamp(0, 1)
    bend = share * (bins.slope + bins.next_slope - 2 * mean)
    square, linear, constant = mean - bins.slope + bend, bins.slope - bend, -mean * share
    root = (linear.square() - 4 * square * constant).clamp(min=0).sqrt()
    a = 2 * constant / (-linear - root)
    return torch.where(inside, bins.x + a * bins.width, y)


def _ends(raw: Tensor, bound: float) -> Tensor:
    """Ascending knots from -bound to bound, whose distances are a softmax."""
    count = raw.shape[-1]
    share = LEAST + (1 - LEAST * count) * softmax(raw)
    inner = bound * (2 * share.cumsum(-1)[..., :-1] - 1)
    return functional.pad(functional.pad(inner, (1, 0), value=-bound), (0, 1), value=bound)


def _find(value: Tensor, ends: Tensor, at: Knots) -> tuple[Tensor, _Bins]:
    """Whether values lie between the outermost knots, and their bins; the nearest bin of those that do not."""
    inside = (value >= ends[..., 0]) & (value <= ends[..., -1])
    k = (ends[..., 1:-1] <= value.unsqueeze(-1)).sum(-1, keepdim=True)
    first = [part.gather(-1, k).squeeze(-1) for part in at]
    x, y, slope = (part.gather(-1, k + 1).squeeze(-1) for part in at)
    return inside, _Bins(first[0], first[1], x - first[0], y - first[1], first[2], slope)
