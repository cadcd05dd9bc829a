"""Small maps, and all of their paths one by one, for tests of heads over paths."""

import torch
from torch import Tensor

from embodied_gen import draws
from embodied_gen.events import GridPath
from embodied_gen.graphs import Grid

DOUBLE = torch.zeros((), dtype=torch.float64)


def numbers(seed: int, *shape: int) -> Tensor:
    return draws.normal(shape, generator=draws.generator(seed), like=DOUBLE)


def layers(seed: int, event: GridPath, rows: int = 1, channels: int = 3) -> Tensor:
    return numbers(seed, rows, channels, *event.grid.states)


def context(event: GridPath, layers: Tensor, start: Tensor, goal: Tensor | None = None) -> dict[str, Tensor]:
    """A context with start and goal by their numbers."""
    c = {"layers": layers, "start": event.centres(start)}
    return c if goal is None else {**c, "goal": event.centres(goal)}


def enumerated(grid: Grid, start: int, moves: int, goal: int | None = None, blocked: tuple[int, ...] = ()):
    """All paths of at most so many moves that first reach a goal, or of exactly as many without one; cells' numbers."""
    table = {}
    for state in range(grid.height * grid.width):
        options = grid.options(torch.tensor([state]))[0]
        table[state] = grid.heads(options[options >= 0]).tolist()

    def onward(path: list[int]):
        if path[-1] == goal or len(path) == moves + 1:
            if goal in (None, path[-1]):
                yield path
            return
        for other in table[path[-1]]:
            if other not in blocked:
                yield from onward([*path, other])

    return list(onward([start]))


def coded(event: GridPath, paths: list[list[int]]) -> Tensor:
    """Paths of cells' numbers as events, the last repeated."""
    long = event.moves + 1
    return event.coded(torch.tensor([path + path[-1:] * (long - len(path)) for path in paths]))
