"""Trajectories: T steps of D channels, an action chunk or a path of states.

The error is the mean squared difference in model units over the steps that are data:

    error(x_hat, x) = sum_{t valid} |x_hat_t - x_t|^2 / (D * number of valid steps).
"""

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from embodied_gen.events.base import Event


@final
class Trajectory(Event):
    """An event of shape `(T, D)`; its value is a tensor in physical units of the same shape.

    Args:
        horizon: Number of steps T, >= 1.
        low: Lower bound of each channel, physical units, length D.
        high: Upper bound of each channel, physical units, length D.

    Raises:
        ValueError: If the horizon is not positive or a channel has no width.
    """

    def __init__(self, horizon: int, low: Sequence[float] | Tensor, high: Sequence[float] | Tensor):
        if horizon < 1:
            raise ValueError(f"horizon must be at least 1; got {horizon}.")
        super().__init__((horizon, len(low)), low, high)

    @classmethod
    def from_data(cls, horizon: int, values: Tensor) -> "Trajectory":
        """A trajectory whose bounds are those of `values`, physical units, shape `(..., D)`.

        A channel that never varies gets bounds one unit to either side, so that it maps to zero.
        """
        flat = values.reshape(-1, values.shape[-1])
        low, high = flat.amin(0), flat.amax(0)
        constant = (high - low) <= 1e-6 * torch.maximum(low.abs(), high.abs())
        return cls(horizon, torch.where(constant, low - 1, low), torch.where(constant, high + 1, high))

    @property
    def horizon(self) -> int:
        """Number of steps T."""
        return self.shape[0]

    @property
    def channels(self) -> int:
        """Number of channels D."""
        return self.shape[1]

    def encode(self, value: Tensor) -> Tensor:
        """Physical units, shape `(B, T, D)`, to model units of the same shape."""
        self.check(value, "value")
        return self.scale(value)

    def decode(self, x: Tensor) -> Tensor:
        """Model units, shape `(B, T, D)`, to physical units of the same shape."""
        self.check(x)
        return self.unscale(x)

    def error(self, x_hat: Tensor, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """Mean squared difference over valid steps; `valid` has shape `(B, T)`."""
        squared = (x_hat - x).square().mean(-1)
        if valid is None:
            return squared.mean(-1)
        weight = valid.to(squared.dtype)
        return (squared * weight).sum(-1) / weight.sum(-1).clamp(min=1)
