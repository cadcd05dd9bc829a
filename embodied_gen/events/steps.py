"""Events of T steps with D channels, of one thing or of several, whose value is a tensor of the same shape.

error(x_hat, x) = sum_{t valid} |x_hat_t - x_t|^2 / (D * number of valid steps)
"""

import abc

import torch
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


def way_back(x: Tensor, own: Tensor, half: Tensor | float = 1.0) -> Tensor:
    """`Event.recovery` of events whose value is the sum of their steps.

    Args:
        x: Steps of the event, model units, shape `(..., T, D)`.
        own: Other steps, likewise.
        half: What a unit of each step stands for, which broadcasts; 1 where all stand for the same.
    """
    behind = torch.cumsum((x - own) * half, -2)
    return x + torch.cat([torch.zeros_like(behind[..., :1, :]), behind[..., :-1, :]], -2) / half
