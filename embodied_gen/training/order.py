"""The order of the data: which windows a step sees, as a function of the seed and the step alone.

Positions 0, 1, 2, ... run through one random permutation of the windows after another; step k takes positions
k batch .. (k + 1) batch - 1. Nothing needs to be stored to continue where a run was interrupted.
"""

from typing import final

import torch
from torch import Tensor

from embodied_gen import draws


@final
class Order:
    """Random passes over n windows.

    Args:
        windows: Number of windows n.
        batch: Windows a step.
        seed: Of the permutations.
    """

    def __init__(self, windows: int, batch: int, seed: int):
        self._windows = windows
        self._batch = batch
        self._seed = seed
        self._passes: dict[int, Tensor] = {}

    def step(self, step: int) -> Tensor:
        """Windows of a step, int64, shape `(batch,)`."""
        start = step * self._batch
        positions = torch.arange(start, start + self._batch)
        passes = positions // self._windows
        first, last = int(passes[0]), int(passes[-1])
        self._passes = {k: v for k, v in self._passes.items() if first <= k <= last}
        return torch.cat([self._pass(k)[positions[passes == k] % self._windows] for k in range(first, last + 1)])

    def _pass(self, number: int) -> Tensor:
        if number not in self._passes:
            stream = draws.generator(self._seed, number)
            self._passes[number] = draws.permutation(self._windows, generator=stream)
        return self._passes[number]
