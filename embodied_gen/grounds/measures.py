r"""Measures of samples against the truth.

    sliced W2(a, b)^2 = mean over directions e of  mean_i (a_(i) - b_(i))^2,   a_(i) the sorted e.a

with the same directions every time, all around the half circle: two samples of one density have a distance too, the
floor, by which others are divided.

Calibration: of n samples of one context, the interval between the quantiles (1 - q)/2 and (1 + q)/2 of each number
should hold the truth with probability q. Quantiles are order statistics at rank q (n + 1): where (n + 1) (1 - q)/2 are
whole numbers, as for 39 samples and the levels here, right samples hold it with probability q exactly (see
`statistics.calibration`). The error is the mean of |share - q| over levels q.

Sources: Bonneel et al. 2015, "Sliced and Radon Wasserstein barycenters of measures"; Gneiting & Raftery 2007.
"""

import math

import torch
from torch import Tensor

from embodied_gen import statistics

LEVELS = (0.5, 0.8, 0.95)
"""Nominal coverages q."""


def sliced_w2(a: Tensor, b: Tensor, directions: int = 100) -> Tensor:
    """Sliced Wasserstein-2 distance of as many points of two clouds.

    Args:
        a: Points in the plane, shape `(..., n, 2)`.
        b: Points, same shape.
        directions: Number of directions, >= 1.

    Returns:
        Distances in the unit of the points, shape `(...)`.

    Raises:
        ValueError: If the shapes differ or the points are not in the plane.
    """
    if a.shape != b.shape or a.shape[-1] != 2:
        raise ValueError(
            f"clouds must have one shape (..., n, 2); got {tuple(a.shape)} and {tuple(b.shape)}. Draw as many of both."
        )
    return apart(slices(a, directions), slices(b, directions))


def slices(cloud: Tensor, directions: int = 100) -> Tensor:
    """Points `(..., n, 2)` along each direction, sorted, shape `(..., directions, n)`: of a cloud that is met often."""
    angle = torch.arange(directions, dtype=cloud.dtype, device=cloud.device) * math.pi / directions
    axes = torch.stack([angle.cos(), angle.sin()], -1)
    return torch.sort(axes @ cloud.mT).values  # points last: sorting is along rows


def apart(a: Tensor, b: Tensor) -> Tensor:
    """Sliced Wasserstein-2 distance of two clouds by their `slices` of one shape; shape `(...)`."""
    return (a - b).square().mean((-1, -2)).sqrt()


def coverage(samples: Tensor, truth: Tensor, levels: tuple[float, ...] = LEVELS) -> Tensor:
    """How often central intervals of samples hold the truth.

    Args:
        samples: Draws for each context, shape `(B, n, *E)`.
        truth: One value for each context, shape `(B, *E)`.
        levels: Nominal coverages, each in (0, 1).

    Returns:
        Shares over contexts and numbers of an event, shape `(len(levels),)`.
    """
    shares = statistics.coverage(samples.movedim(1, -1).cpu().numpy(), truth.cpu().numpy(), levels)
    return torch.from_numpy(shares)


def calibration_error(shares: Tensor, levels: tuple[float, ...] = LEVELS) -> float:
    """Mean distance of coverages, shape `(len(levels),)`, from their levels."""
    return float((shares - shares.new_tensor(levels)).abs().mean())
