r"""Costs: what is wanted of paths and scenes, dimensionless because every one divides by a unit.

A cost maps y to `(B, N)`; any function that does is one. Those here are means over steps of

    smoothness     (|d^k p / dt^k| / unit)^2          k = 2 acceleration, k = 3 jerk
    target speed   ((|dp / dt| - v) / unit)^2
    target point   (|p - g| / unit)^2                 at one step
    progress       -(way along a direction) / unit    of the whole path
    headway        (what is lacking / unit)^2         of the distance to those ahead

so that a cost of 1 is one unit off. `CostOfAgents` applies a cost of paths to agents of a scene and averages over them,
steps at which they are absent counting nothing.
"""

import abc
import math
from collections.abc import Callable, Sequence
from typing import final

from torch import Tensor

from planners.constants import Constant
from planners.constraints import Period, _need, _plane, _require_positive, position, rate
from planners.headway import KeepDistance
from planners.scenes import agents_of, checked_agents, fold, naming
from planners.spans import require_order, span_of

Cost = Callable[[Tensor], Tensor]


class PathCost(abc.ABC):
    """A cost of paths `(B, N, T, D)`: the mean of its terms."""

    @abc.abstractmethod
    def terms(self, y: Tensor) -> Tensor:
        """Costs of the path's parts, shape `(B, N, P)`."""

    def __call__(self, y: Tensor) -> Tensor:
        """The cost of each path, `(B, N)`."""
        return self.terms(y).mean(-1)


@final
class Smoothness(PathCost):
    """Little acceleration, or little jerk.

    Args:
        unit: [m/s^2], or [m/s^3] for jerk; > 0.
        period: Time between way-points [s], > 0; a number, or one for each context, shape `(B, 1, 1)`.
        order: Of the derivative: 2 is acceleration, 3 is jerk.
        channels: The two channels that are the position.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(self, unit: float, period: Period, *, order: int = 2, channels: Sequence[int] = (0, 1)):
        _require_unit(unit)
        _require_positive(unit, period)
        if order not in (2, 3):
            raise ValueError(f"order must be 2 for acceleration or 3 for jerk; got {order}.")
        self.unit, self.period, self.order, self.channels = unit, period, order, _plane(channels)

    def terms(self, y: Tensor) -> Tensor:
        """Squares of the derivative over its unit, `(B, N, T - order)`."""
        _need(y, self.order + 1, "smoothness")
        differences = position(y, self.channels).diff(n=self.order, dim=-2)
        return differences.square().sum(-1) / (self.unit * self.period**self.order) ** 2


@final
class TargetSpeed(PathCost):
    """A speed of the position, over each step.

    Args:
        speed: [m/s], >= 0.
        unit: [m/s], > 0.
        period: Time between way-points [s], > 0; a number, or one for each context, shape `(B, 1, 1)`.
        channels: The two channels that are the position.
    """

    def __init__(self, speed: float, unit: float, period: Period, *, channels: Sequence[int] = (0, 1)):
        _require_unit(unit)
        _require_positive(unit, period)
        if not 0 <= speed < math.inf:
            raise ValueError(f"speed must be at least 0 and finite; got {speed}.")
        self.speed, self.unit, self.period, self.channels = speed, unit, period, _plane(channels)

    def terms(self, y: Tensor) -> Tensor:
        """Squares of the difference over the unit, `(B, N, T - 1)`."""
        _need(y, 2, "a speed")
        return ((rate(y, self.channels, self.period, 1) - self.speed) / self.unit).square()


@final
class TargetPoint(PathCost):
    """A point to be near at a step.

    Args:
        point: [m].
        unit: [m], > 0.
        step: Number of the way-point, from the end where negative.
        channels: The two channels that are the position.
    """

    def __init__(self, point: Sequence[float], unit: float, *, step: int = -1, channels: Sequence[int] = (0, 1)):
        _require_unit(unit)
        self.point = (float(point[0]), float(point[1]))
        self._point = Constant(self.point)
        self.unit, self.step, self.channels = unit, step, _plane(channels)

    def terms(self, y: Tensor) -> Tensor:
        """Square of the distance over the unit, `(B, N, 1)`.

        Raises:
            ValueError: If the path has no such step.
        """
        at = span_of(self.step, self.step, y, f"target ({self.point[0]:g}, {self.point[1]:g})")
        off = position(y[..., at, :], self.channels) - self._point.like(y)
        return off.square().sum(-1) / self.unit**2


@final
class Progress(PathCost):
    """Far along a direction: linear, so that there is always more to gain.

    Args:
        direction: Of any length but zero.
        unit: [m], > 0.
        channels: The two channels that are the position.
    """

    def __init__(self, direction: Sequence[float], unit: float, *, channels: Sequence[int] = (0, 1)):
        _require_unit(unit)
        length = math.hypot(*direction)
        if not 0 < length < math.inf:
            raise ValueError(f"direction must be finite and not zero; got {list(direction)}.")
        self._direction = Constant([direction[0] / length, direction[1] / length])
        self.unit, self.channels = unit, _plane(channels)

    def terms(self, y: Tensor) -> Tensor:
        """Steps against the direction over the unit, times their number, `(B, N, T - 1)`: the mean is of the whole."""
        _need(y, 2, "progress")
        steps = position(y, self.channels).diff(dim=-2)
        return -(steps * self._direction.like(y)).sum(-1) * (steps.shape[-2] / self.unit)


@final
class Headway:
    """Distance to those ahead, as a cost of scenes: what is lacking, squared.

    Args:
        keep: The distance that is wanted.
        unit: [m], > 0.
    """

    def __init__(self, keep: KeepDistance, unit: float):
        _require_unit(unit)
        self.keep, self.unit = keep, unit

    def __call__(self, y: Tensor) -> Tensor:
        """The cost of each scene, `(B, N)`."""
        return (self.keep.margins(y).clamp(max=0) / self.unit).square().mean(-1)


@final
class CostOfAgents:
    """A cost of paths, averaged over agents of a scene.

    Args:
        cost: Of paths of the seven channels of an agent.
        agents: Numbers of the agents; None for all.
    """

    def __init__(self, cost: PathCost, agents: Sequence[int] | None = None):
        self.cost, self.agents = cost, checked_agents(agents)

    def __call__(self, y: Tensor) -> Tensor:
        """The cost of each scene, `(B, N)`."""
        agents = agents_of(y, self.agents, f"cost, {naming(self.agents)}")
        return fold(self.cost.terms, y, agents, 0.0).mean((-1, -2))


@final
class CostDuring:
    """A cost of a span of steps alone, of paths or scenes.

    Args:
        cost: It sees a path that starts at `first` and ends at `last`.
        first: First step of the span, from the end where negative.
        last: Last step of the span, included, from the end where negative.
    """

    def __init__(self, cost: Cost, first: int, last: int):
        require_order(first, last)
        self.cost, self.first, self.last = cost, first, last

    def __call__(self, y: Tensor) -> Tensor:
        """The cost of each span, `(B, N)`."""
        return self.cost(y[..., span_of(self.first, self.last, y, f"cost, steps {self.first} to {self.last}"), :])


def _require_unit(unit: float) -> None:
    if not 0 < unit < math.inf:
        raise ValueError(f"unit must be positive and finite; got {unit}.")
