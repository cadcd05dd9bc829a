"""Derivatives of networks by their inputs, which can be differentiated once more by the weights.

`slope` is the gradient of one number a row, by reverse differentiation. `change` is the derivative of a network along
a direction, by forward differentiation: for about the price of two evaluations, however many inputs there are.

The fast kernels of attention know no second derivatives: networks are evaluated with the plain one here.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel


def slope(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Gradient of a function of each row, with a graph to the function's weights where gradients are recorded.

    Args:
        function: Maps rows `(M, *E)` to numbers `(M,)`, each of its own row.
        x: Where, shape `(M, *E)`.

    Returns:
        Gradients of the same shape.
    """
    recorded = torch.is_grad_enabled()
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
        x = x.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(
            function(x).sum(), x, create_graph=recorded, allow_unused=True, materialize_grads=True
        )
    return gradient


def change(function: Callable[..., Tensor], at: tuple[Tensor, ...], along: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    """Value of a function, with its graph, and its derivative along a direction, without.

    Args:
        function: Maps tensors to a tensor.
        at: Its arguments.
        along: The direction, tensors of the same shapes.

    Returns:
        Value and derivative, of the shape of the value.
    """
    with sdpa_kernel(SDPBackend.MATH):
        value, derivative = torch.func.jvp(function, at, along)  # type: ignore[misc]  # three with auxiliary values
    return value, derivative.detach()
