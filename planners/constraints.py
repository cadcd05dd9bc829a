r"""Constraints on planned paths: margins, penalties, exact checks.

A path y has T way-points in physical units, joined by straight segments; two of its channels are a position p in the
plane. A constraint is a signed margin of the whole path, in metres or its own unit,

    margin(y) >= 0   exactly where the constraint holds on all of the swept path,

differentiable almost everywhere, the smallest of one margin for each part of the path. Margins of segments are exact
distances, not samples: a path cannot hop across a disc between two way-points.

Notation: y has shape `(B, N, T, D)`; a smallest margin has shape `(B, N)`, the margins of P parts `(B, N, P)`.
"""

import abc
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, final

import torch
from torch import Tensor

from planners.constants import Constant

Period = float | Tensor


class Constraint(abc.ABC):
    """Something that a path must satisfy.

    Attributes:
        name: For messages and pictures.
        projects: Whether `project` is more than the identity.
    """

    name: str
    projects: bool = False

    @abc.abstractmethod
    def margins(self, y: Tensor) -> Tensor:
        """Signed margins of the path's parts, shape `(B, N, P)`: negative where a part offends."""

    def shapes(self) -> dict[str, list[dict[str, Any]]]:
        """What to draw, plain numbers in the form of an environment's `scene()`; nothing where it has no place."""
        return {}

    def margin(self, y: Tensor) -> Tensor:
        """The smallest margin of a path on the exact geometry, shape `(B, N)`: not negative where it holds."""
        return self.margins(y).amin(-1)

    def project(self, y: Tensor) -> Tensor:
        """The nearest path that satisfies it where there is a formula for it, else y itself; same shape."""
        return y


class Place(Constraint, abc.ABC):
    """A constraint on where the position is at every moment: standing still for longer changes nothing."""


@final
class KeepOutDisc(Place):
    """The position stays outside of a disc, way-points and segments.

    Args:
        centre: [m].
        radius: [m], > 0.
        channels: The two channels that are the position.
    """

    def __init__(self, centre: Sequence[float], radius: float, *, channels: Sequence[int] = (0, 1)):
        if not radius > 0:
            raise ValueError(f"radius must be positive; got {radius}.")
        self.centre = (float(centre[0]), float(centre[1]))
        self.radius = radius
        self.channels = _plane(channels)
        self._discs = Discs([self])
        self.name = f"keep out of the disc at ({self.centre[0]:g}, {self.centre[1]:g}) of radius {radius:g} m"

    def shapes(self) -> dict[str, list[dict[str, Any]]]:
        """The disc."""
        return {"discs": [{"role": "constraint", "centre": list(self.centre), "radius": self.radius}]}

    def margins(self, y: Tensor) -> Tensor:
        """Distance of every segment to the disc [m], `(B, N, T - 1)`; of the point where T is 1."""
        return self._discs.margins(y)


@final
class Discs:
    """K discs that share their channels, whose margins are computed at once: many small discs cost as much as one.

    Args:
        discs: At least one.
    """

    def __init__(self, discs: Sequence[KeepOutDisc]):
        self.channels = discs[0].channels
        self._x, self._y = (Constant([disc.centre[axis] for disc in discs]) for axis in (0, 1))
        self._radii = Constant([disc.radius for disc in discs])

    def margins(self, y: Tensor) -> Tensor:
        """Distance of every segment to every disc [m], `(B, N, (T - 1) K)`; of the point where T is 1."""
        _require_channels(y, self.channels)
        # Coordinate by coordinate: sums over an axis of two are slow, and this runs at every step of a sampler.
        a = y.select(-1, self.channels[0]).unsqueeze(-1) - self._x.like(y)  # (B, N, T, K)
        b = y.select(-1, self.channels[1]).unsqueeze(-1) - self._y.like(y)
        if a.shape[2] > 1:
            step_a, step_b = a.diff(dim=2), b.diff(dim=2)
            a, b = a[:, :, :-1], b[:, :, :-1]
            # The nearest point of a segment to the centre, by projection; as it is the nearest, the distance does not
            # change with its share to first order, and the gradient need not go through it.
            with torch.no_grad():
                share = -(a * step_a + b * step_b) / (step_a * step_a + step_b * step_b).clamp(min=1e-12)
                share = share.clamp(0, 1)
            a, b = torch.addcmul(a, share, step_a), torch.addcmul(b, share, step_b)
        return (_hypotenuse(a, b) - self._radii.like(y)).flatten(2)


@final
class KeepInBox(Place):
    """The position stays in an axis-parallel box; for a convex set way-points decide for segments too.

    Args:
        low: Lower corner [m].
        high: Upper corner [m], above the lower in both axes.
        channels: The two channels that are the position.
    """

    def __init__(self, low: Sequence[float], high: Sequence[float], *, channels: Sequence[int] = (0, 1)):
        if not all(-math.inf < a < b < math.inf for a, b in zip(low, high, strict=True)):
            raise ValueError(f"low must be below high in both axes, all finite; got {list(low)} and {list(high)}.")
        self.low, self.high = tuple(map(float, low)), tuple(map(float, high))
        self._low, self._high = Constant(self.low), Constant(self.high)
        self.channels = _plane(channels)
        self.name = f"keep in the box {list(self.low)} to {list(self.high)} m"

    def shapes(self) -> dict[str, list[dict[str, Any]]]:
        """The four sides."""
        (x, y), (right, top) = self.low, self.high
        corners = [(x, y), (right, y), (right, top), (x, top), (x, y)]
        return {"lines": [{"role": "constraint", "start": a, "end": b} for a, b in pairwise(corners)]}

    def margins(self, y: Tensor) -> Tensor:
        """Distance of every way-point to the nearest side [m], negative outside, `(B, N, T)`."""
        p = position(y, self.channels)
        return torch.minimum(p - self._low.like(y), self._high.like(y) - p).amin(-1)


class _RateLimit(Constraint, abc.ABC):
    """A derivative of the position stays below a limit: differences of way-points over the period to its order."""

    order: int
    what: str
    unit: str

    def __init__(self, limit: float, period: Period, *, channels: Sequence[int] = (0, 1)):
        _require_positive(limit, period)
        self.limit, self.period = limit, period
        self.channels = _plane(channels)
        what, known = self.what.split()[1], self.channels == (0, 1)  # a unit is known of positions alone
        self.name = f"{what} at most {limit:g} {self.unit}" if known else f"{what} of {self.channels} at most {limit:g}"

    def margins(self, y: Tensor) -> Tensor:
        """Limit minus the size of the derivative, in its unit, `(B, N, T - order)`.

        Raises:
            ValueError: If the path has too few way-points.
        """
        _need(y, self.order + 1, self.what)
        return self.limit - rate(y, self.channels, self.period, self.order)


@final
class SpeedLimit(_RateLimit):
    """The position moves no faster than a limit, on every segment.

    Args:
        limit: [m/s], > 0.
        period: Time between way-points [s], > 0; a number, or one for each context, shape `(B, 1, 1)`.
        channels: The two channels that are the position.
    """

    order, what, unit = 1, "a speed", "m/s"


@final
class AccelerationLimit(_RateLimit):
    """The position changes its velocity no faster than a limit, at every inner way-point.

    Args:
        limit: [m/s^2], > 0.
        period: Time between way-points [s], > 0; a number, or one for each context, shape `(B, 1, 1)`.
        channels: The two channels that are the position.
    """

    order, what, unit = 2, "an acceleration", "m/s^2"


@final
class ReachPoint(Constraint):
    """The position is near a point at a time.

    Args:
        point: [m].
        tolerance: [m], > 0.
        step: Number of the way-point, from the end where negative.
        channels: The two channels that are the position.
    """

    def __init__(self, point: Sequence[float], tolerance: float, *, step: int = -1, channels: Sequence[int] = (0, 1)):
        if not tolerance > 0:
            raise ValueError(f"tolerance must be positive; got {tolerance}.")
        self.point = (float(point[0]), float(point[1]))
        self._point = Constant(self.point)
        self.tolerance, self.step = tolerance, step
        self.channels = _plane(channels)
        self.name = f"within {tolerance:g} m of ({self.point[0]:g}, {self.point[1]:g}) at step {step}"

    def shapes(self) -> dict[str, list[dict[str, Any]]]:
        """The disc of the tolerance."""
        return {"discs": [{"role": "goal", "centre": list(self.point), "radius": self.tolerance}]}

    def margins(self, y: Tensor) -> Tensor:
        """Tolerance minus distance [m], `(B, N, 1)`.

        Raises:
            ValueError: If the path has no such step.
        """
        if not -y.shape[-2] <= self.step < y.shape[-2]:
            raise ValueError(f"{self.name}: the path has {y.shape[-2]} steps.")
        p = position(y[..., self.step, :], self.channels) - self._point.like(y)
        return (self.tolerance - _length(p)).unsqueeze(-1)


def position(y: Tensor, channels: tuple[int, int]) -> Tensor:
    """The two channels that are a position, shape `(..., 2)`; a view where they ascend, whose gradient is cheap.

    Raises:
        ValueError: If y has no such channels.
    """
    _require_channels(y, channels)
    first, second = channels
    if first < second:
        return y[..., first : second + 1 : second - first]
    return torch.stack([y.select(-1, first), y.select(-1, second)], -1)


def rate(y: Tensor, channels: tuple[int, int], period: Period, order: int) -> Tensor:
    """Size of a derivative of the position, [m / s^order], `(B, N, T - order)`, with a finite gradient at zero."""
    first, second = position(y, channels).diff(n=order, dim=-2).unbind(-1)
    # Divided first: what rounds the size off at zero is small in its own unit, whatever the period.
    unit = period**order
    return _hypotenuse(first / unit, second / unit)


def _plane(channels: Sequence[int]) -> tuple[int, int]:
    if len(channels) != 2 or channels[0] == channels[1] or min(channels) < 0:
        raise ValueError(f"channels must name two different channels by numbers from 0; got {list(channels)}.")
    return channels[0], channels[1]


def _require_channels(y: Tensor, channels: tuple[int, int]) -> None:
    if max(channels) >= y.shape[-1]:
        raise ValueError(
            f"channels {list(channels)} must be channels of the path, which has {y.shape[-1]}, numbered from 0."
        )


def _require_positive(limit: float, period: Period) -> None:
    known = torch.as_tensor(period)
    if not (0 < limit < math.inf and bool(((known > 0) & known.isfinite()).all())):
        raise ValueError(f"limit and period must be positive and finite; got {limit} and {period}.")


def _need(y: Tensor, count: int, what: str) -> None:
    if y.shape[-2] < count:
        raise ValueError(f"{what} needs a path of {count} way-points or more; got {y.shape[-2]}.")


def _length(vector: Tensor) -> Tensor:
    """Euclidean length of vectors `(..., 2)` with a finite gradient at zero."""
    return _hypotenuse(vector.select(-1, 0), vector.select(-1, 1))


def _hypotenuse(a: Tensor, b: Tensor) -> Tensor:
    return (torch.addcmul(a * a, b, b) + 1e-12).sqrt()
