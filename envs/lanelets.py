"""Lanelets: pieces of lanes between a left and a right bound.

Both bounds run in the direction of travel. Each gets the corners of both, matched by relative arc length, which leaves
their geometry as it is; the centre line is the mean of matched corners,
c(u) = (l(u) + r(u)) / 2 with u in [0, 1] the share of each bound's length.

Source: Bender, Ziegler and Stiller 2014, Lanelets: efficient map representation for autonomous driving.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import Polygon

from envs.polylines import Points, arc_length, at, without_repeats

MAX_COORDINATE = 1e6
"""Largest coordinate of a map [m]."""
MAX_SPEED_LIMIT = 100.0
"""Largest speed limit [m/s]."""


@final
@dataclass(frozen=True, eq=False)
class Lanelet:
    """A piece of a lane, for vehicles; made by `lanelet`.

    Attributes:
        id: Its number in the map.
        left: Left bound in the direction of travel [m], shape `(N, 2)`.
        right: Right bound [m], shape `(N, 2)`.
        centre: Centre line [m], shape `(N, 2)`.
        successors: Lanelets that begin where it ends.
        predecessors: Lanelets that end where it begins.
        left_neighbour: The lanelet beside it on the left that runs the same way, or None.
        right_neighbour: The same on the right.
        speed_limit: [m/s], or None where the map does not say.
    """

    id: int
    left: NDArray[np.float64]
    right: NDArray[np.float64]
    centre: NDArray[np.float64]
    successors: tuple[int, ...]
    predecessors: tuple[int, ...]
    left_neighbour: int | None
    right_neighbour: int | None
    speed_limit: float | None

    @cached_property
    def length(self) -> float:
        """Length of the centre line [m]."""
        return float(arc_length(self.centre)[-1])

    @cached_property
    def polygon(self) -> Any:
        """The area between the bounds, a valid polygon or polygons.

        Where bounds cross each other the outline crosses itself: it is cut at the crossings and all pieces are kept.
        """
        outline = Polygon(np.concatenate([self.left, self.right[::-1]]))
        if outline.is_valid:
            return outline
        pieces = shapely.get_parts(shapely.make_valid(outline))
        return shapely.union_all([piece for piece in pieces if piece.area > 0])


def lanelet(
    number: int,
    left: Any,
    right: Any,
    *,
    successors: Iterable[int] = (),
    predecessors: Iterable[int] = (),
    left_neighbour: int | None = None,
    right_neighbour: int | None = None,
    speed_limit: float | None = None,
) -> Lanelet:
    """A lanelet from its bounds [m], `(P, 2)` and `(Q, 2)`, both in the direction of travel.

    Raises:
        ValueError: If a bound is no line or crosses itself, a coordinate or the speed limit is out of range, or the
            area is zero.
    """
    left, right = _bound(number, "left", left), _bound(number, "right", right)
    if speed_limit is not None and not 0 < speed_limit <= MAX_SPEED_LIMIT:
        raise ValueError(
            f"lanelet {number}: a speed limit must lie in (0, {MAX_SPEED_LIMIT:g}] m/s; got {speed_limit:g}."
        )
    left, right = _matched(left, right)
    centre = without_repeats((left + right) / 2)
    if len(centre) < 2:
        raise ValueError(f"lanelet {number}: its centre line has no length; check the direction of its bounds.")
    made = Lanelet(
        number,
        left,
        right,
        _evened(centre, len(left)),
        tuple(successors),
        tuple(predecessors),
        left_neighbour,
        right_neighbour,
        speed_limit,
    )
    if not made.polygon.area > 0:
        raise ValueError(f"lanelet {number}: there is no area between its bounds; left and right must differ.")
    return made


def _bound(number: int, side: str, points: Any) -> Points:
    bound = np.asarray(points, dtype=np.float64)
    if bound.ndim != 2 or bound.shape[1] != 2 or len(bound) < 2:
        raise ValueError(
            f"lanelet {number}: the {side} bound must be two points (x, y) or more; got shape {bound.shape}."
        )
    if not (np.abs(bound) <= MAX_COORDINATE).all():
        raise ValueError(
            f"lanelet {number}: the {side} bound must have finite coordinates up to {MAX_COORDINATE:g} m; move the map."
        )
    bound = without_repeats(bound)
    if len(bound) < 2:
        raise ValueError(f"lanelet {number}: all points of the {side} bound are the same.")
    # Points in no order cross each other so often that the area between two such lines takes minutes.
    if not shapely.is_simple(shapely.LineString(bound)):
        raise ValueError(f"lanelet {number}: the {side} bound crosses itself; order its points along the lane.")
    return bound


def _matched(left: Points, right: Points) -> tuple[Points, Points]:
    """Both bounds with the corners of both, by relative arc length."""
    lengths = [arc_length(bound) for bound in (left, right)]
    shares = [length / length[-1] for length in lengths]
    both = np.unique(np.concatenate(shares).round(9))
    # A bound's own corners as they are: interpolation at a rounded share would move them by a hair.
    s = [length[-1] * _snapped(both, share) for length, share in zip(lengths, shares, strict=True)]
    return at(left, lengths[0], s[0]), at(right, lengths[1], s[1])


def _snapped(both: NDArray[np.float64], own: NDArray[np.float64]) -> NDArray[np.float64]:
    after = np.searchsorted(own, both).clip(1, len(own) - 1)
    nearest = np.where(both - own[after - 1] < own[after] - both, own[after - 1], own[after])
    return np.where(np.abs(both - nearest) < 1e-8, nearest, both)


def _evened(centre: Points, count: int) -> Points:
    """The centre line with `count` points, those it lost as repeats put back by arc length."""
    if len(centre) == count:
        return centre
    length = arc_length(centre)
    return at(centre, length, np.linspace(0.0, length[-1], count))
