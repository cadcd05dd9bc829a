r"""How wrong a path is beside a demonstration, as a sum over its moves: what the margin of a hinge grows with.

    Hamming     1 for each cell that is entered and is not one of the demonstration's
    smoothed    min(d / r, 1) for each cell that is entered, d its distance to the nearest of the demonstration's

times a weight. Near misses cost little with the second, so that a path one cell beside the demonstration is no rival.

Source: Ratliff, Bagnell and Zinkevich 2006 for both.
"""

import abc
from typing import final

import torch
from torch import Tensor

from embodied_gen.graphs import Grid


class PathLoss(abc.ABC):
    """A loss of moves.

    Args:
        weight: Of a wrong cell, in units of cost, > 0.

    Raises:
        ValueError: If it is not positive.
    """

    def __init__(self, weight: float):
        if not weight > 0:
            raise ValueError(f"weight must be positive; got {weight}.")
        self.weight = weight

    @final
    def of_moves(self, grid: Grid, states: Tensor, like: Tensor) -> Tensor:
        """Losses of moves beside demonstrations, states `(B, T + 1)` to `(B, A, H, W)`, with the dtype of `like`."""
        return self.weight * grid.ahead(self._of_cells(grid, states).to(like))

    @abc.abstractmethod
    def _of_cells(self, grid: Grid, states: Tensor) -> Tensor:
        """Losses of cells, `(B, H, W)`, from 0 to 1."""


@final
class Hamming(PathLoss):
    """Cells off the demonstration."""

    def __init__(self, weight: float = 1.0):
        super().__init__(weight)

    def _of_cells(self, grid: Grid, states: Tensor) -> Tensor:
        off = torch.ones(len(states), grid.height * grid.width, device=states.device)
        return off.scatter(1, states, 0.0).view(-1, *grid.states)


@final
class Smoothed(PathLoss):
    """Distances to the demonstration.

    Args:
        radius: Distance at which a cell is as wrong as can be, in cells, > 0.
        weight: Of a wrong cell, in units of cost, > 0.

    Raises:
        ValueError: If a number is not positive.
    """

    def __init__(self, radius: float, weight: float = 1.0):
        super().__init__(weight)
        if not radius > 0:
            raise ValueError(f"radius must be positive; got {radius}.")
        self.radius = radius

    def _of_cells(self, grid: Grid, states: Tensor) -> Tensor:
        every = grid.cells(torch.arange(grid.height * grid.width, device=states.device)).float()
        distance = torch.cdist(every, grid.cells(states).float()).amin(2)
        return (distance / self.radius).clamp(max=1).view(-1, *grid.states)
