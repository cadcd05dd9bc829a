r"""Two ways to cross the same town, learned from one half of its map and tried on the other.

Layers are those of a Lanelet2 file at 1 m, one of ones, and the blurred and near ones of `envs.terrain_features`. Mode
1 is the hidden cost `ROADS` of `envs.terrain_cost`, mode 2 is `GREEN`. A demonstration is a square window of the half,
SIZE cells a side, around a random cell where something that can be crossed is mapped, shifted by up to a quarter of its
side; a goal and a start among such cells of the window, APART m apart or more and connected; and the cheapest way
between them under the hidden cost times a noise of its own,

    cost exp(NOISE e),        e white noise blurred by a Gaussian of BLUR m, scaled to mean 0 and deviation 1.

Demonstrations to learn from are drawn on the west half. What is learned is judged on windows of the east half, drawn
likewise, against the cheapest ways under the hidden cost itself, by the cheapest way under the learned cost between the
same places, over the same moves:

    Hamming loss    share of its cells that are none of the demonstration's
    smoothed loss   mean over its cells of min(d / RADIUS, 1), d the distance to the nearest of the demonstration's
    cost ratio      its hidden cost over that of the demonstration

Learners are heads over paths with costs of cells from a linear network of all layers, or from a convolutional one,
which makes its own neighbourhoods, of the plain ones. Costs by hand are a number for each class, the lowest where
classes overlap: a table that seems reasonable, and the one of `GRID` with the lowest mean smoothed loss on the
demonstrations that learners see.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter
from torch import Tensor

from embodied_gen import draws
from embodied_gen.events import GridPath
from embodied_gen.graphs import Grid
from embodied_gen.heads import LearchHead, MarginHead, MaxEntHead
from embodied_gen.heads.lengths import UntilGoal
from embodied_gen.heads.path_head import PathHead
from embodied_gen.heads.path_loss import Smoothed
from embodied_gen.nets import ConvMap, LinearMap, Positive
from embodied_gen.nets.map import MapNet
from envs.cell_graph import CellGraph
from envs.terrain_cost import GREEN, ROADS, true_cost
from envs.terrain_demos import drawn
from envs.terrain_features import surrounded
from envs.terrain_map import CLASSES, LAYERS, TerrainMap
from envs.town import read_town

CELL, SIZE, APART, MOVES = 1.0, 64, 24.0, 128
NOISE, BLUR, RADIUS = 0.2, 2.0, 3.0
LEARNED, JUDGED = 200, 100  # demonstrations
STEPS, BATCH = 600, 4
FLOOR, WEIGHT = 0.1, 0.1  # least cost of a cell, and margin of a wrong one
GRID = (1.0, 2.0, 4.0, 8.0)
SEARCHED = 60  # demonstrations that the search of tables looks at
MODES = {"mode 1, roads": ROADS, "mode 2, vegetation and walkways": GREEN}
# road, walkway, vegetation, parking, nothing mapped
BY_HAND = {
    "mode 1, roads": (1.0, 4.0, 10.0, 3.0, 6.0),
    "mode 2, vegetation and walkways": (10.0, 1.0, 1.0, 6.0, 4.0),
}
FAVOURITE = {"mode 1, roads": 0, "mode 2, vegetation and walkways": 2}  # costs 1 in the search
_TRIES = 200

Costs = NDArray[np.float64]


@final
@dataclass(frozen=True)
class Half:
    """One side of the town: its map with all layers, and the hidden cost."""

    terrain: TerrainMap
    hidden: Costs

    def window(self, rows: slice, columns: slice) -> "Half":
        """A part of it."""
        return Half(self.terrain.part(rows, columns), self.hidden[rows, columns])


@final
@dataclass(frozen=True)
class Shown:
    """A demonstration: where, and its cells (row, column) from start to goal, `(L, 2)`."""

    place: Half
    way: NDArray[np.int64]


@final
@dataclass(frozen=True)
class Score:
    """Means over demonstrations."""

    hamming: float
    smoothed: float
    ratio: float


def halves(path: Path, mode: str) -> tuple[Half, Half]:
    """West and east of a Lanelet2 file."""
    west, east = (half.cropped(SIZE) for half in read_town(path, cell=CELL).halves())
    return _half(west, mode), _half(east, mode)


def _half(terrain: TerrainMap, mode: str) -> Half:
    """With a layer of ones, as linear networks have no constant, and more layers after it."""
    full = surrounded(terrain)
    ones = np.ones((1, *terrain.shape), dtype=np.float32)
    plain = len(LAYERS)
    layers = np.concatenate([full.layers[:plain], ones, full.layers[plain:]])
    named = replace(full, layers=layers, names=(*full.names[:plain], "ones", *full.names[plain:]))
    return Half(named, true_cost(terrain, MODES[mode]))


def demonstrations(
    half: Half, count: int, *, seed: int, noise: float, size: int = SIZE, apart: float = APART
) -> list[Shown]:
    """Demonstrations on windows of a half."""
    generator, known = np.random.default_rng(seed), np.argwhere(half.terrain.known)
    found: list[Shown] = []
    for _ in range(_TRIES * count):
        middle = known[generator.integers(len(known))] + generator.integers(-size // 4, size // 4 + 1, size=2)
        row, column = np.clip(middle - size // 2, 0, np.array(half.terrain.shape) - size).tolist()
        place = half.window(slice(row, row + size), slice(column, column + size))
        shown = _demonstration(place, generator, noise, apart)
        if shown is not None:
            found.append(shown)
        if len(found) == count:
            return found
    raise ValueError(f"{len(found)} of {count} windows have places {apart:g} m apart; ask for nearer ones.")


def _demonstration(place: Half, generator: np.random.Generator, noise: float, apart: float) -> Shown | None:
    field = gaussian_filter(generator.standard_normal(place.hidden.shape), BLUR / CELL)
    costs = place.hidden * np.exp(noise * (field - field.mean()) / field.std())
    cells = np.argwhere(place.terrain.known & np.isfinite(costs))
    pair = drawn(CellGraph(costs, cell=CELL), cells, generator, apart=apart) if len(cells) else None
    if pair is None:
        return None
    way = pair[0].path(pair[1])
    return Shown(place, way) if len(way) <= MOVES + 1 or noise == 0 else None


def planned(costs: Costs, way: NDArray[np.int64]) -> NDArray[np.int64]:
    """The cheapest way under costs between the ends of another."""
    (start, goal) = ((int(row), int(column)) for row, column in way[[0, -1]])
    return CellGraph(costs, cell=CELL).ways_to(goal).path(start)


def judged(shown: list[Shown], costs_of: Callable[[TerrainMap], Costs]) -> Score:
    """How ways under other costs compare with demonstrations."""
    scores = np.array([_losses(one, planned(costs_of(one.place.terrain), one.way)) for one in shown])
    return Score(*scores.mean(axis=0).tolist())


def _losses(shown: Shown, way: NDArray[np.int64]) -> tuple[float, float, float]:
    on = np.zeros(shown.place.terrain.shape, dtype=bool)
    on[tuple(shown.way.T)] = True
    away = distance_transform_edt(~on)[tuple(way.T)]
    graph = CellGraph(shown.place.hidden, cell=CELL)
    ratio = graph.cost_of(way) / graph.cost_of(shown.way)
    return float((away > 0).mean()), float(np.minimum(away / RADIUS, 1).mean()), ratio


def by_hand(prices: tuple[float, ...]) -> Callable[[TerrainMap], Costs]:
    """Costs of a table: of the first four classes, and of ground where none is."""

    def costs_of(terrain: TerrainMap) -> Costs:
        there = terrain.layers[: len(prices) - 1] > 0.5
        costs = np.where(there, np.reshape(prices[:-1], (-1, 1, 1)), np.inf).min(axis=0)
        costs[~there.any(axis=0)] = prices[-1]
        costs[_blocked(terrain)] = np.inf
        return costs

    return costs_of


def searched(mode: str, shown: list[Shown]) -> tuple[float, ...]:
    """The table of the grid with the lowest mean smoothed loss on demonstrations."""
    tables = [table for table in product(GRID, repeat=5) if table[FAVOURITE[mode]] == 1]
    return min(tables, key=lambda table: judged(shown[:SEARCHED], by_hand(table)).smoothed)


@final
@dataclass(frozen=True)
class Network:
    """Costs of cells, and how they are learned: the first of the layers that are read, learning rate and decay."""

    make: Callable[[int], MapNet]
    layers: int
    rate: float
    decay: float


NETWORKS = {
    "linear": Network(lambda layers: LinearMap(channels_in=layers), len(LAYERS) + 1 + 3 * len(CLASSES), 0.1, 0.1),
    "convolutional": Network(lambda layers: ConvMap(channels_in=layers), len(LAYERS) + 1, 0.01, 1.0),
}

SETTINGS = {
    "cell": CELL, "size": SIZE, "apart": APART, "moves": MOVES, "noise": NOISE, "blur": BLUR, "radius": RADIUS,
    "learned": LEARNED, "judged": JUDGED, "steps": STEPS, "batch": BATCH,
    "floor": FLOOR, "weight": WEIGHT, "grid": list(GRID), "searched": SEARCHED,
    "networks": {name: [found.rate, found.decay] for name, found in NETWORKS.items()},
}  # fmt: skip


def _max_ent(event: GridPath, net: MapNet) -> PathHead:
    return MaxEntHead(event, Positive(net, floor=FLOOR))


def _max_margin(event: GridPath, net: MapNet) -> PathHead:
    return MarginHead(event, Positive(net, floor=FLOOR), length=UntilGoal(), path_loss=Smoothed(RADIUS, WEIGHT))


def _learch(event: GridPath, net: MapNet) -> PathHead:
    return LearchHead(event, net, length=UntilGoal(), path_loss=Smoothed(RADIUS, WEIGHT))


LEARNERS = {
    f"{head}, {name}": (build, network)
    for (head, build), (name, network) in product(
        {"max-ent": _max_ent, "max-margin": _max_margin, "LEARCH": _learch}.items(), NETWORKS.items()
    )
}


def learned(learner: str, shown: list[Shown], *, seed: int) -> Callable[[TerrainMap], Costs]:
    """Costs that a learner makes of demonstrations on windows of one size."""
    build, network = LEARNERS[learner]
    event = GridPath(Grid(SIZE, SIZE), MOVES, cell=CELL)
    torch.manual_seed(seed)  # of the first weights
    net = network.make(network.layers)
    head = build(event, net)
    x, c = _examples(event, shown, network.layers)
    optimizer = torch.optim.AdamW(head.parameters(), lr=network.rate, weight_decay=network.decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for step in range(STEPS):
        index = draws.permutation(len(x), generator=draws.generator(seed, step))[:BATCH]
        optimizer.zero_grad()
        some = {name: leaf[index] for name, leaf in c.items()}
        head.loss(x[index], some, generator=draws.generator(seed, step)).mean().backward()
        torch.nn.utils.clip_grad_norm_(head.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return _costs(build, net.eval())


def _examples(event: GridPath, shown: list[Shown], layers: int) -> tuple[Tensor, dict[str, Tensor]]:
    """Events and contexts of demonstrations, each in the frame of its window."""
    numbers = [torch.from_numpy(one.way[:, 0] * SIZE + one.way[:, 1]) for one in shown]
    ways = event.padded([event.centres(one) for one in numbers])
    terrains = [one.place.terrain for one in shown]
    return event.encode(ways), {
        "layers": torch.from_numpy(np.stack([terrain.layers[:layers] for terrain in terrains])),
        "start": ways[:, 0],
        "goal": ways[:, -1],
        "blocked": torch.from_numpy(np.stack([_blocked(terrain) for terrain in terrains])),
    }


def _costs(build: Callable[[GridPath, MapNet], PathHead], net: MapNet) -> Callable[[TerrainMap], Costs]:
    """What a trained network makes of maps of any size."""

    @torch.no_grad()
    def costs_of(terrain: TerrainMap) -> Costs:
        event = GridPath(Grid(*terrain.shape), 1, cell=CELL)
        anywhere = event.centres(torch.tensor([0]))
        layers = torch.from_numpy(terrain.layers[: net.channels_in])[None]
        blocked = torch.from_numpy(_blocked(terrain))[None]
        c = {"layers": layers, "start": anywhere, "blocked": blocked}
        return build(event, net).cost_map(c)[0].double().numpy()

    return costs_of


def _blocked(terrain: TerrainMap) -> NDArray[np.bool_]:
    return terrain.layers[CLASSES.index("obstacle")] > 0.5
