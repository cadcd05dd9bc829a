r"""Constraints on planned paths: margins, penalties, exact checks.

A path y has T way-points in physical units, joined by straight segments; two of its channels are a position p in the
plane. A constraint is a signed margin of the whole path, in metres or its own unit,

    margin(y) >= 0   exactly where the constraint holds on all of the swept path,

and from it a penalty that pulls every offending part back,

    cost(y) = sum_t relu((buffer - margin_t(y)) / unit)^2,

differentiable almost everywhere, dimensionless, zero where every part is `buffer` inside. Margins of segments are
exact distances, not samples: a path cannot hop across a disc between two way-points.

Notation: y has shape `(B, N, T, D)`; costs and margins have shape `(B, N)`.
"""

import abc
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, final

import torch
from torch import Tensor


class Constraint(abc.ABC):
    """Something that a path must satisfy.

    Attributes:
        name: For messages and pictures.
    """

    name: str

    @abc.abstractmethod
    def margins(self, y: Tensor) -> Tensor:
        """Signed margins of the path's parts, shape `(B, N, P)`: negative where a part offends."""

    @property
    @abc.abstractmethod
    def unit(self) -> float:
        """The size of a grave violation, in the margin's unit."""

    def shapes(self) -> dict[str, list[dict[str, Any]]]:
        """What to draw, plain numbers in the form of an environment's `scene()`; nothing where it has no place."""
        return {}

    @final
    def margin(self, y: Tensor) -> Tensor:
        """The smallest margin of a path, shape `(B, N)`; the constraint holds where it is not negative."""
        return self.margins(y).amin(-1)

    @final
    def cost(self, y: Tensor, buffer: float = 0.0) -> Tensor:
        """Penalty of a path, dimensionless, shape `(B, N)`.

        Args:
            y: Paths.
            buffer: Margin below which a part is penalised, in the margin's unit.
        """
        return ((buffer - self.margins(y)) / self.unit).clamp(min=0).square().sum(-1)


@final
class KeepOutDisc(Constraint):
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
        self.name = f"keep out of the disc at ({self.centre[0]:g}, {self.centre[1]:g}) of radius {radius:g} m"

    @property
    def unit(self) -> float:
        """The radius [m]."""
        return self.radius

    def shapes(self) -> dict[str, list[dict[str, Any]]]:
        """The disc."""
        return {"discs": [{"role": "constraint", "centre": list(self.centre), "radius": self.radius}]}

    def margins(self, y: Tensor) -> Tensor:
        """Distance of every segment to the disc [m], `(B, N, T - 1)`; of the point where T is 1."""
        p = y[..., list(self.channels)] - y.new_tensor(self.centre)
        if p.shape[-2] == 1:
            return _length(p) - self.radius
        start, step = p[..., :-1, :], p.diff(dim=-2)
        # The nearest point of a segment to the centre, by projection.
        share = -(start * step).sum(-1) / step.square().sum(-1).clamp(min=1e-12)
        nearest = start + share.clamp(0, 1).unsqueeze(-1) * step
        return _length(nearest) - self.radius


@final
class KeepInBox(Constraint):
    """The position stays in an axis-parallel box; for a convex set way-points decide for segments too.

    Args:
        low: Lower corner [m].
        high: Upper corner [m], above the lower in both axes.
        channels: The two channels that are the position.
    """

    def __init__(self, low: Sequence[float], high: Sequence[float], *, channels: Sequence[int] = (0, 1)):
        if not (low[0] < high[0] and low[1] < high[1]):
            raise ValueError(f"low must be below high in both axes; got {list(low)} and {list(high)}.")
        self.low, self.high = tuple(map(float, low)), tuple(map(float, high))
        self.channels = _plane(channels)
        self.name = f"keep in the box {list(self.low)} to {list(self.high)} m"

    @property
    def unit(self) -> float:
        """Half of the box's smaller side [m]."""
        return min(h - w for h, w in zip(self.high, self.low, strict=True)) / 2

    def shapes(self) -> dict[str, list[dict[str, Any]]]:
        """The four sides."""
        (x, y), (right, top) = self.low, self.high
        corners = [(x, y), (right, y), (right, top), (x, top), (x, y)]
        return {"lines": [{"role": "constraint", "start": a, "end": b} for a, b in pairwise(corners)]}

    def margins(self, y: Tensor) -> Tensor:
        """Distance of every way-point to the nearest side [m], negative outside, `(B, N, T)`."""
        p = y[..., list(self.channels)]
        return torch.minimum(p - y.new_tensor(self.low), y.new_tensor(self.high) - p).amin(-1)


@final
class SpeedLimit(Constraint):
    """The position moves no faster than a limit.

    Args:
        limit: [m/s], > 0.
        period: Time between way-points [s], > 0.
        channels: The two channels that are the position.
    """

    def __init__(self, limit: float, period: float, *, channels: Sequence[int] = (0, 1)):
        if not (limit > 0 and period > 0):
            raise ValueError(f"limit and period must be positive; got {limit} and {period}.")
        self.limit, self.period = limit, period
        self.channels = _plane(channels)
        self.name = f"speed at most {limit:g} m/s"

    @property
    def unit(self) -> float:
        """The limit [m/s]."""
        return self.limit

    def margins(self, y: Tensor) -> Tensor:
        """Limit minus speed of every segment [m/s], `(B, N, T - 1)`.

        Raises:
            ValueError: If the path has a single way-point.
        """
        if y.shape[-2] < 2:
            raise ValueError("a speed needs a path of two way-points or more; got one.")
        return self.limit - _length(y[..., list(self.channels)].diff(dim=-2)) / self.period


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
        self.tolerance, self.step = tolerance, step
        self.channels = _plane(channels)
        self.name = f"within {tolerance:g} m of ({self.point[0]:g}, {self.point[1]:g}) at step {step}"

    @property
    def unit(self) -> float:
        """The tolerance [m]."""
        return self.tolerance

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
        p = y[..., self.step, list(self.channels)] - y.new_tensor(self.point)
        return (self.tolerance - _length(p)).unsqueeze(-1)


def _plane(channels: Sequence[int]) -> tuple[int, int]:
    if len(channels) != 2 or channels[0] == channels[1]:
        raise ValueError(f"channels must name two different channels; got {list(channels)}.")
    return channels[0], channels[1]


def _length(vector: Tensor) -> Tensor:
    """Euclidean length over the last axis with a finite gradient at zero."""
    return (vector.square().sum(-1) + 1e-12).sqrt()
