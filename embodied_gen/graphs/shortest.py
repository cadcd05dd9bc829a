"""Shortest paths by scipy's compiled searches: costs to go, and paths, for actions of one outcome.

Dijkstra's algorithm where no cost is negative, else that of Bellman and Ford, which is much slower and finds negative
cycles. Costs are those of backups (`Grid.costs_of_moves` and the like), so that costs to go are the values of
`ToGoal` under the rule `Hard`.
"""

import numpy as np
import torch
from scipy.sparse import csr_array
from scipy.sparse.csgraph import NegativeCycleError, bellman_ford, dijkstra
from torch import Tensor

from embodied_gen.graphs.dynamics import Dynamics
from embodied_gen.graphs.horizon import fitting, no_path
from embodied_gen.graphs.paths import Paths


def matrix(dynamics: Dynamics, costs: Tensor) -> csr_array:
    """Costs between states, of one map, as a sparse matrix: an entry for each action of finite cost.

    Entries of parallel edges stand beside each other, and one may be zero; scipy's searches take both as they are.

    Args:
        dynamics: States and actions of one outcome.
        costs: Shape `(*Q,)`.

    Raises:
        ValueError: If actions have several outcomes, or a cost is no number or minus infinity.
    """
    return _matrix(dynamics, dynamics.checked(costs.unsqueeze(0))[0])


def costs_to_go(dynamics: Dynamics, costs: Tensor, goals: Tensor) -> Tensor:
    """The least cost of a way from every state to the goal of each row, infinite where there is none.

    Args:
        dynamics: States and actions of one outcome.
        costs: Of actions, shape `(B, *Q)`; one row serves all goals.
        goals: Numbers of states, int64, shape `(B,)`.

    Returns:
        Shape `(B, *S)`, with the dtype and device of the costs; it has no slope.

    Raises:
        ValueError: As `matrix`, or if rows do not fit, a goal is outside, or a map has a cycle of negative cost.
    """
    dynamics.check_numbers(goals)
    fitting(costs, goals)
    costs, numbers, alone = dynamics.checked(costs), goals.cpu().numpy(), len(costs) == 1
    parts = [
        _search(_matrix(dynamics, own).T.tocsr(), numbers if alone else numbers[[row % len(numbers)]], row)[0]
        for row, own in enumerate(costs)
    ]
    return torch.from_numpy(np.concatenate(parts)).to(costs).view(-1, *dynamics.states)


def shortest(dynamics: Dynamics, costs: Tensor, starts: Tensor, goals: Tensor) -> Paths:
    """One path of least cost for each row.

    Args:
        dynamics: States and actions of one outcome.
        costs: Of actions, shape `(B, *Q)`; one row serves all.
        starts: Numbers of states, int64, shape `(B,)`; one serves all.
        goals: The same.

    Raises:
        ValueError: As `costs_to_go`, or if no way leads from a start to its goal.
    """
    dynamics.check_numbers(starts)
    dynamics.check_numbers(goals)
    rows = fitting(costs, starts, goals)
    costs = dynamics.checked(costs)
    graphs = [_matrix(dynamics, own) for own in costs]
    pairs = zip(starts.expand(rows).tolist(), goals.expand(rows).tolist(), strict=True)
    ways = [_way(dynamics, graphs[row % len(graphs)], *pair, row) for row, pair in enumerate(pairs)]
    longest = max(len(way) for way in ways)
    states = torch.tensor([way + [-1] * (longest - len(way)) for way in ways], device=costs.device)
    return Paths(states.unsqueeze(1), _cheapest(dynamics, costs, states).unsqueeze(1))


def _matrix(dynamics: Dynamics, costs: Tensor) -> csr_array:
    begin, heads, numbers = dynamics.edges(costs)
    count = len(begin) - 1
    return csr_array((numbers, heads, begin.astype(np.int32)), shape=(count, count))


def _way(dynamics: Dynamics, graph: csr_array, start: int, goal: int, row: int) -> list[int]:
    costs, before = _search(graph, np.array([start]), row)
    if np.isinf(costs[0, goal]):
        raise no_path(dynamics, row, start)
    way = [goal]
    while way[-1] != start:
        way.append(int(before[0, way[-1]]))
    return way[::-1]


def _search(graph: csr_array, sources: np.ndarray, row: int) -> tuple[np.ndarray, np.ndarray]:
    """Least costs from sources to all states, and the state before each, `(G, n)`."""
    if graph.data.min(initial=0) >= 0:
        return dijkstra(graph, indices=sources, return_predecessors=True)
    try:
        return bellman_ford(graph, indices=sources, return_predecessors=True)
    except NegativeCycleError as error:
        raise ValueError(
            f"map {row} has a cycle of negative cost, so that no path is the shortest; raise its costs."
        ) from error


def _cheapest(dynamics: Dynamics, costs: Tensor, states: Tensor) -> Tensor:
    """The cheapest action between neighbours on ways `(B, T + 1)`, shape `(B, T)`."""
    here, there = states[:, :-1], states[:, 1:].unsqueeze(-1)
    options = dynamics.options(here.clamp(min=0))
    flat = costs.flatten(1).expand(len(states), -1).gather(1, options.clamp(min=0).flatten(1)).view(options.shape)
    leads = (options >= 0) & (dynamics.heads(options.clamp(min=0)) == there)
    best = torch.where(leads, flat, torch.inf).argmin(-1, keepdim=True)
    return torch.where(there.squeeze(-1) >= 0, options.gather(-1, best).squeeze(-1), -1)
