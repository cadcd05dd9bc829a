"""Averaged weights: an exponential moving average of the parameters with a warm-up of its decay.

    average <- average + (1 - d_k) (parameter - average),    d_k = min(decay, (1 + k) / (10 + k))

The warm-up, as in TensorFlow's ExponentialMovingAverage, forgets the initial weights in short runs.
"""

import copy
from typing import final

import torch
from torch import Tensor, nn


@final
class Average:
    """Keeps an averaged copy of a module.

    Args:
        module: Followed by `update`.
        decay: In [0, 1).

    Attributes:
        module: The averaged copy, with buffers as in the original.
    """

    def __init__(self, module: nn.Module, decay: float):
        self.module = copy.deepcopy(module).requires_grad_(False)
        self.decay = decay
        self._source: list[Tensor] = list(module.parameters())
        self._target: list[Tensor] = list(self.module.parameters())

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Moves the average after optimiser step number `step`, counted from 0."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self._target, self._source, 1 - decay)
