"""Where the ways of two vehicles meet.

Points a of path i and b of path j conflict where the strips that the vehicles sweep overlap,
|p_i(a) - p_j(b)| < r_i(a) + r_j(b). Two boxes can only overlap while both cover conflicting points. A zone is a
connected stretch of them: [enter_i, leave_i] on one path and [enter_j, leave_j] on the other. Vehicles whose
directions differ by less than 60 degrees at the closest points go through a zone together, one behind the other; their
order is that of u = s - align, where the align points are the closest. All other zones admit one vehicle at a time.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label
from scipy.spatial import cKDTree

from envs.paths import STEP, Path

_CELL = 4.0  # conflicting points whose cells of this size touch belong to one zone [m]
_OPPOSED = 12.0  # opposite traffic that shares more than this has no way to pass [m]


@final
@dataclass(frozen=True, eq=False)
class Zones:
    """Zones of pairs of vehicles, one row each; columns 0 and 1 are the two vehicles of a pair.

    Attributes:
        pair: Numbers of the two vehicles, shape `(K, 2)`.
        enter: Where the zone begins on their paths [m], shape `(K, 2)`.
        leave: Where it ends [m], shape `(K, 2)`.
        align: Arc lengths that are the same place [m], shape `(K, 2)`.
        together: Whether they go through it in the same direction, shape `(K,)`.
        opposed: Whether they meet head-on on a long stretch, shape `(K,)`.
    """

    pair: NDArray[np.int64]
    enter: NDArray[np.float64]
    leave: NDArray[np.float64]
    align: NDArray[np.float64]
    together: NDArray[np.bool_]
    opposed: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.pair)


def no_zones() -> Zones:
    """Zones of nobody."""
    two, none = np.empty((0, 2)), np.empty(0, dtype=np.bool_)
    return Zones(np.empty((0, 2), dtype=np.int64), two, two, two, none, none)


def concatenated(parts: Sequence[Zones]) -> Zones:
    """All zones of some."""
    return Zones(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Zones)))


def zones_between(number: int, path: Path, others: Sequence[Path]) -> Zones:
    """Zones of vehicle `number` with vehicles 0, 1, ... on `others`.

    Args:
        number: The number of the vehicle on `path`; the other vehicle is in column 0 of each pair.
        path: Its path.
        others: Paths of the others.
    """
    if not others:
        return no_zones()
    owner = np.repeat(np.arange(len(others)), [len(other.points) for other in others])
    place = np.concatenate([np.arange(len(other.points)) for other in others])
    reach = np.concatenate([other.reach for other in others])
    points = np.concatenate([other.points for other in others])
    most = float(path.reach.max() + reach.max())
    near = cKDTree(path.points).sparse_distance_matrix(cKDTree(points), most, output_type="ndarray")
    near = near[near["v"] < path.reach[near["i"]] + reach[near["j"]]]
    found = []
    for other in np.unique(owner[near["j"]]).tolist():
        mine = near[owner[near["j"]] == other]
        found += _split(number, path, other, others[other], mine["i"], place[mine["j"]], mine["v"])
    return concatenated(found) if found else no_zones()


def _split(
    number: int,
    path: Path,
    other: int,
    opposite: Path,
    a: NDArray[np.int64],
    b: NDArray[np.int64],
    distance: NDArray[np.float64],
) -> list[Zones]:
    """The zones of one pair from its conflicting points."""
    row, column = (a * STEP / _CELL).astype(np.int64), (b * STEP / _CELL).astype(np.int64)
    cells = np.zeros((row.max() + 1, column.max() + 1), dtype=np.bool_)
    cells[row, column] = True
    labels, count = label(cells, np.ones((3, 3)))
    part = labels[row, column]
    zones = []
    for index in range(1, count + 1):
        i, j, d = a[part == index], b[part == index], distance[part == index]
        nearest = int(np.argmin(d))
        cosine = np.cos(path.headings[i] - opposite.headings[j])
        against = np.unique(i[cosine < -0.5])
        zones.append(
            Zones(
                np.array([[other, number]]),
                STEP * np.array([[j.min(), i.min()]], dtype=np.float64),
                STEP * np.array([[j.max(), i.max()]], dtype=np.float64),
                STEP * np.array([[j[nearest], i[nearest]]], dtype=np.float64),
                np.array([cosine[nearest] > 0.5]),
                np.array([STEP * len(against) > _OPPOSED]),
            )
        )
    return zones
