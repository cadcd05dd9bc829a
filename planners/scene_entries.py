"""Entries of a guide file that read a scene: attributes of agents by name, and what is between agents and roads."""

import math
from typing import Literal, final

import torch
from pydantic import Field

from planners.attributes import AttributeRange, Fixed, LongitudinalAcceleration
from planners.collisions import NoCollision
from planners.constraints import Constraint, Period
from planners.entries import Agents, Entry, Length, RegionEntry, SceneEntry, within
from planners.headway import KeepDistance
from planners.regions import polygon_of
from planners.roads import OnRoad
from planners.scenes import CHANNELS, HEADING

# What each attribute can be, and its unit.
_RANGES = {
    "x": within(-1e6, 1e6, "m"),
    "y": within(-1e6, 1e6, "m"),
    "heading": within(-2 * math.pi, 2 * math.pi, "radians"),
    "speed": within(-100, 100, "m/s"),
    "length": within(0, 1e3, "m"),
    "width": within(0, 1e3, "m"),
    "acceleration": within(-100, 100, "m/s^2"),
}


@final
class AttributeRangeEntry(Entry):
    """A range of an attribute; of `acceleration`, the change of the speed, in m/s^2."""

    kind: Literal["attribute_range"]
    attribute: Literal["x", "y", "heading", "speed", "length", "width", "acceleration"]
    low: float
    high: float

    @property
    def last(self) -> None:
        """None: attributes are those of agents."""

    def check(self) -> None:
        """Raises `ValueError` if an end is out of what the attribute can be, or the range empty."""
        _checked(self.attribute, self.low)
        _checked(self.attribute, self.high)
        self.make(1.0)

    def make(self, period: Period) -> Constraint:
        """The constraint."""
        if self.attribute == "acceleration":
            return LongitudinalAcceleration(self.low, self.high, period)
        return AttributeRange(self.attribute, self.low, self.high)


@final
class FixedEntry(Entry):
    """Attributes that are given."""

    kind: Literal["fixed"]
    values: dict[Literal["x", "y", "heading", "speed", "length", "width"], float] = Field(min_length=1)
    tolerance: float = Field(gt=0)

    @property
    def last(self) -> None:
        """None: attributes are those of agents."""

    def check(self) -> None:
        """Raises `ValueError` if a value is out of what the attribute can be."""
        for attribute, value in self.values.items():
            _checked(attribute, value)
        self.make(1.0)

    def make(self, period: Period) -> Constraint:
        """The constraint."""
        values, mask = torch.zeros(len(CHANNELS)), torch.zeros(len(CHANNELS), dtype=torch.bool)
        for attribute, value in self.values.items():
            values[CHANNELS[attribute]], mask[CHANNELS[attribute]] = value, True
        return Fixed(values, mask, self.tolerance, angles=[HEADING])


@final
class OnRoadEntry(RegionEntry, SceneEntry):
    """A polygon that the whole boxes of agents stay in, with holes to keep out of."""

    kind: Literal["on_road"]
    cell: Length | None = None

    def make(self, period: Period) -> Constraint:
        """The constraint."""
        return OnRoad(polygon_of(self.points, self.holes), agents=self.numbers, cell=self.cell)


@final
class NoCollisionEntry(SceneEntry):
    """Agents that stay clear of every other."""

    kind: Literal["no_collision"]
    gap: float = Field(0.0, ge=0)

    def make(self, period: Period) -> Constraint:
        """The constraint."""
        return NoCollision(self.gap, agents=self.numbers)


@final
class KeepDistanceEntry(SceneEntry):
    """Agents that keep a gap in metres, and a time headway in seconds, to those ahead of them."""

    kind: Literal["keep_distance"]
    gap: float = Field(0.0, ge=0)
    headway: float = Field(0.0, ge=0)
    ahead: Agents = None

    def make(self, period: Period) -> Constraint:
        """The constraint."""
        ahead = None if self.ahead == "all" else self.ahead
        return KeepDistance(self.gap, self.headway, agents=self.numbers, ahead=ahead)


def _checked(attribute: str, value: float) -> None:
    try:
        _RANGES[attribute](value)
    except ValueError as error:
        raise ValueError(f"{attribute} {error}; got {value:g}") from None
