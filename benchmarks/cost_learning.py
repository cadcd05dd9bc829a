"""Seconds to learn a convolutional cost of 64 x 64 cells from 64 demonstrations, and what it is worth on fresh maps.

    python benchmarks/cost_learning.py [--seeds 3]

Each demonstration is a cheapest way over a map of its own: five layers of smooth noise, of which the hidden cost is a
product of two and a threshold of a third, none of which a linear cost can say. Max-ent learns it by a convolutional
network in 400 steps of 8 demonstrations. The cost ratio is the hidden cost of the learned cheapest way over the least,
on 32 fresh maps; a linear cost learns by the same steps, and equal costs stand for not learning. Seconds are those of
the processor, on one thread. Writes benchmarks/results/cost_learning.json.
"""

import time
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from torch import Tensor
from torch.nn.functional import avg_pool2d

from embodied_gen import draws, provenance
from embodied_gen.commands.console import console, progress
from embodied_gen.events import GridPath
from embodied_gen.graphs import Grid, shortest
from embodied_gen.heads import MaxEntHead
from embodied_gen.nets import ConvMap, LinearMap, Positive
from embodied_gen.nets.map import MapNet
from embodied_gen.training import files

SIDE, LAYERS, DEMONSTRATIONS, FRESH = 64, 5, 64, 32
STEPS, BATCH, RATE = 400, 8, 1e-2
MOVES = 160
NETS: dict[str, type[ConvMap | LinearMap]] = {"convolutional": ConvMap, "linear": LinearMap}
GRID = Grid(SIDE, SIDE, connectivity=8)


@dataclass
class Arguments:
    """Seconds to learn a cost."""

    seeds: int = 3
    """Sets of maps."""
    out: str = "benchmarks/results/cost_learning.json"
    """Record to write."""


def main() -> None:
    """Runs the benchmark."""
    arguments = tyro.cli(Arguments, description=__doc__)
    torch.set_num_threads(1)
    rows = []
    with progress("trainings", arguments.seeds * len(NETS)) as advance:
        for seed in range(arguments.seeds):
            for name, make in NETS.items():
                torch.manual_seed(seed)
                rows.append({"cost": name, "seed": seed} | _learned(make(channels_in=LAYERS), seed))
                advance(f"{name}, {rows[-1]['seconds']:.0f} s, cost ratio {rows[-1]['cost_ratio']:.3f}")
    record = {
        "schema": files.SCHEMA,
        "what": "seconds of training a cost, and hidden costs of its ways over the least, on fresh maps",
        "settings": {"side": SIDE, "demonstrations": DEMONSTRATIONS, "fresh": FRESH, "steps": STEPS, "batch": BATCH},
        "rows": rows,
        "versions": provenance.versions(),
        "machine": provenance.machine(),
    }
    files.write_json(Path(arguments.out), record)
    console.print(f"written: {arguments.out}")


def _learned(net: MapNet, seed: int) -> dict[str, float]:
    """What training a network costs, and is worth."""
    event = GridPath(GRID, MOVES)
    head = MaxEntHead(event, Positive(net, floor=0.1))
    layers, start, goal = _maps(DEMONSTRATIONS, 2 * seed)
    ways = _ways(_hidden(layers), start, goal)
    x = event.encode(event.padded([event.centres(way[way >= 0]) for way in ways]))
    started = time.process_time()
    optimizer = torch.optim.Adam(head.parameters(), lr=RATE)
    generator = draws.generator(seed)
    for _ in range(STEPS):
        rows = (len(x) * draws.uniform((BATCH,), generator=generator, like=x)).long()
        c = {"layers": layers[rows], "start": event.centres(start[rows]), "goal": event.centres(goal[rows])}
        optimizer.zero_grad()
        head.loss(x[rows], c, generator=generator).mean().backward()
        optimizer.step()
    seconds = time.process_time() - started
    layers, start, goal = _maps(FRESH, 2 * seed + 1)
    hidden = _hidden(layers)
    with torch.no_grad():
        learned = head.cost_map({"layers": layers, "start": event.centres(start), "goal": event.centres(goal)})
    return {
        "seconds": seconds,
        "cost_ratio": _ratio(learned, hidden, start, goal),
        "cost_ratio_of_equal_costs": _ratio(torch.ones_like(hidden), hidden, start, goal),
    }


def _maps(count: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Layers `(count, 5, 64, 64)`, and numbers of starts at one side and goals at the other."""
    generator = draws.generator(seed)
    noise = draws.normal((count, LAYERS, SIDE + 14, SIDE + 14), generator=generator, like=torch.empty(0))
    layers = avg_pool2d(avg_pool2d(noise, 8, 1), 8, 1)
    layers = layers / layers.std((2, 3), keepdim=True)
    first, last = (SIDE * draws.uniform((2, count), generator=generator, like=layers)).long()
    return layers, first * SIDE, last * SIDE + SIDE - 1


def _hidden(layers: Tensor) -> Tensor:
    """The hidden cost of cells `(B, 64, 64)`."""
    return 0.3 + 2.0 * (layers[:, 0] * layers[:, 1] > 0.2) + 1.0 * (layers[:, 2].abs() < 0.3)


def _ways(costs: Tensor, start: Tensor, goal: Tensor) -> Tensor:
    return shortest(GRID, GRID.costs_of_moves(costs.double()), start, goal).states[:, 0]


def _ratio(costs: Tensor, hidden: Tensor, start: Tensor, goal: Tensor) -> float:
    """Hidden cost of the cheapest ways under some costs, over the least; the mean over maps."""
    priced = GRID.costs_of_moves(hidden.double())
    taken, least = (shortest(GRID, GRID.costs_of_moves(c.double()), start, goal) for c in (costs, hidden))
    return float((taken.costs(priced) / least.costs(priced)).mean())


if __name__ == "__main__":
    main()
