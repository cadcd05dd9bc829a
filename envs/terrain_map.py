"""Semantic maps: what covers the ground, as a raster.

Cell (i, j) is the square whose lower left corner is origin + cell * (j, i): row 0 is the south, column 0 the west, so
that x runs along columns and y along rows. A layer says for each cell how much of one thing is there, in [0, 1]:

    road        lanes for vehicles
    walkway     pavements, paths, crossings, bicycle lanes
    vegetation  grass and bushes
    parking     parking lots and driveways
    obstacle    what nobody crosses: buildings, walls, rocks, trees, water
    slope       the grade |grad h|, clipped to 1

Classes may overlap (a crossing is a road as well); ground that is none of them has all of them 0. Further layers, such
as blurred ones, may follow. A map is stored as .npz of plain arrays; nothing is unpickled.
"""

import zipfile
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

CLASSES = ("road", "walkway", "vegetation", "parking", "obstacle")
LAYERS = (*CLASSES, "slope")
"""Layers of every map, in this order."""
_ENTRIES = ("layers", "names", "elevation", "cell", "origin")


@final
@dataclass(frozen=True, eq=False)
class TerrainMap:
    """A raster of layers.

    Attributes:
        layers: Shape `(C, H, W)`, float32 in [0, 1]; the first are `LAYERS`.
        names: Names of the C layers.
        elevation: Height of the ground [m], shape `(H, W)`.
        cell: Side of a cell [m].
        origin: Lower left corner of cell (0, 0) [m].

    Raises:
        ValueError: If shapes, names or numbers do not fit.
    """

    layers: NDArray[np.float32]
    names: tuple[str, ...]
    elevation: NDArray[np.float32]
    cell: float
    origin: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        if self.layers.ndim != 3 or min(self.layers.shape) < 1 or self.elevation.shape != self.layers.shape[1:]:
            raise ValueError(
                "a terrain needs layers (C, H, W) and an elevation (H, W); "
                f"got {self.layers.shape} and {self.elevation.shape}."
            )
        if self.names[: len(LAYERS)] != LAYERS or len(self.names) != len(self.layers):
            raise ValueError(f"the names of {len(self.layers)} layers must begin with {LAYERS}; got {self.names}.")
        if not (0 < self.cell < np.inf and np.isfinite(self.origin).all() and np.isfinite(self.elevation).all()):
            raise ValueError(f"cell, origin and elevation must be finite; got cell {self.cell} at {self.origin}.")
        if not ((self.layers >= 0) & (self.layers <= 1)).all():
            raise ValueError("layers must lie in [0, 1] everywhere; scale them.")

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.elevation.shape[0], self.elevation.shape[1]

    def layer(self, name: str) -> NDArray[np.float32]:
        """One layer, shape `(H, W)`.

        Raises:
            ValueError: If there is none of that name.
        """
        if name not in self.names:
            raise ValueError(f"a layer must be one of {', '.join(self.names)}; got {name!r}.")
        return self.layers[self.names.index(name)]

    @cached_property
    def known(self) -> NDArray[np.bool_]:
        """Where something that can be crossed was mapped, shape `(H, W)`."""
        return self._mapped & (self.layer("obstacle") == 0)

    @cached_property
    def _mapped(self) -> NDArray[np.bool_]:
        """Where any class is, obstacles too, shape `(H, W)`."""
        return np.logical_or.reduce(self.layers[: len(CLASSES)] > 0)

    def cells_of(self, points: NDArray[np.float64]) -> NDArray[np.int64]:
        """Cells (row, column) that contain points [m], both shape `(..., 2)`; they may lie off the map."""
        return np.floor((points - np.array(self.origin))[..., ::-1] / self.cell).astype(np.int64)

    def centres_of(self, cells: NDArray[np.int64]) -> NDArray[np.float64]:
        """Middles [m] of cells (row, column), both shape `(..., 2)`."""
        return np.array(self.origin) + self.cell * (np.asarray(cells)[..., ::-1] + 0.5)

    def part(self, rows: slice, columns: slice) -> "TerrainMap":
        """The map of some rows and columns, in the same coordinates.

        Raises:
            ValueError: If no cell is left, or a slice has a step.
        """
        top, bottom, row_step = rows.indices(self.shape[0])
        left, right, column_step = columns.indices(self.shape[1])
        if row_step != 1 or column_step != 1 or bottom <= top or right <= left:
            raise ValueError(f"a part needs cells in steps of 1; got {rows} and {columns} of a map {self.shape}.")
        return replace(
            self,
            layers=self.layers[:, top:bottom, left:right],
            elevation=self.elevation[top:bottom, left:right],
            origin=(self.origin[0] + self.cell * left, self.origin[1] + self.cell * top),
        )

    def halves(self) -> "tuple[TerrainMap, TerrainMap]":
        """West and east, with as equal shares of the mapped cells as can be.

        The cut runs where nothing is mapped, if there are such columns between mapped cells, and then in their middle.

        Raises:
            ValueError: If the map has a single column.
        """
        if self.shape[1] < 2:
            raise ValueError("a map of one column has no halves.")
        mapped = np.logical_or.reduce(self._mapped, axis=0)
        west, columns = np.cumsum(self.known.sum(axis=0))[:-1], np.arange(1, self.shape[1])
        apart = ~(mapped[:-1] & mapped[1:]) & (west > 0) & (west < self.known.sum())
        columns = columns[apart] if apart.any() else columns
        unequal = np.abs(2 * west[columns - 1] - self.known.sum())
        middle = int(np.median(columns[unequal == unequal.min()]))
        return self.part(slice(None), slice(middle)), self.part(slice(None), slice(middle, None))

    def cropped(self, margin: int = 0) -> "TerrainMap":
        """The smallest part with all mapped cells and `margin` cells around them, as far as the map goes.

        Raises:
            ValueError: If nothing is mapped.
        """
        if not self._mapped.any():
            raise ValueError("nothing is mapped here, so there is nothing to crop to.")
        rows, columns = (np.flatnonzero(self._mapped.any(axis=axis)) for axis in (1, 0))
        return self.part(
            slice(max(int(rows[0]) - margin, 0), int(rows[-1]) + margin + 1),
            slice(max(int(columns[0]) - margin, 0), int(columns[-1]) + margin + 1),
        )

    def save(self, path: str | Path) -> None:
        """Write the map to a file, .npz."""
        names, numbers = np.array(self.names), np.array([self.cell, *self.origin])
        with open(path, "wb") as file:
            np.savez_compressed(
                file, layers=self.layers, names=names, elevation=self.elevation, cell=numbers[0], origin=numbers[1:]
            )


def load(path: str | Path) -> TerrainMap:
    """The map of a file that `save` wrote.

    Raises:
        ValueError: If the file is none.
    """
    stored = arrays(path, _ENTRIES, "a terrain map")
    try:
        x, y = stored["origin"].astype(np.float64).tolist()
        return TerrainMap(
            layers=stored["layers"].astype(np.float32),
            names=tuple(map(str, stored["names"].tolist())),
            elevation=stored["elevation"].astype(np.float32),
            cell=float(stored["cell"]),
            origin=(x, y),
        )
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} is no terrain map ({error}); write one with TerrainMap.save.") from error


def arrays(path: str | Path, entries: tuple[str, ...], what: str) -> dict[str, NDArray]:
    """The entries of an .npz file, without unpickling.

    Args:
        path: File.
        entries: Names that it must hold.
        what: What it should be, for the message.

    Raises:
        ValueError: If the file is no such archive or lacks an entry.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {entry: archive[entry] for entry in entries}
    except (OSError, KeyError, ValueError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{path} is no file of {what}: it must be .npz with {', '.join(entries)} ({type(error).__name__})."
        ) from error
