r"""Paths over a map of H x W cells: the centres of the cells that are visited, in metres.

Cell (i, j), row i and column j, is the square whose lower left corner is origin + cell (j, i); so a way-point in the
middle of it is

    y = origin + cell (j + 1/2, i + 1/2),

x first: columns run along x and rows along y, row 0 the lowest. A path of n <= T moves has T + 1 way-points, of which
those after the last repeat it. What a move is, the grid says; where it has a stay, a path may stand still and go on.
A guide sees way-points in metres, like those of any other head.
"""

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from embodied_gen.events.channelwise import Channelwise
from embodied_gen.events.steps import Steps
from embodied_gen.graphs import Grid


@final
class GridPath(Channelwise, Steps):
    """An event of shape `(T + 1, 2)`; its value is a tensor of way-points [m] of the same shape.

    Args:
        grid: The cells, and which moves there are between them.
        moves: T, >= 1.
        cell: Side of a cell [m], > 0.
        origin: Lower left corner of cell (0, 0) [m].

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(self, grid: Grid, moves: int, *, cell: float = 1.0, origin: Sequence[float] = (0.0, 0.0)):
        if moves < 1:
            raise ValueError(f"a path needs at least one move; got {moves}.")
        if not 0 < cell < float("inf"):
            raise ValueError(f"the side of a cell must be positive and finite; got {cell}.")
        low = torch.as_tensor(origin, dtype=torch.get_default_dtype())
        super().__init__((moves + 1, 2), low, low + cell * low.new_tensor([grid.width, grid.height]))
        self.grid, self.cell = grid, cell

    @property
    def moves(self) -> int:
        """T."""
        return self.shape[0] - 1

    def padded(self, paths: Sequence[Tensor]) -> Tensor:
        """Way-points of paths of different lengths, each `(n + 1, 2)`, as one value `(B, T + 1, 2)`.

        Raises:
            ValueError: If a path has no way-point or more than T + 1.
        """
        for number, path in enumerate(paths):
            if path.ndim != 2 or path.shape[1] != 2 or not 1 <= len(path) <= self.shape[0]:
                raise ValueError(
                    f"a path must have shape (n, 2) with n from 1 to {self.shape[0]}; demonstration {number} has "
                    f"{tuple(path.shape)}. Allow more moves or cut it."
                )
        return torch.stack([torch.cat([path, path[-1:].expand(self.shape[0] - len(path), -1)]) for path in paths])

    def encode(self, value: Tensor) -> Tensor:
        """Way-points [m], each anywhere in its cell, shape `(B, T + 1, 2)`, to those of the centres in model units.

        Raises:
            ValueError: If the shape is wrong, or a path leaves the map or makes what is no move.
        """
        self.check(value, "value")
        return self.coded(self._followed(value))

    def decode(self, x: Tensor) -> Tensor:
        """Centres [m] of the cells in which way-points lie, `(B, T + 1, 2)`; those outside count as at the rim."""
        self.check(x)
        cells = self._cells(self.unscale(x)).nan_to_num()
        rim = cells.new_tensor(self.grid.states) - 1
        return self.centres(self.grid.index(cells.clamp(min=0).minimum(rim).long()))

    def states(self, x: Tensor) -> Tensor:
        """Numbers of the cells of paths in model units, `(B, T + 1, 2)` to int64 `(B, T + 1)`.

        Raises:
            ValueError: As `encode`.
        """
        self.check(x)
        return self._followed(self.unscale(x))

    def coded(self, states: Tensor) -> Tensor:
        """Numbered cells in model units; `(...)` to `(..., 2)`."""
        return self.scale(self.centres(states))

    def centres(self, states: Tensor) -> Tensor:
        """Centres of numbered cells [m]; `(...)` to `(..., 2)`."""
        return self.low + self.cell * (self.grid.cells(states).flip(-1) + 0.5).to(self.low.dtype)

    def located(self, positions: Tensor, name: str) -> Tensor:
        """Numbers of the cells in which positions [m] lie, `(B, 2)` to int64 `(B,)`.

        Raises:
            ValueError: If one lies outside of the map, with its name and number.
        """
        cells = self._cells(positions)
        outside = (~self._inside(cells)).nonzero()
        if len(outside):
            number = int(outside[0])
            raise ValueError(
                f"{name} {number} must lie on {self._extent()}; got {positions[number].tolist()} m. "
                "Give the middle of a cell."
            )
        return self.grid.index(cells.long())

    def transitions(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Actions at each step but the last, and which of them may lead to the next state.

        Args:
            states: Numbers of cells, shape `(B, T + 1)`.

        Returns:
            Numbers of actions, -1 for none, int64, and bool; both of shape `(B, T, A)`.
        """
        options = self.grid.options(states[:, :-1])
        leads = self.grid.heads(options.clamp(min=0)) == states[:, 1:].unsqueeze(-1)
        return options, leads & (options >= 0)

    def _followed(self, y: Tensor) -> Tensor:
        """Numbers of the cells of way-points [m], refused where they are no path."""
        cells = self._cells(y)
        outside = (~self._inside(cells)).nonzero()
        if len(outside):
            number, step = outside[0].tolist()
            raise ValueError(
                f"demonstration {number} leaves {self._extent()} at step {step}, where it is at "
                f"{y[number, step].tolist()} m; cut it or take a larger map."
            )
        states = self.grid.index(cells.long())
        stands = states.diff(dim=1) == 0
        ended = stands.flip(1).cumprod(1).flip(1).bool()
        wrong = (~(self.transitions(states)[1].any(-1) | ended)).nonzero()
        if len(wrong):
            raise ValueError(self._no_move(states, stands, *wrong[0].tolist()))
        return states

    def _no_move(self, states: Tensor, stands: Tensor, number: int, step: int) -> str:
        here, there = (self.grid.place(int(states[number, k])) for k in (step, step + 1))
        if stands[number, step]:
            return (
                f"demonstration {number} stands still in {here} after step {step} and goes on, but the grid has no "
                "stay; drop the repeated cells or give the grid a stay."
            )
        return (
            f"demonstration {number} jumps after step {step}: no move leads from {here} to {there}; fill the gap with "
            "cells or take a grid of more moves."
        )

    def _cells(self, y: Tensor) -> Tensor:
        """Rows and columns of positions [m], whole numbers of a floating type."""
        return ((y - self.low) / self.cell).floor().flip(-1)

    def _inside(self, cells: Tensor) -> Tensor:
        return ((cells >= 0) & (cells < cells.new_tensor(self.grid.states))).all(-1)

    def _extent(self) -> str:
        return f"the map of {self.grid.height} x {self.grid.width} cells from {self.low.tolist()} m"
