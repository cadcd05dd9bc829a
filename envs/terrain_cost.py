"""True costs: what the people who made the demonstrations want, which no observation shows.

A metre on a cell costs

    c = (p + e [road] exp(-u / w_e) + s [vegetation] exp(-r / w_s) + o exp(-q / w_o)) (1 + (slope / g)^2)   [1 / m],

where p is the lowest price among the classes that are there (that of bare ground where none is), u the distance to the
edge of the road, r that to the nearest road and q that to the nearest obstacle [m]. An obstacle costs infinitely much.
No weighting of the layers of one cell equals it: the edge of a road costs more than its middle, and a meadow is cheap
away from roads alone.

    preference   road  walkway  vegetation  parking  ground    e     s     o     g
    ROADS           1        3           7        2       5    1     0     2   0.35
    GREEN           6      1.2           1        5       3    2     5     2   0.35

with w_e = 0.7 m, w_s = 3 m and w_o = 0.7 m. They stand for two ways to cross the same land: along roads, under cover.

Source: the two modes of Ratliff, Bagnell and Zinkevich 2006, Maximum margin planning, whose costs are not published.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from envs.terrain_map import CLASSES, TerrainMap

_EDGE_WIDTH, _SHY_WIDTH, _BERTH_WIDTH = 0.7, 3.0, 0.7  # w_e, w_s, w_o [m]


@final
@dataclass(frozen=True)
class Preference:
    """Prices of a metre.

    Attributes:
        road: On a road.
        walkway: On a walkway.
        vegetation: In vegetation.
        parking: On a parking lot.
        ground: Where no class is.
        edge: More at the edge of a road.
        shy: More in vegetation beside a road.
        berth: More beside an obstacle.
        steep: Grade that doubles the price.
    """

    road: float
    walkway: float
    vegetation: float
    parking: float
    ground: float
    edge: float
    shy: float
    berth: float
    steep: float


ROADS = Preference(road=1, walkway=3, vegetation=7, parking=2, ground=5, edge=1, shy=0, berth=2, steep=0.35)
"""Keeps to the middle of roads."""
GREEN = Preference(road=6, walkway=1.2, vegetation=1, parking=5, ground=3, edge=2, shy=5, berth=2, steep=0.35)
"""Keeps to paths and to meadows away from roads."""
PREFERENCES = {"roads": ROADS, "green": GREEN}


def true_cost(terrain: TerrainMap, preference: Preference) -> NDArray[np.float64]:
    """Cost of a metre on every cell [1/m], shape `(H, W)`; infinite on obstacles."""
    prices = (preference.road, preference.walkway, preference.vegetation, preference.parking)
    there = terrain.layers[: len(prices)] > 0.5
    cost = np.where(there, np.reshape(prices, (-1, 1, 1)), np.inf).min(axis=0)
    cost[~there.any(axis=0)] = preference.ground
    road, vegetation = there[CLASSES.index("road")], there[CLASSES.index("vegetation")]
    obstacle = terrain.layer("obstacle") > 0.5
    cost += preference.edge * road * np.exp(-_away(~road, terrain.cell) / _EDGE_WIDTH)
    cost += preference.shy * vegetation * np.exp(-_away(road, terrain.cell) / _SHY_WIDTH)
    cost += preference.berth * np.exp(-_away(obstacle, terrain.cell) / _BERTH_WIDTH)
    cost *= 1 + (terrain.layer("slope").astype(np.float64) / preference.steep) ** 2
    cost[obstacle] = np.inf
    return cost


def _away(mask: NDArray[np.bool_], cell: float) -> NDArray[np.float64]:
    """Distance to the edge of the nearest cell of a mask [m], infinite where there is none."""
    if not mask.any():
        return np.full(mask.shape, np.inf)
    return np.maximum(cell * distance_transform_edt(~mask) - cell / 2, 0.0)
