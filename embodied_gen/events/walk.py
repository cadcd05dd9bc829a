r"""Walks: T positions after one that is known to be the origin, coded as their steps.

    x_t = (y_t - y_{t-1} - centre) / half,    y_0 = 0,    t = 1 .. T,

with the mean of the steps of the data as centre, and three of their deviations as half: bounds that hold all steps
would be those of the rarest, beside which everybody else hardly moves. White noise on x is a random walk in y.
"""

from collections.abc import Callable, Sequence
from typing import final

import torch
from torch import Tensor

from embodied_gen.events.base import bounds_of
from embodied_gen.events.steps import Steps, way_back

_DEVIATIONS = 3.0


@final
class Walk(Steps):
    """An event of shape `(T, D)`; its value is a tensor of positions in physical units of the same shape.

    Args:
        horizon: Number of positions T, >= 1.
        low, high: Bounds of the positions in each channel, physical units, length D.
        step_low, step_high: What -1 and 1 stand for as a step, likewise; steps may be longer.

    Raises:
        ValueError: If there is no position or a channel has no width.
    """

    step_low: Tensor
    step_high: Tensor

    def __init__(
        self,
        horizon: int,
        low: Sequence[float] | Tensor,
        high: Sequence[float] | Tensor,
        step_low: Sequence[float] | Tensor,
        step_high: Sequence[float] | Tensor,
    ):
        if horizon < 1:
            raise ValueError(f"the horizon of a walk must be at least 1; got {horizon}.")
        super().__init__((horizon, len(low)), low, high)
        self.step_low, self.step_high = self._bounds("step_low", "step_high", step_low, step_high)

    @classmethod
    def from_data(cls, values: Tensor) -> "Walk":
        """The walk of windows of data, physical units, shape `(W, T, D)`."""
        steps = _steps(values).flatten(0, 1)
        mean, deviation = steps.mean(0), steps.std(0, correction=0)
        half = torch.where(deviation > 1e-6 * (1 + mean.abs()), _DEVIATIONS * deviation, 1.0)
        return cls(values.shape[1], *bounds_of(values), mean - half, mean + half)

    def scale(self, y: Tensor) -> Tensor:
        """Positions to steps; shape `(..., T, D)`."""
        return (_steps(y) - self._centre) / self._half

    def unscale(self, x: Tensor) -> Tensor:
        """Steps to positions; shape `(..., T, D)`."""
        return self.unscaling()(x)

    def unscaling(self) -> Callable[[Tensor], Tensor]:
        """One affine map and one sum."""
        centre, half = self._centre, self._half
        return lambda x: torch.addcmul(centre, x, half).cumsum(-2)

    def recovery(self, x: Tensor, own: Tensor) -> Tensor:
        """See `Event`."""
        return way_back(x, own)

    @property
    def _centre(self) -> Tensor:
        return (self.step_high + self.step_low) / 2

    @property
    def _half(self) -> Tensor:
        return (self.step_high - self.step_low) / 2


def _steps(y: Tensor) -> Tensor:
    """Differences of positions, the first from the origin."""
    return torch.cat([y[..., :1, :], y.diff(dim=-2)], -2)
