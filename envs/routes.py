"""The posts of Avoid-v0, the 24 routes between them, and the expert that takes them.

Row r = 0, 1, 2 holds r + 1 posts on the line y = ROW_Y[r], spaced by 0.2 m and centred, and so has r + 2
gaps, numbered from left to right; the outer gaps end at the workspace's edge. A route is a choice of one
gap per row, mode = 12 g_0 + 4 g_1 + g_2 in {0, ..., 23}.

The expert follows a smooth path P through its gaps by pure pursuit: with s the arc length of the point of
P nearest to the effector, it commands P(s + L). It is a feedback law: pushed aside, it returns to the path.

Source of the task's idea: Jia et al. 2024, D3IL (arXiv:2402.14606), "Avoiding"; the arm, the sizes and the
expert are our own.
"""

from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from envs.polylines import arc_length, resample

ROW_Y = (-0.21, 0.0, 0.21)
"""Height of each row of posts [m]."""
ROW_POSTS = ((0.0,), (-0.1, 0.1), (-0.2, 0.0, 0.2))
"""x of the posts in each row [m]."""
ROW_GAPS = ((-0.1, 0.1), (-0.2, 0.0, 0.2), (-0.3, -0.1, 0.1, 0.3))
"""x of the middle of each gap [m], half a spacing beside the posts."""
POST_RADIUS = 0.035
"""Post radius [m]; the free opening of an inner gap is 0.13 m."""
FINISH_Y = 0.35
"""Height of the finish line [m]."""
MODES = 24
"""Number of routes."""


def posts() -> NDArray[np.float64]:
    """Post centres [m], shape `(6, 2)`, row by row from left to right."""
    return np.array([(x, y) for y, row in zip(ROW_Y, ROW_POSTS, strict=True) for x in row])


def mode_of(gaps: tuple[int, int, int]) -> int:
    """Route index in 0..23 of one gap per row."""
    return 12 * gaps[0] + 4 * gaps[1] + gaps[2]


def gaps_of(mode: int) -> tuple[int, int, int]:
    """Gap in each row of a route; the inverse of `mode_of`.

    Raises:
        ValueError: If `mode` is not a route.
    """
    if not 0 <= mode < MODES:
        raise ValueError(f"mode must be a route index in 0..{MODES - 1}; got {mode}.")
    return mode // 12, mode // 4 % 3, mode % 4


@final
class GapRecord:
    """Which gap of each row the effector went through last, on its way up."""

    def __init__(self) -> None:
        self._gaps = [-1, -1, -1]
        self._rows = 0

    @property
    def mode(self) -> int:
        """Route index once all rows lie behind, else -1."""
        first, second, third = self._gaps
        return -1 if -1 in self._gaps else mode_of((first, second, third))

    def clear(self, y: float) -> None:
        """Start an episode at height `y` [m], below the first row."""
        self._gaps = [-1, -1, -1]
        self._rows = _rows_below(y)

    def add(self, path: NDArray[np.float64]) -> None:
        """Extend the record by a stretch of path [m], shape `(P, 2)`."""
        rows = _rows_below(float(path[-1, 1]))
        if rows == self._rows:
            return
        for row in range(self._rows, rows):
            after = int(np.argmax(path[:, 1] >= ROW_Y[row]))
            (x_0, y_0), (x_1, y_1) = path[max(after - 1, 0)], path[after]
            share = (ROW_Y[row] - y_0) / (y_1 - y_0) if y_1 > y_0 else 0.0
            self._gaps[row] = sum(post < x_0 + share * (x_1 - x_0) for post in ROW_POSTS[row])
        # Going back down through a row withdraws what was noted for it.
        for row in range(rows, self._rows):
            self._gaps[row] = -1
        self._rows = rows


def _rows_below(y: float) -> int:
    return (y >= ROW_Y[0]) + (y >= ROW_Y[1]) + (y >= ROW_Y[2])


@final
class AvoidExpert:
    """Takes a random one of the 24 routes with random speed and small random offsets.

    Args:
        max_advance: Largest advance of the set-point per control step [m].
        route: Route index to take always; random for every episode if None.
    """

    SPACING = 0.005  # of the points that make up the path [m]
    LAG = 1.18  # lookahead per wanted advance: the effector covers 1 / 1.18 of its distance to the set-point

    def __init__(self, *, max_advance: float, route: int | None = None) -> None:
        self.max_advance = max_advance
        self.route = route
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Draw route, speed and offsets of the next episode from `seed`."""
        generator = np.random.default_rng(seed)
        drawn = int(generator.integers(MODES))
        mode = drawn if self.route is None else self.route
        offsets = generator.uniform(-0.012, 0.012, size=3)
        stretch = generator.uniform(0.05, 0.07, size=3)
        self._lookahead = self.LAG * self.max_advance * generator.uniform(0.6, 0.85)
        self._finish = (float(generator.uniform(-0.03, 0.03)), FINISH_Y + 0.04)
        self._gates = [
            (ROW_GAPS[row][gap] + offsets[row], ROW_Y[row] + side * stretch[row])
            for row, gap in enumerate(gaps_of(mode))
            for side in (-1, 1)
        ]
        self._path: NDArray[np.float64] | None = None
        self._progress = 0

    def act(self, observation: NDArray[Any]) -> NDArray[np.float32]:
        """Set-point [m], shape `(2,)`, a step ahead of the effector on the path.

        Args:
            observation: Observation of Avoid-v0, shape `(4,)`; the set-point part is not used.
        """
        if self._path is None:
            last = (self._gates[-1][0] + self._finish[0], self._finish[1])
            self._path = smooth_path([tuple(observation[:2]), *self._gates, last], spacing=self.SPACING)
        # Only the stretch ahead: after a sharp turn an earlier part of the path may be nearer.
        window = self._path[self._progress : self._progress + round(0.12 / self.SPACING)]
        self._progress += int(np.argmin(((window - observation[:2]) ** 2).sum(axis=1)))
        ahead = self._progress + round(self._lookahead / self.SPACING)
        return self._path[min(ahead, len(self._path) - 1)].astype(np.float32)


def smooth_path(corners: list[tuple[float, float]], *, spacing: float) -> NDArray[np.float64]:
    """Round off a polyline and sample it evenly.

    Corners are cut three times at a quarter of their sides (Chaikin 1974), which leaves the middle of every
    side on the path with its direction.

    Args:
        corners: At least two points [m].
        spacing: Distance of the samples [m].

    Returns:
        Points on the path [m], shape `(P, 2)`, from the first corner to the last.
    """
    points = np.asarray(corners, dtype=np.float64)
    for _ in range(3):
        early = 0.75 * points[:-1] + 0.25 * points[1:]
        late = 0.25 * points[:-1] + 0.75 * points[1:]
        points = np.concatenate([points[:1], np.stack([early, late], axis=1).reshape(-1, 2), points[-1:]])
    return resample(points, max(2, round(float(arc_length(points)[-1]) / spacing) + 1))
