"""Events of T steps with D channels, of one thing or of several, whose value is a tensor of the same shape.

error(x_hat, x) = sum_{t valid} |x_hat_t - x_t|^2 / (D * number of valid steps)
"""

import abc

from torch import Tensor

from embodied_gen.events.base import Event


class Steps(Event, abc.ABC):
    """An event of shape `(*A, T, D)`; how steps are coded is left to subclasses."""

    def encode(self, value: Tensor) -> Tensor:
        """Physical units, shape `(B, *A, T, D)`, to model units of the same shape."""
        self.check(value, "value")
        return self.scale(value)

    def decode(self, x: Tensor) -> Tensor:
        """Model units, shape `(B, *A, T, D)`, to physical units of the same shape."""
        self.check(x)
        return self.unscale(x)

    def error(self, x_hat: Tensor, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """Mean squared difference over valid steps; `valid` has shape `(B, *A, T)`."""
        steps = (x_hat - x).square().mean(-1).flatten(1)
        if valid is None:
            return steps.mean(-1)
        weight = valid.flatten(1).to(steps.dtype)
        return (steps * weight).sum(-1) / weight.sum(-1).clamp(min=1)
