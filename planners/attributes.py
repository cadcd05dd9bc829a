"""Constraints on the numbers of a path or an agent: ranges, rates of speed, and values that are given.

All of them read paths `(B, N, T, D)`; `OfAgents` applies them to scenes, where an attribute has a name
(`scenes.CHANNELS`), and `During` to a span of steps.
"""

import math
from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from planners.boxes import wrap
from planners.constants import Choice, Constant
from planners.constraints import Constraint, Period, _need, _require_positive
from planners.scenes import CHANNELS, SPEED

# Share of a range's width by which values are projected inside of it: rounding must not carry them out again.
_INSIDE = 1e-3


@final
class AttributeRange(Constraint):
    """A channel stays in a range; the channel named `heading` in a range of directions.

    Args:
        channel: Number of the channel, or its name in a scene.
        low: Lower end, in the channel's unit; of a heading the end from which the range goes to the left [rad].
        high: Upper end, above the lower.

    Raises:
        ValueError: If there is no channel of that name or the range is empty.
    """

    projects = True

    def __init__(self, channel: int | str, low: float, high: float):
        _require_range(low, high)
        self.channel = _number(channel)
        self.low, self.high = low, high
        self._difference = wrap if channel == "heading" else _plain
        self.name = f"{channel if isinstance(channel, str) else f'channel {channel}'} in [{low:g}, {high:g}]"

    @property
    def turns(self) -> bool:
        """Whether the range is one of directions."""
        return self._difference is wrap

    def margins(self, y: Tensor) -> Tensor:
        """Distance to the nearer end of the range at every step, in the channel's unit, `(B, N, T)`."""
        return (self.high - self.low) / 2 - self._off(y).abs()

    def project(self, y: Tensor) -> Tensor:
        """Values outside of the range moved to its nearer end, a thousandth of its width inside."""
        half = (self.high - self.low) * (0.5 - _INSIDE)
        off = self._off(y)
        moved = y.clone()
        moved[..., self.channel] += torch.where(self.margins(y) < 0, off.clamp(-half, half) - off, 0.0)
        return moved

    def _off(self, y: Tensor) -> Tensor:
        return self._difference(y[..., self.channel] - (self.low + self.high) / 2)


@final
class LongitudinalAcceleration(Constraint):
    """The speed channel changes at a rate in a range.

    Args:
        low: Lower end [m/s^2]; negative allows to brake.
        high: Upper end, above the lower.
        period: Time between steps [s], > 0; a number, or one for each context, shape `(B, 1, 1)`.
        channel: The channel that is the speed [m/s].

    Raises:
        ValueError: If the range is empty or the period not positive.
    """

    def __init__(self, low: float, high: float, period: Period, *, channel: int = SPEED):
        _require_range(low, high)
        _require_positive(1.0, period)
        self.low, self.high, self.period, self.channel = low, high, period, channel
        self.name = f"longitudinal acceleration in [{low:g}, {high:g}] m/s^2"

    def margins(self, y: Tensor) -> Tensor:
        """Distance to the nearer end of the range in every step [m/s^2], `(B, N, T - 1)`.

        Raises:
            ValueError: If there is a single step.
        """
        _need(y, 2, "a change of speed")
        rate = y[..., self.channel].diff(dim=-1) / self.period
        return torch.minimum(rate - self.low, self.high - rate)


@final
class Fixed(Constraint):
    """Some values are given: a start, a scene at a time, or any subset of agents, times and channels.

    Args:
        values: What is given, shape of the event or of its last axes (`(7,)` is the same at every step), or with
            `(B, 1)` before the event, one for each context. What the mask leaves out is not read.
        mask: Which of them count, bool, shape of the event or of its last axes.
        tolerance: Largest difference, in the unit of each channel, > 0.
        angles: Channels whose values are directions [rad].

    Raises:
        ValueError: If nothing is given, a given value is not finite, or shapes do not fit.
    """

    projects = True

    def __init__(self, values: Tensor, mask: Tensor, tolerance: float, *, angles: Sequence[int] = ()):
        if not 0 < tolerance < math.inf:
            raise ValueError(f"tolerance must be positive and finite; got {tolerance}.")
        if mask.dtype != torch.bool or mask.ndim > values.ndim or values.shape[values.ndim - mask.ndim :] != mask.shape:
            raise ValueError(
                f"mask must be bool and have the last axes of values; got {mask.dtype} of shape {tuple(mask.shape)} "
                f"for values of shape {tuple(values.shape)}."
            )
        if not mask.any() or not values[..., mask].isfinite().all():
            raise ValueError(
                "Fixed needs at least one value, and finite ones; set mask to true only where one is given."
            )
        self.values, self.mask, self.tolerance = values, mask, tolerance
        turns = torch.zeros_like(mask)
        turns[..., list(angles)] = True
        # Where a mask has to be counted a device waits for it; a list of places is known before.
        self._places, self._turns = Choice(mask.flatten().nonzero()[:, 0]), Choice(turns[mask])
        self._mask, self._values, self._given = Choice(mask), Constant(values), Constant(values[..., mask])
        self.name = f"{int(mask.sum())} values fixed to {tolerance:g}"

    def margins(self, y: Tensor) -> Tensor:
        """Tolerance less the difference of every given value, in its unit, `(B, N, P)`."""
        self._require_fit(y)
        entries = y.flatten(y.ndim - self.mask.ndim).index_select(-1, self._places.beside(y))
        off = entries - self._given.like(y)
        off = torch.where(self._turns.beside(y), wrap(off), off)
        return self.tolerance - off.abs().flatten(2)

    def project(self, y: Tensor) -> Tensor:
        """The given values in their places."""
        self._require_fit(y)
        return torch.where(self._mask.beside(y), self._values.like(y), y)

    def _require_fit(self, y: Tensor) -> None:
        if self.mask.ndim > y.ndim - 2 or y.shape[y.ndim - self.mask.ndim :] != self.mask.shape:
            raise ValueError(
                f"{self.name}: they are given for events that end in {tuple(self.mask.shape)}; "
                f"got events of shape {tuple(y.shape[2:])}."
            )


def _plain(difference: Tensor) -> Tensor:
    return difference


def _number(channel: int | str) -> int:
    if isinstance(channel, str) and channel not in CHANNELS:
        raise ValueError(f"an attribute is one of {', '.join(CHANNELS)}, or a number; got {channel!r}.")
    return CHANNELS[channel] if isinstance(channel, str) else channel


def _require_range(low: float, high: float) -> None:
    if not -math.inf < low < high < math.inf:
        raise ValueError(f"low must be below high, both finite; got {low} and {high}.")
