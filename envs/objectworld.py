"""Objectworld: coloured objects on a grid, and a reward that is no linear function of the distances to them.

K objects lie on different random cells; each has an inner and an outer colour, uniform over C. With d_k a cell's
Euclidean distance to the nearest object of outer colour k, in cells,

    r = 1 if d_1 <= 3 and d_2 <= 2,    -1 if d_1 <= 3 and d_2 > 2,    0 otherwise;

inner colours and further outer ones mean nothing. Features of a cell are the distances to the nearest object of every
outer colour, then of every inner one (2 C numbers), or whether each is below 1, 2, ..., n (2 C n bits). Where no object
has a colour its distance is the diagonal of the grid. Another seed is another world on which a reward that was learnt
as a function of features can be tried. Moves, demonstrations and the measure are those of `envs.slip_grid`.

Source: Levine, Popovic and Koltun 2011, Nonlinear inverse reinforcement learning with Gaussian processes.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

_NEAR, _CLOSE = 3, 2  # of outer colours 1 and 2 [cells]
_DENSITY = 0.05  # objects a cell, unless told otherwise


@final
@dataclass(frozen=True, eq=False)
class Objectworld:
    """A world; made by `objectworld`.

    Attributes:
        size: Cells along a side, n.
        colours: Number of colours, C.
        cells: Cells (row, column) of the objects, shape `(K, 2)`.
        outer: Their outer colours, from 0, shape `(K,)`.
        inner: Their inner colours, shape `(K,)`.
    """

    size: int
    colours: int
    cells: NDArray[np.int64]
    outer: NDArray[np.int64]
    inner: NDArray[np.int64]

    def distances(self) -> NDArray[np.float64]:
        """Continuous features, shape `(2 C, n, n)`: distance to the nearest object of each outer and inner colour."""
        return np.stack(
            [self._away(kind == colour) for kind in (self.outer, self.inner) for colour in range(self.colours)]
        )

    def bits(self) -> NDArray[np.bool_]:
        """Binary features, shape `(2 C n, n, n)`: whether each distance is below 1, 2, ..., n."""
        below = self.distances()[:, None] < np.arange(1, self.size + 1)[:, None, None]
        return below.reshape(-1, self.size, self.size)

    def reward(self) -> NDArray[np.float64]:
        """True reward, shape `(n, n)`."""
        first, second = self._away(self.outer == 0), self._away(self.outer == 1)
        return np.where(first > _NEAR, 0.0, np.where(second > _CLOSE, -1.0, 1.0))

    def _away(self, chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
        if not chosen.any():
            return np.full((self.size, self.size), self.size * np.sqrt(2))
        free = np.ones((self.size, self.size), dtype=bool)
        free[tuple(self.cells[chosen].T)] = False
        return np.asarray(distance_transform_edt(free), dtype=np.float64)


def objectworld(seed: int, *, size: int = 32, objects: int | None = None, colours: int = 2) -> Objectworld:
    """The world of a seed.

    Args:
        seed: At least 0.
        size: Cells along a side, n.
        objects: K; one for 20 cells where None.
        colours: C, at least 2.

    Raises:
        ValueError: If there is no room for the objects, or there are fewer than two colours.
    """
    count = round(_DENSITY * size**2) if objects is None else objects
    if size < 1 or colours < 2 or not 1 <= count <= size**2:
        raise ValueError(
            f"a world needs 2 colours or more and 1 to {size**2} objects on {size} x {size} cells; "
            f"got {colours} and {count}."
        )
    generator = np.random.default_rng(seed)
    numbers = generator.choice(size**2, count, replace=False)
    outer, inner = generator.integers(colours, size=(2, count))
    return Objectworld(size, colours, np.stack(np.divmod(numbers, size), axis=1), outer, inner)
