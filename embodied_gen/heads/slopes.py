"""Slopes of functions of rows, and the way down along them.

A function of rows maps `(M, *Z)` to `(M,)`, each number of its own row alone, so that the gradient of the sum holds
the gradient of every row.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

OfRows = Callable[[Tensor], Tensor]


def slope(function: OfRows, x: Tensor, *, graph: bool = False) -> tuple[Tensor, Tensor]:
    """Values of a function of rows, and its gradient by x, whether or not gradients are being recorded around.

    Args:
        function: Maps rows to values.
        x: Rows, shape `(M, *Z)`; what they depend on themselves is left out.
        graph: Whether values and gradient shall be differentiable again, by x and by parameters.

    Returns:
        Values `(M,)` and gradients `(M, *Z)`; zeros where the function does not depend on x.
    """
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        value = function(x)
        if not value.requires_grad:
            return value, torch.zeros_like(x)
        (gradient,) = torch.autograd.grad(value.sum(), x, create_graph=graph, allow_unused=True, materialize_grads=True)
    return (value, gradient) if graph else (value.detach(), gradient)


def or_infinite(value: Tensor) -> Tensor:
    """Potentials as samplers read them, same shape: infinite where they are no number, which nothing is drawn at."""
    return torch.nan_to_num(value, nan=math.inf, posinf=math.inf)


def finite_slope(potential: OfRows, x: Tensor) -> tuple[Tensor, Tensor]:
    """`slope` as samplers read it, without a graph: values `or_infinite`, gradients zero where they are not finite."""
    value, gradient = slope(potential, x)
    return or_infinite(value), torch.nan_to_num(gradient, nan=0.0, posinf=0.0, neginf=0.0)


@torch.no_grad()
def descend(function: OfRows, x: Tensor, *, steps: int, step: float) -> Tensor:
    """Rows moved downhill by gradient steps; each takes only those that lower its own value.

    Args:
        function: Maps rows to values, differentiable almost everywhere.
        x: Where the rows start, shape `(M, *Z)`.
        steps: Tried, >= 0.
        step: Length of the first, over the gradient. Each row lengthens its own by a fifth after a success and halves
            it otherwise.

    Returns:
        Rows of the same shape, without a graph, none higher than it started.
    """
    rows = (-1, *[1] * (x.ndim - 1))
    value, gradient = slope(function, x)
    length = torch.full_like(value, step)
    for _ in range(steps):
        tried = x - length.view(rows) * gradient
        new_value, new_gradient = slope(function, tried)
        better = new_value < value
        x = torch.where(better.view(rows), tried, x)
        gradient = torch.where(better.view(rows), new_gradient, gradient)
        value = torch.where(better, new_value, value)
        length = torch.where(better, length * 1.2, length * 0.5)
    return x
