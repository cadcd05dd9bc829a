"""Charges: what numbers of cells make the moves of a grid cost.

by length   cost of a unit of length in each cell; a move costs the integral along its segment (see `graphs.grid`),
so that a move between two cells has a cost of its own, the same both ways
by cell     a move costs what the cell costs that it starts in: the visits of cells are charged
by move     every move of every cell has a cost of its own
"""

import abc
from typing import final

import torch
from torch import Tensor

from embodied_gen.graphs import Grid


class Charge(abc.ABC):
    """How numbers of cells are read."""

    @abc.abstractmethod
    def channels(self, grid: Grid) -> int:
        """K: numbers of a cell."""

    @abc.abstractmethod
    def costs(self, grid: Grid, numbers: Tensor) -> Tensor:
        """Costs of moves, `(B, K, H, W)` to `(B, A, H, W)`."""

    @abc.abstractmethod
    def places(self, grid: Grid, numbers: Tensor) -> Tensor:
        """A cost of each cell, `(B, K, H, W)` to `(B, H, W)`."""


@final
class ByLength(Charge):
    """The integral of a map of costs of a unit of length, in cells."""

    def channels(self, grid: Grid) -> int:
        """One."""
        return 1

    def costs(self, grid: Grid, numbers: Tensor) -> Tensor:
        """See `Charge`."""
        return grid.costs_of_moves(numbers[:, 0])

    def places(self, grid: Grid, numbers: Tensor) -> Tensor:
        """The map itself."""
        return numbers[:, 0]


@final
class ByCell(Charge):
    """The cost of the cell that is left, whatever the move."""

    def channels(self, grid: Grid) -> int:
        """One."""
        return 1

    def costs(self, grid: Grid, numbers: Tensor) -> Tensor:
        """See `Charge`."""
        return grid.costs_of_states(numbers[:, 0])

    def places(self, grid: Grid, numbers: Tensor) -> Tensor:
        """The map itself."""
        return numbers[:, 0]


@final
class ByMove(Charge):
    """A number for each move of each cell."""

    def channels(self, grid: Grid) -> int:
        """As many as moves."""
        return grid.actions[0]

    def costs(self, grid: Grid, numbers: Tensor) -> Tensor:
        """The numbers themselves."""
        return numbers

    def places(self, grid: Grid, numbers: Tensor) -> Tensor:
        """The mean over the moves that a cell has."""
        there = grid.available().to(numbers)
        return (numbers * there).sum(1) / there.sum(0).clamp(min=1)


def closed(grid: Grid, costs: Tensor, blocked: Tensor) -> Tensor:
    """Costs of moves `(B, A, H, W)`, infinite for those that cross a blocked cell, bool `(B, H, W)`."""
    walls = grid.costs_of_moves(torch.where(blocked, torch.inf, 0.0))
    return torch.where(walls.isinf(), torch.inf, costs)
