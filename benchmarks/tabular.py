r"""Learners of rewards and of policies on grids whose moves slip, and how they are judged.

All see the same features of cells, standardised by mean and deviation over the cells of the world that they learn on,
and the same n(s, a): how often the demonstrations chose action a in cell s. With Q(s, a) = cost(s) + gamma E[V(s')],
both losses over rewards are the mean over demonstrated choices of what the choice costs above the value,

    mean over n of Q(s, a) - V(s),

with the soft V for max-ent, where it is -log pi(a | s), and for max-margin with the hard V under costs from which one
is taken for each choice that was not made where another was: a hinge, zero where the demonstrated choices are best by
as much. One backup a step serves all demonstrations. Cloning learns pi(a | s) as a function of the cell's features, by
its likelihood. A learned reward is judged by its optimal policy, a cloned policy as it is.

Sources: Ziebart 2010 for maximum causal entropy; Wulfmeier et al. 2015 (arXiv:1507.04888) for networks as rewards;
Ratliff, Bagnell and Zinkevich 2006 for the margin.
"""

import abc
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from torch import Tensor

from embodied_gen.graphs import Discounted, Grid, Hard, Rule, Soft
from embodied_gen.nets import CellMLP, ConvMap, LinearMap
from embodied_gen.nets.map import MapNet
from envs.gridworld import gridworld
from envs.objectworld import objectworld
from envs.slip_grid import MOVES, SlipGrid

STEPS, RATE, DECAY = 400, 0.01, 0.3  # of AdamW; the decay was chosen on worlds 100 and 101
MARGIN = 1.0
SLIP, DISCOUNT = 0.3, 0.9
TRANSFERS = 8  # fresh worlds for each that is learned on
SETTINGS = {"steps": STEPS, "rate": RATE, "decay": DECAY, "margin": MARGIN, "transfers": TRANSFERS}
COUNTS = (8, 16, 32, 64, 128, 256, 512)  # of demonstrations
_FIRST_TRANSFER = 1_000_000  # seed


@final
@dataclass(frozen=True)
class World:
    """Features `(C, n, n)` and true reward `(n, n)` of the cells."""

    features: np.ndarray
    reward: np.ndarray


@final
@dataclass(frozen=True)
class Problem:
    """A family of worlds.

    Attributes:
        name: What it is called.
        make: `make(seed, size)` is the world of a seed.
        transfers: Whether a reward depends on features alike in all worlds.
    """

    name: str
    make: Callable[[int, int], World]
    transfers: bool


@final
@dataclass(frozen=True)
class Lesson:
    """What is learned from, and on what.

    Attributes:
        grid: Cells and their moves.
        counts: N, shape `(1, A, n, n)`, in the order of the grid's moves.
    """

    grid: Grid
    counts: Tensor


class Method(abc.ABC):
    """A learner.

    Args:
        name: What it is called.
        net: `net(channels)` is a network over layers of features.
    """

    def __init__(self, name: str, net: Callable[[int], MapNet]):
        self.name, self.net = name, net

    @abc.abstractmethod
    def loss(self, lesson: Lesson, numbers: Tensor) -> Tensor:
        """Loss of the network's numbers of cells, `(1, K, n, n)`; a scalar."""

    @abc.abstractmethod
    def policy(self, numbers: np.ndarray, dynamics: SlipGrid) -> np.ndarray:
        """The learned policy in the order of `MOVES`, numbers `(W, K, n, n)` to `(W, 5, n, n)`."""


@final
class ByReward(Method):
    """Costs of cells, learned by max-ent (`Soft`, no margin) or max-margin (`Hard`)."""

    def __init__(self, name: str, net: Callable[[int], MapNet], rule: Rule, margin: float = 0.0):
        super().__init__(name, net)
        self._rule, self._margin = rule, margin

    def loss(self, lesson: Lesson, numbers: Tensor) -> Tensor:
        """See `Method`."""
        grid, counts = lesson.grid, lesson.counts
        others = (counts == 0) & (counts.sum(1, keepdim=True) > 0)
        costs = grid.costs_of_states(numbers[:, 0]) - self._margin * others
        values = HORIZON.values(grid, costs, self._rule)
        above = costs + HORIZON.discount * grid.ahead(values) - values.unsqueeze(1)
        return (counts * above).sum() / counts.sum()

    def policy(self, numbers: np.ndarray, dynamics: SlipGrid) -> np.ndarray:
        """See `Method`."""
        return dynamics.policy(-numbers[:, 0])


@final
class Cloning(Method):
    """A classifier of actions."""

    def loss(self, lesson: Lesson, numbers: Tensor) -> Tensor:
        """See `Method`."""
        return -(lesson.counts * numbers.log_softmax(1)).sum() / lesson.counts.sum()

    def policy(self, numbers: np.ndarray, dynamics: SlipGrid) -> np.ndarray:
        """See `Method`."""
        shares = torch.from_numpy(numbers).softmax(1).numpy()
        return shares[:, _ORDER]


def _linear(channels: int) -> MapNet:
    return LinearMap(channels_in=channels)


def _cells(channels: int) -> MapNet:
    return CellMLP(channels_in=channels)


def _convolutions(channels: int) -> MapNet:
    return ConvMap(channels_in=channels)


def _actions(channels: int) -> MapNet:
    return CellMLP(channels_in=channels, channels_out=len(MOVES))


def _objects(seed: int, size: int) -> World:
    world = objectworld(seed, size=size)
    return World(world.distances(), world.reward())


def _macro_cells(seed: int, size: int) -> World:
    world = gridworld(seed, size=size)
    return World(world.sides().astype(np.float64), world.reward())


def _grid(size: int) -> Grid:
    return Grid(size, size, connectivity=4, stay=True, slip=SLIP)


_ORDER = np.array([_grid(2).moves.index((down, right)) for down, right in MOVES.tolist()])  # of moves in the grid's
HORIZON = Discounted(DISCOUNT)
METHODS = (
    ByReward("max-ent, linear", _linear, Soft()),
    ByReward("max-ent, deep", _cells, Soft()),
    ByReward("max-ent, convolutional", _convolutions, Soft()),
    ByReward("max-margin, linear", _linear, Hard(), MARGIN),
    ByReward("max-margin, deep", _cells, Hard(), MARGIN),
    Cloning("behaviour cloning, deep", _actions),
)
PROBLEMS = (Problem("Objectworld", _objects, True), Problem("Gridworld", _macro_cells, False))


@final
@dataclass(frozen=True)
class Outcome:
    """Expected value differences on the world that was learned on and, where rewards transfer, on fresh ones."""

    training: float
    transfer: float | None


def learned(problem: Problem, size: int, demonstrations: int, method: Method, seed: int) -> Outcome:
    """A learner trained on the world of a seed and judged there and on fresh worlds."""
    world, dynamics = problem.make(seed, size), _dynamics(size)
    net = _trained(method, _lesson(world, dynamics, demonstrations, seed), _standardised([world], world), seed)

    @torch.no_grad()
    def policy(worlds: list[World]) -> np.ndarray:
        return method.policy(net(_standardised(worlds, world)).double().numpy(), dynamics)

    return _judged(policy, problem, size, seed)


def aimless(problem: Problem, size: int, seed: int) -> Outcome:
    """The same for actions that are uniformly random."""
    uniform = np.full((1, len(MOVES), size, size), 1 / len(MOVES))
    return _judged(lambda worlds: uniform, problem, size, seed)


def _judged(policy: Callable[[list[World]], np.ndarray], problem: Problem, size: int, seed: int) -> Outcome:
    """A policy `(W or 1, 5, n, n)` for W worlds, on the world of a seed and on fresh ones."""

    def lost(worlds: list[World]) -> float:
        rewards = np.stack([world.reward for world in worlds])
        return float(_dynamics(size).lost_by_policy(policy(worlds), rewards).mean())

    training = lost([problem.make(seed, size)])
    if not problem.transfers:
        return Outcome(training, None)
    first = _FIRST_TRANSFER + TRANSFERS * seed
    return Outcome(training, lost([problem.make(first + k, size) for k in range(TRANSFERS)]))


def _trained(method: Method, lesson: Lesson, layers: Tensor, seed: int) -> MapNet:
    torch.manual_seed(seed)  # of the first weights
    net = method.net(layers.shape[1])
    optimizer = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=DECAY)
    for _ in range(STEPS):
        optimizer.zero_grad()
        method.loss(lesson, net(layers)).backward()
        optimizer.step()
    return net


def _lesson(world: World, dynamics: SlipGrid, count: int, seed: int) -> Lesson:
    """The first of the most demonstrations, so that more hold the fewer."""
    if not 1 <= count <= max(COUNTS):
        raise ValueError(f"demonstrations must number from 1 to {max(COUNTS)}; got {count}.")
    walks = dynamics.demonstrations(dynamics.policy(world.reward), max(COUNTS), seed=seed)
    grid = _grid(len(world.reward))
    counts = np.zeros((1, *grid.actions), dtype=np.float32)
    rows, columns = np.moveaxis(walks.cells[:count], -1, 0)
    np.add.at(counts[0], (_ORDER[walks.actions[:count]], rows, columns), 1)
    return Lesson(grid, torch.from_numpy(counts))


def _dynamics(size: int) -> SlipGrid:
    return SlipGrid((size, size), slip=SLIP, discount=DISCOUNT)


def _standardised(worlds: list[World], by: World) -> Tensor:
    """Layers `(W, C, n, n)`."""
    mean, deviation = (f(by.features, axis=(1, 2), keepdims=True) for f in (np.mean, np.std))
    features = np.stack([world.features for world in worlds])
    return torch.from_numpy((features - mean) / np.where(deviation > 0, deviation, 1)).float()
