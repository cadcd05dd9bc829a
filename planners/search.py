r"""A*: the shortest way between two states, by a lower bound of what is left to pay.

States are expanded in the order of f = g + h, with g the cost so far and h an estimate that is never above the cost to
go (admissible): then the first way to the goal is one of least cost. Where h(s) <= cost(s, s') + h(s') too
(consistent), no state is expanded twice; else a state whose way got cheaper is expanded again.

Estimates, times the least cost of a unit of length on the map:

    on a grid of 4 moves, |dr| + |dc|        of 8, the octile distance max + (sqrt 2 - 1) min of |dr| and |dc|
    elsewhere the straight distance

Costs are those of `embodied_gen.graphs`, so that A*, Dijkstra's search and backups agree. Where costs to go of a whole
map or of many goals are wanted, `embodied_gen.graphs.costs_to_go` is the quicker.

Source: Hart, Nilsson and Raphael 1968.
"""

import heapq
import math
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from torch import Tensor

from embodied_gen.graphs import Dynamics, Grid, no_path
from embodied_gen.graphs.shortest import matrix


@final
@dataclass(frozen=True)
class Route:
    """A way of least cost.

    Attributes:
        states: Numbers of the states in turn, start and goal included, int64, shape `(T + 1,)`.
        cost: What it costs.
        expanded: How many times a state was expanded to find it.
    """

    states: np.ndarray
    cost: float
    expanded: int


@final
class AStar:
    """Searches on one map.

    Args:
        dynamics: States and actions of one outcome.
        costs: Of actions, shape `(*Q,)`, not negative, infinite for what is blocked.

    Raises:
        ValueError: If a cost is negative or no number, or actions have several outcomes.
    """

    def __init__(self, dynamics: Dynamics, costs: Tensor):
        graph = matrix(dynamics, costs)
        if graph.data.min(initial=0) < 0:
            raise ValueError(f"A* needs costs that are not negative; got {graph.data.min()}.")
        self.dynamics = dynamics
        self._begin, self._heads, self._costs = graph.indptr, graph.indices, graph.data

    def route(self, start: int, goal: int, estimate: np.ndarray) -> Route:
        """A way of least cost.

        Args:
            start: Number of a state.
            goal: Number of a state.
            estimate: h of every state, not above its cost to go, shape `(n,)`; zeros make it Dijkstra's search.

        Raises:
            ValueError: If a state is outside, the estimate has another shape or is no number, or there is no way.
        """
        self.dynamics.check_numbers(torch.tensor([[start, goal]]))
        if estimate.shape != (len(self._begin) - 1,) or np.isnan(estimate).any():
            raise ValueError(
                f"the estimate must be a number for each of {len(self._begin) - 1} states; got shape {estimate.shape}."
            )
        paid, before, expanded = self._expanded(start, goal, estimate)
        if goal not in paid:
            raise no_path(self.dynamics, 0, start)
        states = [goal]
        while states[-1] != start:
            states.append(before[states[-1]])
        return Route(np.array(states[::-1]), paid[goal], expanded)

    def _expanded(self, start: int, goal: int, estimate: np.ndarray) -> tuple[dict[int, float], dict[int, int], int]:
        """Costs so far and the state before, of the states that were reached; and how many were expanded."""
        paid, before, expanded = {start: 0.0}, {start: start}, 0
        heap = [(float(estimate[start]), 0.0, start)]
        while heap:
            _, cost, state = heapq.heappop(heap)
            if state == goal:
                break
            if cost > paid[state]:
                continue  # a cheaper way was found since
            expanded += 1
            edges = slice(self._begin[state], self._begin[state + 1])
            for head, own in zip(self._heads[edges].tolist(), self._costs[edges].tolist(), strict=True):
                total = cost + own
                if total < paid.get(head, math.inf):
                    paid[head], before[head] = total, state
                    heapq.heappush(heap, (total + float(estimate[head]), total, head))
        return paid, before, expanded


def grid_estimate(grid: Grid, costs: Tensor, goal: int) -> np.ndarray:
    """An admissible and consistent estimate of costs to go on a grid.

    Args:
        grid: Of 4, 8 or 16 moves.
        costs: Of moves, shape `(A, H, W)`.
        goal: Number of a cell.

    Returns:
        Shape `(H W,)`, in the order of the cells' numbers.
    """
    lengths = {number: math.hypot(*move) for number, move in enumerate(grid.moves) if move != (0, 0)}
    least = min(float(costs[number].min()) / length for number, length in lengths.items())
    rate = least if math.isfinite(least) else 0.0  # nothing moves where all is blocked
    row, column = divmod(goal, grid.width)
    rows, columns = np.abs(np.arange(grid.height) - row)[:, None], np.abs(np.arange(grid.width) - column)
    return rate * _distance(rows, columns, grid.connectivity).ravel()


def straight_estimate(places: np.ndarray, goal: int, rate: float) -> np.ndarray:
    """An estimate for states with places: the straight distance to the goal at a rate.

    It is admissible and consistent where every action costs at least the rate times the distance that it covers.

    Args:
        places: Of states [m], shape `(n, 2)`.
        goal: Number of a state.
        rate: Least cost of a metre, not negative.

    Returns:
        Shape `(n,)`.
    """
    return rate * np.linalg.norm(places - places[goal], axis=1)


def _distance(rows: np.ndarray, columns: np.ndarray, connectivity: int) -> np.ndarray:
    if connectivity == 4:
        return (rows + columns).astype(float)
    if connectivity == 8:
        return np.maximum(rows, columns) + (math.sqrt(2) - 1) * np.minimum(rows, columns)
    return np.hypot(rows, columns)
