"""Binary events: T steps of D units of two values each; which objects are there, which switches are on.

x = -1 where a unit has its low value and +1 where it has its high one; a unit is off or on in short. The physical
values are any two numbers, such as 0 and 1, or -1 and +1, and are what guides see.

error(x_hat, x) = mean of (x_hat - x)^2 / 4: the share of units that differ, where both are binary.
"""

from typing import final

import torch
from torch import Tensor

from embodied_gen.events.steps import Steps


@final
class Binary(Steps):
    """An event of shape `(T, D)` whose entries are all of two values.

    Args:
        units: Units D of a step, >= 1.
        steps: Steps T, >= 1.
        low: Value of a unit that is off.
        high: Value of a unit that is on.

    Raises:
        ValueError: If there are no units, or low is not below high.
    """

    def __init__(self, units: int, *, steps: int = 1, low: float = 0.0, high: float = 1.0):
        if units < 1 or steps < 1:
            raise ValueError(f"units and steps must be at least 1; got {units} and {steps}.")
        super().__init__((steps, units), [low] * units, [high] * units)

    def scale(self, y: Tensor) -> Tensor:
        """Low to -1 and high to +1; shape `(..., T, D)`."""
        return (y - self.centre) / self.half_width

    def unscale(self, x: Tensor) -> Tensor:
        """-1 to low and +1 to high; shape `(..., T, D)`."""
        return x * self.half_width + self.centre

    def encode(self, value: Tensor) -> Tensor:
        """Physical values, shape `(B, T, D)`, to model units of the same shape.

        Raises:
            ValueError: If a value is neither low nor high.
        """
        self.check(value, "value")
        if not bool(((value == self.low) | (value == self.high)).all()):
            low, high = self.low[0].item(), self.high[0].item()
            raise ValueError(f"values of a binary event must be {low:g} or {high:g}; got others. Round them first.")
        return self.scale(value)

    def decode(self, x: Tensor) -> Tensor:
        """The nearer of both physical values, shape `(B, T, D)`."""
        self.check(x)
        return torch.where(x > 0, self.high, self.low)

    def error(self, x_hat: Tensor, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """Mean squared difference over valid steps in units of both values' distance; `valid` has shape `(B, T)`."""
        return super().error(x_hat, x, valid) / 4
