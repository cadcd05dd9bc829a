"""Layouts: obstacles that a benchmark drops into the corridors of a maze, by seed.

An obstacle is a core, a point or a convex polygon, and a radius around it: a disc, or a polygon. It is broad (0.25 to
0.35 m from its middle) and stands off the middle of a corridor, or narrow (0.05 to 0.12 m). A layout keeps 0.6 m from
the goal, and leaves a way to it from wherever an episode may start, wide enough for the ball and a little more.

Episodes start at least 0.4 m from the obstacles, and where the ball would meet one on its way along the middles of the
cells: every episode has something to go around.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import shapely

RADIUS = 0.1  # of the ball [m]
FROM_GOAL, FROM_START = 0.6, 0.4  # [m]
SPARE = 0.1  # of a way on both sides of the ball [m]
BROAD, NARROW = (0.25, 0.35), (0.05, 0.12)  # [m]
OFF = 0.2  # of a broad obstacle's middle from that of its corridor, at least [m]


@dataclass(frozen=True)
class Obstacle:
    """All places within a radius [m] of a core."""

    core: shapely.Geometry
    radius: float

    def grown(self, by: float) -> shapely.Polygon:
        """The obstacle and what is nearer to it than `by` [m]."""
        return self.core.buffer(self.radius + by)

    def distance(self, other: np.ndarray) -> np.ndarray:
        """Distances of geometries [m], negative inside where the core is that deep."""
        return shapely.distance(self.core, other) - self.radius


@dataclass(frozen=True)
class Layout:
    """Obstacles that one group of episodes shares."""

    obstacles: tuple[Obstacle, ...]

    def grown(self, by: float) -> shapely.Polygon:
        """The union of the obstacles and what is nearer to one than `by` [m]."""
        return shapely.union_all([obstacle.grown(by) for obstacle in self.obstacles])

    def distance(self, geometries: np.ndarray) -> np.ndarray:
        """Distances of geometries to the nearest obstacle [m]."""
        return np.min([obstacle.distance(geometries) for obstacle in self.obstacles], axis=0)


def layouts(free: shapely.Polygon, goal: np.ndarray, numbers: tuple[int, ...], seed: int) -> Iterator[Layout]:
    """Layouts without end.

    Args:
        free: The free cells, each a square of 1 m whose corners are half numbers or whole ones [m].
        goal: [m], shape `(2,)`.
        numbers: How many obstacles a layout may have.
        seed: Of all draws.
    """
    rng = np.random.default_rng(seed)
    while True:
        layout = Layout(tuple(_obstacle(free, rng) for _ in range(rng.choice(numbers))))
        apart = layout.distance(np.array([shapely.Point(goal)]))[0] >= FROM_GOAL
        if apart and _leaves_a_way(layout, free, goal):
            yield layout


def fit(layout: Layout, starts: np.ndarray, ways: np.ndarray) -> np.ndarray:
    """Which starts `(S, 2)` [m] are far enough from the obstacles, with ways `(S,)` that meet one; `(S,)`."""
    return (layout.distance(shapely.points(starts)) >= FROM_START) & (layout.distance(ways) < RADIUS)


def _obstacle(free: shapely.Polygon, rng: np.random.Generator) -> Obstacle:
    broad = bool(rng.random() < 0.5)
    size = rng.uniform(*(BROAD if broad else NARROW))
    while True:
        middle = rng.uniform(free.bounds[:2], free.bounds[2:])
        off = np.abs((middle - np.array(free.bounds[:2])) % 1 - 0.5).max() >= OFF
        if shapely.covers(free, shapely.Point(middle)) and (off or not broad):
            break
    if rng.random() < 0.5:
        return Obstacle(shapely.Point(middle), size)
    angle = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(4, 8)))
    corners = middle + size * np.stack([np.cos(angle), np.sin(angle)], 1)
    return Obstacle(shapely.MultiPoint(corners).convex_hull, 0.0)


def _leaves_a_way(layout: Layout, free: shapely.Polygon, goal: np.ndarray) -> bool:
    """Whether all starts that are clear of the obstacles lie in the part of the plane that the goal lies in."""
    room = free.buffer(-RADIUS, join_style="mitre").difference(layout.grown(RADIUS + SPARE / 2))
    starts = free.buffer(-0.4, join_style="mitre").difference(layout.grown(FROM_START))
    parts = shapely.get_parts(room)
    return any(part.covers(shapely.Point(goal)) and part.covers(starts) for part in parts)
