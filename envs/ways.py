"""Ways ahead along lanes: which lane a pose is on, and where it leads.

The misfit of a pose (p, psi) to a point of a centre line (q, theta) is the Euclidean distance of

    (x, y, w cos psi, w sin psi),    w = 5 m,

so that a direction off by 60 degrees weighs as much as a distance of 5 m and the opposite one as 10 m; the lane of a
pose is the nearest neighbour in a k-d tree. Where lanes overlap, as inside a crossing, every lane that fits within 1 m
of the best counts as the pose's own.

A way is a walk along successors; at every fork the straightest branch comes first. Ways are ordered by the number of
forks at which they leave the straightest branch, then by how soon they do.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from envs.lanelets import Lanelet
from envs.polylines import Points, arc_length, at, extended, headings

STEP = 1.0
"""Spacing of tabulated points [m]."""
_TURN = 5.0  # w [m]
_OWN = 1.0  # misfit beyond the best at which a lane still counts as the pose's own [m]
_NEAREST = 12  # samples looked at for each pose
SAME = 0.5  # ways that stay this close to each other are one [m]
_MOST = 64  # walks from one lanelet that are looked at


@final
class Ways:
    """Lanes of a map, tabulated every metre for look-ups.

    Args:
        lanelets: All lanelets by number; not empty.

    Attributes:
        point: Places on all lanes, every metre [m], shape `(S, 2)`.
        heading: Direction of travel there [rad], shape `(S,)`.
        number: The lanelet, shape `(S,)`.
        s: Arc length on it [m], shape `(S,)`.
    """

    def __init__(self, lanelets: Mapping[int, Lanelet]) -> None:
        self._lanelets = lanelets
        self._tables: dict[tuple[int, float], Points] = {}
        numbers, points, directions, lengths = [], [], [], []
        for lane in lanelets.values():
            s = np.linspace(0.0, lane.length, max(2, round(lane.length / STEP) + 1))
            line = at(lane.centre, arc_length(lane.centre), s)
            numbers.append(np.full(len(s), lane.id, dtype=np.int64))
            points.append(line)
            directions.append(headings(line))
            lengths.append(s)
        self.number, self.s = np.concatenate(numbers), np.concatenate(lengths)
        self.point, self.heading = np.concatenate(points), np.concatenate(directions)
        self._tree = cKDTree(_embedded(self.point, self.heading))
        self._ends = {lane.id: _directions(lane) for lane in lanelets.values()}

    def nearest(self, position: Points, direction: float) -> int:
        """The row of `point`, `heading`, `number` and `s` that fits a pose `(2,)` [m] and [rad] best."""
        return int(self._tree.query(_embedded(position[None], np.array([direction])))[1][0])

    def lanes(self, positions: Points, directions: NDArray[np.float64]) -> list[list[tuple[int, float]]]:
        """For every pose its own lanes, best first, each with the arc length of the pose's foot [m].

        Args:
            positions: [m], shape `(M, 2)`.
            directions: [rad], shape `(M,)`.
        """
        misfit, index = self._tree.query(_embedded(positions, directions), k=min(_NEAREST, len(self.s)))
        near = misfit <= misfit[:, :1] + _OWN
        feet = self._feet(positions, index)
        found = []
        for row in range(len(positions)):
            lanes: dict[int, float] = {}
            for number, s, close in zip(
                self.number[index[row]].tolist(), feet[row].tolist(), near[row].tolist(), strict=True
            ):
                if close and number not in lanes:
                    lanes[number] = s
            found.append(list(lanes.items()))
        return found

    def ahead(self, lanes: Sequence[tuple[int, float]], count: int, length: float, spacing: float) -> Points:
        """Up to `count` different ways from a pose, shape `(R, length // spacing, 2)` [m].

        Args:
            lanes: The pose's own lanes with their arc lengths, best first, as `lanes` gives them.
            count: How many ways at most.
            length: How far they go [m].
            spacing: Distance of their points [m]; the first is this far ahead.
        """
        offsets = spacing * np.arange(1, int(length / spacing + 1e-9) + 1)
        kept: list[Points] = []
        for number, s in self._with_neighbours(lanes):
            table = self._table(number, length)
            whole = (s + offsets) / STEP
            low = whole.astype(np.int64)
            share = (whole - low)[:, None]
            for way in (1 - share) * table[:, low] + share * table[:, low + 1]:
                if all(np.linalg.norm(way - other, axis=1).max() > SAME for other in kept):
                    kept.append(way)
                    if len(kept) == count:
                        return np.stack(kept)
        return np.stack(kept)

    def straightest(self, number: int) -> list[int]:
        """The successors of a lanelet, the one that turns least first."""
        end = self._ends[number][1]
        turns = {n: abs(np.angle(np.exp(1j * (self._ends[n][1] - end)))) for n in self._lanelets[number].successors}
        return sorted(turns, key=lambda n: (turns[n], n))

    def _feet(self, positions: Points, index: NDArray[np.int64]) -> NDArray[np.float64]:
        """Arc lengths of the feet of poses on the tangents at samples, shape like `index`."""
        heading = self.heading[index]
        offset = positions[:, None] - self.point[index]
        along = offset[..., 0] * np.cos(heading) + offset[..., 1] * np.sin(heading)
        return np.maximum(self.s[index] + np.clip(along, -STEP, STEP), 0.0)

    def _with_neighbours(self, lanes: Sequence[tuple[int, float]]) -> Iterator[tuple[int, float]]:
        """The own lanes, then their neighbours, each with the arc length to start from."""
        yield from ((number, min(s, self._lanelets[number].length)) for number, s in lanes)
        for number, s in lanes:
            lane = self._lanelets[number]
            for beside in (lane.left_neighbour, lane.right_neighbour):
                if beside is not None:
                    yield beside, min(s / lane.length, 1.0) * self._lanelets[beside].length

    def _table(self, number: int, length: float) -> Points:
        """Points every `STEP` on all ways from the start of a lanelet to `length` beyond its end, `(K, P, 2)`."""
        key = (number, length)
        if key not in self._tables:
            reach = self._lanelets[number].length + length + 2 * STEP
            s = np.arange(0.0, reach, STEP)
            walks = sorted(islice(self._walks(number, reach), _MOST), key=lambda walk: _rank(walk[1]))
            self._tables[key] = np.stack([self._line(walk, s) for walk, _ in walks])
        return self._tables[key]

    def _walks(self, number: int, reach: float) -> Iterator[tuple[list[int], list[int]]]:
        """Walks over successors until `reach`, each with the branch taken at every lanelet."""
        stack: list[tuple[list[int], list[int], float]] = [([number], [], self._lanelets[number].length)]
        while stack:
            walk, choices, length = stack.pop()
            branches = self.straightest(walk[-1]) if length < reach else []
            if not branches:
                yield walk, choices
            for choice, branch in reversed(list(enumerate(branches))):
                stack.append(([*walk, branch], [*choices, choice], length + self._lanelets[branch].length))

    def _line(self, walk: list[int], s: NDArray[np.float64]) -> Points:
        points = joined([self._lanelets[number] for number in walk])
        missing = max(float(s[-1]) - float(arc_length(points)[-1]), 0.0)
        points = extended(points, 0.0, missing + STEP)
        return at(points, arc_length(points), s)


def joined(lanes: Sequence[Lanelet]) -> Points:
    """The centre lines of lanelets that follow each other as one, `(P, 2)` [m], without repeated points."""
    points = np.concatenate([lane.centre for lane in lanes])
    apart = np.linalg.norm(np.diff(points, axis=0), axis=1) > 1e-3
    return points[np.concatenate([[True], apart])]


def _rank(choices: list[int]) -> tuple[int, list[int], list[int]]:
    bends = [place for place, choice in enumerate(choices) if choice]
    return len(bends), bends, choices


def _directions(lane: Lanelet) -> tuple[float, float]:
    direction = headings(lane.centre)
    return float(direction[0]), float(direction[-1])


def _embedded(points: Points, direction: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([points[:, 0], points[:, 1], _TURN * np.cos(direction), _TURN * np.sin(direction)], axis=1)
