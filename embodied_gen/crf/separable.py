"""Kernels of positions alone, exactly: on a grid exp(-dx^2 / 2) exp(-dy^2 / 2) filters columns, then rows."""

from typing import final

import torch
from torch import Tensor

from embodied_gen.crf.filters import Filter


@final
class Separable(Filter):
    """K of a grid, exact.

    Args:
        grid: Height H and width W.
        position: Deviation [pixels], a scalar.
    """

    def __init__(self, grid: tuple[int, int], position: Tensor):
        self.rows, self.columns = (_along(size, position) for size in grid)

    def __call__(self, values: Tensor) -> Tensor:
        """K times values."""
        height, width = len(self.rows), len(self.columns)
        inside = self.columns @ values.reshape(-1, width, values.shape[2])
        return (self.rows @ inside.view(len(values), height, -1)).view_as(values)


def _along(size: int, position: Tensor) -> Tensor:
    place = torch.arange(size, dtype=position.dtype, device=position.device) / position
    return (-(place[:, None] - place).square() / 2).exp()
