r"""Cost to go in a region: how far it is to a goal along the shortest way inside, so that a cost sees around walls.

The length w(p) is computed on the nodes of a square grid. The goal sees some of them directly, where w is the straight
distance and exact; Dijkstra's algorithm goes on from there along edges to the 32 nodes at (a, b), |a|, |b| <= 3, that
the segment reaches inside the region. A way of such edges is longer than a straight one by at most

    cos(atan(1/3) / 2)^-1 - 1 = 1.3 %

in open space. Between nodes w is read by bilinear interpolation. Nodes outside of the region, and those from which no
way leads to the goal, have the length of the nearest node that has one, plus the distance to it: w falls towards the
region from everywhere.

Source: Dijkstra 1959; scipy.sparse.csgraph computes it.
"""

import functools
from collections.abc import Sequence
from itertools import product
from math import gcd
from typing import final

import numpy as np
import shapely
import torch
from scipy.sparse import csr_array, vstack
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import KDTree
from shapely.geometry import MultiPolygon, Polygon
from torch import Tensor

from planners.regions import checked

CELLS = 96  # of the longer side of the grid
_FIELDS = 64  # goals whose fields are kept

# Half of the directions: the graph is read as undirected.
_STEPS = [(a, b) for a, b in product(range(4), range(-3, 4)) if gcd(a, b) == 1 and (a, b) > (0, 0)]


@final
class CostToGo:
    """Length of the shortest way to a goal inside a region [m].

    Args:
        region: Where ways may lead, polygon or polygons with holes or without [m].
        cells: Cells of the longer side of the region's grid.

    Raises:
        ValueError: If the region is empty, crosses itself or has no node of the grid inside, or there are fewer than
            two cells.
    """

    def __init__(self, region: Polygon | MultiPolygon, *, cells: int = CELLS):
        if cells < 2:
            raise ValueError(f"cells must be at least 2; got {cells}.")
        self.region = checked(region)
        shapely.prepare(region)
        low, high = np.array(region.bounds[:2]), np.array(region.bounds[2:])
        self.cell = float((high - low).max()) / cells
        self._low = low - self.cell
        self._count = np.ceil((high - low) / self.cell).astype(int) + 3  # a node beyond each side
        grid = np.stack(np.meshgrid(*(np.arange(n) for n in self._count), indexing="ij"), -1)
        self._nodes = self._low + self.cell * grid.reshape(-1, 2)
        self._free = np.flatnonzero(shapely.covers(region, shapely.points(self._nodes)))
        if not len(self._free):
            raise ValueError(
                f"a grid of {cells} cells has no node inside the region; use more cells or a wider region."
            )
        self._graph = self._edges()
        self._field = functools.lru_cache(_FIELDS)(self._solved)

    def __call__(self, p: Tensor, goal: Tensor) -> Tensor:
        """Lengths from points `(M, T, 2)` to goals `(M, 2)` [m], shape `(M, T)`; differentiable almost everywhere.

        From a point that is no number it is no number.

        Raises:
            ValueError: If a goal is outside of the region or in a corner that no node of the grid sees.
        """
        goals, row = torch.unique(goal, dim=0, return_inverse=True)
        fields = torch.stack([self._field(tuple(map(float, place))) for place in goals.tolist()]).to(p)
        last = p.new_tensor(self._count - 1)
        at = (p - p.new_tensor(self._low)) / self.cell
        inside = torch.minimum(at.nan_to_num().clamp(min=0), last)
        corner = torch.minimum(inside.floor(), last - 1).long()
        share = inside - corner
        index = (row[:, None] * int(self._count[0]) + corner[..., 0]) * int(self._count[1]) + corner[..., 1]
        flat, right = fields.view(-1), int(self._count[1])
        near = torch.lerp(flat[index], flat[index + 1], share[..., 1])
        far = torch.lerp(flat[index + right], flat[index + right + 1], share[..., 1])
        off = self.cell * (at - inside)
        return torch.lerp(near, far, share[..., 0]) + (off.square().sum(-1) + 1e-24).sqrt()

    def _edges(self) -> csr_array:
        """Lengths of the segments between nodes that stay inside the region."""
        numbers = np.full(self._count, -1)
        numbers.ravel()[self._free] = self._free
        pairs = np.concatenate([_neighbours(numbers, step) for step in _STEPS])
        pairs = pairs[shapely.covers(self.region, shapely.linestrings(self._nodes[pairs]))]
        length = np.linalg.norm(np.diff(self._nodes[pairs], axis=1)[:, 0], axis=-1)
        return csr_array((length, pairs.T), shape=(len(self._nodes),) * 2)

    def _solved(self, goal: tuple[float, float]) -> Tensor:
        """Lengths from all nodes, float64, as the grid has them."""
        if not shapely.intersects_xy(self.region, *goal):
            raise ValueError(f"the goal must lie inside the region; got {goal}.")
        sight = np.stack([self._nodes[self._free], np.broadcast_to(goal, (len(self._free), 2))], 1)
        seen = shapely.covers(self.region, shapely.linestrings(sight))
        if not seen.any():
            raise ValueError(f"no node of the grid is in sight of the goal {goal}; use more cells.")
        straight = np.linalg.norm(sight[seen, 0] - sight[seen, 1], axis=-1)
        row = csr_array((straight, (np.zeros(len(straight), int), self._free[seen])), (1, len(self._nodes)))
        graph = vstack([self._graph, row])  # the goal is one node more
        graph.resize(len(self._nodes) + 1, len(self._nodes) + 1)
        length = dijkstra(graph, directed=False, indices=len(self._nodes))[:-1]
        reached = np.flatnonzero(np.isfinite(length))
        away, nearest = KDTree(self._nodes[reached]).query(self._nodes)
        return torch.from_numpy(length[reached][nearest] + away)


@final
class ReachCost:
    """To be at the goal soon and stay: the mean cost to go of a path, and that of its end [m].

    Args:
        cost_to_go: Of the region.
        end: Weight of the end; the larger, the less a plan cares how it gets there.
        channels: The two channels of a state that are the position.

    Raises:
        ValueError: If the weight is negative.
    """

    def __init__(self, cost_to_go: CostToGo, *, end: float = 0.3, channels: Sequence[int] = (0, 1)):
        if not end >= 0:
            raise ValueError(f"end must not be negative; got {end}.")
        self.cost_to_go, self.end, self.channels = cost_to_go, end, list(channels)

    def __call__(self, states: Tensor, actions: Tensor, goal: Tensor) -> Tensor:
        """Costs `(M,)` of states `(M, T, C)` and actions `(M, T, A)`, which are free, for goals `(M, 2)`."""
        length = self.cost_to_go(states[..., self.channels], goal)
        return length.mean(1) + self.end * length[:, -1]


def _neighbours(numbers: np.ndarray, step: tuple[int, int]) -> np.ndarray:
    """Pairs of numbers that lie a step `(a, b)`, a >= 0, apart on the grid, none of them negative, `(P, 2)`."""
    a, b = step
    rows, columns = numbers.shape
    here = numbers[: rows - a, max(-b, 0) : columns - max(b, 0)]
    there = numbers[a:, max(b, 0) : columns - max(-b, 0)]
    pairs = np.stack([here.ravel(), there.ravel()], 1)
    return pairs[(pairs >= 0).all(1)]
