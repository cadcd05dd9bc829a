r"""Cost maps: what a metre costs at every place, one map for all planners.

Cell (i, j), row i and column j, is the square whose lower left corner is origin + cell (j, i). Its number m is the cost
of a metre at its centre; between centres the map is read bilinearly, from the outermost centres to the rim it stays as
it is. A path y of straight segments costs the integral

    C(y) = sum_k |y_{k+1} - y_k| mean over the segment of m,

by the midpoint rule on parts of half a cell at most, so that no segment jumps over a cell.

Infinite numbers are obstacles. Planners over cells never enter them. Where slopes are wanted a metre in them costs

    price * depth        depth in cells: 1 next to what is free, more further in

and off the map price * (distance to the map in cells) is added, so that the way out is downhill from everywhere. The
reading rises from the centre of the free cell beside an obstacle on, which keeps half a cell of distance where there is
room. This is a price and no constraint: `free_space` is a polygon for `KeepInRegion`, which certifies.

Over cells a move costs what `embodied_gen.graphs.Grid` says. The two agree on moves between neighbours in a row or a
column; on a diagonal the bilinear reading sees the two cells beside it too.
"""

import functools
import math
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import final

import numpy as np
import shapely
import torch
from scipy.ndimage import distance_transform_edt
from shapely.geometry import MultiPolygon, Polygon
from torch import Tensor
from torch.nn import functional

from embodied_gen.graphs import Grid, costs_to_go
from embodied_gen.nets.bilinear import bilinear
from planners.constants import Constant

PRICE = 100.0
_ENTRIES = ("values", "cell", "origin")


@final
class CostMap:
    """Costs of places, without slopes in the costs themselves.

    Args:
        values: Cost of a metre in each cell [1/m], infinite for obstacles, shape `(H, W)`, row 0 at the lowest y.
        cell: Side of a cell [m], > 0.
        origin: Lower left corner of cell (0, 0) [m].
        price: Cost of a metre in an obstacle next to what is free [1/m], above that of every free cell.

    Raises:
        ValueError: If a number is out of range or nothing is free.
    """

    def __init__(self, values: Tensor, cell: float, origin: Sequence[float] = (0.0, 0.0), *, price: float = PRICE):
        if not 0 < cell < math.inf or not all(map(math.isfinite, origin)) or len(origin) != 2:
            raise ValueError(
                f"cell must be positive, origin two numbers and all finite; got {cell} and {list(origin)}."
            )
        self.values = values.detach().to("cpu", torch.float64)
        _require_costs(self.values, price)
        self.cell, self.origin, self.price = float(cell), (float(origin[0]), float(origin[1])), float(price)
        self.blocked = self.values.isinf()
        self.grid = Grid(*self.values.shape)
        depth = torch.from_numpy(distance_transform_edt(self.blocked.numpy()))
        count = torch.tensor(self.values.shape, dtype=torch.float64).flip(0)
        self._finite = Constant(torch.where(self.blocked, self.price * depth, self.values))
        self._centre = Constant(torch.tensor(self.origin, dtype=torch.float64) + self.cell * count / 2)
        self._half = Constant(self.cell * count / 2)
        self._inner = Constant(self.cell * (count - 1).clamp(min=1) / 2)  # to the outermost centres

    def __call__(self, p: Tensor) -> Tensor:
        """Cost of a metre at points `(..., 2)` [m], finite, shape `(...)`; differentiable almost everywhere."""
        away = p - self._centre.like(p)
        half = self._half.like(p)
        at = (away / self._inner.like(p)).reshape(1, -1, 2)
        read = bilinear(self._finite.like(p).unsqueeze(0), at).view(p.shape[:-1])
        off = functional.softshrink(away / half, 1.0) * half
        return read + self.price / self.cell * off.abs().sum(-1)

    @functools.cached_property
    def moves(self) -> Tensor:
        """Costs of the eight moves between cells, infinite where an obstacle is entered, shape `(8, H, W)`.

        A diagonal move needs both cells beside it free: nothing passes between two that touch at a corner.
        """
        costs = self.cell * self.grid.costs_of_moves(self.values.unsqueeze(0))[0]
        height, width = self.values.shape
        board = functional.pad(self.blocked, [1, 1, 1, 1], value=True)
        for number, (a, b) in enumerate(self.grid.moves):
            beside = board[1 + a : 1 + a + height, 1:-1] | board[1:-1, 1 + b : 1 + b + width]
            if a and b:
                costs[number][beside] = math.inf
        return costs

    def located(self, place: Sequence[float] | np.ndarray, name: str) -> int:
        """Number of the cell of the grid in which a place [m] lies.

        Args:
            place: x and y.
            name: What a message calls it.

        Raises:
            ValueError: If it lies off the map or in an obstacle.
        """
        column, row = np.floor((np.asarray(place, np.float64) - self.origin) / self.cell).tolist()
        height, width = self.values.shape
        if not (0 <= row < height and 0 <= column < width):
            raise ValueError(
                f"{name} must lie on the map of {height} x {width} cells of {self.cell:g} m from "
                f"{list(self.origin)} m; got {np.asarray(place).tolist()}."
            )
        state = int(row) * width + int(column)
        if self.blocked[int(row), int(column)]:
            raise ValueError(
                f"{name} must lie in a free cell; {np.asarray(place).tolist()} m lies in the obstacle "
                f"{self.grid.place(state)}."
            )
        return state

    def centres(self, states: Tensor) -> np.ndarray:
        """Centres of numbered cells [m], `(L,)` to float64 `(L, 2)`."""
        return self._corners(states, 0.5)

    def to_go(self, goal: Sequence[float] | np.ndarray) -> "CostMap":
        """The cost of the cheapest way over cells to a place: a map to read and not to integrate.

        Where no way leads to it, it is higher than everywhere else, and falls towards where one does.

        Raises:
            ValueError: If the goal lies off the map or in an obstacle, or a free cell costs less than nothing.
        """
        if self.values.min() < 0:
            raise ValueError(f"costs to go need costs that are not negative; got {float(self.values.min())}.")
        left = costs_to_go(self.grid, self.moves.unsqueeze(0), torch.tensor([self.located(goal, "goal")]))[0]
        highest = float(left[left.isfinite()].max())
        return CostMap(left, self.cell, self.origin, price=highest + self.cell * self.price)

    def free_space(self) -> Polygon | MultiPolygon:
        """Where there is no obstacle [m]."""
        free = (~self.blocked).flatten().nonzero()[:, 0]
        low, high = self._corners(free, 0.0), self._corners(free, 1.0)  # neighbours share theirs to the last bit
        return shapely.union_all(shapely.box(*low.T, *high.T))

    def _corners(self, states: Tensor, share: float) -> np.ndarray:
        """Points of numbered cells [m], from the lower left corner at a share of 0 to the upper right at 1."""
        return np.array(self.origin) + self.cell * (self.grid.cells(states).flip(-1).numpy() + share)

    def save(self, path: str | Path) -> None:
        """Writes the map to a file, .npz; the price is not part of it."""
        with open(path, "wb") as file:
            np.savez_compressed(
                file, values=self.values.numpy(), cell=np.array(self.cell), origin=np.array(self.origin)
            )


def read_cost_map(path: str | Path, *, price: float = PRICE) -> CostMap:
    """The map of a file that `CostMap.save` wrote; nothing is unpickled.

    Raises:
        ValueError: If there is no such file, it is another, or its numbers make no map.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            values, cell, origin = (archive[entry].astype(np.float64) for entry in _ENTRIES)
    except (OSError, KeyError, ValueError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{path} is no cost map: it must be .npz with {', '.join(_ENTRIES)} ({type(error).__name__}). "
            "Write one with CostMap.save."
        ) from error
    if cell.shape != () or origin.shape != (2,):
        raise ValueError(f"{path}: cell must be one number and origin two; got shapes {cell.shape} and {origin.shape}.")
    return CostMap(torch.from_numpy(values), float(cell), origin.tolist(), price=price)


def _require_costs(values: Tensor, price: float) -> None:
    """Raises `ValueError` unless values are a map with something free, all of it below the price."""
    if values.ndim != 2 or not values.numel():
        raise ValueError(f"a cost map must have shape (H, W), not empty; got {tuple(values.shape)}.")
    if not (values > -math.inf).all():
        raise ValueError("costs must be numbers above minus infinity, and infinite for obstacles; got others.")
    free = values[values.isfinite()]
    if not len(free):
        raise ValueError("a cost map needs a free cell; all are infinite.")
    if not max(0.0, float(free.max())) < price < math.inf:
        raise ValueError(
            f"price, of a metre in obstacles, must be positive, finite and above that of every free cell, "
            f"{float(free.max()):g} at most; got {price}."
        )
