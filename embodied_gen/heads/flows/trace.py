r"""Derivatives of maps between events: Jacobians, and traces of them.

For rows y_m = f(x_m) with n entries each, the Jacobian is n products with unit vectors, taken at once. Its trace is
also the mean of v J v over probes v with E v v^T = 1 (Hutchinson); signs +-1 have the smallest variance of independent
entries, and are exact where J is diagonal.

Source: Hutchinson 1989; Grathwohl et al. 2019, FFJORD (arXiv:1810.01367).
"""

from collections.abc import Callable

import torch
from torch import Tensor

from embodied_gen import draws

Divergence = Callable[[Tensor, Tensor], Tensor]  # y = f(x) and x, both (M, *E), to the trace of dy/dx, (M,)


def jacobian(y: Tensor, x: Tensor) -> Tensor:
    """dy/dx of each row.

    Args:
        y: Rows computed from `x`, each from its own, shape `(M, *E)`.
        x: Rows of the same shape that require a gradient.

    Returns:
        Shape `(M, n, n)`, first the entry of y; with a graph where gradients are enabled.
    """
    if not y.requires_grad:
        return y.new_zeros(len(y), y[0].numel(), x[0].numel())
    size = y[0].numel()
    unit = torch.eye(size, dtype=y.dtype, device=y.device).view(size, 1, *y.shape[1:]).expand(-1, *y.shape)
    (rows,) = torch.autograd.grad(
        y,
        x,
        unit,
        create_graph=torch.is_grad_enabled(),
        retain_graph=True,
        is_grads_batched=True,
        allow_unused=True,
        materialize_grads=True,
    )
    return rows.flatten(2).transpose(0, 1)


def pull(y: Tensor, x: Tensor, v: Tensor) -> Tensor:
    """The product v dy/dx of each row; shapes `(M, *E)`. With a graph where gradients are enabled."""
    if not y.requires_grad:
        return torch.zeros_like(x)
    (product,) = torch.autograd.grad(
        y, x, v, create_graph=torch.is_grad_enabled(), retain_graph=True, allow_unused=True, materialize_grads=True
    )
    return product


def exact(y: Tensor, x: Tensor) -> Tensor:
    """The trace of dy/dx of each row, `(M,)`: n products."""
    return jacobian(y, x).diagonal(dim1=1, dim2=2).sum(1)


def hutchinson(like: Tensor, *, generator: draws.Generator) -> Divergence:
    """An unbiased estimate of the trace by one probe a row, the same at every call: one product.

    Args:
        like: Rows of the shape, dtype and device of x.
        generator: Draws the probes.
    """
    probe = draws.signs(like.shape, generator=generator, like=like)

    def divergence(y: Tensor, x: Tensor) -> Tensor:
        return (pull(y, x, probe) * probe).flatten(1).sum(1)

    return divergence
