"""Paths: T positions that move little from one to the next, coded as a start and its steps.

    x_1 = (y_1 - centre) / half
    x_t = (y_t - y_{t-1} - step_centre) / step_half,    t = 2 .. T

so that white noise on x is a random walk in y, and a unit of error is a share of a step instead of a share of the
workspace. In values, y_t is the sum of the first t coordinates: guides and bounds see positions as ever.
"""

from collections.abc import Callable, Sequence
from typing import final

import torch
from torch import Tensor

from embodied_gen.events.base import bounds_of
from embodied_gen.events.steps import Steps, way_back


@final
class Path(Steps):
    """An event of shape `(T, D)`; its value is a tensor of positions in physical units of the same shape.

    Args:
        horizon: Number of positions T, >= 2.
        low, high: Bounds of the positions in each channel, physical units, length D.
        step_low, step_high: Bounds of the difference of neighbouring positions, likewise.

    Raises:
        ValueError: If the horizon is below 2 or a channel has no width.
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
        if horizon < 2:
            raise ValueError(f"the horizon of a path must be at least 2; got {horizon}. Use a trajectory.")
        super().__init__((horizon, len(low)), low, high)
        self.step_low, self.step_high = self._bounds("step_low", "step_high", step_low, step_high)

    @classmethod
    def from_data(cls, values: Tensor) -> "Path":
        """The path whose bounds are those of windows of data, physical units, shape `(W, T, D)`."""
        return cls(values.shape[1], *bounds_of(values), *bounds_of(values.diff(dim=1)))

    def scale(self, y: Tensor) -> Tensor:
        """Positions to a start and its steps; shape `(..., T, D)`."""
        start = (y[..., :1, :] - self.centre) / self.half_width
        steps = (y.diff(dim=-2) - self._step_centre) / self._step_half
        return torch.cat([start, steps], dim=-2)

    def unscale(self, x: Tensor) -> Tensor:
        """A start and its steps to positions; shape `(..., T, D)`."""
        return self.unscaling()(x)

    def unscaling(self) -> Callable[[Tensor], Tensor]:
        """One affine map and one sum."""
        centre = torch.cat([self.centre[None], self._step_centre.expand(self.shape[0] - 1, -1)])
        half = self._halves
        return lambda x: torch.addcmul(centre, x, half).cumsum(-2)

    def recovery(self, x: Tensor, own: Tensor) -> Tensor:
        """See `Event`."""
        return way_back(x, own, self._halves)

    @property
    def _halves(self) -> Tensor:
        """What a unit stands for, of the start and of every step, `(T, D)`."""
        return torch.cat([self.half_width[None], self._step_half.expand(self.shape[0] - 1, -1)])

    @property
    def _step_centre(self) -> Tensor:
        return (self.step_high + self.step_low) / 2

    @property
    def _step_half(self) -> Tensor:
        return (self.step_high - self.step_low) / 2
