r"""Arrival: a way ends near its goal, and every context has a goal of its own.

    margin(y) = tolerance - |y_T - g|

over the channels that the goal is about, of which there may be any number.
"""

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from planners.constraints import Constraint


@final
class Arrival(Constraint):
    """The last way-point lies near the goal.

    Args:
        goal: Goals g of the contexts, shape `(B, G)`.
        tolerance: Largest distance, in the unit of the goal.
        channels: The channels of a way-point that the goal is about, G of them.
    """

    def __init__(self, goal: Tensor, tolerance: float, channels: Sequence[int]):
        self.goal, self.tolerance, self.channels = goal, tolerance, list(channels)
        self.name = f"end within {tolerance:g} of the goal"

    def margins(self, y: Tensor) -> Tensor:
        """Tolerance minus distance, shape `(B, N, 1)`."""
        end = torch.stack([y[:, :, -1, channel] for channel in self.channels], -1)
        return self.tolerance - (end - self.goal[:, None]).norm(dim=-1, keepdim=True)
