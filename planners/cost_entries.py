"""Entries of a guide file that are costs; each divides by its unit, in the entry's own measure."""

import abc
from pathlib import Path
from typing import Annotated, Literal, Self, final

from pydantic import Field, PrivateAttr, model_validator

from planners.constraints import Period
from planners.cost_along import CostAlong
from planners.cost_map import PRICE, CostMap, read_cost_map
from planners.costs import (
    Cost,
    CostDuring,
    CostOfAgents,
    Headway,
    PathCost,
    Progress,
    Smoothness,
    TargetPoint,
    TargetSpeed,
)
from planners.entries import About, Agents, Length, Point, Speed
from planners.headway import KeepDistance

Unit = Annotated[float, Field(gt=0)]


class CostBlock(About, abc.ABC):
    """A cost of a file."""

    @abc.abstractmethod
    def of_agents(self, period: Period) -> Cost:
        """The cost of the agents, at all steps."""

    @final
    def build(self, period: Period) -> Cost:
        """The cost; `period` is the time between steps [s]."""
        cost = self.of_agents(period)
        return cost if self.steps is None else CostDuring(cost, *self.steps)

    @model_validator(mode="after")
    def _sound(self) -> Self:
        self.build(1.0)
        return self


class _PathCostEntry(CostBlock, abc.ABC):
    """A cost of paths, or of agents of a scene."""

    @abc.abstractmethod
    def make(self, period: Period) -> PathCost:
        """The cost without agents and steps."""

    def of_agents(self, period: Period) -> Cost:
        """The cost of paths, or of the agents."""
        cost = self.make(period)
        return cost if self.agents is None else CostOfAgents(cost, self.numbers)


@final
class SmoothnessEntry(_PathCostEntry):
    """Little acceleration, unit in m/s^2; little jerk with `order: 3`, unit in m/s^3."""

    kind: Literal["smoothness"]
    unit: Unit = 1.0
    order: Literal[2, 3] = 2

    def make(self, period: Period) -> PathCost:
        """The cost."""
        return Smoothness(self.unit, period, order=self.order)


@final
class TargetSpeedEntry(_PathCostEntry):
    """A speed in m/s."""

    kind: Literal["target_speed"]
    speed: Annotated[float, Field(ge=0, le=100)]
    unit: Speed = 1.0

    def make(self, period: Period) -> PathCost:
        """The cost."""
        return TargetSpeed(self.speed, self.unit, period)


@final
class TargetPointEntry(_PathCostEntry):
    """A point to be near at a step, in m."""

    kind: Literal["target_point"]
    point: Point
    unit: Length = 1.0
    step: int = -1

    def make(self, period: Period) -> PathCost:
        """The cost."""
        return TargetPoint(self.point, self.unit, step=self.step)


@final
class ProgressEntry(_PathCostEntry):
    """Far along a direction, in m: that of a vector."""

    kind: Literal["progress"]
    direction: Point
    unit: Length = 1.0

    def make(self, period: Period) -> PathCost:
        """The cost."""
        return Progress(self.direction, self.unit)


@final
class CostMapEntry(_PathCostEntry):
    """The integral of a cost map along the path; the map is read once, and obstacles cost `price` a metre."""

    kind: Literal["cost_map"]
    file: Path
    unit: Unit = 1.0
    price: Unit = PRICE
    _map: CostMap | None = PrivateAttr(None)

    def make(self, period: Period) -> PathCost:
        """The cost."""
        if self._map is None:
            self._map = read_cost_map(self.file, price=self.price)
        return CostAlong(self._map, self.unit)


@final
class HeadwayEntry(CostBlock):
    """What is lacking of a gap in metres, and a time headway in seconds, to those ahead."""

    kind: Literal["headway"]
    gap: float = Field(0.0, ge=0)
    headway: float = Field(0.0, ge=0)
    ahead: Agents = None
    unit: Length = 1.0

    @property
    def last(self) -> None:
        """None: it is about scenes."""

    def of_agents(self, period: Period) -> Cost:
        """The cost, which knows its agents."""
        ahead = None if self.ahead == "all" else self.ahead
        return Headway(KeepDistance(self.gap, self.headway, agents=self.numbers, ahead=ahead), self.unit)
