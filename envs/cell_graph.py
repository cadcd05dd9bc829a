"""Shortest ways over the cells of a grid.

A way goes from cell to cell, to any of the eight around it. A move costs the mean of its two cells times its length,
which is the integral of the cost along the straight line between their middles. Cells of infinite cost are blocked. A
diagonal move needs both cells beside it free: a body does not pass between two obstacles that touch at a corner.

Costs are positive, so Dijkstra's algorithm finds the cheapest way from everywhere to a goal at once.

Source: Dijkstra 1959; scipy.sparse.csgraph computes it.
"""

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra

_MOVES = ((0, 1), (1, 0), (1, 1), (1, -1))  # half of the moves: each serves both ways


@final
@dataclass(frozen=True, eq=False)
class Ways:
    """The cheapest ways from all cells to one goal.

    Attributes:
        goal: Cell (row, column).
        to_go: Cost of the way from every cell, shape `(H, W)`; infinite where none leads to the goal.
        after: Number of the next cell on the way from every cell, row by row, shape `(H, W)`; negative at the goal and
            where there is no way.
    """

    goal: tuple[int, int]
    to_go: NDArray[np.float64]
    after: NDArray[np.int32]

    def path(self, start: tuple[int, int]) -> NDArray[np.int64]:
        """Cells (row, column) from `start` to the goal, both included, shape `(L, 2)`.

        Raises:
            ValueError: If the start is off the map or no way leads from there to the goal.
        """
        start = checked(start, self.to_go.shape)
        if not np.isfinite(self.to_go[start]):
            raise ValueError(f"no way leads from cell {start} to cell {self.goal}; choose cells that are connected.")
        after, number = self.after.ravel(), start[0] * self.to_go.shape[1] + start[1]
        cells = [number]
        while after[number] >= 0:
            number = int(after[number])
            cells.append(number)
        return np.stack(np.unravel_index(cells, self.to_go.shape), axis=1)


@final
class CellGraph:
    """A grid with costs.

    Args:
        costs: Cost of a metre on every cell [1/m], positive, infinite where blocked, shape `(H, W)`.
        cell: Side of a cell [m].

    Raises:
        ValueError: If a cost is not positive, all are infinite, or the shape is another.
    """

    def __init__(self, costs: NDArray[np.float64], *, cell: float) -> None:
        if costs.ndim != 2 or not (costs > 0).all():
            raise ValueError(f"costs must be positive on every cell of a grid (H, W); got shape {costs.shape}.")
        if not np.isfinite(costs).any():
            raise ValueError("all cells are blocked; at least one must have a finite cost.")
        if not 0 < cell < np.inf:
            raise ValueError(f"cells must have a positive size [m]; got {cell}.")
        self.costs = costs
        self.cell = cell
        self._graph = _edges(costs, cell)

    def ways_to(self, goal: tuple[int, int]) -> Ways:
        """The cheapest ways to a cell (row, column).

        Raises:
            ValueError: If the cell is off the map or blocked.
        """
        goal = checked(goal, self.costs.shape)
        if not np.isfinite(self.costs[goal]):
            raise ValueError(f"the goal, cell {goal}, is blocked; choose one with a finite cost.")
        number = goal[0] * self.costs.shape[1] + goal[1]
        to_go, after = dijkstra(self._graph, directed=False, indices=number, return_predecessors=True)
        return Ways(goal, to_go.reshape(self.costs.shape), after.reshape(self.costs.shape))

    def cost_of(self, path: NDArray[np.int64]) -> float:
        """Cost of a way, cells (row, column) of shape `(L, 2)`, each beside the one before; infinite if it is none.

        Raises:
            ValueError: If it has no cell, or one is off the map.
        """
        if np.ndim(path) != 2 or np.shape(path)[1] != 2 or not len(path):
            raise ValueError(f"a way must be one cell (row, column) or more, shape (L, 2); got {np.shape(path)}.")
        cells = np.array([checked((int(row), int(column)), self.costs.shape) for row, column in path])
        here, there = cells[:-1], cells[1:]
        move = np.abs(there - here)
        beside = np.maximum(self.costs[here[:, 0], there[:, 1]], self.costs[there[:, 0], here[:, 1]])
        if (move.max(axis=1, initial=0) > 1).any() or not np.isfinite(beside).all():
            return float("inf")
        mean = (self.costs[tuple(here.T)] + self.costs[tuple(there.T)]) / 2
        return float((mean * self.cell * np.linalg.norm(move, axis=1)).sum())


def checked(cell: tuple[int, int], shape: tuple[int, ...]) -> tuple[int, int]:
    """A cell (row, column) as whole numbers.

    Raises:
        ValueError: If it is not on the map.
    """
    row, column = cell
    if not (0 <= row < shape[0] and 0 <= column < shape[1]):
        raise ValueError(f"cell {(int(row), int(column))} is outside of the map of {shape[0]} x {shape[1]} cells.")
    return int(row), int(column)


def _edges(costs: NDArray[np.float64], cell: float) -> Any:
    """Every move once, as a sparse matrix of costs."""
    rows, columns = costs.shape
    number = np.arange(rows * columns, dtype=np.int32).reshape(rows, columns)
    starts, ends, prices = [], [], []
    for down, right in _MOVES:
        here = (slice(0, rows - down), slice(max(0, -right), columns - max(0, right)))
        there = (slice(down, rows), slice(max(0, right), columns - max(0, -right)))
        price = (costs[here] + costs[there]) / 2 * cell * float(np.hypot(down, right))
        beside = np.maximum(costs[here[0], there[1]], costs[there[0], here[1]])
        free = np.isfinite(price) & np.isfinite(beside)
        starts.append(number[here][free])
        ends.append(number[there][free])
        prices.append(price[free])
    pairs = (np.concatenate(starts), np.concatenate(ends))
    return coo_array((np.concatenate(prices), pairs), shape=(number.size, number.size)).tocsr()
