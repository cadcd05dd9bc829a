"""Roots of increasing functions, many at once.

Newton's steps within a bracket; where one would leave the bracket, or is more than half as long as the step before,
the bracket is halved instead. Of all places tried the one with the smallest value is kept, so that rounding near the
root does no harm.

Source: Press et al., "Numerical Recipes", section 9.4 (rtsafe).
"""

from collections.abc import Callable

import torch
from torch import Tensor


@torch.no_grad()
def increasing_root(
    function: Callable[[Tensor], tuple[Tensor, Tensor]], low: Tensor, high: Tensor, *, iterations: int = 20
) -> Tensor:
    """Where increasing functions are zero.

    Args:
        function: Maps places to values and positive slopes, each of the shape of `low`.
        low: Lower ends of brackets, where the functions are not positive.
        high: Upper ends, where they are not negative.
        iterations: Evaluations; the bracket is at least halved by every second one until Newton's steps converge.

    Returns:
        The roots, of the shape of `low`, without a graph.
    """
    x = best = (low + high) / 2
    smallest = torch.full_like(x, torch.inf)
    moved = high - low
    for _ in range(iterations):
        value, slope = function(x)
        better = value.abs() < smallest
        best, smallest = torch.where(better, x, best), torch.where(better, value.abs(), smallest)
        low, high = torch.where(value < 0, x, low), torch.where(value < 0, high, x)
        step = value / slope
        tried = x - step
        newton = (tried >= low) & (tried <= high) & (2 * step.abs() <= moved)
        new = torch.where(newton, tried, (low + high) / 2)
        x, moved = new, (new - x).abs()
    return best
