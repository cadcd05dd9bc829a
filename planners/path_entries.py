"""Entries of a guide file that are constraints on paths, or on each of the agents that they name."""

from typing import Literal, final

from pydantic import Field

from planners.constraints import (
    AccelerationLimit,
    Constraint,
    KeepInBox,
    KeepOutDisc,
    Period,
    ReachPoint,
    SpeedLimit,
)
from planners.curvature import CurvatureLimit
from planners.dynamics import Bicycle, DoubleIntegrator, Unicycle
from planners.entries import Entry, Length, Metres, PlaneEntry, Point, RegionEntry, Speed
from planners.regions import KeepInRegion, KeepOutRegion, polygon_of


@final
class KeepOutDiscEntry(PlaneEntry):
    """A disc to keep out of."""

    kind: Literal["keep_out_disc"]
    centre: Point
    radius: Length

    def make(self, period: Period) -> Constraint:
        """The constraint."""
        return KeepOutDisc(self.centre, self.radius, channels=self.channels)


@final
class KeepInBoxEntry(PlaneEntry):
    """A box to keep in."""

    kind: Literal["keep_in_box"]
    low: Point
    high: Point

    def make(self, period: Period) -> Constraint:
        """The constraint."""
        return KeepInBox(self.low, self.high, channels=self.channels)


@final
class KeepInRegionEntry(RegionEntry, PlaneEntry):
    """A polygon to keep in, with holes to keep out of."""

    kind: Literal["keep_in_region"]

    def make(self, period: Period) -> Constraint:
        """The constraint."""
        return KeepInRegion(polygon_of(self.points, self.holes), channels=self.channels)


@final
class KeepOutRegionEntry(RegionEntry, PlaneEntry):
    """A polygon to keep out of, with holes that are free."""

    kind: Literal["keep_out_region"]

    def make(self, period: Period) -> Constraint:
        """The constraint."""
        return KeepOutRegion(polygon_of(self.points, self.holes), channels=self.channels)


@final
class SpeedLimitEntry(PlaneEntry):
    """A speed to keep below, in m/s."""

    kind: Literal["speed_limit"]
    limit: Speed

    def make(self, period: Period) -> Constraint:
        """The constraint."""
        return SpeedLimit(self.limit, period, channels=self.channels)


@final
class AccelerationLimitEntry(PlaneEntry):
    """An acceleration to keep below, in m/s^2."""

    kind: Literal["acceleration_limit"]
    limit: float = Field(gt=0)

    def make(self, period: Period) -> Constraint:
        """The constraint."""
        return AccelerationLimit(self.limit, period, channels=self.channels)


@final
class CurvatureLimitEntry(PlaneEntry):
    """A curvature to keep below, in 1/m."""

    kind: Literal["curvature_limit"]
    limit: float = Field(gt=0)

    def make(self, period: Period) -> Constraint:
        """The constraint."""
        return CurvatureLimit(self.limit, channels=self.channels)


@final
class ReachPointEntry(PlaneEntry):
    """A point to be near at a step."""

    kind: Literal["reach_point"]
    point: Point
    tolerance: Length
    step: int = -1

    def make(self, period: Period) -> Constraint:
        """The constraint."""
        return ReachPoint(self.point, self.tolerance, step=self.step, channels=self.channels)


@final
class DoubleIntegratorEntry(Entry):
    """Positions that follow velocities, the two channels after the position."""

    kind: Literal["double_integrator"]
    tolerance: Length

    @property
    def last(self) -> int:
        """The second channel of the velocity."""
        return 3

    def make(self, period: Period) -> Constraint:
        """The constraint."""
        return DoubleIntegrator(self.tolerance, period)


@final
class UnicycleEntry(Entry):
    """Positions that follow heading and speed."""

    kind: Literal["unicycle"]
    tolerance: Length

    @property
    def last(self) -> int:
        """The speed, after the heading."""
        return 3

    def make(self, period: Period) -> Constraint:
        """The constraint."""
        return Unicycle(self.tolerance, period)


@final
class BicycleEntry(Entry):
    """A car that does not slip, and turns as far as its steering allows; angles in radians."""

    kind: Literal["bicycle"]
    tolerance: Length
    wheelbase: Length = 2.8
    steering: float = 0.6
    rear: Metres = 0.0

    @property
    def last(self) -> int:
        """The speed, after the heading."""
        return 3

    def make(self, period: Period) -> Constraint:
        """The constraint."""
        return Bicycle(self.tolerance, period, wheelbase=self.wheelbase, steering=self.steering, rear=self.rear)
