"""Demonstrations on semantic maps: cheapest ways under the true cost between random cells.

Starts and goals are uniform over the free cells of a mask, or over all free cells, at least some distance apart and
connected; pairs that are not are drawn again. A goal whose connected cells are all too near is drawn again as well.

A file holds all ways one after the other and where each ends, .npz of plain arrays; nothing is unpickled.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from envs.cell_graph import CellGraph, Ways
from envs.terrain_map import arrays

_TRIES = 200


def drawn(
    graph: CellGraph, cells: NDArray[np.int64], generator: np.random.Generator, *, apart: float, within: float = np.inf
) -> tuple[Ways, tuple[int, int]] | None:
    """Ways to a random goal and a random start, both free cells among `cells`, shape `(N, 2)`.

    Args:
        graph: A map with costs.
        cells: Where ways may start and end, N >= 1.
        generator: Draws the goal, then the start.
        apart: Least distance of start and goal [m].
        within: Largest distance of start and goal [m].

    Returns:
        Ways and start; None where no cell is connected to the goal at such a distance.
    """
    row, column = cells[generator.integers(len(cells))].tolist()
    ways = graph.ways_to((row, column))
    far = graph.cell * np.linalg.norm(cells - [row, column], axis=1)
    starts = cells[(far >= apart) & (far <= within) & np.isfinite(ways.to_go[tuple(cells.T)])]
    if not len(starts):
        return None
    row, column = starts[generator.integers(len(starts))].tolist()
    return ways, (row, column)


def demonstrated(
    graph: CellGraph, count: int, *, seed: int, apart: float, among: NDArray[np.bool_] | None = None
) -> list[NDArray[np.int64]]:
    """Cheapest ways between random cells.

    Args:
        graph: A map with the true costs.
        count: How many ways.
        seed: At least 0.
        apart: Least distance of start and goal [m].
        among: Cells where ways may start and end, shape `(H, W)`; all free ones where None.

    Returns:
        Cells (row, column) from start to goal, both included, shape `(L, 2)` each.

    Raises:
        ValueError: If no pair of cells is connected and so far apart, as far as tried.
    """
    free = np.isfinite(graph.costs) if among is None else np.isfinite(graph.costs) & among
    cells = np.argwhere(free)
    generator = np.random.default_rng(seed)
    ways: list[NDArray[np.int64]] = []
    tries = 0
    while len(ways) < count:
        tries += 1
        if tries > _TRIES + count or not len(cells):
            raise ValueError(
                f"found {len(ways)} of {count} ways between connected cells {apart:g} m apart or more; "
                "ask for nearer ones."
            )
        pair = drawn(graph, cells, generator, apart=apart)
        if pair is not None:
            ways.append(pair[0].path(pair[1]))
    return ways


def save(path: str | Path, ways: list[NDArray[np.int64]]) -> None:
    """Write ways, cells of shape `(L, 2)` each, to a file, .npz."""
    cells = np.concatenate(ways) if ways else np.empty((0, 2), dtype=np.int64)
    with open(path, "wb") as file:
        np.savez_compressed(file, cells=cells, ends=np.cumsum([len(way) for way in ways], dtype=np.int64))


def load(path: str | Path, shape: tuple[int, int]) -> list[NDArray[np.int64]]:
    """The ways of a file that `save` wrote.

    Args:
        path: File.
        shape: Rows and columns of their map.

    Raises:
        ValueError: If the file is none, or a way leaves the map.
    """
    stored = arrays(path, ("cells", "ends"), "demonstrations")
    cells, ends = stored["cells"], stored["ends"]
    if not (cells.dtype.kind == ends.dtype.kind == "i" and cells.ndim == 2 and cells.shape[1] == 2 and ends.ndim == 1):
        raise ValueError(
            f"{path} must hold whole numbers, cells (N, 2) and ends (K,); got {cells.shape}, {ends.shape}."
        )
    sizes = np.diff(ends, prepend=0)
    if (sizes < 1).any() or sizes.sum() != len(cells):
        raise ValueError(f"{path}: the ends of its ways must rise to {len(cells)}, the number of cells.")
    if not ((cells >= 0) & (cells < shape)).all():
        raise ValueError(f"{path}: its ways leave a map of {shape[0]} x {shape[1]} cells; give the map they belong to.")
    return [np.asarray(way, dtype=np.int64) for way in np.split(cells, ends[:-1])] if len(ends) else []
