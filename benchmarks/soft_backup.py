"""Time of exact backups on grids against the dense method, and of shortest paths against csgraph alone and networkx.

    python benchmarks/soft_backup.py [--repeats 7]

The dense method is the one that `imitation` uses for maximum-entropy inverse reinforcement learning: a matrix of
S x A x S transition probabilities, a matrix product and logsumexp of scipy for each step; visits by a product for each
step and action. Both visits include the backup that their policy comes from. Methods run in this process in turn
(A B A B ...), on one thread, short ones ten times in a row. Seconds are those of the processor, so that they do not
count what else the machine does. networkx plans on a smaller map, as the large one would take it some gigabytes.
Writes benchmarks/results/soft_backup.json with the ratios.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import networkx
import numpy as np
import torch
import tyro
from scipy.sparse.csgraph import dijkstra
from scipy.special import logsumexp
from spread import spread

from embodied_gen import draws, provenance
from embodied_gen.commands.console import console
from embodied_gen.graphs import Finite, Grid, Soft, shortest
from embodied_gen.graphs.shortest import matrix
from embodied_gen.training import files

STEPS = 64
_SHORT = 0.1  # [s] up to which a method is called again for one measurement


@dataclass
class Arguments:
    """Time of exact backups and shortest paths."""

    repeats: int = 7
    """Measurements of each method, after one to warm up."""
    side: int = 1000
    """Cells of a side of the map that is planned on."""
    networkx_side: int = 400
    """The same where networkx takes part."""
    out: str = "benchmarks/results/soft_backup.json"
    """Record to write."""


def main() -> None:
    """Runs the benchmark."""
    arguments = tyro.cli(Arguments, description=__doc__)
    torch.set_num_threads(1)
    record = {
        "schema": files.SCHEMA,
        "what": "processor seconds of exact backups, visits and shortest paths, and ratios of methods timed in turn",
        "steps": STEPS,
        "repeats": arguments.repeats,
        "dense": _dense(arguments.repeats),
        "large": _large(arguments.repeats),
        "csgraph": _csgraph(arguments.side, arguments.repeats),
        "networkx": _networkx(arguments.networkx_side),
        "versions": provenance.versions(),
        "machine": provenance.machine(),
    }
    files.write_json(Path(arguments.out), record)
    for name in ("dense", "large", "csgraph", "networkx"):
        console.print(name, record[name])


def _dense(repeats: int) -> dict[str, Any]:
    """Backups and visits of 32 x 32 cells with 5 moves."""
    grid, costs, start = _problem(32)
    actions = grid.checked(costs)[0].flatten(1)  # (A, S)
    transitions = _transitions(grid)
    first = start[0].flatten().numpy().astype(np.float64)
    found: dict[str, Any] = {}

    def backup() -> None:
        found["values"], found["policies"] = _dense_values(transitions, actions.T.numpy())

    def visits() -> None:
        backup()
        found["visits"] = _dense_visits(transitions, found["policies"], first)

    def our_backup() -> None:
        found["our values"] = Finite(STEPS).values(grid, costs, Soft())

    def our_visits() -> None:
        found["our visits"] = grid.collect(Finite(STEPS).visits(grid, costs, start, Soft()))

    backups = _in_turn(repeats, backup, our_backup)
    flows = _in_turn(repeats, visits, our_visits)
    return {
        "backup": _summary(backups, "dense", "ours"),
        "visits": _summary(flows, "dense", "ours"),
        "largest_difference_of_values": float(np.abs(found["our values"].numpy().ravel() + found["values"]).max()),
        "largest_difference_of_visits": float(np.abs(found["our visits"].numpy().ravel() - found["visits"]).max()),
    }


def _large(repeats: int) -> dict[str, Any]:
    """Seconds of the backups and visits of 256 x 256 cells, for which a dense matrix would need 172 GB."""
    grid, costs, start = _problem(256)
    times = _in_turn(
        repeats,
        lambda: Finite(STEPS).values(grid, costs, Soft()),
        lambda: Finite(STEPS).values(grid, costs.float(), Soft()),
        lambda: Finite(STEPS).visits(grid, costs, start, Soft()),
    )
    names = ("backup_seconds", "backup_float32_seconds", "visits_seconds")
    return dict(zip(names, np.median(np.array(times), axis=0).tolist(), strict=True))


def _csgraph(side: int, repeats: int) -> dict[str, Any]:
    """A path across a map of 8 moves: costs to matrix to path, against csgraph's search of a matrix that is there."""
    grid, cells, starts, goals = _map(side)
    ready = matrix(grid, grid.costs_of_moves(cells)[0])
    times = _in_turn(
        min(repeats, 3),
        lambda: dijkstra(ready, indices=0, return_predecessors=True),
        lambda: shortest(grid, grid.costs_of_moves(cells), starts, goals),
        lambda: matrix(grid, grid.costs_of_moves(cells)[0]),
    )
    alone, whole, building = np.median(np.array(times), axis=0).tolist()
    return {
        "side": side,
        "csgraph_seconds": alone,
        "planning_seconds": whole,
        "building_seconds": building,
        "planning_over_csgraph": whole / alone,
    }


def _networkx(side: int) -> dict[str, Any]:
    """The same path by networkx, from the map and with its graph made beforehand; ours is from the map."""
    grid, cells, starts, goals = _map(side)
    costs = grid.costs_of_moves(cells)
    found: dict[str, Any] = {}

    def build() -> None:
        begin, heads, numbers = grid.edges(costs[0])
        tails = np.repeat(np.arange(side * side), np.diff(begin))
        found["network"] = networkx.DiGraph()
        found["network"].add_weighted_edges_from(zip(tails.tolist(), heads.tolist(), numbers.tolist(), strict=True))

    def search() -> None:
        found["cost"] = networkx.single_source_dijkstra(found["network"], 0, side * side - 1)[0]

    def ours() -> None:
        found["our cost"] = float(shortest(grid, grid.costs_of_moves(cells), starts, goals).costs(costs))

    times = np.array(_in_turn(2, build, search, ours))
    building, searching, own = np.median(times, axis=0).tolist()
    return {
        "side": side,
        "networkx_building_seconds": building,
        "networkx_search_seconds": searching,
        "planning_seconds": own,
        "networkx_over_planning": (building + searching) / own,
        "networkx_search_over_planning": searching / own,
        "difference_of_costs": abs(found["cost"] - found["our cost"]),
    }


def _problem(side: int) -> tuple[Grid, torch.Tensor, torch.Tensor]:
    grid = Grid(side, side, connectivity=4, stay=True)
    costs = draws.uniform((1, side, side), generator=draws.generator(0), like=torch.empty(0, dtype=torch.float64))
    return grid, grid.costs_of_states(costs), grid.mask(torch.tensor([side * side // 2])).double()


def _map(side: int) -> tuple[Grid, torch.Tensor, torch.Tensor, torch.Tensor]:
    costs = draws.uniform((1, side, side), generator=draws.generator(1), like=torch.empty(0, dtype=torch.float64))
    return Grid(side, side, connectivity=8), 0.1 + costs, torch.tensor([0]), torch.tensor([side * side - 1])


def _transitions(grid: Grid) -> np.ndarray:
    """Probabilities `(S, A, S)`; rows of moves that leave the map are zero, and their costs infinite."""
    count = grid.height * grid.width
    transitions = np.zeros((count, len(grid.moves), count))
    there = grid.available().flatten().nonzero().squeeze(1)
    transitions[grid.tails(there), there // count, grid.heads(there)] = 1
    return transitions


def _dense_values(transitions: np.ndarray, costs: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    values, policies = np.zeros(len(transitions)), []
    for _ in range(STEPS):
        q = transitions @ values - costs
        values = logsumexp(q, axis=1)
        policies.append(np.exp(q - values[:, None]))
    return values, policies[::-1]


def _dense_visits(transitions: np.ndarray, policies: list[np.ndarray], start: np.ndarray) -> np.ndarray:
    density, total = start, np.zeros_like(start)
    for policy in policies:
        total += density
        moved = np.zeros_like(density)
        for action in range(policy.shape[1]):
            moved += (density * policy[:, action]) @ transitions[:, action, :]
        density = moved
    return total


def _in_turn(repeats: int, *methods: Callable[[], Any]) -> list[list[float]]:
    """Seconds of each method, in rows of one measurement of all."""
    rows = []
    for _ in range(repeats + 1):
        row = []
        for method in methods:
            started, calls = time.process_time(), 0
            while calls == 0 or (calls < 10 and time.process_time() - started < _SHORT):
                method()
                calls += 1
            row.append((time.process_time() - started) / calls)
        rows.append(row)
    return rows[1:]


def _summary(rows: list[list[float]], slow: str, fast: str) -> dict[str, float]:
    return {
        f"{slow}_seconds": float(np.median([a for a, _ in rows])),
        f"{fast}_seconds": float(np.median([b for _, b in rows])),
        **spread("ratio", [a / b for a, b in rows]),
    }


if __name__ == "__main__":
    main()
