"""Trajectories: T steps of D channels, each step on its own; an action chunk.

x_t = (y_t - centre) / half,    centre = (high + low) / 2,    half = (high - low) / 2
"""

from collections.abc import Sequence
from typing import final

from torch import Tensor

from embodied_gen.events.base import bounds_of
from embodied_gen.events.channelwise import Channelwise
from embodied_gen.events.steps import Steps


@final
class Trajectory(Channelwise, Steps):
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
    def from_data(cls, values: Tensor) -> "Trajectory":
        """The trajectory whose bounds are those of windows of data, physical units, shape `(W, T, D)`."""
        return cls(values.shape[1], *bounds_of(values))
